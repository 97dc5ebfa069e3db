"""The book of alarms: what is on disk, what is on its way there, and what hubs are told of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import structlog

from kanhu.journal import Batch, Event, Journal
from kanhu.journal.commands import Commands
from kanhu_protocol import kinds as k

from . import sql
from .alarm import Alarm, AlarmError, AlarmName

log = structlog.get_logger("kanhu.care")

MAX_TURNS = 1000  # locks kept, one per alarm in a person's hands
TOUCHED_PAGE = 10  # rows of the history read for each alarm that recent() is asked for
MIN_ASK_MS, MAX_ASK_MS = 1000, 3_600_000  # what a hub takes (kanhu_protocol.down)


class Standing(NamedTuple):
    """The state of an alarm, and since when."""

    state: int
    since_ms: int


class Coming(NamedTuple):
    """A state on its way to disk."""

    standing: Standing
    settled: asyncio.Future[None]  # never with an exception


class Book:
    """All alarms of one journal; in the thread of its loop. What a hub must hear goes to disk with it."""

    def __init__(self, journal: Journal, commands: Commands) -> None:
        self._journal = journal
        self._commands = commands
        self.on_change: list[Callable[[Alarm], None]] = []  # after each change is on disk
        self._live: dict[AlarmName, Alarm] = {}  # not closed, as they are on disk
        self._coming: dict[AlarmName, Coming] = {}
        self._turns: dict[AlarmName, asyncio.Lock] = {}
        for row in journal.reader.rows(sql.LIVE):
            alarm = Alarm.of(row)
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

    def recent(self, limit: int) -> list[Alarm]:
        """At most limit alarms, closed ones too, those first that something happened to last."""
        found: dict[AlarmName, Alarm] = {}
        page = max(1, limit) * TOUCHED_PAGE
        offset = 0
        while len(found) < limit:
            rows = self._journal.reader.rows(sql.TOUCHED, (page, offset))
            for name in rows:
                if name not in found and (alarm := self.get(name)) is not None:
                    found[name] = alarm
                    if len(found) >= limit:
                        break
            if len(rows) < page:
                break
            offset += page
        return list(found.values())

    def history(self, name: AlarmName) -> list[tuple[int, str, str | None, str | None]]:
        """(host UTC ms, what, operator, reason) of each step, oldest first."""
        return self._journal.reader.rows(sql.HISTORY, name)

    def forget(self, hub: str) -> None:
        """A hub is being erased: its alarms are nobody's any more."""
        self._live = {name: alarm for name, alarm in self._live.items() if name[0] != hub}

    def _read(self, name: AlarmName) -> Alarm | None:
        rows = self._journal.reader.rows(sql.ONE, name)
        return Alarm.of(rows[0]) if rows else None

    def _must(self, name: AlarmName) -> Alarm:
        alarm = self.get(name)
        if alarm is None:
            hub, boot, seq = name
            raise AlarmError(f"no alarm {hub}/{boot}-{seq} is known here")
        return alarm

    def _standing(self, name: AlarmName) -> Standing | None:
        """What an alarm is, or is about to be; None: there is none."""
        coming = self._coming.get(name)
        if coming is not None:
            return coming.standing
        alarm = self.get(name)
        return None if alarm is None else Standing(alarm.state, alarm.answered_ms)

    # Changing

    @asynccontextmanager
    async def _turn(self, name: AlarmName) -> AsyncIterator[Alarm]:
        """One after the other, and after what is on its way to disk; AlarmError: there is no such alarm."""
        if len(self._turns) > MAX_TURNS:
            self._turns = {key: lock for key, lock in self._turns.items() if lock.locked()}
        async with self._turns.setdefault(name, asyncio.Lock()):
            while (coming := self._coming.get(name)) is not None:
                await asyncio.shield(coming.settled)
            yield self._must(name)

    def _becomes(
        self, batch: Batch, name: AlarmName, state: int, since_ms: int, *, tell: bool = True
    ) -> None:
        """The batch gives the alarm another state, and tells its hub."""
        coming = Coming(Standing(state, since_ms), self._journal.loop.create_future())

        def settled() -> None:
            if self._coming.get(name) is coming:
                del self._coming[name]
            if not coming.settled.done():
                coming.settled.set_result(None)

        self._coming[name] = coming
        batch.then(settled)
        batch.otherwise(settled)
        batch.then(lambda: self._changed(name))
        if tell:
            self._tell(batch, name, state)

    def _changed(self, name: AlarmName) -> None:
        alarm = self._read(name)
        self._live.pop(name, None)
        if alarm is None:
            return
        if alarm.state != k.CLOSED:
            self._live[name] = alarm
        for listener in self.on_change:
            try:
                listener(alarm)
            except Exception:  # who looks on must not stop who acts
                log.exception("a listener to alarms failed", alarm=str(alarm))

    def _delivered(self, events: list[Event]) -> None:
        for event in events:
            if event.names in self._live:
                self._changed(event.names)

    # Telling

    def _tell(self, batch: Batch, name: AlarmName, state: int) -> None:
        hub, boot, seq = name
        self._commands.add(batch, hub, k.ALARM_IS, {k.ALARM_NAME: [boot, seq], k.ALARM_STATE: state})

    def _ask(self, batch: Batch, name: AlarmName, kind: int, ask_ms: int) -> None:
        hub, boot, seq = name
        self._commands.add(batch, hub, k.ASK, {k.ALARM_NAME: [boot, seq], k.ASK_MS: ask_ms, k.ASK_KIND: kind})

    async def tell(self, alarm: Alarm) -> None:
        """Say an alarm's state to its hub once more; JournalUnavailable: not now."""
        if alarm.name in self._coming:
            return  # its hub is being told what is newer
        alarm = self._live.get(alarm.name) or self._read(alarm.name) or alarm  # it may be over meanwhile
        batch = self._journal.batch()
        if alarm.state != k.PRE:
            self._tell(batch, alarm.name, alarm.state)
        else:  # a fall that the hub asks about itself, too: after a restart it has forgotten that
            left_ms = (alarm.asked_until_ms or 0) - self._journal.clock()
            if left_ms >= MIN_ASK_MS:
                self._ask(batch, alarm.name, alarm.kind, min(left_ms, MAX_ASK_MS))
        await batch.submit(urgent=True)

    # Steps

    def _step(
        self, batch: Batch, name: AlarmName, at_ms: int, what: str, operator: str | None, reason: str | None
    ) -> None:
        batch.run(sql.STEP, *name, at_ms, what, operator, reason)

    def _say(
        self, batch: Batch, kind: int, name: AlarmName, operator: str | None, reason: str | None
    ) -> None:
        """The event that tells the platform of a step."""
        fields: dict[int, Any] = {k.SUBJECT: name[0], k.ALARM: list(name[1:])}
        if operator is not None:
            fields[k.OPERATOR] = operator
        if reason is not None:
            fields[k.REASON] = reason
        batch.add_own(kind, fields)

    def _end(self, batch: Batch, name: AlarmName, now: int, by: str, reason: str, outcome: str) -> None:
        self._say(batch, k.ALARM_CLOSED, name, by, reason)
        batch.run(sql.CLOSE, now, by, reason, *name)
        batch.run(sql.OUTCOME, now, outcome, reason, *name)
        self._step(batch, name, now, "closed", by, reason)
        self._becomes(batch, name, k.CLOSED, now)
