"""The journal's one writer: a thread with its own connection that commits whatever has accumulated."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

import structlog

from .errors import JournalUnavailable
from .schema import migrate

log = structlog.get_logger(__name__)

GATHER_S = 0.002  # how long a commit without P1 waits for company; below a disk's fsync
PROBE_S = 2.0  # how often an unhealthy journal tries whether it can write again
TELL_AT_ONCE = 100  # jobs settled in one turn of the loop: some 10 ms with all that follows
BUSY_MS = 5000  # a reader of another process may hold the file for a moment
CACHE_KIB = 32 * 1024
WAL_PAGES = 4000  # 16 MiB of log before a checkpoint
WAL_LIMIT = 64 * 1024 * 1024  # bytes of log file kept after one
_CHUNKS = (128, 32, 8, 1)  # rows of one statement: each statement gives the GIL away once

Statement = tuple[str, tuple[Any, ...]]
Row = tuple[int, str, int, int, int, int, bytes | None, bytes, int, str]

_ROW = "(?,?,?,?,?,?,?,?,?,?)"
_INSERT_INTO = "INSERT INTO events (n, hub, boot, seq, class, kind, sealed, plain, received_ms, link) VALUES "
_DELIVER = "UPDATE events SET delivered_ms=? WHERE delivered_ms IS NULL AND n IN "
_INSERT_SQL = {size: _INSERT_INTO + ",".join([_ROW] * size) for size in _CHUNKS}
_DELIVER_SQL = {size: _DELIVER + "(" + ",".join("?" * size) + ")" for size in _CHUNKS}


class Job(Protocol):
    """One indivisible write; settled is called in the loop once it is on disk, or with why it is not."""

    rows: list[Row]
    statements: list[Statement]
    delivered: list[int]  # n
    delivered_ms: int
    urgent: bool

    def settled(self, error: JournalUnavailable | None) -> None:
        """None: on disk. Else nothing of it is."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the journal for writing: WAL, every commit synced (synchronous=FULL)."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    db.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
    db.execute(f"PRAGMA journal_size_limit={WAL_LIMIT}")
    db.execute("PRAGMA secure_delete=ON")  # what retention or erasure deletes leaves no bytes behind
    db.execute("PRAGMA foreign_keys=ON")
    migrate(db)


class Writer:
    """Takes Jobs from the loop's thread and settles each there, in order, after its fsync."""

    def __init__(
        self, db: sqlite3.Connection, loop: asyncio.AbstractEventLoop, settled: Callable[[], None]
    ) -> None:
        self._db = db
        self._loop = loop
        self._settled = settled  # called in the loop after the jobs of one commit
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._urgent = threading.Event()
        self._to_tell: deque[tuple[Job, JournalUnavailable | None]] = deque()  # written; in the loop's thread
        self.error: str | None = None  # why the last attempt to write failed
        self.commits = 0
        self.written = float("-inf")  # when last, monotonic s
        self._thread = threading.Thread(target=self._run, name="kanhu-journal", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; call in the loop's thread."""
        self._jobs.put(job)
        if job.urgent:
            self._urgent.set()

    async def stop(self) -> None:
        """Write what is queued, then end the thread and close the connection."""
        self._jobs.put(None)
        self._urgent.set()
        await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # the last commit was handed to the loop before the thread ended
        while self._to_tell:  # noqa: ASYNC110  # each turn of the loop settles some of them
            await asyncio.sleep(0)
        self._db.close()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            try:
                first = self._jobs.get(timeout=None if self.error is None else PROBE_S)
            except queue.Empty:
                self._probe()
                continue
            if first is not None and not first.urgent:
                self._urgent.wait(GATHER_S)
            self._urgent.clear()
            jobs: list[Job] = []
            while True:
                if first is None:
                    stopping = True
                else:
                    jobs.append(first)
                try:
                    first = self._jobs.get_nowait()
                except queue.Empty:
                    break
            if jobs:
                self._settle(jobs)

    def _settle(self, jobs: list[Job]) -> None:
        error = self._commit(jobs)
        if error is not None and len(jobs) > 1 and not isinstance(error, sqlite3.OperationalError | OSError):
            # Not the disk, but one job: the others must not suffer for it.
            for job in jobs:
                self._settle([job])
            return
        if error is None:
            self.error = None
            self.commits += 1
            self.written = time.monotonic()
            self._loop.call_soon_threadsafe(self._tell, jobs, None)
        else:
            self.error = explain(error)
            self._loop.call_soon_threadsafe(self._tell, jobs, JournalUnavailable(self.error))

    def _commit(self, jobs: list[Job]) -> Exception | None:
        db = self._db
        rows: list[Row] = []
        for job in jobs:
            rows += job.rows
        try:
            db.execute("BEGIN IMMEDIATE")
            start = 0
            for size in _CHUNKS:
                sql = _INSERT_SQL[size]
                while len(rows) - start >= size:
                    db.execute(sql, list(chain.from_iterable(rows[start : start + size])))
                    start += size
            for job in jobs:
                if job.delivered:
                    self._deliver(job.delivered, job.delivered_ms)
                for statement, values in job.statements:
                    db.execute(statement, values)
            db.execute("COMMIT")
        except Exception as error:  # whatever it is, nobody is told "stored"
            self._roll_back()
            return error
        return None

    def _deliver(self, numbers: list[int], at_ms: int) -> None:
        start = 0
        for size in _CHUNKS:
            while len(numbers) - start >= size:
                self._db.execute(_DELIVER_SQL[size], [at_ms, *numbers[start : start + size]])
                start += size

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            with suppress(sqlite3.Error):  # SQLite has rolled back by itself (full disk, I/O error)
                self._db.execute("ROLLBACK")

    def _tell(self, jobs: list[Job], error: JournalUnavailable | None) -> None:
        idle = not self._to_tell
        self._to_tell.extend((job, error) for job in jobs)
        if idle:
            self._tell_some()

    def _tell_some(self) -> None:
        # In order, and a few at a time: thousands of one commit would keep a call that comes now waiting.
        for job, error in islice(self._to_tell, TELL_AT_ONCE):
            try:
                job.settled(error)
            except Exception:
                log.exception("what follows from a write failed")
        for _ in range(min(TELL_AT_ONCE, len(self._to_tell))):
            self._to_tell.popleft()
        self._settled()
        if self._to_tell:
            self._loop.call_soon(self._tell_some)

    def _probe(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', randomblob(4096))")
            self._db.execute("COMMIT")
            self.error = None
        except sqlite3.Error as error:
            self.error = explain(error)
            self._roll_back()


def explain(error: Exception) -> str:
    """One sentence for a person about why the journal cannot write."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return "the disk of the journal is full: make room, nothing is acknowledged until then"
    if code == sqlite3.SQLITE_READONLY:
        return "the journal cannot be written: check the owner and mode of data_dir"
    if code == sqlite3.SQLITE_IOERR:
        return f"the disk of the journal fails ({error}): check it, nothing is acknowledged until then"
    return f"the journal could not write: {error}"
