"""What is known of one home up to now: the only thing a rule looks at, live and in a backtest alike.

Filled as things become known, in any order; read with `now_ms`, of which nothing later is seen, so that a
recorded past can be gone through again. Every time is UTC in ms."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

DAYS_KEPT = 60  # of the daily rhythm

HOME, AWAY, HOSPITAL, VISITOR, SLEEP = 1, 2, 3, 4, 5  # names.MODES


@dataclass(frozen=True, slots=True)
class Device:
    """A sensor of the home, wired or BLE; index as in the hub's device table."""

    index: int
    role: str  # names.ROLES
    room: str = ""
    name: str = ""
    supervision_s: int = 0  # longest silence when well; 0: not known


class Fault(NamedTuple):
    """A stretch in which a device (0: the hub) could not be relied on; until_ms None: it lasts."""

    why: str  # silent, stuck, line, tamper, battery, doubted, unproven
    from_ms: int
    until_ms: int | None


class Mode(NamedTuple):
    """A mode that a person has set (names.MODES), and when it ends by itself."""

    mode: int
    from_ms: int
    until_ms: int


class Visit(NamedTuple):
    """Somebody is or was at the home."""

    who: str
    from_ms: int
    until_ms: int | None


class Plan(NamedTuple):
    """A visit that is due on these days (mask, Monday 1) between two minutes of the day."""

    days: int
    from_min: int
    until_min: int
    what: str


class Reading(NamedTuple):
    """One vital sign: code of names.QUANTITIES, value in its unit."""

    at_ms: int
    device: int
    code: int
    value: float


class Past:
    """One home. Moments of movement by device, doors, readings, faults, modes, visits."""

    def __init__(self, zone: ZoneInfo, devices: Iterable[Device] = (), plans: Iterable[Plan] = ()) -> None:
        self.zone = zone
        self.devices: dict[int, Device] = {device.index: device for device in devices}
        self.plans: tuple[Plan, ...] = tuple(plans)
        self.began_ms: int | None = None  # first thing that is known
        self._moved: dict[int, list[int]] = {}  # device: moments, rising
        self._doors: dict[int, list[tuple[int, bool]]] = {}  # device: (moment, open), rising
        self._heard: dict[int, int] = {}  # device (0: the hub): newest sign of life
        self._days: dict[int, int] = {}  # local day (ordinal of date): mask of quarter hours with movement
        self._faults: dict[int, list[Fault]] = {}
        self._modes: list[Mode] = []
        self._visits: list[Visit] = []
        self._readings: list[Reading] = []

    # Filling

    def heard(self, device: int, at_ms: int) -> None:
        """A device (0: the hub) gave a sign of life."""
        if self.began_ms is None or at_ms < self.began_ms:
            self.began_ms = at_ms
        self._heard[device] = max(at_ms, self._heard.get(device, at_ms))

    def moved(self, device: int, at_ms: int) -> None:
        """Somebody moved before this sensor."""
        self.heard(device, at_ms)
        _keep(self._moved.setdefault(device, []), at_ms)
        local = datetime.fromtimestamp(at_ms / 1000, self.zone)
        day = local.toordinal()
        self._days[day] = self._days.get(day, 0) | 1 << (local.hour * 4 + local.minute // 15)

    def door(self, device: int, at_ms: int, is_open: bool) -> None:
        """A door or window opened or closed."""
        self.heard(device, at_ms)
        insort(self._doors.setdefault(device, []), (at_ms, is_open))

    def reading(self, reading: Reading) -> None:
        """A vital sign was taken."""
        self.heard(reading.device, reading.at_ms)
        insort(self._readings, reading)

    def fault(self, device: int, why: str, at_ms: int) -> None:
        """From now on a device cannot be relied on; again for one that stands changes nothing."""
        faults = self._faults.setdefault(device, [])
        if not any(one.why == why and one.until_ms is None for one in faults):
            faults.append(Fault(why, at_ms, None))

    def mended(self, device: int, why: str, at_ms: int) -> None:
        """A fault is over."""
        self._faults[device] = [
            one._replace(until_ms=at_ms) if one.why == why and one.until_ms is None else one
            for one in self._faults.get(device, ())
        ]

    def mode(self, mode: Mode) -> None:
        """A person has set a mode; it ends the one before."""
        if self._modes and self._modes[-1].until_ms > mode.from_ms:
            self._modes[-1] = self._modes[-1]._replace(until_ms=mode.from_ms)
        self._modes.append(mode)

    def visit(self, visit: Visit) -> None:
        """Somebody came (until_ms None), or has left: the one with the same who and from_ms is replaced."""
        key = (visit.who, visit.from_ms)
        self._visits = [one for one in self._visits if (one.who, one.from_ms) != key]
        insort(self._visits, visit, key=lambda one: one.from_ms)

    def forget_before(self, at_ms: int) -> None:
        """Let go what is older, so that memory stays bounded; the days' masks stay, DAYS_KEPT of them."""
        for times in self._moved.values():
            del times[: max(0, bisect_left(times, at_ms) - 1)]  # the last movement before stays known
        for day in sorted(self._days)[:-DAYS_KEPT]:
            del self._days[day]
        for turns in self._doors.values():
            del turns[: max(0, bisect_left(turns, (at_ms, False)) - 1)]  # the state at at_ms stays known
        self._readings = [one for one in self._readings if one.at_ms >= at_ms]
        self._visits = [one for one in self._visits if one.until_ms is None or one.until_ms >= at_ms]
        self._modes = [one for one in self._modes if one.until_ms >= at_ms]
        for device, faults in self._faults.items():
            self._faults[device] = [one for one in faults if one.until_ms is None or one.until_ms >= at_ms]

    # Looking; nothing later than now_ms is seen

    def of_role(self, *roles: str, room: str | None = None) -> list[Device]:
        """Devices with one of these roles, of one room or of all."""
        return [
            one for one in self.devices.values() if one.role in roles and (room is None or one.room == room)
        ]

    def movements(self, device: int, from_ms: int, now_ms: int) -> Sequence[int]:
        """Moments of movement in from_ms..now_ms."""
        times = self._moved.get(device, [])
        return times[bisect_left(times, from_ms) : bisect_right(times, now_ms)]

    def last_movement(self, now_ms: int, devices: Iterable[int] | None = None) -> tuple[int, int] | None:
        """(moment, device) of the newest movement before any of the devices, or None."""
        found = [
            (times[at - 1], device)
            for device, times in self._moved.items()
            if (devices is None or device in set(devices)) and (at := bisect_right(times, now_ms))
        ]
        return max(found, default=None)

    def last_heard(self, device: int, now_ms: int) -> int | None:
        """When a device (0: the hub) last gave a sign of life."""
        at_ms = self._heard.get(device)
        return at_ms if at_ms is None or at_ms <= now_ms else now_ms

    def days(self, now_ms: int) -> dict[int, int]:
        """Past local days (ordinal of the date; not today): mask of the quarter hours that saw movement."""
        today = datetime.fromtimestamp(now_ms / 1000, self.zone).toordinal()
        return {day: mask for day, mask in self._days.items() if day < today}

    def faults(self, device: int, now_ms: int) -> list[Fault]:
        """Faults of a device (0: the hub) that stand at now_ms."""
        return [
            one
            for one in self._faults.get(device, ())
            if one.from_ms <= now_ms and (one.until_ms is None or one.until_ms > now_ms)
        ]

    def faults_between(self, device: int, from_ms: int, now_ms: int) -> list[Fault]:
        """Faults of a device that stood at any moment of from_ms..now_ms."""
        return [
            one
            for one in self._faults.get(device, ())
            if one.from_ms <= now_ms and (one.until_ms is None or one.until_ms > from_ms)
        ]

    def mode_at(self, now_ms: int) -> Mode | None:
        """The mode that holds, or None: at home as always."""
        for one in reversed(self._modes):
            if one.from_ms <= now_ms:
                return one if one.until_ms > now_ms else None
        return None

    def visits(self, from_ms: int, now_ms: int) -> Iterator[Visit]:
        """Visits that lasted at any moment of from_ms..now_ms."""
        for one in self._visits:
            if one.from_ms <= now_ms and (one.until_ms is None or one.until_ms >= from_ms):
                yield one

    def is_open(self, device: int, now_ms: int) -> tuple[bool, int] | None:
        """(open, since) of a door; None when it was never heard."""
        turns = self._doors.get(device, [])
        at = bisect_right(turns, (now_ms, True))
        return (turns[at - 1][1], turns[at - 1][0]) if at else None

    def turns(self, device: int, from_ms: int, now_ms: int) -> Sequence[tuple[int, bool]]:
        """(moment, open) of a door in from_ms..now_ms."""
        turns = self._doors.get(device, [])
        return turns[bisect_left(turns, (from_ms, False)) : bisect_right(turns, (now_ms, True))]

    def readings(self, from_ms: int, now_ms: int) -> list[Reading]:
        """Vital signs taken in from_ms..now_ms, oldest first."""
        return [one for one in self._readings if from_ms <= one.at_ms <= now_ms]


def _keep(times: list[int], at_ms: int) -> None:
    if not times or at_ms > times[-1]:
        times.append(at_ms)
    elif times[bisect_left(times, at_ms)] != at_ms:
        insort(times, at_ms)
