"""What is known of one home up to now: the only thing a rule looks at, live and in a backtest alike.

Filled as things become known, in any order; read with `now_ms`, of which nothing later is seen, so that a
recorded past can be gone through again. Every time is UTC in ms."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import TypeVar
from zoneinfo import ZoneInfo

from .known import AWAY, HOME, HOSPITAL, SLEEP, VISITOR, Device, Fault, Mode, Plan, Reading, Visit
from .spans import Spans

__all__ = [
    "AWAY", "BRIEF_MS", "DAYS_KEPT", "HOME", "HOSPITAL", "HUB_LIMIT_MS", "RUN_GAP_MS", "SLEEP", "VISITOR",
    "WARM_UP_MS", "Device", "Fault", "Mode", "Past", "Plan", "Reading", "Visit",
]  # fmt: skip

DAYS_KEPT = 60  # of the daily rhythm
# Three heartbeats of 300 s and their jitter, as kanhu.silence has it: a hub unheard for so long may be off.
HUB_LIMIT_MS = 1_080_000
# HC-SR501 data sheet: up to a minute of false outputs after power-on (as in the hub's pir.py).
WARM_UP_MS = 60_000
# Ours, the pre-warning time of telecare: who is up moves again within it, so a hub that was off for less has
# missed nobody, and a restart does not make rules that count hours say "cannot tell" for as many hours.
BRIEF_MS = 600_000
# Ours: somebody who is in a room moves again within this, seen over hours (see RESTLESS_MS in coverage.py).
RUN_GAP_MS = 900_000

Item = TypeVar("Item", tuple[int, bool], Reading)


class Past:
    """One home. Moments of movement by device, doors, readings, faults, modes, visits."""

    def __init__(
        self,
        zone: ZoneInfo,
        devices: Iterable[Device] = (),
        plans: Iterable[Plan] = (),
        hub_limit_ms: int = HUB_LIMIT_MS,
        warm_up_ms: int = WARM_UP_MS,
    ) -> None:
        self.zone = zone
        self.devices: dict[int, Device] = {device.index: device for device in devices}
        self.plans: tuple[Plan, ...] = tuple(plans)
        self.hub_limit_ms = hub_limit_ms
        self.warm_up_ms = warm_up_ms  # of movement sensors after each start of the hub
        self.began_ms: int | None = None  # first thing that is known
        self._hub = Spans(hub_limit_ms)  # the hub's signs of life
        self._life = Spans(BRIEF_MS)  # the same, looked at more closely
        self._boots: list[int] = []
        self._moved: dict[int, list[int]] = {}  # device: moments, rising
        self._runs: dict[int, Spans] = {}  # device: stretches of movement
        self._doors: dict[int, list[tuple[int, bool]]] = {}  # device: (moment, open), rising
        self._first: dict[int, int] = {}  # device: oldest sign of life
        self._heard: dict[int, int] = {}  # device: newest sign of life
        self._days: dict[int, int] = {}  # local day (ordinal of date): mask of quarter hours with movement
        self._faults: dict[
            int, dict[str, list[tuple[int, bool]]]
        ] = {}  # device, why: (moment, stands), rising
        self._modes: list[Mode] = []
        self._visits: dict[tuple[int, str], Visit] = {}
        self._readings: list[Reading] = []

    # Filling

    def heard(self, device: int, at_ms: int) -> None:
        """A device gave a sign of life, and with it the hub (0) that passed it on."""
        if self.began_ms is None or at_ms < self.began_ms:
            self.began_ms = at_ms
        self._hub.add(at_ms)
        self._life.add(at_ms)
        if at_ms < self._first.setdefault(device, at_ms):
            self._first[device] = at_ms
        if at_ms > self._heard.setdefault(device, at_ms):
            self._heard[device] = at_ms

    def booted(self, at_ms: int) -> None:
        """The hub started: its sensors warm up, and while it was off nothing was seen."""
        self.heard(0, at_ms)
        _keep(self._boots, at_ms)

    def moved(self, device: int, at_ms: int) -> None:
        """Somebody moved before this sensor, or pressed this key (0: one of the hub itself)."""
        self.heard(device, at_ms)
        _keep(self._moved.setdefault(device, []), at_ms)
        runs = self._runs.get(device)
        if runs is None:
            runs = self._runs[device] = Spans(RUN_GAP_MS)
        runs.add(at_ms)
        local = datetime.fromtimestamp(at_ms / 1000, self.zone)
        self.day(local.toordinal(), 1 << (local.hour * 4 + local.minute // 15))

    def day(self, day: int, mask: int) -> None:
        """Quarter hours (bit 0: from 00:00 local) of a local day (ordinal of the date) that saw movement."""
        self._days[day] = self._days.get(day, 0) | mask

    def door(self, device: int, at_ms: int, is_open: bool) -> None:
        """A door or window opened or closed, or was said to be so again."""
        self.heard(device, at_ms)
        _insert(self._doors.setdefault(device, []), (at_ms, is_open))

    def reading(self, reading: Reading) -> None:
        """A vital sign was taken, and its monitor called it valid."""
        self.heard(reading.device, reading.at_ms)
        _insert(self._readings, reading)

    def fault(self, device: int, why: str, at_ms: int) -> None:
        """From now on a device cannot be relied on; again for one that stands changes nothing."""
        _insert(self._faults.setdefault(device, {}).setdefault(why, []), (at_ms, True))

    def mended(self, device: int, why: str, at_ms: int) -> None:
        """A fault is over."""
        _insert(self._faults.setdefault(device, {}).setdefault(why, []), (at_ms, False))

    def mode(self, mode: Mode) -> None:
        """A person has set a mode; it ends the one before."""
        if mode not in self._modes:
            insort(self._modes, mode, key=lambda one: (one.from_ms, one.mode, one.until_ms))

    def visit(self, visit: Visit) -> None:
        """Somebody came (until_ms None), or has left; of two ends of one visit the later holds."""
        key = (visit.from_ms, visit.who)
        known = self._visits.get(key)
        if known is None or (visit.until_ms or 0) > (known.until_ms or 0):
            self._visits[key] = visit

    def forget_before(self, at_ms: int) -> None:
        """Let go what is older, so that memory stays bounded; the days' masks stay, DAYS_KEPT of them."""
        for times in self._moved.values():
            del times[: max(0, bisect_left(times, at_ms) - 1)]  # the last movement before stays known
        for runs in (self._hub, self._life, *self._runs.values()):
            runs.forget_before(at_ms)
        del self._boots[: max(0, bisect_left(self._boots, at_ms) - 1)]
        for day in sorted(self._days)[:-DAYS_KEPT]:
            del self._days[day]
        for turns in self._doors.values():
            del turns[: _run_at(turns, at_ms)]  # how it stood at at_ms, and since when
        self._readings = [one for one in self._readings if one.at_ms >= at_ms]
        old = [key for key, one in self._visits.items() if (one.until_ms or one.from_ms) < at_ms]
        for key in sorted(old, key=lambda key: self._visits[key].until_ms or key[0])[:-1]:
            del self._visits[key]  # the last one before stays known
        # Not by their ends: a mode that was ended by a later one would hold again without it.
        del self._modes[: max(0, bisect_left(self._modes, at_ms, key=lambda one: one.from_ms) - 1)]
        for whys in self._faults.values():
            for why, changes in list(whys.items()):
                del changes[: _run_at(changes, at_ms)]
                if len(changes) == 1 and not changes[0][1] and changes[0][0] < at_ms:
                    del whys[why]

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

    def movement_before(self, device: int, now_ms: int) -> int | None:
        """The newest movement at or before now_ms."""
        times = self._moved.get(device, [])
        at = bisect_right(times, now_ms)
        return times[at - 1] if at else None

    def movement_after(self, device: int, from_ms: int, now_ms: int) -> int | None:
        """The oldest movement at or after from_ms, not after now_ms."""
        times = self._moved.get(device, [])
        at = bisect_left(times, from_ms)
        return times[at] if at < len(times) and times[at] <= now_ms else None

    def last_movement(self, now_ms: int, devices: Iterable[int] | None = None) -> tuple[int, int] | None:
        """(moment, device) of the newest movement before any of the devices, or None."""
        found = [
            (moved, device)
            for device in (self._moved if devices is None else devices)
            if (moved := self.movement_before(device, now_ms)) is not None
        ]
        return max(found, default=None)

    def run(self, device: int, now_ms: int) -> tuple[int, int] | None:
        """(first, newest movement) of the newest stretch of movement without a pause of RUN_GAP_MS."""
        runs = self._runs.get(device)
        return runs.last(now_ms) if runs else None

    def moving_devices(self) -> Iterable[int]:
        """Devices that ever saw movement."""
        return self._moved.keys()

    def first_heard(self, device: int) -> int | None:
        """When a device first gave a sign of life."""
        return self._first.get(device)

    def last_heard(self, device: int, now_ms: int) -> int | None:
        """When a device (0: the hub) last gave a sign of life."""
        if device == 0:
            life = self._hub.last(now_ms)
            return life[1] if life else None
        at_ms = self._heard.get(device)
        if at_ms is None or at_ms <= now_ms:
            return at_ms
        door = self.is_open(device, now_ms)
        known = [self.movement_before(device, now_ms), door[1] if door else None]
        return max((one for one in known if one is not None), default=None)

    def hub_since(self, now_ms: int) -> int | None:
        """Since when the hub has been heard without a break; None when it is not heard now."""
        life = self._hub.last(now_ms)
        return life[0] if life and now_ms - life[1] < self.hub_limit_ms else None

    def last_boot(self, now_ms: int) -> int | None:
        """The hub's newest start."""
        at = bisect_right(self._boots, now_ms)
        return self._boots[at - 1] if at else None

    def last_outage(self, now_ms: int) -> int | None:
        """The newest start that ended more than BRIEF_MS of being off; the first start there was is one."""
        boot_ms = self.last_boot(now_ms)
        while boot_ms is not None:
            life = self._life.last(boot_ms)
            began_ms = life[0] if life else boot_ms
            if self.last_boot(began_ms) == began_ms:
                return began_ms
            boot_ms = self.last_boot(began_ms)
        return None

    def days(self, now_ms: int) -> dict[int, int]:
        """Past local days (ordinal of the date; not today): mask of the quarter hours that saw movement."""
        today = datetime.fromtimestamp(now_ms / 1000, self.zone).toordinal()
        return {day: mask for day, mask in self._days.items() if day < today}

    def faults(self, device: int, now_ms: int) -> list[Fault]:
        """Faults of a device (0: the hub) that stand at now_ms."""
        return [one for one in self._stretches(device, now_ms) if one.until_ms is None]

    def faults_between(self, device: int, from_ms: int, now_ms: int) -> list[Fault]:
        """Faults of a device that stood at any moment of from_ms..now_ms; until_ms None: it stands now."""
        return [
            one for one in self._stretches(device, now_ms) if one.until_ms is None or one.until_ms > from_ms
        ]

    def modes(self, from_ms: int, now_ms: int) -> list[Mode]:
        """Modes that held at any moment of from_ms..now_ms, each with the end that it has or will have."""
        begun = self._modes[: bisect_right(self._modes, now_ms, key=lambda one: one.from_ms)]
        found = []
        for one, following in zip_longest(begun, begun[1:]):
            until_ms = min(one.until_ms, following.from_ms) if following else one.until_ms
            if until_ms >= from_ms and until_ms > one.from_ms:
                found.append(one._replace(until_ms=until_ms))
        return found

    def mode_at(self, now_ms: int) -> Mode | None:
        """The mode that holds, or None: at home as always."""
        found = [one for one in self.modes(now_ms, now_ms) if one.until_ms > now_ms and one.mode != HOME]
        return found[-1] if found else None

    def visits(self, from_ms: int, now_ms: int) -> Iterator[Visit]:
        """Visits that lasted at any moment of from_ms..now_ms; until_ms None: not left at now_ms."""
        for key in sorted(self._visits):
            one = self._visits[key]
            if one.from_ms > now_ms or (one.until_ms is not None and one.until_ms < from_ms):
                continue
            left = one.until_ms is not None and one.until_ms <= now_ms
            yield one if left else one._replace(until_ms=None)

    def is_open(self, device: int, now_ms: int) -> tuple[bool, int] | None:
        """(open, since) of a door; None when it was never heard."""
        turns = self._doors.get(device, [])
        at = _run_at(turns, now_ms)
        return (turns[at][1], turns[at][0]) if turns and turns[at][0] <= now_ms else None

    def turns(self, device: int, from_ms: int, now_ms: int) -> Sequence[tuple[int, bool]]:
        """(moment, open) of a door in from_ms..now_ms."""
        turns = self._doors.get(device, [])
        return turns[bisect_left(turns, (from_ms, False)) : bisect_right(turns, (now_ms, True))]

    def readings(self, from_ms: int, now_ms: int) -> list[Reading]:
        """Vital signs taken in from_ms..now_ms, oldest first."""
        first = bisect_left(self._readings, from_ms, key=lambda one: one.at_ms)
        return self._readings[first : bisect_right(self._readings, now_ms, key=lambda one: one.at_ms)]

    def reading_before(self, now_ms: int) -> Reading | None:
        """The newest vital sign at or before now_ms."""
        at = bisect_right(self._readings, now_ms, key=lambda one: one.at_ms)
        return self._readings[at - 1] if at else None

    def _stretches(self, device: int, now_ms: int) -> Iterator[Fault]:
        for why, changes in self._faults.get(device, {}).items():
            from_ms: int | None = None
            for at_ms, stands in changes:
                if at_ms > now_ms:
                    break
                if stands and from_ms is None:
                    from_ms = at_ms
                elif not stands and from_ms is not None:
                    yield Fault(why, from_ms, at_ms)
                    from_ms = None
            if from_ms is not None:
                yield Fault(why, from_ms, None)


def _run_at(turns: list[tuple[int, bool]], now_ms: int) -> int:
    """Where the run of equal states begins that holds at now_ms; 0 when there is nothing before it."""
    at = bisect_right(turns, (now_ms, True)) - 1
    while at > 0 and turns[at - 1][1] == turns[at][1]:
        at -= 1
    return max(0, at)


def _keep(times: list[int], at_ms: int) -> None:
    if not times or at_ms > times[-1]:
        times.append(at_ms)
    elif times[bisect_left(times, at_ms)] != at_ms:
        insort(times, at_ms)


def _insert(items: list[Item], item: Item) -> None:
    if not items or item > items[-1]:
        items.append(item)
    elif items[bisect_left(items, item)] != item:
        insort(items, item)
