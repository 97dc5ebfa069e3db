"""Who is on duty: the duty lists of the registry, looked at for one level, place and moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from kanhu.registry.duty import Shift


class Lists(Protocol):
    """The registry's duty lists."""

    @property
    def version(self) -> int:
        """Rises with every change."""

    def shifts(self) -> list[Shift]:
        """All of operators who may act."""


def covers(region: str, place: str | None) -> bool:
    """Whether a region ("": everywhere) is a place's own or above it; a place None is nowhere known."""
    return region == "" or (place is not None and (place == region or place.startswith(region + "/")))


def is_on(shift: Shift, at_ms: int) -> bool:
    """Whether the shift lasts at this moment; one that ends before it begins goes over midnight."""
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(shift.time_zone))
    minute = local.hour * 60 + local.minute
    today = 1 << local.weekday()
    yesterday = 1 << (local - timedelta(days=1)).weekday()
    if shift.from_min < shift.until_min:
        return bool(shift.days & today) and shift.from_min <= minute < shift.until_min
    begun_today = bool(shift.days & today) and minute >= shift.from_min
    return begun_today or (bool(shift.days & yesterday) and minute < shift.until_min)


class Duty:
    """The duty lists; who is on at a moment is worked out once a minute."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._of: tuple[int, int] | None = None  # version, minute
        self._now: list[Shift] = []
        self._regions: set[str] = set()

    def on_duty(self, level: int, region: str | None, at_ms: int) -> list[str]:
        """Ids of the operators whom a level has on duty for a place at this moment, each once."""
        found = (one.operator for one in self._at(at_ms) if one.level == level and covers(one.region, region))
        return list(dict.fromkeys(found))

    def has_lists(self, region: str | None) -> bool:
        """Whether anybody keeps duty lists for this place; where nobody does, nobody can be missed."""
        if self._of is None or self._of[0] != self._lists.version:
            self._at(0)
        return any(covers(one, region) for one in self._regions)

    def _at(self, at_ms: int) -> list[Shift]:
        key = (self._lists.version, at_ms // 60_000)
        if key != self._of:
            self._now = [one for one in self._lists.shifts() if is_on(one, at_ms)]
            self._regions = {one.region for one in self._lists.shifts()}
            self._of = key
        return self._now
