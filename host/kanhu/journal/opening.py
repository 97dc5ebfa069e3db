"""Opening a journal: the lock that keeps a second daemon out, and the books rebuilt from the tables."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

from .books import Hub
from .errors import JournalError, JournalLocked
from .ranges import Ranges
from .times import MAX_ANCHORS, Anchor

# Larger journals are not read through at a start, because callers wait: 100 MB take about 0.1 s from the
# page cache, and as long as the disk needs for it otherwise.
MAX_CHECKED = 256 << 20  # bytes

RESTORING = ".restoring"  # ending of a journal that `kanhu restore` is putting in place

_SINCE = """
SELECT hub, boot, min(seq), max(seq) FROM (
    SELECT hub, boot, seq, seq - row_number() OVER (PARTITION BY hub, boot ORDER BY seq) AS island
    FROM events WHERE n > ?)
GROUP BY hub, boot, island
"""


class Lock:
    """Exclusive use of data_dir/journal.lock until close or the end of the process."""

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / "journal.lock"
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(
                f"{path}: {error.strerror}; check the owner of data_dir and its disk"
            ) from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise JournalLocked(
                f"another kanhu daemon (process {holder}) uses the journal in {data_dir}: stop it first, "
                "or give this one a data_dir of its own"
            ) from None
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(self._fd)
            raise JournalError(f"{path}: {error.strerror}; make room on its disk") from None

    def close(self) -> None:
        """Let another daemon in."""
        os.close(self._fd)


def make_data_dir(data_dir: Path) -> None:
    """Make data_dir (mode 0700) when it is not there; JournalError when that is impossible."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(f"cannot use {data_dir} as data_dir: {error.strerror or error}") from error


def check_restored(path: Path) -> None:
    """JournalError when a restore was cut short: a new journal now would say old identities again."""
    if not path.exists() and path.with_name(path.name + RESTORING).exists():
        raise JournalError(f"{path}: a restore was cut short; run `kanhu restore` again before the daemon")


def check_pages(path: Path) -> None:
    """JournalError when a page of the journal, up to MAX_CHECKED, is damaged on its disk."""
    try:
        if path.stat().st_size > MAX_CHECKED:
            return
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            db.close()
    except (OSError, sqlite3.Error) as error:
        # Anything else is said by whoever opens the journal to use it.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_CORRUPT:
            return
        said = str(error)
    if said != "ok":
        raise JournalError(
            f"{path}: damaged on its disk ({said.splitlines()[-1]}): stop the daemon and restore a copy, or "
            "move journal.db away and start anew (docs/operate.md)"
        )


def load_books(db: sqlite3.Connection, spans_n: int) -> tuple[dict[str, Hub], set[tuple[str, int]]]:
    """The books as the tables have them, and the boots that the spans table is behind on after spans_n."""
    hubs: dict[str, Hub] = {}

    def hub(name: str) -> Hub:
        found = hubs.get(name)
        if found is None:
            found = hubs[name] = Hub()
        return found

    stored: dict[tuple[str, int], Ranges] = {}
    for table in ("spans", "expired"):
        for name, boot, first, last in db.execute(f"SELECT hub, boot, first, last FROM {table}"):  # noqa: S608  # fixed names
            stored.setdefault((name, boot), Ranges()).add_span(first, last)
    behind: set[tuple[str, int]] = set()
    for name, boot, first, last in db.execute(_SINCE, (spans_n,)):
        behind.add((name, boot))
        stored.setdefault((name, boot), Ranges()).add_span(first, last)
    queued: dict[tuple[str, int], list[int]] = {}
    for name, boot, seq in db.execute(
        "SELECT hub, boot, seq FROM events INDEXED BY events_queued WHERE delivered_ms IS NULL"
    ):
        queued.setdefault((name, boot), []).append(seq)
    for (name, boot), ranges in stored.items():
        book = hub(name)
        book.store_spans(boot, ranges)
        book.heard(boot)
        delivered = Ranges(ranges)
        delivered.remove_all(queued.get((name, boot), ()))
        book.boots[boot].delivered = delivered
        book.delivered += delivered.count
    for name, boot, claimed, started_ms in db.execute("SELECT hub, boot, claimed, started_ms FROM boots"):
        hub(name).announce(boot, claimed)
        hub(name).boots[boot].started_ms = started_ms
    for name, boot, first, last in db.execute("SELECT hub, boot, first, last FROM losses"):
        hub(name).lose(boot, first, last)
    for name, boot, up_ms, utc_ms, source in db.execute(
        "SELECT hub, boot, up_ms, utc_ms, source FROM anchors ORDER BY up_ms"
    ):
        anchors = hub(name).boot(boot).anchors
        anchors.append(Anchor(up_ms, utc_ms, source))
        del anchors[:-MAX_ANCHORS]
    return hubs, behind
