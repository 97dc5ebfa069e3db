"""Going after the journal's events of some kinds, one by one and each once, also over restarts."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import structlog

from kanhu.journal import Batch, Event, Journal, JournalError
from kanhu_protocol import kinds as k

PAGE = 200  # events of a start's catching up read at a time
AGAIN_S = 1.0  # after the journal could not be read or written
NOTE_EVERY_S = 600.0  # how much a start has to look through at most: what was stored in this time

log = structlog.get_logger("kanhu.following")

Mark = Callable[[Batch], None]  # into the batch: this event is done
Handle = Callable[[Event, Mark], Awaitable[None]]


class Follower:
    """Hands each event of the kinds to `handle`, in order. The event counts as done when the batch given to
    `mark` is on disk; until then it comes again, after a restart too. What was stored before the first start
    is not followed."""

    def __init__(self, journal: Journal, name: str, kinds: Iterable[int], handle: Handle) -> None:
        self._journal = journal
        self._key = f"{name}_n"
        self._kinds = frozenset(kinds)
        self._handle = handle
        self._queue: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._newest_n: int = journal.reader.rows("SELECT coalesce(max(n), 0) FROM events")[0][0]
        rows = journal.reader.rows("SELECT value FROM meta WHERE key=?", (self._key,))
        self._done_n: int = rows[0][0] if rows else self._newest_n
        self._started_n = self._newest_n
        self._forgotten: dict[str, int] = {}  # hub: the newest event there was; one of its id may come anew
        self.failed = 0  # events that `handle` could not take, for a defect of ours
        journal.on_stored.append(self._stored)
        if not rows:
            self._note(self._done_n)

    @property
    def waiting(self) -> int:
        """Events that are here and not done."""
        return len(self._queue)

    def forget(self, hub: str) -> None:
        """A hub is being erased: nothing is said of what it has said."""
        self._forgotten[hub] = self._newest_n

    def _stored(self, events: list[Event]) -> None:
        found = [event for event in events if event.kind in self._kinds]
        self._newest_n = max(self._newest_n, events[-1].n)
        if found:
            self._queue.extend(found)
            self._wake.set()

    async def run(self) -> None:
        """Follow, until cancelled."""
        await self._catch_up()
        while True:
            while self._queue:
                if await self._one(self._queue[0]):
                    self._queue.popleft()
            self._wake.clear()
            try:
                async with asyncio.timeout(NOTE_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                if not self._queue and self._newest_n > self._done_n:
                    self._note(self._newest_n)

    async def _catch_up(self) -> None:
        """What was stored before this start and is not done."""
        marks = ",".join("?" * len(self._kinds))
        sql = (
            f"SELECT hub, boot, seq FROM events WHERE n>? AND n<=? AND kind IN ({marks}) "  # noqa: S608  # question marks
            "ORDER BY n LIMIT ?"
        )
        while True:
            try:
                rows = self._journal.reader.rows(sql, (self._done_n, self._started_n, *self._kinds, PAGE))
                events = [self._journal.find(*row) for row in rows]
            except sqlite3.Error as error:
                log.error("the journal cannot be read", error=str(error))
                await asyncio.sleep(AGAIN_S)
                continue
            if not events:
                return
            for event in events:
                while event is not None and not await self._one(event):
                    pass

    async def _one(self, event: Event) -> bool:
        """Whether an event is done; False: to be tried again."""
        if event.n <= self._done_n:
            return True
        marked = False

        def mark(batch: Batch) -> None:
            nonlocal marked
            marked = True
            batch.run("INSERT OR REPLACE INTO meta VALUES (?,?)", self._key, event.n)

        try:
            if event.n > self._forgotten.get(event.fields.get(k.SUBJECT, event.hub), 0):
                await self._handle(event, mark)
            if not marked:
                self._note(event.n)
        except (JournalError, sqlite3.Error) as error:
            log.error("an event waits for the journal", reason=str(error))
            await asyncio.sleep(AGAIN_S)
            return False
        except Exception:
            # A defect here must not keep all that come after it waiting.
            log.exception("an event could not be followed", hub=event.hub, kind=event.kind, n=event.n)
            self.failed += 1
            self._note(event.n)
        self._done_n = event.n
        return True

    def _note(self, n: int) -> None:
        self._done_n = n
        self._journal.note(self._key, n)
