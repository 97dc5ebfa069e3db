"""What people do about an alarm: accept, dispatch, arrive, hand over, close, correct."""

from __future__ import annotations

from typing import Any

from kanhu_protocol import kinds as k

from . import sql
from .alarm import HELD, Alarm, AlarmError, AlarmName, check_text
from .book import Book


class PersonSteps(Book):
    """Steps of alarms that people take; each names its operator."""

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
