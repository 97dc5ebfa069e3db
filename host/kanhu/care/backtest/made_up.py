"""A made-up person who lives alone, for trying things out where no recording may be had. Never evidence: its
first line says so, and every report repeats it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .tables import MADE_UP

SENSORS = {
    "motion_bedroom": "bedroom", "motion_bathroom": "bathroom", "motion_kitchen": "kitchen",
    "motion_living": "living room", "motion_hall": "hall",
}  # fmt: skip
DOOR = "front_door"
# Mean time between two movements that a sensor sees of somebody awake in its room, in seconds.
_SEEN_EVERY = {
    "motion_bedroom": 150, "motion_bathroom": 60, "motion_kitchen": 45, "motion_living": 300,
    "motion_hall": 20,
}  # fmt: skip
_ASLEEP_EVERY = 5400  # seconds; who turns over is seldom seen
_OFF_AFTER = 20  # seconds without movement after which a sensor says OFF
_DAY = ("motion_living", "motion_kitchen", "motion_living", "motion_bedroom", "motion_living", "motion_hall")


class Line(NamedTuple):
    """One row of the recording."""

    at: datetime
    sensor: str
    state: str


def write(days: int, seed: int, zone: ZoneInfo, first: date) -> Iterator[str]:
    """The lines of a recording in CSV, header and warning first."""
    yield f"{MADE_UP}: nobody lived this; kanhu rules made-up, seed {seed}\n"
    yield "time,sensor,state\n"
    for line in sorted(lines(days, seed, zone, first)):
        yield f"{line.at.isoformat(timespec='seconds')},{line.sensor},{line.state}\n"


def lines(days: int, seed: int, zone: ZoneInfo, first: date) -> list[Line]:
    """The same, not in order of time."""
    random = Random(seed)  # noqa: S311  # made up is what it is
    wakes = random.uniform(5.5, 7.5)  # this person's habit, hours
    found: list[Line] = []
    for number in range(days):
        day = first + timedelta(days=number)
        midnight = datetime.combine(day, time(), zone)
        found += _day(random, midnight, wakes)
    return found


def _day(random: Random, midnight: datetime, wakes: float) -> list[Line]:
    found: list[Line] = []

    def at(hours: float) -> datetime:
        return midnight + timedelta(hours=hours)

    wake = wakes + random.gauss(0, 0.4)
    bed = 21.8 + random.gauss(0, 0.5)
    _stay(found, random, "motion_bedroom", at(0), at(wake), _ASLEEP_EVERY)
    for _ in range(random.choice((0, 1, 1, 2))):
        night = random.uniform(1.0, wake - 1.0)
        _stay(found, random, "motion_hall", at(night), at(night + 0.02))
        _stay(found, random, "motion_bathroom", at(night + 0.02), at(night + 0.12))
    now = wake
    for room, hours in (("motion_bathroom", 0.35), ("motion_kitchen", 0.6)):
        length = hours * random.uniform(0.6, 1.6)
        _stay(found, random, room, at(now), at(now + length))
        now += length
    nap = 13.2 + random.gauss(0, 0.3) if random.random() < 0.7 else 99.0
    outing = random.uniform(8.5, 10.5) if random.random() < 0.75 else 99.0
    place = 0
    while now < bed:
        if now >= outing:
            away = random.lognormvariate(0.3, 0.5)
            _leave(found, random, at(now), at(now + away))
            now, outing = now + away, 99.0
        elif now >= nap:
            length = random.uniform(0.6, 1.9)
            _stay(found, random, "motion_bedroom", at(now), at(now + length), _ASLEEP_EVERY)
            now, nap = now + length, 99.0
        else:
            room = "motion_bathroom" if random.random() < 0.15 else _DAY[place % len(_DAY)]
            place += 1
            length = {"motion_hall": 0.03, "motion_bathroom": 0.15}.get(room, random.uniform(0.2, 1.4))
            _stay(found, random, room, at(now), at(min(now + length, bed)))
            now += length
    _stay(found, random, "motion_bathroom", at(bed), at(bed + 0.25))
    _stay(found, random, "motion_bedroom", at(bed + 0.25), at(bed + 0.6))
    _stay(found, random, "motion_bedroom", at(bed + 0.6), at(24.0), _ASLEEP_EVERY)
    return found


def _stay(
    found: list[Line], random: Random, sensor: str, start: datetime, end: datetime, every_s: float = 0
) -> None:
    """Somebody is in a room: movements at random, each followed by OFF when none came for a while."""
    if every_s == 0:
        found.append(Line(start, sensor, "ON"))
        found.append(Line(start + timedelta(seconds=_OFF_AFTER), sensor, "OFF"))
    moment = start
    while True:
        moment += timedelta(seconds=_OFF_AFTER + random.expovariate(1 / (every_s or _SEEN_EVERY[sensor])))
        if moment >= end:
            return
        found.append(Line(moment, sensor, "ON"))
        found.append(Line(moment + timedelta(seconds=_OFF_AFTER), sensor, "OFF"))


def _leave(found: list[Line], random: Random, start: datetime, end: datetime) -> None:
    for moment in (start, end):
        _stay(found, random, "motion_hall", moment - timedelta(seconds=30), moment)
        found.append(Line(moment, DOOR, "OPEN"))
        found.append(Line(moment + timedelta(seconds=random.uniform(5, 20)), DOOR, "CLOSE"))
    _stay(found, random, "motion_hall", end + timedelta(seconds=10), end + timedelta(seconds=60))
