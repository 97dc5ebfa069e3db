"""What goes to disk together: events, and the changes that follow from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

from .errors import JournalUnavailable
from .event import Event, Identity, Outcome
from .times import EARLIEST_MS
from .writer import Row, Statement

if TYPE_CHECKING:
    from .journal import Journal

log = structlog.get_logger(__name__)

OWN_LINK = "daemon"  # link name of the daemon's own events
HOST_CLOCK = 2  # names.CLOCKS
NOT_HELD = 2  # names.DETAILS[EVENTS_LOST]


def tell(listeners: list[Callable[[Batch, Event], None]], batch: Batch, event: Event) -> None:
    """Let listeners add what follows from a new event to its batch; a defect in one costs no event."""
    for listener in listeners:
        try:
            listener(batch, event)
        except Exception:
            log.exception(
                "what follows from an event could not be worked out", kind=event.kind, hub=event.hub
            )


class Batch:
    """Collects one indivisible write; submit() hands it to the writer. Use within one loop step."""

    __slots__ = (
        "_after", "_awaited", "_done", "_instead", "_journal", "_own_losses",
        "delivered", "delivered_ms", "events", "rows", "statements", "urgent",
    )  # fmt: skip

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._after: list[Callable[[], None]] = []
        self._instead: list[Callable[[], None]] = []
        self._awaited: list[Identity] = []  # on their way to disk in an earlier batch
        self._own_losses: list[int] = []
        self._done: Callable[[JournalUnavailable | None], None] | None = None
        self.events: list[Event] = []  # new ones only
        self.rows: list[Row] = []
        self.statements: list[Statement] = []
        self.delivered: list[int] = []
        self.delivered_ms = 0
        self.urgent = False

    def add(self, event: Event) -> Outcome:
        """STORED: will be written; KNOWN: is held, or on its way; CONFLICT: held with other bytes."""
        journal = self._journal
        identity = event.identity
        waiting = journal.in_flight.get(identity)
        if waiting is not None:
            if waiting.sealed != event.sealed:
                return Outcome.CONFLICT
            event.n = waiting.n
            if waiting not in self.events:
                self._awaited.append(identity)
            return Outcome.KNOWN
        if journal.holds(identity):
            held = journal.sealed_bytes(identity)
            return Outcome.KNOWN if held is None or held == event.sealed else Outcome.CONFLICT
        self._enter(event)
        return Outcome.STORED

    def add_own(self, kind: int, fields: dict[int, Any] | None = None) -> Event:
        """Add an event of the daemon itself; KIND, UP_MS and the host's time are filled in."""
        journal = self._journal
        now = journal.clock()
        content: dict[int, Any] = {k.KIND: kind, k.UP_MS: journal.up_ms()}
        if now >= EARLIEST_MS:
            content[k.UTC_MS], content[k.CLOCK] = now, HOST_CLOCK
        content.update(fields or {})
        boot, seq = journal.next_own_identity()
        event = Event(
            journal.daemon_id,
            boot,
            seq,
            k.class_of(kind),
            kind,
            None,
            cbor.dumps(content),
            content,
            now,
            OWN_LINK,
        )
        self._enter(event)
        for lost in journal.take_own_losses():
            self.lose(journal.daemon_id, boot, lost, lost, NOT_HELD, event.n)
            self._own_losses.append(lost)
        tell(journal.on_own, self, event)
        return event

    def lose(self, hub: str, boot: int, first: int, last: int, reason: int, n: int | None) -> None:
        """Record that first..last of a boot will not come, said by event n."""
        self.run(
            "INSERT INTO losses (hub, boot, first, last, reason, n) VALUES (?,?,?,?,?,?)",
            hub, boot, first, last, reason, n,
        )  # fmt: skip
        self.then(lambda: self._journal.hub(hub).lose(boot, first, last))

    def claim(self, hub: str, boot: int, count: int) -> None:
        """Record that a boot gave out at least count seqs."""
        self.run(
            "INSERT INTO boots (hub, boot, claimed) VALUES (?,?,?) "
            "ON CONFLICT DO UPDATE SET claimed = max(claimed, excluded.claimed)",
            hub, boot, count,
        )  # fmt: skip
        self.then(lambda: self._journal.hub(hub).announce(boot, count))

    def boot_started(self, hub: str, boot: int, received_ms: int) -> None:
        """Record that a boot's first event has come."""
        self.run(
            "INSERT INTO boots (hub, boot, started_ms) VALUES (?,?,?) "
            "ON CONFLICT DO UPDATE SET started_ms = coalesce(started_ms, excluded.started_ms)",
            hub, boot, received_ms,
        )  # fmt: skip

        def started() -> None:
            book = self._journal.hub(hub).boot(boot)
            if book.started_ms is None:
                book.started_ms = received_ms

        self.then(started)

    def run(self, statement: str, *values: Any) -> None:
        """Execute one SQL statement in the same transaction, after the events are in."""
        self.statements.append((statement, values))

    def then(self, callback: Callable[[], None]) -> None:
        """Call this in the loop once the batch is on disk."""
        self._after.append(callback)

    def otherwise(self, callback: Callable[[], None]) -> None:
        """Call this in the loop when nothing of the batch has reached the disk."""
        self._instead.append(callback)

    def deliver(self, events: list[Event], at_ms: int) -> None:
        """Record that the platform has acknowledged these."""
        self.delivered = [event.n for event in events]
        self.delivered_ms = at_ms

    def submit(self, urgent: bool = False) -> asyncio.Future[None]:
        """The future is done when everything added is on disk, else JournalUnavailable: nothing is."""
        future: asyncio.Future[None] = self._journal.loop.create_future()

        def done(error: JournalUnavailable | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.hand_over(done, urgent)
        return future

    def hand_over(self, done: Callable[[JournalUnavailable | None], None], urgent: bool = False) -> None:
        """As submit, but calls done in the loop's thread (at once when there is nothing to write)."""
        self._done = done
        if not (self.rows or self.statements or self.delivered or self._awaited):
            self.settled(None)
        elif (refusal := self._journal.no_room(len(self.rows))) is not None:
            self.settled(JournalUnavailable(refusal))
        else:
            self.urgent = urgent or any(event.cls == k.P1 for event in self.events)
            self._journal.hand_over(self)

    def abandon(self) -> None:
        """Never submitted: forget what was added."""
        self.settled(JournalUnavailable("abandoned"))

    def settled(self, error: JournalUnavailable | None) -> None:
        """The writer's answer; in the loop's thread."""
        journal = self._journal
        if error is None:
            if self.events:
                journal.apply(self.events)
            for callback in self._after:
                callback()
            if self._awaited and not all(journal.holds(identity) for identity in self._awaited):
                error = JournalUnavailable("the batch that brought it could not be written")
        else:
            for event in self.events:
                journal.in_flight.pop(event.identity, None)
                if event.link == OWN_LINK and event.hub == journal.daemon_id:
                    journal.give_back_own(event.seq)
            for lost in self._own_losses:
                journal.give_back_own(lost)
            for callback in self._instead:
                callback()
        done, self._done = self._done, None  # and no cycle is left for the collector
        self._after, self._instead = [], []
        if done is not None:
            done(error)

    def _enter(self, event: Event) -> None:
        event.n = self._journal.next_n()
        self._journal.in_flight[event.identity] = event
        self.events.append(event)
        self.rows.append(
            (
                event.n, event.hub, event.boot, event.seq, event.cls, event.kind,
                event.sealed, event.plain, event.received_ms, event.link,
            )
        )  # fmt: skip
