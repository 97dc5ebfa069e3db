"""What can be relied on now: which sensors would say that somebody moves, and since when without a break.

A sensor covers its room while the hub is heard, no fault of either stands, it has warmed up, and it has seen
movement within a bounded time in which somebody was at home. Only the end of the newest break is kept: what a
rule says rests on the stretch since then. A further fault can only shorten that stretch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .hours import DAY_MS, HOUR_MS, MINUTE_MS
from .past import AWAY, HOSPITAL, RUN_GAP_MS, Device, Fault, Past
from .values import Evidence

# Ours: who is at home passes most rooms within two days. A sensor that saw nothing for longer is named and
# looked after; rules go on relying on it for as long as their settings say.
PROVEN_MS = 48 * HOUR_MS
# Ours: nobody moves in one room for so long without a pause of RUN_GAP_MS; a drifting sensor does.
RESTLESS_MS = 8 * HOUR_MS
# Ours: so many movements in the same room, so far apart, and nothing from this sensor: it does not see.
CONTRADICTIONS = 3
CONTRADICTION_MS = 10 * MINUTE_MS
# Ours: who has left is out of sight of the sensor beside the door by then.
SETTLE_MS = 2 * MINUTE_MS
WEAKENING = frozenset({"battery", "unproven"})  # of a sensor; any other fault blinds it
# Of the hub. That it is silent counts only while it lasts: what it kept it tells later.
# A hub calls a radio sensor silent after three supervision periods (its sensor.py).
MISSED_MS = 3000  # per second of supervision
HUB_LOST = "lost"
HUB_SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor, and whether it can be relied on."""

    device: Device
    since_ms: int | None  # relied on without a break since then; None: not now
    why: tuple[str, ...]  # what blinds it now (WHY in wording.py)
    weak: tuple[str, ...]  # what is to be seen to, though it is relied on (of WEAKENING)
    heard_ms: int | None
    moved_ms: int | None  # the newest movement that is believed; of a door, when it turned
    sure_ms: int  # known to have lived until then: a radio sensor may have died since


@dataclass(frozen=True, slots=True)
class Coverage:
    """What can be relied on at one moment."""

    hub_heard_ms: int | None
    hub_since_ms: int | None  # heard without a break since then; None: not heard now
    sensors: tuple[Sensor, ...]
    next_ms: int  # without a new event nothing of this changes before

    @property
    def some(self) -> bool:
        """Whether any sensor can be relied on."""
        return any(one.since_ms is not None for one in self.sensors)

    @property
    def since_ms(self) -> int | None:
        """Since when all of them can be relied on without a break; None: not now, or there are none.

        A sensor that is only unproven is not needed while another of its room can be relied on: a room often
        has a corner that is seldom used, and who is in the room passes the other one."""
        relied = {one.device.room for one in self.sensors if one.since_ms is not None and one.device.room}
        needed = [one for one in self.sensors if one.why != ("unproven",) or one.device.room not in relied]
        found = [one.since_ms for one in needed if one.since_ms is not None]
        return max(found) if found and len(found) == len(needed) else None

    @property
    def sure_ms(self) -> int:
        """Until when all of them are known to have lived; what is said of a later moment may yet be wrong."""
        return min((one.sure_ms for one in self.sensors), default=0)

    @property
    def blind(self) -> tuple[Sensor, ...]:
        """Sensors that cannot be relied on."""
        return tuple(one for one in self.sensors if one.since_ms is None)

    @property
    def weak(self) -> tuple[Sensor, ...]:
        """Sensors that can be, and are to be seen to."""
        return tuple(one for one in self.sensors if one.weak and one.since_ms is not None)

    def rooms(self) -> dict[str, bool]:
        """Rooms with a sensor, and whether movement in them can be relied on."""
        found: dict[str, bool] = {}
        for one in self.sensors:
            found[one.device.room] = found.get(one.device.room, False) or one.since_ms is not None
        return found


def cover(
    past: Past, now_ms: int, devices: Iterable[Device] | None = None, proven_ms: int = PROVEN_MS
) -> Coverage:
    """Coverage by these devices, by default all movement sensors of the home."""
    if devices is None:
        devices = past.of_role("motion")
    hub_ms, since_ms, whys, edges = _hub(past, now_ms)
    sensors = tuple(_sensor(past, one, now_ms, since_ms, whys, proven_ms, edges) for one in devices)
    next_ms = min((at for at in edges if at > now_ms), default=now_ms + DAY_MS)
    return Coverage(hub_ms, None if whys else since_ms, sensors, next_ms)


def _hub(past: Past, now_ms: int) -> tuple[int | None, int | None, tuple[str, ...], list[int]]:
    heard_ms, since_ms = past.last_heard(0, now_ms), past.hub_since(now_ms)
    if heard_ms is None or since_ms is None:
        return heard_ms, None, ("hub",), []
    whys = []
    for fault in past.faults_between(0, since_ms, now_ms):
        if fault.why == HUB_LOST and fault.until_ms is not None:
            since_ms = max(since_ms, fault.until_ms)
        elif fault.until_ms is None and fault.why in (HUB_LOST, HUB_SILENT):
            whys.append("hub" if fault.why == HUB_SILENT else HUB_LOST)
    return heard_ms, since_ms, tuple(sorted(whys)), [heard_ms + past.hub_limit_ms]


def _sensor(
    past: Past,
    device: Device,
    now_ms: int,
    hub_since_ms: int | None,
    hub_whys: tuple[str, ...],
    proven_ms: int,
    edges: list[int],
) -> Sensor:
    heard_ms = past.last_heard(device.index, now_ms)
    since = [hub_since_ms or 0]
    whys = list(hub_whys)
    weak = set()
    for fault in past.faults_between(device.index, 0, now_ms):
        if fault.why in WEAKENING:
            if fault.until_ms is None:
                weak.add(fault.why)
        else:
            if fault.until_ms is None:
                whys.append(fault.why)
            else:
                since.append(fault.until_ms)
    first_ms = past.first_heard(device.index)
    if first_ms is None or first_ms > now_ms:
        whys.append("never")
    else:
        since.append(first_ms)
    if device.role == "motion":
        moved_ms = believed(past, device.index, now_ms)
        _warm_up(past, now_ms, since, whys, edges)
        _restless(past, device, now_ms, since, whys, edges)
        if not _proven(past, device, moved_ms, now_ms, proven_ms, edges) and "never" not in whys:
            whys.append("unproven")
    else:
        turned = past.is_open(device.index, now_ms)
        moved_ms = turned[1] if turned else None
    sure_ms = now_ms
    if device.radio:
        if not device.supervision_s:
            whys.append("unsupervised")
        sure_ms = _vouched(past, device.supervision_s * MISSED_MS, heard_ms or 0, now_ms)
    since_ms = None if whys else max(since)
    seen_to = tuple(sorted(weak))
    return Sensor(device, since_ms, tuple(sorted(set(whys))), seen_to, heard_ms, moved_ms, sure_ms)


def _vouched(past: Past, silent_ms: int, heard_ms: int, now_ms: int) -> int:
    """What the hub would have called silent by now lived then; it counts anew from each of its starts."""
    boot_ms = past.last_boot(now_ms)
    from_ms = now_ms if boot_ms is None or now_ms - boot_ms >= silent_ms else boot_ms
    return max(heard_ms, from_ms - silent_ms)


def _warm_up(past: Past, now_ms: int, since: list[int], whys: list[str], edges: list[int]) -> None:
    boot_ms = past.last_boot(now_ms)
    if boot_ms is None:
        return
    outage_ms = past.last_outage(now_ms)
    if outage_ms is not None:
        since.append(outage_ms + past.warm_up_ms)
    warm_ms = boot_ms + past.warm_up_ms
    if now_ms < warm_ms:
        whys.append("warm_up")
        edges.append(warm_ms)


def _restless(
    past: Past, device: Device, now_ms: int, since: list[int], whys: list[str], edges: list[int]
) -> None:
    run = past.run(device.index, now_ms)
    if run is None or run[1] - run[0] < RESTLESS_MS:
        return
    over_ms = run[1] + RUN_GAP_MS
    since.append(over_ms)
    if now_ms < over_ms:
        whys.append("restless")
        edges.append(over_ms)


def _proven(
    past: Past, device: Device, moved_ms: int | None, now_ms: int, proven_ms: int, edges: list[int]
) -> bool:
    if moved_ms is None or _contradicted(past, device, moved_ms, now_ms):
        return False
    at_home_ms, out_until_ms = lived_ms(past, moved_ms, now_ms)
    # Out of the home time does not count, so that a proof cannot lapse before somebody is back.
    edges.append(out_until_ms if out_until_ms is not None else now_ms + proven_ms - at_home_ms)
    return at_home_ms < proven_ms


def lived_ms(past: Past, from_ms: int, now_ms: int) -> tuple[int, int | None]:
    """(how long since from_ms somebody has lived at home, until when the elder is out of it now)."""
    at_home_ms, out_until_ms = now_ms - from_ms, None
    for mode in past.modes(from_ms, now_ms):
        if mode.mode in (AWAY, HOSPITAL):
            at_home_ms -= min(mode.until_ms, now_ms) - max(mode.from_ms, from_ms)
            if mode.until_ms > now_ms:
                out_until_ms = mode.until_ms
    return at_home_ms, out_until_ms


def _contradicted(past: Past, device: Device, moved_ms: int, now_ms: int) -> bool:
    if not device.room:
        return False
    others = [one.index for one in past.of_role("motion", room=device.room) if one.index != device.index]
    at_ms = moved_ms
    for _ in range(CONTRADICTIONS):
        seen = [past.movement_after(other, at_ms + CONTRADICTION_MS, now_ms) for other in others]
        at_ms = min((one for one in seen if one is not None), default=-1)
        if at_ms < 0:
            return False
    return True


def believed(past: Past, device: int, now_ms: int) -> int | None:
    """The newest movement of a device that no fault of it puts in doubt; of a restless one, its first."""
    at_ms = now_ms
    blinding = [one for one in past.faults_between(device, 0, now_ms) if one.why not in WEAKENING]
    while True:
        moved_ms = past.movement_before(device, at_ms)
        if moved_ms is None:
            return None
        run = past.run(device, moved_ms)
        if run and run[1] - run[0] >= RESTLESS_MS:
            moved_ms = run[0]
        fault = next((one for one in blinding if _holds(one, moved_ms)), None)
        if fault is None:
            return moved_ms
        at_ms = fault.from_ms - 1


def _holds(fault: Fault, at_ms: int) -> bool:
    return fault.from_ms <= at_ms and (fault.until_ms is None or fault.until_ms > at_ms)


def last_activity(
    past: Past, now_ms: int, room: str | None = None, elsewhere: bool = False
) -> Evidence | None:
    """The newest sign that somebody is about: a movement that is believed, a press, a door that was turned, a
    vital sign that was taken. Of the whole home, of one room, or of all but that room."""
    found: list[Evidence] = []
    for index in past.moving_devices():
        device = past.devices.get(index)
        if _there(device.room if device else "", room, elsewhere):
            moved_ms = believed(past, index, now_ms)
            if moved_ms is not None:
                found.append(Evidence(index, "movement", moved_ms))
    for door in past.of_role("door"):
        turned = past.is_open(door.index, now_ms)
        if turned and _there(door.room, room, elsewhere):
            found.append(Evidence(door.index, "door", turned[1]))
    if room is None:
        reading = past.reading_before(now_ms)
        if reading:
            found.append(Evidence(reading.device, "reading", reading.at_ms))
    return max(found, key=lambda one: (one.at_ms, one.what, one.device), default=None)


def last_turn(past: Past, now_ms: int, doors: Collection[int] = ()) -> Evidence | None:
    """When one of these doors (none named: any) was last opened or closed."""
    found = [
        Evidence(door.index, "door", turned[1])
        for door in past.of_role("door")
        if (not doors or door.index in doors) and (turned := past.is_open(door.index, now_ms))
    ]
    return max(found, key=lambda one: (one.at_ms, one.device), default=None)


def _there(place: str, room: str | None, elsewhere: bool) -> bool:
    return room is None or (place == room) is not elsewhere
