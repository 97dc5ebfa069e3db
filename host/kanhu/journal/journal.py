"""The journal: every event on disk before anything is acknowledged, and the ledger that balances."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import structlog

from kanhu_protocol import kinds as k

from .batch import NOT_HELD, Batch
from .books import Hub, Ledger, total
from .errors import JournalError, JournalUnavailable
from .event import Event, Identity, Outcome
from .identity import LATEST_EPOCH, Daemon, Meta, save_epoch
from .opening import Lock, check_pages, check_restored, load_books, make_data_dir
from .reading import Reader
from .times import Anchor, ClockStatus, adds_knowledge, resolve
from .writer import Job, Writer, connect, explain

MAX_WAITING = 50_000  # events handed to the writer and not yet on disk; beyond it senders must try again
SNAPSHOT_EVERY = 100_000  # events between two writings of the spans table
SNAPSHOT_ROWS = 500  # of one statement
ALARM_DELIVERED = "UPDATE alarms SET delivered_ms=? WHERE hub=? AND boot=? AND seq=? AND delivered_ms IS NULL"

log = structlog.get_logger(__name__)


def utc_now_ms() -> int:
    """The host's UTC in ms since 1970."""
    return time.time_ns() // 1_000_000


class Journal:
    """One journal.db, exclusively. All methods are called in the thread of the loop that opened it."""

    def __init__(self, data_dir: Path, clock: Callable[[], int] = utc_now_ms) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = clock
        self.on_stored: list[Callable[[list[Event]], None]] = []  # after each commit, in order of n
        self.on_delivered: list[Callable[[list[Event]], None]] = []
        # With each event of our own, before its batch is written: what follows from it goes to disk with it.
        self.on_own: list[Callable[[Batch, Event], None]] = []
        self.in_flight: dict[Identity, Event] = {}
        self.path = data_dir / "journal.db"
        make_data_dir(data_dir)
        self._lock = Lock(data_dir)
        try:
            check_restored(self.path)
            check_pages(self.path)
            db = connect(self.path)
            self._meta = Meta(db)
            self._daemon: Daemon = self._meta.start(clock() // 1000)
            self._spans_n = self._meta.number("spans_n")
            # _dirty: the boots that the spans table is behind on
            self._hubs, self._dirty = load_books(db, self._spans_n)
            self._next_n = self._committed_n = self._meta.last_n()
            self.reader = Reader(self.path)
        except (sqlite3.Error, JournalError) as error:
            self._lock.close()
            if isinstance(error, JournalError):
                raise
            raise JournalError(f"{self.path}: {explain(error)}") from error
        self._started = time.monotonic()
        self._own_seq = 0
        self._own_losses: list[int] = []
        self._fresh: list[Event] = []  # stored by the commit being settled
        self._closed = False
        self._writer = Writer(db, self.loop, self._settled)
        self._settle_own()

    @classmethod
    def open(cls, data_dir: Path | str, clock: Callable[[], int] = utc_now_ms) -> Journal:
        """Open or make the journal under data_dir; JournalLocked, JournalError with what to do."""
        return cls(Path(data_dir), clock)

    async def close(self) -> None:
        """Write what waits, remember the spans, release the lock."""
        if self._closed:
            return
        self.snapshot()
        self._closed = True
        await self._writer.stop()
        self.reader.close()
        self._lock.close()

    # Who we are

    @property
    def daemon_id(self) -> str:
        """10 characters, made once; names the daemon's own events."""
        return self._daemon.id

    @property
    def daemon_boot(self) -> int:
        """Raised at each start."""
        return self._daemon.boot

    @property
    def epoch(self) -> int:
        """Of down nonces: above any used before, on disk before it is used."""
        return self._daemon.epoch

    def next_epoch(self, at_least: int = 0) -> int:
        """A higher epoch than any before, and at_least unless absurd; persisted before it returns."""
        if at_least > LATEST_EPOCH:
            at_least = 0  # one broken hub must not use up the epochs of all
        epoch = max(self._daemon.epoch + 1, at_least)
        try:
            save_epoch(self.path, epoch)
        except sqlite3.Error as error:
            raise JournalUnavailable(explain(error)) from error
        self._daemon = self._daemon._replace(epoch=epoch)
        return epoch

    def up_ms(self) -> int:
        """Milliseconds since the journal was opened."""
        return int((time.monotonic() - self._started) * 1000)

    @property
    def healthy(self) -> bool:
        """Whether the last attempt to write succeeded."""
        return self._writer.error is None

    @property
    def error(self) -> str | None:
        """Why not, for a person."""
        return self._writer.error

    @property
    def commits(self) -> int:
        """Commits since opening."""
        return self._writer.commits

    @property
    def written(self) -> float:
        """When the last commit was, in seconds of time.monotonic()."""
        return self._writer.written

    # Writing

    def batch(self) -> Batch:
        """A new, empty write."""
        return Batch(self)

    async def append(self, events: Iterable[Event]) -> list[Outcome]:
        """Store events; returns after the fsync. JournalUnavailable: none of them is on disk."""
        batch = self.batch()
        outcomes = [batch.add(event) for event in events]
        await batch.submit()
        return outcomes

    async def host_event(self, kind: int, fields: dict[int, Any] | None = None) -> Event:
        """Store an event of the daemon itself; it travels like any other."""
        batch = self.batch()
        event = batch.add_own(kind, fields)
        await batch.submit()
        return event

    def note(self, key: str, value: int) -> None:
        """Keep a number in the meta table for readers of other processes."""
        batch = self.batch()
        batch.run("INSERT OR REPLACE INTO meta VALUES (?,?)", key, value)
        batch.hand_over(lambda error: None)

    def mark_delivered(self, events: Iterable[Event]) -> asyncio.Future[None]:
        """Record the platform's acknowledgement; idempotent; done after the fsync."""
        now = self.clock()
        batch = self.batch()
        fresh = [event for event in events if event.delivered_ms is None]
        if fresh:
            batch.deliver(fresh, now)
            for event in fresh:
                if event.cls <= k.P2:
                    batch.run(ALARM_DELIVERED, now, *event.names)
            batch.then(lambda: self._apply_delivered(fresh, now))
        return batch.submit()

    # Reading

    def hub(self, hub: str) -> Hub:
        """The books of one hub, made when it is new."""
        found = self._hubs.get(hub)
        if found is None:
            found = self._hubs[hub] = Hub()
        return found

    def knows(self, hub: str) -> bool:
        """Whether this hub was ever heard or spoken of."""
        return hub in self._hubs

    def hubs(self) -> list[str]:
        """Every hub heard or spoken of, the daemon itself included."""
        return list(self._hubs)

    def holds(self, identity: Identity) -> bool:
        """Whether this identity is on disk (or was, before retention)."""
        hub = self._hubs.get(identity[0])
        boot = hub.boots.get(identity[1]) if hub is not None else None
        return boot is not None and identity[2] in boot.stored

    def has_any(self, hub: str) -> bool:
        """Whether an event of this hub is on disk (or was)."""
        book = self._hubs.get(hub)
        return book is not None and book.stored > 0

    def has_later(self, identity: Identity) -> bool:
        """Whether a later event of the same hub is on disk: this one was held up on its way."""
        hub = self._hubs.get(identity[0])
        if hub is None or hub.highest < identity[1]:
            return False
        boot = hub.boots.get(identity[1])
        return hub.highest > identity[1] or (boot is not None and boot.stored.last() > identity[2])

    def delivered(self, identity: Identity) -> bool:
        """Whether the platform has acknowledged this identity."""
        hub = self._hubs.get(identity[0])
        boot = hub.boots.get(identity[1]) if hub is not None else None
        return boot is not None and identity[2] in boot.delivered

    def lost(self, identity: Identity) -> bool:
        """Whether this identity is recorded as lost."""
        hub = self._hubs.get(identity[0])
        boot = hub.boots.get(identity[1]) if hub is not None else None
        return boot is not None and identity[2] in boot.lost

    def sealed_bytes(self, identity: Identity) -> bytes | None:
        """The sealed bytes on disk; None when retention has deleted them."""
        return self.reader.sealed(identity)

    def find(self, hub: str, boot: int, seq: int) -> Event | None:
        """One stored event."""
        return self.reader.find(hub, boot, seq)

    def held(self, hub: str, boot: int, first: int, last: int, limit: int = -1) -> list[Event]:
        """The stored events of a range, in order, at most limit of them (-1: all)."""
        return self.reader.held(hub, boot, first, last, limit)

    def undelivered(
        self, after_n: int = 0, limit: int = 200, classes: Sequence[int] = (1, 2, 3, 4, 5)
    ) -> list[Event]:
        """Stored events the platform has not acknowledged, in order of n, of the given classes."""
        return self.reader.undelivered(after_n, limit, classes)

    def stored_upto(self, hub: str, boot: int) -> int:
        """Every seq of the boot up to this one is stored or known lost; -1 when seq 0 is neither."""
        books = self._hubs.get(hub)
        return -1 if books is None else books.stored_upto(boot)

    def missing(self, hub: str, limit: int = 32) -> list[tuple[int, int, int]]:
        """At most limit ranges (boot, first, last) that were announced and are neither stored nor lost."""
        books = self._hubs.get(hub)
        return [] if books is None else list(islice(books.missing(), limit))

    def ledger(self, hub: str | None = None) -> Ledger:
        """The sums of one hub, or of all."""
        if hub is None:
            return total(iter(self._hubs.values()))
        books = self._hubs.get(hub)
        return Ledger() if books is None else books.ledger()

    def moment(self, event: Event) -> tuple[int | None, ClockStatus]:
        """(UTC ms or None, how it is known) of when an event happened."""
        books = self._hubs.get(event.hub)
        boot = books.boots.get(event.boot) if books is not None else None
        return resolve(event.fields, event.received_ms, boot.anchors if boot is not None else [])

    # For Batch

    def next_n(self) -> int:
        """The next journal number."""
        self._next_n += 1
        return self._next_n

    def next_own_identity(self) -> tuple[int, int]:
        """(boot, seq) of the daemon's next own event."""
        self._own_seq += 1
        return self._daemon.boot, self._own_seq - 1

    def take_own_losses(self) -> list[int]:
        """Own seqs that never reached the disk."""
        losses, self._own_losses = self._own_losses, []
        return losses

    def give_back_own(self, seq: int) -> None:
        """An own seq did not reach the disk: used again when it was the last, else recorded as lost."""
        if seq == self._own_seq - 1:
            self._own_seq = seq
        else:
            self._own_losses.append(seq)

    def no_room(self, rows: int) -> str | None:
        """Why so many more events cannot be taken now."""
        if self._closed:
            return "the journal is closed"
        if len(self.in_flight) > MAX_WAITING + rows:
            return "too much waits for the disk of the journal"
        return None

    def hand_over(self, job: Job) -> None:
        """Give a job to the writer."""
        self._writer.submit(job)

    def apply(self, events: list[Event]) -> None:
        """Events are on disk: into the books."""
        for event in events:
            self.in_flight.pop((event.hub, event.boot, event.seq), None)
            hub = self.hub(event.hub)
            hub.store(event.boot, event.seq)
            self._dirty.add((event.hub, event.boot))
        self._committed_n = events[-1].n
        self._fresh += events

    def anchor(self, batch: Batch, hub: str, boot: int, anchor: Anchor) -> None:
        """Keep a time anchor of a boot, when it says something new."""
        book = self.hub(hub).boots.get(boot)
        if book is not None and not adds_knowledge(book.anchors, anchor):
            return
        batch.run("INSERT OR REPLACE INTO anchors VALUES (?,?,?,?,?)", hub, boot, *anchor)
        batch.then(lambda: self._apply_anchor(hub, boot, anchor))

    def replace(self, hub: str, stand_in: str, books: Hub) -> None:
        """A hub has been erased: other books stand in its place."""
        self._hubs.pop(hub, None)
        self._dirty = {one for one in self._dirty if one[0] != hub}
        if books.announced:
            self._hubs[stand_in] = books

    def snapshot(self) -> None:
        """Bring the spans table up to the last commit, so that opening reads only what came after."""
        if self._committed_n == self._spans_n:
            return
        batch = self.batch()
        dirty, before = {one for one in self._dirty if one[0] in self._hubs}, self._spans_n
        # Rows of spans that have since grown together stay: they say nothing wrong.
        spans = [(hub, boot, *span) for hub, boot in dirty for span in self.hub(hub).boots[boot].stored]
        for start in range(0, len(spans), SNAPSHOT_ROWS):
            rows = spans[start : start + SNAPSHOT_ROWS]
            values = ",".join(["(?,?,?,?)"] * len(rows))
            statement = f"INSERT OR REPLACE INTO spans VALUES {values}"  # noqa: S608  # question marks only
            batch.run(statement, *chain.from_iterable(rows))
        batch.run("INSERT OR REPLACE INTO meta VALUES ('spans_n', ?)", self._committed_n)
        self._dirty, self._spans_n = set(), self._committed_n

        def settle(error: JournalUnavailable | None) -> None:
            if error is not None:
                self._dirty |= dirty
                self._spans_n = before

        batch.hand_over(settle)

    def _settle_own(self) -> None:
        # An own event that failed to be written before a crash is not going to come.
        batch = self.batch()
        for boot, first, last in self.missing(self.daemon_id, limit=1000):
            batch.lose(self.daemon_id, boot, first, last, NOT_HELD, None)
        batch.hand_over(lambda error: None)

    def _apply_anchor(self, hub: str, boot: int, anchor: Anchor) -> None:
        anchors = self.hub(hub).boot(boot).anchors
        if adds_knowledge(anchors, anchor):
            anchors.append(anchor)

    def _apply_delivered(self, events: list[Event], now: int) -> None:
        delivered = []
        for event in events:
            event.delivered_ms = now
            if self.holds(event.identity) and self.hub(event.hub).deliver(event.boot, event.seq):
                delivered.append(event)
        _call(self.on_delivered, delivered)

    def _settled(self) -> None:
        fresh, self._fresh = self._fresh, []
        if fresh:
            _call(self.on_stored, fresh)
        if self._committed_n - self._spans_n > SNAPSHOT_EVERY:
            self.snapshot()


def _call(callbacks: list[Callable[[list[Event]], None]], events: list[Event]) -> None:
    for callback in callbacks:
        try:
            callback(events)
        except Exception:
            log.exception("a listener of the journal failed", events=len(events))


__all__ = ["Batch", "Event", "Iterator", "Journal", "JournalError", "JournalUnavailable", "Ledger", "Outcome"]
