"""An alarm's life: asked, raised, delivered, accepted, dispatched, on scene, closed or corrected. Every step
is one commit with its event and with what the hub is told."""

from __future__ import annotations

import json
from typing import Any

from kanhu.care.rules.values import Words
from kanhu.journal import Batch, Event
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import MAX_WORDS

from . import sql
from .alarm import HELD, HOST_BOOT, Alarm, AlarmError, AlarmName, alarm_name, check_text, cut, is_new_need
from .book import MAX_ASK_MS, MIN_ASK_MS, Book, log

HOME = "home"  # who has cancelled: the elder, with the hub's own key
CANCELLED = "cancelled"


class Alarms(Book):
    """All alarms of one journal: what hubs say of them, what people, rules and time do about them."""

    # Hubs

    def note(self, batch: Batch, event: Event, kept: bool = True) -> None:
        """A new P1 event: open its alarm, or count it there, in the event's own transaction. kept: False for
        one that is not stored, because another has its identity."""
        if event.kind == k.TEST_CALL:
            return  # the daily proof of the path is no alarm
        name = alarm_name(event)
        presses = 0 if event.kind == k.CALL_UNANSWERED else event.fields.get(k.COUNT, 1)
        utc_ms = self._journal.moment(event)[0]
        at_ms = event.received_ms if utc_ms is None else utc_ms
        device = event.fields.get(k.DEVICE, 0)
        standing = self._standing(name)
        batch.run(sql.OPENED, *name, event.received_ms)
        kind = k.CALL if event.kind == k.CALL_UNANSWERED else event.kind
        batch.run(sql.OPEN, *name, kind, device, k.OPEN, at_ms)
        if kept and name == event.identity:
            batch.run(sql.FIRST_CAME, event.received_ms, at_ms, event.kind, device, *name)
        batch.run(sql.SAID_AGAIN, presses, event.fields.get(k.ATTEMPT, 0), *name)
        if standing is None:
            self._becomes(batch, name, k.OPEN, event.received_ms, tell=False)
        elif standing.state == k.PRE:  # the hub has asked, and nobody has cancelled
            batch.run(sql.RAISE, at_ms, *name)
            self._step(batch, name, event.received_ms, "raised", None, None)
            self._becomes(batch, name, k.OPEN, event.received_ms, tell=False)
        elif presses and is_new_need(standing.state, standing.since_ms, utc_ms, event.received_ms):
            # Somebody pressed again before the hub had heard of the answer: never let that fall.
            batch.run(sql.REOPENED, event.received_ms, *name)
            batch.run(sql.REOPEN, event.received_ms, *name)
            said: dict[int, Any] = {k.SUBJECT: event.hub, k.ALARM: list(name[1:])}
            batch.add_own(k.ALARM_REOPENED, said | ({k.DEVICE: device} if device else {}))
            self._becomes(batch, name, k.OPEN, event.received_ms)
        else:
            batch.then(lambda: self._changed(name))

    def note_asked(self, batch: Batch, event: Event) -> None:
        """A hub asks the elder by itself (a suspected fall): its `fall`, a cancel, or nothing follows."""
        name, now = event.identity, event.received_ms
        utc_ms = self._journal.moment(event)[0]
        opened_ms = now if utc_ms is None else utc_ms
        # What arrives late was asked long ago, but its answer may be right behind it.
        until_ms = max(now, opened_ms + min(event.fields.get(k.SPAN_MS, 0), MAX_ASK_MS))
        kind = event.fields.get(k.DETAIL, k.FALL)
        if not (0 < kind < k.MAINS_LOST and kind != k.PRE_ALARM):
            kind = k.FALL
        device = event.fields.get(k.DEVICE, 0)
        if self._standing(name) is not None:  # what followed from it has come first
            batch.run(sql.ASKED_CAME, now, opened_ms, kind, device, until_ms, *name)
            batch.then(lambda: self._changed(name))
            return
        batch.run(sql.BEGIN, *name, kind, device, k.PRE, opened_ms, None, until_ms, now, None, None)
        self._step(batch, name, now, "asked", None, None)
        self._becomes(batch, name, k.PRE, now, tell=False)

    def note_cancelled(self, batch: Batch, event: Event) -> None:
        """The elder has said that all is well: ends a pre-alarm, and a P2 alarm that nobody has accepted."""
        reference = event.fields.get(k.ALARM)
        if reference is None:
            return  # named in `unreadable`
        name, now = (event.hub, reference[0], reference[1]), event.received_ms
        standing = self._standing(name)
        if standing is None:
            if name[1] >= HOST_BOOT or name[1:] >= (event.boot, event.seq):
                log.warning(
                    "a pre-alarm was cancelled that is not known here", hub=event.hub, alarm=reference
                )
                return
            batch.run(sql.BEGIN, *name, k.FALL, 0, k.PRE, now, None, None, None, None, None)
        elif standing.state == k.OPEN:
            alarm = self.get(name)
            if alarm is None or alarm.cls != k.P2:  # only a person closes a P1 alarm
                self._cancelled_late(batch, name, now)
                return
        elif standing.state != k.PRE:
            self._cancelled_late(batch, name, now)
            return
        self._end(batch, name, now, HOME, CANCELLED, outcome="cancelled")

    def _cancelled_late(self, batch: Batch, name: AlarmName, now: int) -> None:
        self._step(batch, name, now, CANCELLED, HOME, None)
        batch.then(lambda: self._changed(name))

    # Rules and time

    async def ask(
        self, hub: str, kind: int, rule_id: str | None, words: Words, ask_ms: int, device: int = 0
    ) -> AlarmName:
        """Ask the elder for ask_ms (1 s to 1 h) before it is an alarm of this kind; JournalUnavailable."""
        return await self._begin(
            hub, kind, rule_id, words, device, {}, max(MIN_ASK_MS, min(ask_ms, MAX_ASK_MS))
        )

    async def raise_(
        self,
        hub: str,
        kind: int,
        rule_id: str | None,
        words: Words,
        device: int = 0,
        fields: dict[int, Any] | None = None,
    ) -> AlarmName:
        """Raise an alarm at once; fields: further keys of its event. JournalUnavailable: it is not raised."""
        return await self._begin(hub, kind, rule_id, words, device, fields or {}, None)

    async def _begin(
        self,
        hub: str,
        kind: int,
        rule_id: str | None,
        words: Words,
        device: int,
        fields: dict[int, Any],
        ask_ms: int | None,
    ) -> AlarmName:
        now = self._journal.clock()
        explanation = [cut(text, MAX_WORDS) for text in words]
        said = {**fields, k.SUBJECT: hub, k.EXPLANATION: explanation}
        if rule_id is not None:
            said[k.RULE] = rule_id
        if device:
            said[k.DEVICE] = device
        if ask_ms is not None:
            said |= {k.SPAN_MS: ask_ms, k.DETAIL: kind}
        batch = self._journal.batch()
        event = batch.add_own(kind if ask_ms is None else k.PRE_ALARM, said)
        name = event.names
        state = k.OPEN if ask_ms is None else k.PRE
        raised_ms, until_ms = (now, None) if ask_ms is None else (None, now + ask_ms)
        text = json.dumps(explanation, ensure_ascii=False)
        batch.run(sql.BEGIN, *name, kind, device, state, now, raised_ms, until_ms, now, rule_id, text)
        self._step(batch, name, now, "opened" if ask_ms is None else "asked", None, None)
        if ask_ms is None:
            batch.run(sql.OUTCOME, now, "raised", None, *name)
            self._becomes(batch, name, state, now)
        else:
            self._becomes(batch, name, state, now, tell=False)
            self._ask(batch, name, kind, ask_ms)
        await batch.submit(urgent=True)
        return name

    async def raise_asked(self, name: AlarmName) -> Alarm:
        """Nobody has cancelled: the pre-alarm becomes an alarm; as it is when it is no pre-alarm any more."""
        async with self._turn(name) as alarm:
            if alarm.state != k.PRE:
                return alarm
            now = self._journal.clock()
            said: dict[int, Any] = {k.SUBJECT: alarm.hub, k.ALARM: [alarm.boot, alarm.seq]}
            if alarm.rule is not None:
                said[k.RULE] = alarm.rule
            if alarm.explanation is not None:
                said[k.EXPLANATION] = list(alarm.explanation)
            if alarm.device:
                said[k.DEVICE] = alarm.device
            batch = self._journal.batch()
            batch.add_own(alarm.kind, said)
            batch.run(sql.RAISE, now, *name)
            batch.run(sql.OUTCOME, now, "raised", None, *name)
            self._step(batch, name, now, "raised", None, None)
            self._becomes(batch, name, k.OPEN, now)
            await batch.submit(urgent=True)
            return self._must(name)

    async def withdraw(self, name: AlarmName, by: str, reason: str) -> Alarm:
        """A pre-alarm is over (by "movement", ...); again is well; AlarmError once it is an alarm."""
        check_text("by", by)
        check_text("reason", reason)
        async with self._turn(name) as alarm:
            if alarm.state == k.CLOSED and alarm.closed_by == by:
                return alarm
            if alarm.state != k.PRE:
                raise AlarmError(f"alarm {alarm} is no pre-alarm any more: only a person closes it")
            batch = self._journal.batch()
            self._end(batch, name, self._journal.clock(), by, reason, outcome="cancelled")
            await batch.submit(urgent=True)
            return self._must(name)

    async def escalate(self, name: AlarmName, level: int, reason: str | None = None) -> Alarm:
        """Nobody has accepted in time: the next of names.LEVELS is asked too; nothing once somebody has."""
        async with self._turn(name) as alarm:
            if alarm.state != k.OPEN or alarm.level >= level:
                return alarm
            batch = self._journal.batch()
            said: dict[int, Any] = {k.SUBJECT: alarm.hub, k.ALARM: [alarm.boot, alarm.seq], k.LEVEL: level}
            batch.add_own(k.ALARM_ESCALATED, said | ({k.REASON: reason} if reason else {}))
            batch.run(sql.ESCALATE, level, *name)
            self._step(batch, name, self._journal.clock(), f"escalated to {level}", None, reason)
            batch.then(lambda: self._changed(name))
            await batch.submit(urgent=True)
            return self._must(name)

    # People

    async def accept(self, name: AlarmName, operator: str) -> Alarm:
        """The first operator takes the alarm; again by the same one is well; AlarmError for another."""
        check_text("operator", operator)
        async with self._turn(name) as alarm:
            self._must_be_open(alarm)
            if alarm.state in HELD:
                if alarm.accepted_by == operator:
                    return alarm
                raise AlarmError(f"alarm {alarm} is with {alarm.accepted_by} already")
            now = self._journal.clock()
            return await self._act(
                alarm, k.ALARM_ACCEPTED, "accepted", operator, None, k.ACCEPTED, sql.ACCEPT, now, operator
            )

    async def dispatch(self, name: AlarmName, operator: str) -> Alarm:
        """Somebody is sent to the home; again is well; AlarmError before it is accepted."""
        check_text("operator", operator)
        async with self._turn(name) as alarm:
            self._must_be_held(alarm)
            if alarm.state != k.ACCEPTED:
                return alarm
            now = self._journal.clock()
            return await self._act(
                alarm, k.ALARM_DISPATCHED, "dispatched", operator, None, k.DISPATCHED, sql.DISPATCH, now
            )

    async def on_scene(self, name: AlarmName, operator: str) -> Alarm:
        """Somebody has arrived at the home; again is well; AlarmError before it is accepted."""
        check_text("operator", operator)
        async with self._turn(name) as alarm:
            self._must_be_held(alarm)
            if alarm.state == k.ON_SCENE:
                return alarm
            now = self._journal.clock()
            return await self._act(
                alarm, k.ALARM_ON_SCENE, "on_scene", operator, None, k.ON_SCENE, sql.ON_SCENE, now
            )

    async def hand_over(self, name: AlarmName, operator: str, to: str) -> Alarm:
        """Another operator has the alarm from now on; again is well; AlarmError before it is accepted."""
        check_text("operator", operator)
        check_text("to", to)
        async with self._turn(name) as alarm:
            self._must_be_held(alarm)
            if alarm.accepted_by == to:
                return alarm
            return await self._act(
                alarm, k.ALARM_HANDED_OVER, "handed_over", operator, to, None, sql.HAND_OVER, to
            )

    async def close(self, name: AlarmName, operator: str, reason: str) -> Alarm:
        """A person ends the alarm with a reason; again by the same one is well; AlarmError for another."""
        check_text("operator", operator)
        check_text("reason", reason)
        async with self._turn(name) as alarm:
            if alarm.state == k.CLOSED and (alarm.closed_by, alarm.reason) == (operator, reason):
                return alarm
            self._must_be_open(alarm)
            batch = self._journal.batch()
            self._end(batch, name, self._journal.clock(), operator, reason, outcome="closed")
            await batch.submit(urgent=True)
            return self._must(name)

    async def correct(self, name: AlarmName, operator: str, reason: str) -> Alarm:
        """Another reason for a closed alarm; what stood before stays in the history; again is well."""
        check_text("operator", operator)
        check_text("reason", reason)
        async with self._turn(name) as alarm:
            if alarm.state != k.CLOSED:
                raise AlarmError(f"alarm {alarm} is not closed yet: close it first")
            if alarm.reason == reason:
                return alarm
            return await self._act(
                alarm, k.ALARM_CORRECTED, "corrected", operator, reason, None, sql.CORRECT, reason
            )

    def _must_be_open(self, alarm: Alarm) -> None:
        if alarm.state == k.CLOSED:
            raise AlarmError(f"alarm {alarm} is closed already, by {alarm.closed_by}: {alarm.reason}")
        if alarm.state == k.PRE:
            raise AlarmError(f"alarm {alarm} is not raised: the elder is still being asked")

    def _must_be_held(self, alarm: Alarm) -> None:
        self._must_be_open(alarm)
        if alarm.state not in HELD:
            raise AlarmError(f"alarm {alarm} is with nobody yet: accept it first")

    async def _act(
        self,
        alarm: Alarm,
        kind: int,
        what: str,
        operator: str,
        reason: str | None,
        state: int | None,
        statement: str,
        *values: Any,
    ) -> Alarm:
        """A person's step: its event, its row, and the state where it changes; in the alarm's turn."""
        name, now = alarm.name, self._journal.clock()
        batch = self._journal.batch()
        self._say(batch, kind, name, operator, reason)
        batch.run(statement, *values, *name)
        self._step(batch, name, now, what, operator, reason)
        if what == "corrected":
            batch.run(sql.OUTCOME, now, what, reason, *name)
        if state is not None:
            self._becomes(batch, name, state, now)
        else:
            batch.then(lambda: self._changed(name))
        await batch.submit(urgent=True)
        return self._must(name)

    def _end(self, batch: Batch, name: AlarmName, now: int, by: str, reason: str, outcome: str) -> None:
        self._say(batch, k.ALARM_CLOSED, name, by, reason)
        batch.run(sql.CLOSE, now, by, reason, *name)
        batch.run(sql.OUTCOME, now, outcome, reason, *name)
        self._step(batch, name, now, "closed", by, reason)
        self._becomes(batch, name, k.CLOSED, now)
