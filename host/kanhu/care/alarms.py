"""An alarm's life: asked, raised, delivered, accepted, dispatched, on scene, closed or corrected. Every step
is one commit with its event and with what the hub is told."""

from __future__ import annotations

import json
from typing import Any

from kanhu.care.rules.values import Words
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import MAX_WORDS

from . import sql
from .alarm import Alarm, AlarmError, AlarmName, check_text, cut
from .book import MAX_ASK_MS, MIN_ASK_MS
from .hub_steps import HubSteps
from .person_steps import PersonSteps


class Alarms(HubSteps, PersonSteps):
    """All alarms of one journal: what hubs say of them, what people, rules and time do about them."""

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
