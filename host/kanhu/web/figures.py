"""Today's calls of the life class and how soon they were answered, per region, kept up as alarms change."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from kanhu.care import Alarm
from kanhu_protocol import kinds as k

from .regions import above

# The field's own: telecare quality standards ask for 97.5 % of calls answered in 60 s and 99 % in 180 s.
WITHIN_MS = (60_000, 180_000)
_TODAY = """
SELECT hub, boot, seq, kind, raised_ms, coalesce(accepted_ms, closed_ms) FROM alarms WHERE raised_ms >= ?
"""

Name = tuple[str, int, int]


class Call(NamedTuple):
    """One P1 alarm: when it was raised, and when a person first took it."""

    hub: str
    raised_ms: int
    answered_ms: int | None


class Figures(NamedTuple):
    """Of one region today; shares in percent, None where there is nothing to divide."""

    today: int
    answered_60: float | None
    answered_180: float | None
    median_s: float | None

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict()


NONE = Figures(0, None, None, None)


def midnight_ms(now_ms: int, zone: ZoneInfo) -> int:
    """When this day began in the zone."""
    day = datetime.fromtimestamp(now_ms / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(day.timestamp() * 1000)


def figures(calls: list[Call], now_ms: int) -> Figures:
    """Of these calls. One that waits counts against a limit as soon as it has missed it, not before."""
    shares: list[float | None] = []
    for within_ms in WITHIN_MS:
        good = judged = 0
        for call in calls:
            took_ms = (call.answered_ms or now_ms) - call.raised_ms
            if call.answered_ms is not None or took_ms > within_ms:
                judged += 1
                good += call.answered_ms is not None and took_ms <= within_ms
        shares.append(round(100 * good / judged, 1) if judged else None)
    took = [one.answered_ms - one.raised_ms for one in calls if one.answered_ms is not None]
    return Figures(len(calls), shares[0], shares[1], round(median(took) / 1000, 1) if took else None)


class Today:
    """The calls of this day."""

    def __init__(self, zone: ZoneInfo, clock: Callable[[], int]) -> None:
        self._zone, self._clock = zone, clock
        self._calls: dict[Name, Call] = {}
        self._from_ms = 0

    async def load(self, journal: Path) -> None:
        """What today's alarms on disk are; in a thread, because a city's journal holds very many."""
        since_ms = midnight_ms(self._clock(), self._zone)

        def read() -> list[Any]:
            with closing(
                sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
            ) as db:
                return db.execute(_TODAY, (since_ms,)).fetchall()

        for hub, boot, seq, kind, raised_ms, answered_ms in await asyncio.to_thread(read):
            if k.class_of(kind) == k.P1:
                self._calls.setdefault((hub, boot, seq), Call(hub, raised_ms, answered_ms))

    def note(self, alarm: Alarm) -> None:
        """An alarm is new or has changed. The first answer counts, also when it was reopened later."""
        if alarm.cls != k.P1 or alarm.raised_ms is None:  # asked, and nothing came of it
            return
        known = self._calls.get(alarm.name)
        answered_ms = alarm.accepted_ms or alarm.closed_ms
        if known is not None and known.answered_ms is not None:
            answered_ms = known.answered_ms
        self._calls[alarm.name] = Call(alarm.hub, alarm.raised_ms, answered_ms)

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self._calls = {name: call for name, call in self._calls.items() if name[0] != hub}

    def by_region(self, region_of: Callable[[str], str | None]) -> dict[str, Figures]:
        """Figures of every region that has any call today, and of those above it."""
        now_ms = self._clock()
        since_ms = midnight_ms(now_ms, self._zone)
        if since_ms != self._from_ms:
            self._from_ms = since_ms
            self._calls = {name: call for name, call in self._calls.items() if call.raised_ms >= since_ms}
        found: dict[str, list[Call]] = {}
        for call in self._calls.values():
            for region in above(region_of(call.hub)):
                found.setdefault(region, []).append(call)
        return {region: figures(calls, now_ms) for region, calls in found.items()}
