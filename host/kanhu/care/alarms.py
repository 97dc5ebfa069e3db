"""P1 alarms: open until a person accepts, accepted until a person closes; every step on disk."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, NamedTuple

from kanhu.errors import KanhuError
from kanhu.journal import Batch, Event, Journal
from kanhu.journal.commands import Commands
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import MAX_REASON, MAX_TEXT, VALID

from . import sql

AlarmName = tuple[str, int, int]  # identity of the alarm's first event

MAX_TURNS = 1000  # locks kept, one per alarm in a person's hands
NEW_NEED_MS = 60_000  # contracts, section 8: how far a press and an answer are apart for certain


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
    state: int | None = None  # what the alarm is from now on; None: what it was


class _Answer(NamedTuple):
    """A state on its way to disk."""

    state: int
    since_ms: int


class Alarms:
    """All alarms of one journal; in the thread of its loop. What a hub must hear goes to disk with it."""

    def __init__(self, journal: Journal, commands: Commands) -> None:
        self._journal = journal
        self._commands = commands
        self._live: dict[AlarmName, Alarm] = {}  # not closed, as they are on disk
        self._coming: dict[AlarmName, _Answer] = {}  # handed to the writer, not yet on disk
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

    def forget(self, hub: str) -> None:
        """A hub is being erased: its alarms are nobody's any more."""
        self._live = {name: alarm for name, alarm in self._live.items() if name[0] != hub}

    # Events

    def note(self, batch: Batch, event: Event, kept: bool = True) -> None:
        """A new P1 event: open its alarm, or count it there, in the event's own transaction. kept: False for
        one that is not stored, because another has its identity."""
        name = alarm_name(event)
        presses = 0 if event.kind == k.CALL_UNANSWERED else event.fields.get(k.COUNT, 1)
        utc_ms = self._journal.moment(event)[0]
        at_ms = event.received_ms if utc_ms is None else utc_ms
        device = event.fields.get(k.DEVICE, 0)
        batch.run(sql.OPENED, *name, event.received_ms)
        kind = k.CALL if event.kind == k.CALL_UNANSWERED else event.kind
        batch.run(sql.OPEN, *name, kind, device, k.OPEN, at_ms)
        if kept and name == event.identity:
            batch.run(sql.FIRST_CAME, event.received_ms, at_ms, event.kind, device, *name)
        if presses and self._is_new_need(name, utc_ms, event.received_ms):
            # Somebody pressed again before the hub had heard of the answer: never let that fall.
            batch.run(sql.REOPENED, event.received_ms, *name)
            batch.run(sql.REOPEN, *name)
            said: dict[int, Any] = {k.SUBJECT: event.hub, k.ALARM: list(name[1:])}
            batch.add_own(k.ALARM_REOPENED, said | ({k.DEVICE: device} if device else {}))
            self._answered(batch, name, _Answer(k.OPEN, event.received_ms))
        batch.run(sql.SAID_AGAIN, presses, event.fields.get(k.ATTEMPT, 0), *name)
        batch.then(lambda: self._changed(name))

    def _is_new_need(self, name: AlarmName, utc_ms: int | None, received_ms: int) -> bool:
        answer = self._coming.get(name)
        if answer is None:
            alarm = self.get(name)
            if alarm is None:
                return False
            answer = _Answer(alarm.state, alarm.closed_ms or alarm.accepted_ms or 0)
        return is_new_need(answer.state, answer.since_ms, utc_ms, received_ms)

    def _answered(self, batch: Batch, name: AlarmName, answer: _Answer) -> None:
        """The batch gives the alarm another state, and tells its hub."""

        def settled() -> None:
            if self._coming.get(name) is answer:
                del self._coming[name]

        self._coming[name] = answer
        batch.then(settled)
        batch.otherwise(settled)
        self._tell(batch, name, answer.state)

    def _tell(self, batch: Batch, name: AlarmName, state: int) -> None:
        hub, boot, seq = name
        self._commands.add(batch, hub, k.ALARM_IS, {k.ALARM_NAME: [boot, seq], k.ALARM_STATE: state})

    async def tell(self, alarm: Alarm) -> None:
        """Say an alarm's state to its hub once more; JournalUnavailable: not now."""
        if alarm.name not in self._coming:  # else its hub is being told what is newer
            batch = self._journal.batch()
            self._tell(batch, alarm.name, alarm.state)
            await batch.submit(urgent=True)

    def _delivered(self, events: list[Event]) -> None:
        for event in events:
            if event.identity in self._live:
                self._changed(event.identity)

    def _changed(self, name: AlarmName) -> None:
        alarm = self._read(name)
        self._live.pop(name, None)
        if alarm is not None and alarm.state != k.CLOSED:
            self._live[name] = alarm

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
            step = _Step(k.ALARM_ACCEPTED, "accepted", now, operator, None, k.ACCEPTED)
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
            step = _Step(k.ALARM_CLOSED, "closed", now, operator, reason, k.CLOSED)
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
        if step.state is not None:
            self._answered(batch, name, _Answer(step.state, step.at_ms))
        batch.then(lambda: self._changed(name))
        await batch.submit(urgent=True)
        return self._must(name)


def is_new_need(state: int, since_ms: int, utc_ms: int | None, received_ms: int) -> bool:
    """Whether a press that names an alarm answered at since_ms needs an answer of its own.

    utc_ms: when it was pressed, None: not known. Of an accepted alarm a person is taking care at this
    moment, so a press counts when it is clearly later; a closed one is over, so it counts unless clearly
    earlier (contracts, section 8)."""
    if state == k.ACCEPTED:
        pressed_ms = received_ms if utc_ms is None else min(utc_ms, received_ms)
        return pressed_ms >= since_ms + NEW_NEED_MS
    return state == k.CLOSED and (utc_ms is None or utc_ms >= since_ms - NEW_NEED_MS)


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
