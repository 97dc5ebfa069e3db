"""P1 alarms: open until a person accepts, accepted until a person closes, every step on disk with who and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from kanhu.errors import KanhuError
from kanhu.journal import Batch, Event, Journal
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import MAX_TEXT, VALID

AlarmName = tuple[str, int, int]  # identity of the alarm's first event

log = structlog.get_logger(__name__)

_WHERE = "WHERE hub=? AND boot=? AND seq=?"
_COLUMNS = (
    "hub, boot, seq, kind, device, state, opened_ms, stored_ms, delivered_ms, "
    "accepted_ms, accepted_by, closed_ms, closed_by, reason, presses, attempts"
)


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


class Alarms:
    """All alarms of one journal; in the thread of its loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.on_change: list[Callable[[Alarm], None]] = []  # after the fsync of every change of state
        self._live: dict[AlarmName, Alarm] = {}  # not closed, as they are on disk
        self._turns: dict[AlarmName, asyncio.Lock] = {}
        for row in journal.reader.rows(f"SELECT {_COLUMNS} FROM alarms WHERE state <> ?", (k.CLOSED,)):  # noqa: S608  # fixed names
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
        return self._journal.reader.rows(
            "SELECT at_ms, what, operator, reason FROM alarm_history WHERE hub=? AND boot=? AND seq=? ORDER BY id",
            name,
        )

    # Events

    def note(self, batch: Batch, event: Event) -> None:
        """A new P1 event: open its alarm, or count it there, in the event's own transaction."""
        name = alarm_name(event)
        presses = 0 if event.kind == k.CALL_UNANSWERED else event.fields.get(k.COUNT, 1)
        utc_ms = self._journal.moment(event)[0]
        at_ms = event.received_ms if utc_ms is None else utc_ms
        batch.run(
            "INSERT INTO alarm_history (hub, boot, seq, at_ms, what) SELECT ?1, ?2, ?3, ?4, 'opened' "
            "WHERE NOT EXISTS (SELECT 1 FROM alarms WHERE hub=?1 AND boot=?2 AND seq=?3)",
            *name, event.received_ms,
        )  # fmt: skip
        batch.run(
            "INSERT OR IGNORE INTO alarms (hub, boot, seq, kind, device, state, opened_ms) VALUES (?,?,?,?,?,?,?)",
            *name, k.CALL if event.kind == k.CALL_UNANSWERED else event.kind, event.fields.get(k.DEVICE, 0),
            k.OPEN, at_ms,
        )  # fmt: skip
        if name == event.identity:
            batch.run(
                f"UPDATE alarms SET stored_ms=?, opened_ms=?, kind=?, device=? {_WHERE}",
                event.received_ms, at_ms, event.kind, event.fields.get(k.DEVICE, 0), *name,
            )  # fmt: skip
        if presses:
            # Somebody pressed again before the hub had heard of the closing: never let that fall.
            again = (*name, 0 if utc_ms is None else 1, utc_ms)
            closed_before = f"{_WHERE} AND state={k.CLOSED} AND (?=0 OR closed_ms < ?)"
            batch.run(
                "INSERT INTO alarm_history (hub, boot, seq, at_ms, what) "
                f"SELECT hub, boot, seq, ?, 'reopened' FROM alarms {closed_before}",
                event.received_ms, *again,
            )  # fmt: skip
            batch.run(
                f"UPDATE alarms SET state={k.OPEN}, accepted_ms=NULL, accepted_by=NULL, closed_ms=NULL, "
                f"closed_by=NULL, reason=NULL {closed_before}",
                *again,
            )  # fmt: skip
        batch.run(
            f"UPDATE alarms SET presses=presses+?, attempts=max(attempts, ?) {_WHERE}",
            presses, event.fields.get(k.ATTEMPT, 0), *name,
        )  # fmt: skip
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
        rows = self._journal.reader.rows(f"SELECT {_COLUMNS} FROM alarms {_WHERE}", name)
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
            return await self._act(
                alarm, k.ALARM_ACCEPTED, "accepted", operator, None,
                f"UPDATE alarms SET state={k.ACCEPTED}, accepted_ms=?, accepted_by=? {_WHERE}",
            )  # fmt: skip

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
            return await self._act(
                alarm, k.ALARM_CLOSED, "closed", operator, reason,
                f"UPDATE alarms SET state={k.CLOSED}, closed_ms=?, closed_by=?, reason=? {_WHERE}",
            )  # fmt: skip

    async def correct(self, name: AlarmName, operator: str, reason: str) -> Alarm:
        """Another reason for a closed alarm; what stood before stays in the history."""
        _check_text("operator", operator)
        _check_text("reason", reason)
        async with self._turn(name):
            alarm = self._must(name)
            if alarm.state != k.CLOSED:
                raise AlarmError(f"alarm {alarm} is not closed yet: close it first")
            return await self._act(
                alarm, k.ALARM_CORRECTED, "corrected", operator, reason,
                f"UPDATE alarms SET closed_ms=coalesce(closed_ms, ?), closed_by=coalesce(closed_by, ?), "
                f"reason=? {_WHERE}",
            )  # fmt: skip

    def _turn(self, name: AlarmName) -> asyncio.Lock:
        if len(self._turns) > 1000:
            self._turns = {key: lock for key, lock in self._turns.items() if lock.locked()}
        return self._turns.setdefault(name, asyncio.Lock())

    def _must(self, name: AlarmName) -> Alarm:
        alarm = self.get(name)
        if alarm is None:
            hub, boot, seq = name
            raise AlarmError(f"no alarm {hub}/{boot}-{seq} is known here")
        return alarm

    async def _act(
        self, alarm: Alarm, kind: int, what: str, operator: str, reason: str | None, update: str
    ) -> Alarm:
        name, now = alarm.name, self._journal.clock()
        fields: dict[int, Any] = {k.SUBJECT: alarm.hub, k.ALARM: [alarm.boot, alarm.seq], k.OPERATOR: operator}
        if reason is not None:
            fields[k.REASON] = reason
        batch = self._journal.batch()
        batch.add_own(kind, fields)
        batch.run(update, now, operator, *([] if reason is None else [reason]), *name)
        batch.run(
            "INSERT INTO alarm_history (hub, boot, seq, at_ms, what, operator, reason) VALUES (?,?,?,?,?,?,?)",
            *name, now, what, operator, reason,
        )  # fmt: skip
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
    key = k.OPERATOR if what == "operator" else k.REASON
    if not text.isprintable() or not VALID[key](text):
        raise AlarmError(f"{what} must be 1 to {MAX_TEXT} bytes of printable text")
