"""The platform's state file, in SQLite: which events are done, which handed out; and its group commit."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kanhu.platform.done import DoneSet
from kanhu.platform.errors import StateError
from kanhu.uplink.identity import Identity, parse_identity

APPLICATION_ID = 0x4B616E68  # "Kanh": marks the file as ours (SQLite PRAGMA application_id)
FORMAT = 1
MAX_RANGES = 200_000  # about 10 MB: years of 10,000 hubs, at a few ranges a boot
MAX_HANDED = 10_000  # events handed out and not done that are remembered over a restart

_SCHEMA = f"""
CREATE TABLE done (source TEXT NOT NULL, boot INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  touched INTEGER NOT NULL, PRIMARY KEY (source, boot, first)) STRICT, WITHOUT ROWID;
CREATE TABLE handed (n INTEGER PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL,
  UNIQUE (source, id)) STRICT;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""


class State:
    """The file, open in this process alone; path None keeps it in memory. write() runs in one thread."""

    def __init__(self, path: Path | None, max_ranges: int = MAX_RANGES) -> None:
        """StateError when the file is not ours, is damaged, or another process has it."""
        self.path = path
        self.handed: set[Identity] = set()
        self._max_ranges = max_ranges
        self._lock = threading.Lock()
        self._done = DoneSet(max_ranges)
        try:
            self._db = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=0.5,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise self._error("cannot be opened", error) from None
        try:
            self._open()
        except (sqlite3.Error, ValueError, TypeError) as error:
            self._db.close()
            raise self._error("cannot be opened", error) from None
        except StateError:
            self._db.close()
            raise

    def _error(self, what: str, error: Exception) -> StateError:
        text = str(error)
        if "locked" in text:
            advice = "another process has it open: end that one or name another file"
        elif "not a database" in text or "malformed" in text:
            advice = f"{text}: move it away to start anew (what is not acknowledged comes again)"
        elif "full" in text:
            advice = f"{text}: free some space"
        else:
            advice = f"{text}: check the folder and its permissions"
        return StateError(f"state file {self.path}: {what}: {advice}")

    def _open(self) -> None:
        # Held until close(): two processes on one file would share an MQTT session.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        application = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        tables = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if tables and application != APPLICATION_ID:
            raise StateError(f"state file {self.path}: belongs to another program: name another file")
        if tables and version != FORMAT:
            raise StateError(f"state file {self.path}: format {version} is not known: update kanhu")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("BEGIN EXCLUSIVE")
        if not tables:
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(
                "INSERT INTO meta VALUES ('client_id', ?)", (f"kanhu-platform-{secrets.token_hex(6)}",)
            )
        self._db.execute(
            "DELETE FROM handed WHERE n <= (SELECT coalesce(max(n), 0) FROM handed) - ?", (MAX_HANDED,)
        )
        self._db.execute("COMMIT")
        self.client_id = str(self._db.execute("SELECT value FROM meta WHERE key = 'client_id'").fetchone()[0])
        for source, event_id in self._db.execute("SELECT source, id FROM handed"):
            identity = parse_identity(source, event_id)
            if identity is not None:
                self.handed.add(identity)
        self._load()

    def _load(self) -> None:
        done = DoneSet(self._max_ranges)
        query = "SELECT source, boot, first, last FROM done ORDER BY touched, source, boot, first"
        rows: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for source, boot, first, last in self._db.execute(query):
            spans = rows.pop((source, boot), [])
            spans.append((first, last))
            rows[source, boot] = spans
        for key, spans in rows.items():
            for first, last in sorted(spans):
                done.load(key, first, last)
        with self._lock:
            self._done = done

    def __contains__(self, identity: Identity) -> bool:
        """Whether it is done."""
        with self._lock:
            return identity in self._done

    def write(self, handed: Sequence[Identity], finished: Sequence[Identity]) -> None:
        """One commit: on disk (fsync) when anything is finished. StateError leaves everything as it was."""
        try:
            # Losing "handed" to a power cut costs a flag, losing "finished" costs a second delivery.
            self._db.execute(f"PRAGMA synchronous = {'FULL' if finished else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT OR IGNORE INTO handed (source, id) VALUES (?, ?)", [(i.source, i.id) for i in handed]
            )
            self._db.executemany(
                "DELETE FROM handed WHERE source = ? AND id = ?", [(i.source, i.id) for i in finished]
            )
            now = time.time_ns()
            with self._lock:
                changes = [change for change in map(self._done.add, finished) if change is not None]
                gone = self._done.evict()
            # What a range's row is after the whole batch: its last seq, or None when it is gone.
            rows: dict[tuple[str, int, int], int | None] = {}
            for change in changes:
                rows.update(dict.fromkeys(((*change.key, first) for first in change.removed), None))
                rows[*change.key, change.first] = change.last
            rows.update(dict.fromkeys(((*key, first) for key, first in gone), None))
            self._db.executemany(
                "DELETE FROM done WHERE source = ? AND boot = ? AND first = ?",
                [row for row, last in rows.items() if last is None],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?, ?)",
                [(*row, last, now) for row, last in rows.items() if last is not None],
            )
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._load()
            raise self._error("cannot be written", error) from None

    def close(self) -> None:
        """Checkpoint and release the file."""
        self._db.close()


class StateWriter:
    """Commits whatever has accumulated, one commit at a time, in a thread of its own."""

    def __init__(self, state: State, committed: Callable[[Sequence[Identity]], None]) -> None:
        """committed is called in the event loop with what has been finished, after each commit."""
        self._state = state
        self._committed = committed
        self._jobs: list[tuple[Sequence[Identity], Sequence[Identity], asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "kanhu-platform-state")

    async def write(self, handed: Sequence[Identity] = (), finished: Sequence[Identity] = ()) -> None:
        """Returns once committed; StateError when that failed. Cancelling does not undo it."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.append((handed, finished, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        await future

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._jobs:
            jobs, self._jobs = self._jobs, []
            handed = [identity for job in jobs for identity in job[0]]
            finished = [identity for job in jobs for identity in job[1]]
            failure: Exception | None = None
            try:
                await loop.run_in_executor(self._thread, self._state.write, handed, finished)
            except Exception as error:
                failure = error
            else:
                self._committed(finished)
            for _, _, future in jobs:
                if not future.done():
                    future.set_exception(failure) if failure else future.set_result(None)

    async def close(self) -> None:
        """Finish what was begun, then close the file."""
        if self._task is not None:
            await asyncio.wait([self._task])
        self._thread.shutdown()
        self._state.close()
