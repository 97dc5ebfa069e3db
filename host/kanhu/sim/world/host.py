"""The daemon's machine: starts the real daemon, kills it between two instructions, fills its disk."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from kanhu.config import Config, parse
from kanhu.daemon import Daemon
from kanhu.journal.errors import JournalUnavailable
from kanhu.journal.writer import PROBE_S, Job, Row, Statement, Writer
from kanhu.registry import Registry
from kanhu.sim.world.loop import Process, VirtualLoop
from kanhu.sim.world.net import Net

COMMIT_S = (0.0005, 0.02)  # an fsync takes this long, from and to
NO_LIMIT = 4_294_967_294  # pages: SQLite's own
RESTART_S = 2.0  # a service manager starts a daemon that ended again after this
FILES = ("journal.db", "journal.db-wal", "registry.db", "registry.db-journal")


class Disk:
    """Whether there is room."""

    def __init__(self) -> None:
        self.full = False
        self.was_full = False
        self.refused = 0  # commits

    def apply(self, db: sqlite3.Connection) -> None:
        """Let the journal grow, or not by a page."""
        if self.full:
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count={pages}")
        else:
            db.execute(f"PRAGMA max_page_count={NO_LIMIT}")


class _Log:
    """What every commit needs beside its rows: room in SQLite's log. On a full disk there is none."""

    def __init__(self, disk: Disk) -> None:
        self.rows: list[Row] = []
        self.statements: list[Statement] = [
            ("INSERT OR REPLACE INTO meta (key, value) VALUES ('log', randomblob(65536))", ())
        ]
        self.delivered: list[int] = []
        self.delivered_ms = 0
        self.urgent = False
        self._disk = disk

    def settled(self, error: JournalUnavailable | None) -> None:
        """Counted."""
        self._disk.refused += error is not None


class _Later:
    """What a thread tells the loop arrives there a little later."""

    def __init__(self, loop: asyncio.AbstractEventLoop, chance: random.Random) -> None:
        self._loop = loop
        self._chance = chance

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> None:
        self._loop.call_later(self._chance.uniform(0, COMMIT_S[0]), callback, *args)

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        """What the loop tells itself does not."""
        self._loop.call_soon(callback, *args)


class SteppedWriter(Writer):
    """The journal's writer without its thread: commits after a while of virtual time, settles after another,
    so that a kill also falls between the two."""

    def __init__(
        self,
        db: sqlite3.Connection,
        loop: asyncio.AbstractEventLoop,
        settled: Callable[[], None],
        *,
        disk: Disk,
        chance: random.Random,
    ) -> None:
        self._db = db
        self._timers = loop
        self._loop = _Later(loop, chance)  # type: ignore[assignment]  # for what _settle() tells
        self._settled = settled
        self._to_tell = deque()
        self.error = None
        self.commits = 0
        self._disk = disk
        self._chance = chance
        self._waiting: list[Job] = []
        self._busy = False
        self._prober: asyncio.TimerHandle | None = None

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._waiting.append(job)
        if not self._busy:
            self._busy = True
            self._timers.call_later(self._chance.uniform(*COMMIT_S), self._write)

    def _write(self) -> None:
        jobs, self._waiting = self._waiting, []
        self._disk.apply(self._db)
        self._settle([*jobs, _Log(self._disk)] if self._disk.full else jobs)
        if self.error is not None and self._prober is None:
            self._prober = self._timers.call_later(PROBE_S, self._probe_again)
        if self._waiting:
            self._timers.call_later(self._chance.uniform(*COMMIT_S), self._write)
        else:
            self._busy = False

    def _probe_again(self) -> None:
        self._prober = None
        if self.error is not None and not self._disk.full:
            self._disk.apply(self._db)
            self._probe()
        if self.error is not None:
            self._prober = self._timers.call_later(PROBE_S, self._probe_again)

    async def stop(self) -> None:
        """Write what is queued and close."""
        while self._waiting or self._busy or self._to_tell:  # noqa: ASYNC110  # of virtual time
            await asyncio.sleep(COMMIT_S[1])
        self._db.close()


class Host:
    """One data_dir through kills and restarts; each start works on a copy of what the kill left."""

    def __init__(
        self,
        loop: VirtualLoop,
        net: Net,
        folder: Path,
        chance: random.Random,
        settings: dict[str, object],
    ) -> None:
        self.disk = Disk()
        self.daemon: Daemon | None = None
        self.starts = 0
        self.failures: list[str] = []  # ways in which a daemon ended by itself
        self._loop = loop
        self._net = net
        self._folder = folder
        self._chance = chance
        self._settings = settings
        self._process: Process | None = None
        self._wanted = False
        self.data_dir = folder / "data0"
        self.data_dir.mkdir(mode=0o700)

    @property
    def registry_db(self) -> Path:
        """The registry's file."""
        return self.data_dir / "registry.db"

    def open_registry(self) -> Registry:
        """A connection of another process, such as the registry's command line."""
        return Registry.open(self.data_dir)

    def start(self) -> None:
        """Start the daemon, and again when it ends by itself, as a service manager does."""
        self._wanted = True
        if self._process is not None:
            return
        self.starts += 1
        process = self._process = Process(f"daemon {self.starts}")
        self._loop.spawn(process, self._run()).add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        self.failures.append(f"the daemon ended by itself: {error!r}")
        self.daemon = self._process = None
        self._loop.call_later(RESTART_S, self._start_again)

    def _start_again(self) -> None:
        if self._wanted:
            self.start()

    async def _run(self) -> None:
        config: Config = parse({**self._settings, "data_dir": str(self.data_dir)}, "the world")

        def stepped(
            db: sqlite3.Connection, loop: asyncio.AbstractEventLoop, settled: Callable[[], None]
        ) -> SteppedWriter:
            return SteppedWriter(db, loop, settled, disk=self.disk, chance=self._chance)

        with mock.patch("kanhu.journal.journal.Writer", stepped):  # its thread would make chance of time
            daemon = self.daemon = Daemon(config)
        await daemon.run(asyncio.Event())

    def kill(self) -> None:
        """SIGKILL, wherever it is; what its file system holds is what the next start finds."""
        self._wanted = False
        process, self._process = self._process, None
        if process is None:
            return
        self._loop.kill(process)
        self._net.abandon(process)  # the kernel lives on: it resets the connections
        daemon, self.daemon = self.daemon, None
        old = self.data_dir
        self.data_dir = self._folder / f"data{self.starts}"
        self.data_dir.mkdir(mode=0o700)
        for name in FILES:
            if (old / name).exists():
                shutil.copy2(old / name, self.data_dir / name)
        if daemon is not None:
            close_files(daemon)
        shutil.rmtree(old)

    def put_back(self, copy: Path) -> None:
        """An older registry.db in the place of the present one; no daemon runs."""
        scratch = self.registry_db.with_suffix(".new")
        shutil.copy2(copy, scratch)
        os.chmod(scratch, 0o600)
        os.replace(scratch, self.registry_db)


def close_files(daemon: Daemon) -> None:
    """The descriptors of a killed daemon, whose files have been copied: what this writes is never read."""
    daemon.journal._writer._db.close()
    daemon.journal.reader.close()
    daemon.journal._lock.close()
    daemon.registry.close()
