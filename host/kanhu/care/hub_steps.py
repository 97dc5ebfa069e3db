"""What hubs say of alarms: a call, a question to the elder, a cancel; in the event's own transaction."""

from __future__ import annotations

from typing import Any

from kanhu.journal import Batch, Event
from kanhu_protocol import kinds as k

from . import sql
from .alarm import HOST_BOOT, AlarmName, alarm_name, is_new_need
from .book import MAX_ASK_MS, Book, log

HOME = "home"  # who has cancelled: the elder, with the hub's own key
CANCELLED = "cancelled"


class HubSteps(Book):
    """Steps of alarms that hubs take."""

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
