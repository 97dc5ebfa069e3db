"""Times of day at a home, as its clock on the wall shows them. Every other time is UTC in ms."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]  # "07:00", local time


def minutes(clock: Clock) -> int:
    """Minutes since midnight of a time of day."""
    return int(clock[:2]) * 60 + int(clock[3:])


def clock(minute: int) -> Clock:
    """A time of day from its minutes since midnight."""
    return f"{minute // 60:02}:{minute % 60:02}"


def day_of(at_ms: int, zone: ZoneInfo) -> int:
    """Local day (ordinal of the date) of a moment."""
    return datetime.fromtimestamp(at_ms / 1000, zone).toordinal()


def moment(day: int, minute: int, zone: ZoneInfo) -> int:
    """When it is this minute of this local day; a minute that the clock skips is the one after the jump."""
    midnight = datetime.combine(date.fromordinal(day), time(), zone)
    return round((midnight + timedelta(minutes=minute)).timestamp() * 1000)


def awake(from_ms: int, hours: tuple[int, int], zone: ZoneInfo, days: int) -> Iterator[tuple[int, int]]:
    """Stretches between two minutes of the day, what is left of the first day's first, for so many days."""
    day = day_of(from_ms, zone)
    for each in range(day, day + days):
        until_ms = moment(each, hours[1], zone)
        if until_ms > from_ms:
            yield max(from_ms, moment(each, hours[0], zone)), until_ms


def awake_ms(from_ms: int, now_ms: int, hours: tuple[int, int], zone: ZoneInfo) -> int:
    """How much of from_ms..now_ms lies between the two minutes of the day."""
    days = day_of(now_ms, zone) - day_of(from_ms, zone) + 1
    return sum(max(0, min(b, now_ms) - a) for a, b in awake(from_ms, hours, zone, days))


def awake_after(from_ms: int, need_ms: int, hours: tuple[int, int], zone: ZoneInfo) -> int:
    """When need_ms between the two minutes of the day have gone by since from_ms."""
    days = need_ms // max(MINUTE_MS, (hours[1] - hours[0]) * MINUTE_MS - 2 * HOUR_MS) + 3
    for a, b in awake(from_ms, hours, zone, days):
        if b - a >= need_ms:
            return a + need_ms
        need_ms -= max(0, b - a)
    raise ValueError("awake hours are too short")
