"""P1 alarms: open until a person accepts, accepted until a person closes; every step on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog

from kanhu.errors import KanhuError
from kanhu.journal import Batch, Event, Journal
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import MAX_REASON, MAX_TEXT, VALID

from . import sql

AlarmName = tuple[str, int, int]  # identity of the alarm's first event

MAX_TURNS = 1000  # locks kept, one per alarm in a person's hands

log = structlog.get_logger(__name__)


class AlarmError(KanhuError):
    """The alarm is not in a state that allows this; one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm; times are host UTC in ms, opened_ms that of its first event where that is known."""

    hub: str
    boot: int
    seq: int
    kind: int
    device: int
    state: int  # kinds.OPEN, ACCEPTED or CLOSED
    opened_ms: int
    stored_ms: int | None = None  # None: its first event has not arrived, only later ones have
    delivered_ms: int | None = None
    accepted_ms: int | None = None
    accepted_by: str | None = None
    closed_ms: int | None = None
    closed_by: str | None = None
    reason: str | None = None
    presses: int = 0
    attempts: int = 0  # highest attempt the hub has counted

    @property
    def name(self) -> AlarmName:
        """(hub_id, boot, seq) of its first event."""
        return self.hub, self.boot, self.seq

    def __str__(self) -> str:
        return f"{self.hub}/{self.boot}-{self.seq}"


class _Step(NamedTuple):
    """What a person did: the event that says so, and the row of the history."""

    kind: int
    what: str
    at_ms: int
    operator: str
    reason: str | None


class Alarms:
    """All alarms of one journal; in the thread of its loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.on_change: list[Callable[[Alarm], None]] = []  # after the fsync of every change of state
        self._live: dict[AlarmName, Alarm] = {}  # not closed, as they are on disk
        self._turns: dict[AlarmName, asyncio.Lock] = {}
        for row in journal.reader.rows(sql.LIVE):
            alarm = Alarm(*row)
            self._live[alarm.name] = alarm
        journal.on_delivered.append(self._delivered)

    # Looking

    def get(self, name: AlarmName) -> Alarm | None:
        """One alarm, closed ones too."""
        return self._live.get(name) or self._read(name)

    def live(self, hub: str | None = None) -> list[Alarm]:
        """Alarms not yet closed, of one hub or of all, oldest first."""
        found = [alarm for alarm in self._live.values() if hub is None or alarm.hub == hub]
        return sorted(found, key=lambda alarm: alarm.opened_ms)

    def history(self, name: AlarmName) -> list[tuple[int, str, str | None, str | None]]:
        """(host UTC ms, what, operator, reason) of each step, oldest first."""
        return self._journal.reader.rows(sql.HISTORY, name)

    # Events

    def note(self, batch: Batch, event: Event) -> None:
        """A new P1 event: open its alarm, or count it there, in the event's own transaction."""
        name = alarm_name(event)
        presses = 0 if event.kind == k.CALL_UNANSWERED else event.fields.get(k.COUNT, 1)
        utc_ms = self._journal.moment(event)[0]
        at_ms = event.received_ms if utc_ms is None else utc_ms
        device = event.fields.get(k.DEVICE, 0)
        batch.run(sql.OPENED, *name, event.received_ms)
        kind = k.CALL if event.kind == k.CALL_UNANSWERED else event.kind
        batch.run(sql.OPEN, *name, kind, device, k.OPEN, at_ms)
        if name == event.identity:
            batch.run(sql.FIRST_CAME, event.received_ms, at_ms, event.kind, device, *name)
        if presses:
            # Somebody pressed again before the hub had heard of the closing: never let that fall.
            batch.run(sql.REOPENED, event.received_ms, *name, utc_ms)
            batch.run(sql.REOPEN, *name, utc_ms)
        batch.run(sql.SAID_AGAIN, presses, event.fields.get(k.ATTEMPT, 0), *name)
        batch.then(lambda: self._changed(name))

    def _delivered(self, events: list[Event]) -> None:
        for event in events:
            if event.identity in self._live:
                self._changed(event.identity)

    def _changed(self, name: AlarmName) -> None:
        alarm = self._read(name)
        before = self._live.pop(name, None)
        if alarm is None:
            return
        if alarm.state != k.CLOSED:
            self._live[name] = alarm
        if before is None or before.state != alarm.state:
            for callback in self.on_change:
                try:
                    callback(alarm)
                except Exception:
                    log.exception("a listener of the alarms failed", alarm=str(alarm))

    def _read(self, name: AlarmName) -> Alarm | None:
        rows = self._journal.reader.rows(sql.ONE, name)
        return Alarm(*rows[0]) if rows else None

    # People

    async def accept(self, name: AlarmName, operator: str) -> Alarm:
        """The first operator takes the alarm; again by the same one is well; AlarmError for another."""
        _check_text("operator", operator)
        async with self._turn(name):
            alarm = self._must(name)
            if alarm.state == k.CLOSED:
                raise AlarmError(f"alarm {alarm} is closed already, by {alarm.closed_by}")
            if alarm.state == k.ACCEPTED:
                if alarm.accepted_by == operator:
                    return alarm
                raise AlarmError(f"alarm {alarm} is with {alarm.accepted_by} already")
            now = self._journal.clock()
            step = _Step(k.ALARM_ACCEPTED, "accepted", now, operator, None)
            return await self._act(name, step, sql.ACCEPT, now, operator)

    async def close(self, name: AlarmName, operator: str, reason: str) -> Alarm:
        """A person ends the alarm with a reason; again by the same one is well; AlarmError for another."""
        _check_text("operator", operator)
        _check_text("reason", reason)
        async with self._turn(name):
            alarm = self._must(name)
            if alarm.state == k.CLOSED:
                if (alarm.closed_by, alarm.reason) == (operator, reason):
                    return alarm
                raise AlarmError(f"alarm {alarm} is closed already, by {alarm.closed_by}: {alarm.reason}")
            now = self._journal.clock()
            step = _Step(k.ALARM_CLOSED, "closed", now, operator, reason)
            return await self._act(name, step, sql.CLOSE, now, operator, reason)

    async def correct(self, name: AlarmName, operator: str, reason: str) -> Alarm:
        """Another reason for a closed alarm; what stood before stays in the history."""
        _check_text("operator", operator)
        _check_text("reason", reason)
        async with self._turn(name):
            alarm = self._must(name)
            if alarm.state != k.CLOSED:
                raise AlarmError(f"alarm {alarm} is not closed yet: close it first")
            step = _Step(k.ALARM_CORRECTED, "corrected", self._journal.clock(), operator, reason)
            return await self._act(name, step, sql.CORRECT, reason)

    def _turn(self, name: AlarmName) -> asyncio.Lock:
        if len(self._turns) > MAX_TURNS:
            self._turns = {key: lock for key, lock in self._turns.items() if lock.locked()}
        return self._turns.setdefault(name, asyncio.Lock())

    def _must(self, name: AlarmName) -> Alarm:
        alarm = self.get(name)
        if alarm is None:
            hub, boot, seq = name
            raise AlarmError(f"no alarm {hub}/{boot}-{seq} is known here")
        return alarm

    async def _act(self, name: AlarmName, step: _Step, statement: str, *values: Any) -> Alarm:
        hub, boot, seq = name
        fields: dict[int, Any] = {k.SUBJECT: hub, k.ALARM: [boot, seq], k.OPERATOR: step.operator}
        if step.reason is not None:
            fields[k.REASON] = step.reason
        batch = self._journal.batch()
        batch.add_own(step.kind, fields)
        batch.run(statement, *values, *name)
        batch.run(sql.STEP, *name, step.at_ms, step.what, step.operator, step.reason)
        batch.then(lambda: self._changed(name))
        await batch.submit(urgent=True)
        return self._must(name)


def alarm_name(event: Event) -> AlarmName:
    """Which alarm a P1 event belongs to: its ALARM, or its own identity when it is the first."""
    reference = event.fields.get(k.ALARM)
    if reference is None or tuple(reference) >= (event.boot, event.seq):
        return event.identity
    return event.hub, reference[0], reference[1]


def _check_text(what: str, text: str) -> None:
    key, limit = (k.OPERATOR, MAX_TEXT) if what == "operator" else (k.REASON, MAX_REASON)
    if not text.isprintable() or not VALID[key](text):
        raise AlarmError(f"{what} must be 1 to {limit} bytes of printable text")
