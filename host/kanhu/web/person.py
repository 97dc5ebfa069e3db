"""What is known of the person an alarm is about: shown while it is open, never without a row in the audit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from kanhu.care import Alarm, Alarms
from kanhu.care.condition import Condition
from kanhu.care.rules.values import Words
from kanhu.registry import Home, Registry
from kanhu.registry.notes import Notes

from .sources import Sources

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


class Persons:
    """Puts together what an operator has to know."""

    def __init__(
        self, registry: Registry, notes: Notes, alarms: Alarms, sources: Sources, clock: Callable[[], int]
    ) -> None:
        self._registry, self._notes, self._alarms = registry, notes, alarms
        self._sources, self._clock = sources, clock

    def about(self, alarm: Alarm, home: Home) -> dict[str, Any]:
        """As kanhu.web.api describes it."""
        zone = ZoneInfo(home.time_zone)
        now_ms = self._clock()
        condition = self._sources.condition(home.id)
        note = self._notes.of(home.id)
        return {
            "alarm": str(alarm),
            "home": home.id,
            "name": home.name,
            "address": home.address,
            "phones": list(home.phones),
            "note": note and note._asdict(),
            "time_zone": home.time_zone,
            "sensors": [
                {
                    "device": one.index, "role": one.role, "room": one.room, "name": one.name,
                    "pressed": bool(one.index == alarm.device),
                }
                for one in self._registry.devices_of(alarm.hub)
            ],
            "last_movement": self._last_movement(alarm.hub, now_ms, zone),
            "condition": plain_condition(condition),
            "proof": self._proof(alarm.hub, now_ms, zone),
            "history": [
                dict(zip(("at_ms", "what", "operator", "reason"), step, strict=True))
                for step in self._alarms.history(alarm.name)
            ],
        }  # fmt: skip

    def _last_movement(self, hub: str, now_ms: int, zone: ZoneInfo) -> dict[str, Any] | None:
        past = self._sources.past(hub)
        found = past.last_movement(now_ms) if past is not None else None
        if past is None or found is None:
            return None
        at_ms, device = found
        known = past.devices.get(device)
        place = (known.room or known.name) if known else ""
        at, ago = clock_words(at_ms, now_ms, zone), ago_words(now_ms - at_ms)
        words = Words(
            f"{at.en} ({ago.en}){f', {place}' if place else ''}",
            f"{at.zh}（{ago.zh}）{place}",
        )
        return {"at_ms": at_ms, "room": place, **words._asdict()}

    def _proof(self, hub: str, now_ms: int, zone: ZoneInfo) -> dict[str, Any] | None:
        found = self._sources.proof(hub)
        if found is None:
            return None
        words = found.words(now_ms, zone)
        return {"at_ms": found.at_ms, "span_ms": found.span_ms, "ok": not found.fault, **words._asdict()}


def plain_condition(condition: Condition) -> dict[str, Any]:
    """For JSON: the state, and the reasons in both languages."""
    return {
        "state": condition.state,
        "reasons": [{"words": one.words._asdict(), "since_ms": one.since_ms} for one in condition.reasons],
    }


def clock_words(at_ms: int, now_ms: int, zone: ZoneInfo) -> Words:
    """A moment as people say it: the time of day, with the date where it is not today's."""
    at, now = (datetime.fromtimestamp(ms / 1000, zone) for ms in (at_ms, now_ms))
    clock = f"{at:%H:%M}"
    if at.date() == now.date():
        return Words(clock, clock)
    return Words(f"{at:%Y-%m-%d} {clock}", f"{at.month}月{at.day}日 {clock}")


def ago_words(span_ms: int) -> Words:
    """How long ago, roughly."""
    if span_ms < 2 * MINUTE_MS:
        return Words("just now", "刚刚")
    if span_ms < 2 * HOUR_MS:
        minutes = span_ms // MINUTE_MS
        return Words(f"{minutes} min ago", f"{minutes} 分钟前")
    if span_ms < 48 * HOUR_MS:
        hours = span_ms // HOUR_MS
        return Words(f"{hours} h ago", f"{hours} 小时前")
    days = span_ms // (24 * HOUR_MS)
    return Words(f"{days} days ago", f"{days} 天前")
