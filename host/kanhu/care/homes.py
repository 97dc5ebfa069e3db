"""What each hub's events say of its home: fills a Past for the rules, and keeps what the rules cannot see,
such as standing faults, stretches of which nothing is known, and whether all has arrived."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from kanhu.journal import Event
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from .rules import vitals
from .rules.past import HUB_LIMIT_MS, WARM_UP_MS, Device, Past, Plan, Reading, Visit

SELDOM_MS = 1000  # movements before one sensor closer together than this are one
LAG_MS = 60_000  # an event that arrives this long after it happened: the hub has been away
# A stretch of which nothing is known and that is shorter than this is let pass: a hub's restart must not
# make rules that count hours say "cannot tell" for as many hours. It is the pre-warning time of the hub.
HOLE_MS = 600_000
PENDING_MAX = 256  # events of one hub whose moment is not known yet
GRACE_MS = 30_000  # events come out of order; a gap that lasts longer is one
WAIT_MS = 900_000  # for a hub that is back to say what it has saved: 10,000 events take it minutes
VISIT_MS = 4 * 3_600_000  # somebody who has come and was not seen leaving

# Fault of a device: how rules call it, and whether it began SPAN_MS before it was said.
_FAULTS = {
    k.SENSOR_SILENT: ("silent", True),
    k.CONTACT_STUCK: ("stuck", True),
    k.LINE_FAULT: ("line", False),
    k.TAMPER: ("tamper", False),
    k.BATTERY_LOW: ("battery", False),
    k.SENSOR_DOUBTED: ("doubted", False),
    k.SENSOR_UNPROVEN: ("unproven", False),
}
_OPENED = {k.DOOR_OPEN: True, k.WINDOW_OPEN: True, k.DOOR_CLOSED: False, k.WINDOW_CLOSED: False}
# Signs of life that a person gives by hand.
_BY_HAND = frozenset((k.CALL, k.PRE_ALARM_CANCELLED, k.TEST_PRESS, k.SERVICE_REQUEST))
LOST = "lost"  # why of a stretch of which nothing is known


class HubPast:
    """One hub: give it each event once, with the moment it happened (UTC ms), in any order."""

    def __init__(
        self,
        hub: str,
        zone: ZoneInfo,
        devices: Iterable[Device] = (),
        plans: Iterable[Plan] = (),
        limit_ms: int = HUB_LIMIT_MS,
        warm_up_ms: int = WARM_UP_MS,
    ) -> None:
        self.hub = hub
        self.limit_ms = limit_ms  # a hub that is not heard for longer is away
        self.past = Past(zone, devices, plans, limit_ms, warm_up_ms)
        self.standing: dict[tuple[int, int], int] = {}  # (device, kind of the fault): since
        self.heard_ms: int | None = None  # newest arrival of an event of its own
        self.behind_ms: int | None = None  # what has happened since is still arriving
        self.pending: list[Event] = []  # their moments are not known yet
        self.lost_seqs: list[tuple[int, int, int]] = []  # (boot, first, last) that the hub said are gone
        self.last_n = 0  # newest event taken, by its journal number
        self._boot = 0  # newest it was heard with
        self._newest_ms: int | None = None  # moment of the newest event
        self._given_up = (0, 0)  # (boot, seq): what is missing up to it is not waited for
        self._late_ms: int | None = None  # since when it is here and something has not come
        # (device, kind of the fault): when it was last said, and last said to be over
        self._said: dict[tuple[int, int], int] = {}
        self._over: dict[tuple[int, int], int] = {}

    def take(self, event: Event, at_ms: int | None) -> None:
        """An event of the hub itself. at_ms None: its moment is not known (yet), so only that it came."""
        self.last_n = max(self.last_n, event.n)
        self._boot = max(self._boot, event.boot)
        if self.heard_ms is None or event.received_ms > self.heard_ms:
            if self.heard_ms is not None and event.received_ms - self.heard_ms > self.limit_ms:
                self._fell_behind(
                    self._newest_ms or self.heard_ms
                )  # it was away, and has more to say perhaps
            self.heard_ms = event.received_ms
            self.past.heard(0, event.received_ms)
        if at_ms is None:
            self.pending.append(event)
            if len(self.pending) > PENDING_MAX:  # the boot of the oldest never had a clock
                gone = self.pending.pop(0)
                self._fell_behind(gone.received_ms)
            return
        at_ms = min(at_ms, event.received_ms)  # its clock may be a little ahead
        if event.received_ms - at_ms > LAG_MS:
            self._fell_behind(at_ms if self._newest_ms is None else min(at_ms, self._newest_ms))
        self._newest_ms = max(at_ms, self._newest_ms or 0)
        self._enter(event, at_ms)

    def told(self, event: Event) -> None:
        """An event of the daemon about the hub (SUBJECT)."""
        at_ms = event.received_ms
        proof = event.kind in (k.SENSOR_UNPROVEN, k.SENSOR_PROVEN)  # else DEVICE is a caller's, not at fault
        device = event.fields.get(k.DEVICE, 0) if proof else 0
        if event.kind in (k.CHECK_IN, k.CHECK_OUT):
            self.visited(event.kind == k.CHECK_IN, event.fields.get(k.OPERATOR, ""), at_ms)
        else:
            self._fault(event, device, at_ms)

    def stood(self, device: int, kind: int, since_ms: int) -> None:
        """A fault that was there before anything else that is known."""
        self.standing[device, kind] = since_ms
        why, _ = _FAULTS.get(kind, ("", False))
        if why:
            self.past.fault(device, why, since_ms)

    def lived(self, movements: Iterable[tuple[int, int | None]]) -> None:
        """(device, moment) of movements of long ago: of each device the last is kept, of the others only the
        quarter hour."""
        last: dict[int, int] = {}
        for device, at_ms in movements:
            if at_ms is not None:
                local = datetime.fromtimestamp(at_ms / 1000, self.past.zone)
                self.past.day(local.toordinal(), 1 << (local.hour * 4 + local.minute // 15))
                last[device] = max(at_ms, last.get(device, at_ms))
        for device, at_ms in last.items():
            self.past.moved(device, at_ms)

    def resolve(self, moments: Iterable[tuple[Event, int | None]]) -> None:
        """Pending events again, with their moments where those are known now."""
        self.pending = []
        for event, at_ms in moments:
            self.take(event, at_ms)

    def settle(self, now_ms: int, awaited: Sequence[tuple[int, int, int]]) -> bool:
        """Whether all that the hub has seen up to now has arrived, as far as can be known. awaited: ranges
        (boot, first, last) that the journal misses. What does not come, or has no time, within WAIT_MS after
        it is back is a stretch of which nothing is known."""
        missing = any((boot, last) > self._given_up for boot, _, last in awaited)
        if self.heard_ms is None or self._newest_ms is None:
            return not self.pending
        if not self.is_here(now_ms):
            self._late_ms = None
            self._fell_behind(self._newest_ms)
            return False
        if self.behind_ms is None and not self.pending and not missing:
            self._late_ms = None
        else:
            if self._late_ms is None:
                self._late_ms = now_ms
            waited_ms = now_ms - self._late_ms
            if self.behind_ms is None:
                if waited_ms < GRACE_MS and not self.pending:
                    return True  # out of order, as events may come
                self._fell_behind(min(self._newest_ms, self._late_ms))
                return False
            if self.pending or missing or self.heard_ms - self._newest_ms > LAG_MS:
                if waited_ms < WAIT_MS:
                    return False
                # A boot that is over without ever having had a clock will not get one.
                self.pending = [event for event in self.pending if event.boot >= self._boot]
                if self.pending:
                    return False
                self.lost(self.behind_ms, now_ms)
                self._given_up = max([(boot, last) for boot, _, last in awaited], default=self._given_up)
            self.behind_ms = self._late_ms = None
        return True

    def is_here(self, now_ms: int) -> bool:
        """Whether the hub is heard."""
        return self.heard_ms is not None and now_ms - self.heard_ms <= self.limit_ms

    def _fell_behind(self, since_ms: int) -> None:
        if self.behind_ms is None:
            self.behind_ms = since_ms

    def lost(self, from_ms: int, until_ms: int) -> None:
        """Nothing is known of this stretch, and nothing will be."""
        if until_ms - from_ms > HOLE_MS:
            self.past.fault(0, LOST, from_ms)
            self.past.mended(0, LOST, until_ms)

    # Inside

    def _enter(self, event: Event, at_ms: int) -> None:
        past, fields, kind = self.past, event.fields, event.kind
        device = fields.get(k.DEVICE, 0)
        past.heard(device, at_ms)
        if kind in (k.MOTION, k.MOTION_COUNT):
            self._moved(device, at_ms)
            if (device, k.SENSOR_DOUBTED) in self.standing and not fields.get(k.FLAGS, 0) & k.UNVERIFIED:
                self._mend(device, k.SENSOR_DOUBTED, at_ms)
        elif kind == k.STILL:
            self._still(device, at_ms, fields[k.UP_MS], fields.get(k.SPAN_MS, 0))
        elif kind == k.BOOT:
            past.booted(at_ms)
        elif kind in _OPENED:
            past.door(device, at_ms, _OPENED[kind])
        elif kind == k.VITALS:
            self._vitals(event, device, at_ms)
        elif kind in (k.CHECK_IN, k.CHECK_OUT):
            self.visited(kind == k.CHECK_IN, f"device {device}", at_ms)
        elif kind in _BY_HAND:
            if not fields.get(k.FLAGS, 0) & (k.TEST | k.UNVERIFIED):
                self._moved(0, at_ms)
        elif kind == k.EVENTS_LOST:
            self.lost_seqs += [(boot, first, last) for boot, first, last in fields.get(k.LOST, ())]
        elif event.cls == k.P3:
            self._fault(event, device, at_ms)

    def _moved(self, device: int, at_ms: int) -> None:
        newest = self.past.movement_before(device, at_ms)
        if newest is None or at_ms - newest >= SELDOM_MS:
            self.past.moved(device, at_ms)

    def _still(self, device: int, at_ms: int, up_ms: int, span_ms: int) -> None:
        # A sensor that says "motion" without pause is one movement until it stops. After a start it counts
        # from the start, which is no movement.
        newest = self.past.movement_before(device, at_ms)
        if newest is not None and at_ms - up_ms <= newest < at_ms - span_ms:
            self._moved(device, at_ms - span_ms)

    def _vitals(self, event: Event, device: int, at_ms: int) -> None:
        if event.fields.get(k.FLAGS, 0) & (k.TEST | k.HISTORICAL | k.UNVERIFIED):
            return  # of another day, or not believed
        if event.fields.get(k.STATUS, 0) & vitals.DOUBTFUL:
            return
        for item in event.fields.get(k.VALUES, ()):
            if found := vitals.comparable(*item):
                self.past.reading(Reading(at_ms, device, *found))

    def visited(self, came: bool, who: str, at_ms: int) -> None:
        """Somebody came, or left."""
        if came:
            self.past.visit(Visit(who, at_ms, None))
            return
        for visit in list(self.past.visits(at_ms - VISIT_MS, at_ms)):
            if visit.who == who and visit.until_ms is None:
                self.past.visit(visit._replace(until_ms=at_ms))

    def _fault(self, event: Event, device: int, at_ms: int) -> None:
        kind = event.kind
        if kind in names.RESTORAL or kind == k.SENSOR_DOUBTED:
            why, spans = _FAULTS.get(kind, ("", False))
            since_ms = at_ms - event.fields.get(k.SPAN_MS, 0) if spans else at_ms
            if why:
                self.past.fault(device, why, since_ms)
            self._said[device, kind] = max(at_ms, self._said.get((device, kind), at_ms))
            if self._over.get((device, kind), -1) < at_ms:  # else it comes late: its end is known already
                self.standing.setdefault((device, kind), since_ms)
        elif kind - 1 in names.RESTORAL:
            self._mend(device, kind - 1, at_ms)

    def _mend(self, device: int, fault: int, at_ms: int) -> None:
        why, _ = _FAULTS.get(fault, ("", False))
        if why:
            self.past.mended(device, why, at_ms)
        self._over[device, fault] = max(at_ms, self._over.get((device, fault), at_ms))
        if self._said.get((device, fault), at_ms) <= at_ms:
            self.standing.pop((device, fault), None)
