"""What a daemon must remember about itself: its id, its boot, the epoch of its down messages."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path
from typing import NamedTuple

from kanhu_protocol.checks import ID_ALPHABET, ID_LENGTH

LATEST_EPOCH = 4_102_444_800  # 2100-01-01 in Unix seconds; above it only by counting, up to 2^32


def new_id() -> str:
    """A random hub or daemon id."""
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))


class Daemon(NamedTuple):
    """This start of this daemon."""

    id: str
    boot: int
    epoch: int


class Meta:
    """The meta table, used while the journal is being opened."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def number(self, key: str) -> int:
        """A number kept under key; 0 when there is none."""
        row = self._db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return int(row[0]) if row else 0

    def last_n(self) -> int:
        """The highest journal number ever on disk."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name='events'").fetchone()
        return int(row[0]) if row else 0

    def start(self, now_s: int) -> Daemon:
        """Make the id on the first start; raise boot and epoch, on disk, on every one."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT OR IGNORE INTO meta VALUES ('daemon_id', ?)", (new_id(),))
        (daemon_id,) = db.execute("SELECT value FROM meta WHERE key='daemon_id'").fetchone()
        # From the clock, so that an older copy of the journal does not give a boot out again.
        boot = max(self.number("daemon_boot") + 1, min(now_s, LATEST_EPOCH))
        epoch = max(self.number("epoch") + 1, min(now_s, LATEST_EPOCH))
        for key, value in (("daemon_boot", boot), ("epoch", epoch)):
            db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (key, value))
        db.execute("COMMIT")
        return Daemon(daemon_id, boot, epoch)


def save_epoch(path: Path, epoch: int) -> None:
    """Persist an epoch at once, beside the writer thread: it is needed before the next down message."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA busy_timeout=5000")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("UPDATE meta SET value = max(value, ?) WHERE key = 'epoch'", (epoch,))
    finally:
        db.close()
