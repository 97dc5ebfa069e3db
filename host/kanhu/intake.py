"""Intake: open what a link brings, keep it once, and only then say what may be acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from kanhu.care import AlarmName, Alarms, alarm_name
from kanhu.counters import REASONS, Counters
from kanhu.identities import BOOT_TWICE, SAME_IDENTITY, Identities, Voice
from kanhu.journal import Batch, Event, Journal, JournalUnavailable, Outcome
from kanhu.journal.batch import tell
from kanhu.journal.commands import Commands
from kanhu.journal.plain import believed
from kanhu.journal.times import own_anchor
from kanhu.refusals import Refusals
from kanhu.sealed import Message, Opener, split
from kanhu_protocol import kinds as k
from kanhu_protocol import seal

log = structlog.get_logger(__name__)

Pair = tuple[int, int]  # boot, seq

UNREADABLE = 3  # names.DETAILS[EVENTS_LOST]


class Keys(Protocol):
    """What intake needs of the registry."""

    @property
    def version(self) -> int:
        """Rises with every change of hubs or keys."""

    def keys(self, hub_id: str) -> dict[int, bytes]:
        """Keys by generation; empty for an unknown or revoked hub."""

    def remembers(self, hub_id: str) -> bool:
        """Whether the hub is known, revoked or not."""


@dataclass(slots=True)
class Receipts:
    """What is on disk and may be acknowledged to one hub, sealed under boot; empty when nothing is."""

    hub: str
    boot: int = 0  # the hub's own newest boot (kanhu.identities); 0: none yet
    upto: list[Pair] = field(default_factory=list)
    single: list[Pair] = field(default_factory=list)  # P1, and what lies above its boot's upto
    delivered: list[Pair] = field(default_factory=list)  # P1 that came again and the platform has
    own: bool = False  # something of it came from the board that is the hub now
    alive: bool = False  # and was new: only that proves that the hub is there, a repetition may be a replay

    def __bool__(self) -> bool:
        return bool(self.upto or self.single)


@dataclass(slots=True)
class _Arrival:
    """One payload being taken in."""

    hub: str
    link: str
    now: int
    batch: Batch
    held: list[tuple[int, int, int]] = field(default_factory=list)  # class, boot, seq: to be acknowledged
    own: bool = False
    alive: bool = False


class Intake:
    """The one way in for events of hubs; call in the thread of the journal's loop."""

    def __init__(
        self, journal: Journal, registry: Keys, alarms: Alarms, commands: Commands, counters: Counters
    ) -> None:
        self._journal = journal
        self._registry = registry
        self._alarms = alarms
        self._commands = commands
        self.counters = counters
        self.notes: list[Callable[[Batch, Event], None]] = []  # of each new event, in its own transaction
        self._openers: dict[str, Opener] = {}
        self._version = registry.version
        self._forgotten: set[str] = set()  # their names must not come back while they are erased
        self.identities = Identities(journal)
        self.refusals = Refusals(journal)

    async def receive(self, hub_id: str, payload: bytes, link: str) -> Receipts:
        """Take a CBOR sequence of sealed events that a link says is this hub's."""
        return await self.submit(hub_id, payload, link)

    def submit(self, hub_id: str, payload: bytes, link: str) -> asyncio.Future[Receipts]:
        """The same without waiting: the future is done after the fsync, never with an exception."""
        answer: asyncio.Future[Receipts] = self._journal.loop.create_future()
        opener = self._opener(hub_id)
        if opener is None:
            self.counters.refuse(link, "unknown_hub")
            known = self._journal.knows(hub_id) or self._registry.remembers(hub_id)
            if known and hub_id not in self._forgotten:
                self.refusals.note(hub_id, "unknown_hub", link)
            answer.set_result(Receipts(hub_id))
            return answer
        messages, broken = split(payload)
        if broken:
            self._refuse(hub_id, link, "malformed")
        arrival = _Arrival(hub_id, link, self._journal.clock(), self._journal.batch())
        for message in messages:
            try:
                plain = opener.open(message)
            except seal.SealError as error:
                reason = error.args[0]
                self._refuse(hub_id, link, reason if reason in REASONS else "malformed")
            else:
                try:
                    self._take(arrival, message, plain)
                except Exception:
                    # A defect here must not stop the link, nor leave events half taken.
                    log.exception("an event could not be taken in", hub=hub_id, link=link)
                    arrival.batch.abandon()
                    self.counters.not_saved += 1
                    answer.set_result(Receipts(hub_id, self.identities.boot(hub_id)))
                    return answer
        arrival.batch.hand_over(lambda error: self._answer(error, answer, arrival))
        return answer

    def _refuse(self, hub_id: str, link: str, reason: str) -> None:
        self.counters.refuse(link, reason)
        self.refusals.note(hub_id, reason, link)

    def _opener(self, hub_id: str) -> Opener | None:
        if self._version != self._registry.version:
            self._version = self._registry.version
            self._openers = {}
        opener = self._openers.get(hub_id)
        if opener is None:
            keys = self._registry.keys(hub_id)
            if not keys:
                return None
            opener = self._openers[hub_id] = Opener(hub_id, keys)
        return opener

    def _answer(
        self, error: JournalUnavailable | None, answer: asyncio.Future[Receipts], arrival: _Arrival
    ) -> None:
        hub_id = arrival.hub
        receipts = Receipts(hub_id, self.identities.boot(hub_id), own=arrival.own)
        if error is not None:
            self.counters.not_saved += len(arrival.held)
        elif arrival.held:
            receipts.alive = arrival.alive
            for event in arrival.batch.events:
                self.counters.stored[event.link, event.cls] += 1
            upto: dict[int, int] = {}
            for cls, boot, seq in arrival.held:
                limit = upto.get(boot)
                if limit is None:
                    limit = upto[boot] = self._journal.stored_upto(hub_id, boot)
                if cls == k.P1 or seq > limit or self.identities.is_disputed(hub_id, boot):
                    receipts.single.append((boot, seq))
                if cls == k.P1 and self._journal.delivered((hub_id, boot, seq)):
                    receipts.delivered.append((boot, seq))
            receipts.upto = [
                (boot, limit)
                for boot, limit in upto.items()
                if limit >= 0 and not self.identities.is_disputed(hub_id, boot)
            ]
        if not answer.done():
            answer.set_result(receipts)

    def generation(self, hub_id: str) -> int | None:
        """Of the key the hub has; None when it was never heard."""
        voice = self.identities.voice(hub_id)
        return voice.generation if voice is not None else None

    def forget(self, hub_id: str) -> None:
        """A hub is being erased; its keys are gone already."""
        self._forgotten.add(hub_id)
        self.identities.forget(hub_id)
        self.refusals.forget(hub_id)

    # One authentic event

    def _take(self, arrival: _Arrival, message: Message, plain: bytes) -> None:
        batch, hub_id = arrival.batch, arrival.hub
        try:
            fields = believed(plain)
        except ValueError:
            self._unreadable(arrival, message)
            return
        kind: int = fields[k.KIND]
        cls: int = k.class_of(kind)
        event = Event(
            hub_id,
            message.boot,
            message.seq,
            cls,
            kind,
            message.raw,
            plain,
            fields,
            arrival.now,
            arrival.link,
        )
        outcome = batch.add(event)
        if outcome is Outcome.CONFLICT:
            self._conflict(arrival, message, event)
            return
        arrival.held.append((cls, message.boot, message.seq))
        if outcome is Outcome.KNOWN:
            arrival.own |= self.identities.is_own(hub_id, message.generation)
            self.counters.known[arrival.link] += 1
            return
        self._own(arrival, message)
        anchor = own_anchor(fields, arrival.now)
        if anchor is not None:
            self._journal.anchor(batch, hub_id, event.boot, anchor)
        if cls == k.P1:
            self._alarms.note(batch, event)
        elif kind == k.PRE_ALARM:
            self._alarms.note_asked(batch, event)
        elif kind == k.PRE_ALARM_CANCELLED:
            self._alarms.note_cancelled(batch, event)
        elif kind == k.BOOT:
            self._booted(batch, event)
        elif kind == k.EVENTS_LOST:
            self._lost(batch, event)
        elif kind in (k.COMMAND_DONE, k.COMMAND_REFUSED):
            detail = fields.get(k.DETAIL, 0) if kind == k.COMMAND_REFUSED else None
            self._commands.confirm(batch, hub_id, fields.get(k.COMMAND, 0), detail)
        tell(self.notes, batch, event)

    def _booted(self, batch: Batch, event: Event) -> None:
        if event.seq:
            self.counters.claims_ignored += 1  # a boot begins with seq 0
            return
        batch.boot_started(event.hub, event.boot, event.received_ms)
        previous = event.fields.get(k.PREVIOUS)
        if previous is not None:
            if previous[0] < event.boot:
                batch.claim(event.hub, previous[0], previous[1] + 1)
            else:
                self.counters.claims_ignored += 1

    def _lost(self, batch: Batch, event: Event) -> None:
        reason = event.fields.get(k.DETAIL, 0)
        for boot, first, last in event.fields.get(k.LOST, ()):
            if (boot, last) < (event.boot, event.seq):
                batch.lose(event.hub, boot, first, last, reason, event.n)
            else:
                self.counters.claims_ignored += 1

    # What is authentic and yet not an event

    def _own(self, arrival: _Arrival, message: Message) -> None:
        voice = Voice(message.generation, message.boot)
        if self.identities.heard(arrival.batch, arrival.hub, voice, message.seq, arrival.now):
            arrival.own = arrival.alive = True

    def _conflict(self, arrival: _Arrival, message: Message, event: Event) -> None:
        """Another event has this identity: refused, and never silent, because a person may have pressed."""
        self._refuse(arrival.hub, arrival.link, "identity")
        known, batch, hub_id = self.identities.voice(arrival.hub), arrival.batch, arrival.hub
        self.identities.dispute(batch, hub_id, message.boot)
        if known is not None and message.generation > known.generation:
            self._own(
                arrival, message
            )  # a new board whose boot counter was not raised is the hub all the same
        fresh = self.refusals.keep(batch, hub_id, message, arrival.link, "identity")
        detail = BOOT_TWICE if message.seq == 0 and event.kind == k.BOOT else SAME_IDENTITY
        about: dict[int, Any] = {}
        if event.cls == k.P1 and event.kind != k.TEST_CALL and fresh:
            about[k.ALARM] = list(self._called(batch, event)[1:])
        if k.DEVICE in event.fields:
            about[k.DEVICE] = event.fields[k.DEVICE]
        pressed = k.ALARM in about and event.kind != k.CALL_UNANSWERED
        self.identities.fault(batch, hub_id, detail, arrival.now, about, again=pressed)

    def _called(self, batch: Batch, event: Event) -> AlarmName:
        """Open the alarm of a P1 event that is not stored, and tell the platform in our own words."""
        name = alarm_name(event)
        waits = self._alarms.get(name)
        self._alarms.note(batch, event, kept=False)
        if event.kind != k.CALL_UNANSWERED or waits is None:
            flags = event.fields.get(k.FLAGS, 0) | k.UNVERIFIED
            said = {k.SUBJECT: event.hub, k.ALARM: list(name[1:]), k.FLAGS: flags}
            for key in (k.DEVICE, k.COUNT):
                if key in event.fields:
                    said[key] = event.fields[key]
            batch.add_own(k.CALL if event.kind == k.CALL_UNANSWERED else event.kind, said)
        return name

    def _unreadable(self, arrival: _Arrival, message: Message) -> None:
        # It would come again for ever: receipt it, count it as lost, keep its bytes and tell the platform.
        batch, hub_id, boot, seq = arrival.batch, arrival.hub, message.boot, message.seq
        if self._journal.holds((hub_id, boot, seq)):
            self._refuse(hub_id, arrival.link, "identity")
            return
        self.counters.unreadable[arrival.link] += 1
        arrival.held.append((k.P1, boot, seq))  # its class is unknown: answered by name, whatever it was
        if self._journal.lost((hub_id, boot, seq)):
            arrival.own |= self.identities.is_own(hub_id, message.generation)
            return
        self._own(arrival, message)
        batch.lose(hub_id, boot, seq, seq, UNREADABLE, None)
        batch.then(lambda: self._journal.hub(hub_id).heard(boot))
        self.refusals.keep(batch, hub_id, message, arrival.link, "unreadable")
        batch.add_own(k.EVENTS_LOST, {k.SUBJECT: hub_id, k.LOST: [[boot, seq, seq]], k.DETAIL: UNREADABLE})
