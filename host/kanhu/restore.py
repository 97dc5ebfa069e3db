"""Putting a backup in place, so that no identity the daemon has ever given out comes twice."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kanhu.backup import JOURNAL, REGISTRY, Manifest, Progress, digest, sync, verify
from kanhu.errors import DataError
from kanhu.journal.opening import RESTORING, Lock, make_data_dir
from kanhu.journal.schema import MIGRATIONS as JOURNAL_STEPS
from kanhu.registry.store import MIGRATIONS as REGISTRY_STEPS

STEPS = {JOURNAL: len(JOURNAL_STEPS), REGISTRY: len(REGISTRY_STEPS)}
# Put in place in this order, moved aside in the other: a daemon refuses to begin a new journal beside one
# that is being restored (kanhu.journal.opening).
NAMES = (REGISTRY, JOURNAL)
BESIDE = ("", "-wal", "-shm", "-journal")  # SQLite's own files beside each


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place; kept: where the old files are now, None when there were none."""

    manifest: Manifest
    kept: Path | None


def restore(folder: Path, data_dir: Path, now_ms: int, force: bool, progress: Progress) -> Restored:
    """Put the backup in folder into data_dir; DataError, and then data_dir is as it was.

    JournalLocked while a daemon runs; what is there is kept aside, and only with force.
    """
    manifest = verify(folder, progress)
    for name, file in manifest.files.items():
        if file.schema > STEPS[name]:
            raise DataError(f"{folder / name}: of kanhu {manifest.kanhu}, too new for this one: install that")
    make_data_dir(data_dir)
    lock = Lock(data_dir)
    try:
        there = [data_dir / f"{name}{end}" for name in reversed(NAMES) for end in BESIDE]
        there = [path for path in there if path.exists()]
        if there and not force:
            raise DataError(
                f"{data_dir}: has a {there[0].name} already; --force keeps it aside and puts the backup there"
            )
        fresh = [data_dir / f"{name}{RESTORING}" for name in NAMES]
        try:
            for path, name in zip(fresh, NAMES, strict=True):
                _bring(folder / name, path, manifest.files[name].sha256, progress)
            _mark(fresh[1], fresh[0], data_dir / JOURNAL, now_ms)
        except BaseException:
            for path in fresh:
                path.unlink(missing_ok=True)
            raise
        kept = _keep_aside(there, data_dir, now_ms) if there else None
        for path, name in zip(fresh, NAMES, strict=True):
            path.rename(data_dir / name)
        sync(data_dir)
        _give_to_owner(data_dir, [data_dir / name for name in (*NAMES, "journal.lock")])
        return Restored(manifest, kept)
    except OSError as error:
        raise DataError(f"{data_dir}: {error.strerror}; put that right and restore again") from None
    except sqlite3.Error as error:
        raise DataError(f"{folder}: {error}; use another backup") from None
    finally:
        lock.close()


def _bring(source: Path, path: Path, sha256: str, progress: Progress) -> None:
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    shutil.copyfile(source, path)
    sync(path)
    if digest(path, progress) != sha256:
        raise DataError(f"{path}: was not written as it was read; check its disk")


def _mark(journal: Path, registry: Path, present: Path, now_ms: int) -> None:
    """Raise what identifies the daemon's words above all it can have used since the backup was made.

    It knows that from the journal that is replaced, when it can be read, and else from the clock:
    a daemon has not started more often than once a second, nor stored more than an event a millisecond.
    """
    now_s = now_ms // 1000
    boot = epoch = now_s
    last_n = now_ms
    if present.exists():
        try:
            with closing(sqlite3.connect(f"{present.resolve().as_uri()}?mode=ro", uri=True)) as db:
                boot, epoch = max(boot, _number(db, "daemon_boot")), max(epoch, _number(db, "epoch"))
                row = db.execute("SELECT seq FROM sqlite_sequence WHERE name='events'").fetchone()
                last_n = max(last_n, row[0] if row else 0)
        except (sqlite3.Error, TypeError):
            pass  # damaged: that is why it is replaced
    with closing(sqlite3.connect(registry)) as db:
        hubs = db.execute("SELECT id FROM hubs").fetchall()
    with closing(sqlite3.connect(journal, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        for key, value in (("daemon_boot", boot), ("epoch", epoch), ("restored_ms", now_ms)):
            value = max(value, _number(db, key))
            db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (key, value))
        last = "UPDATE sqlite_sequence SET seq=max(seq, ?) WHERE name='events'"
        if not db.execute(last, (last_n,)).rowcount:
            db.execute("INSERT INTO sqlite_sequence VALUES ('events', ?)", (last_n,))
        # Numbers of commands too: a hub's late answer to an old one must not settle a new one.
        db.execute("UPDATE numbers SET number=max(number, ?)", (now_s,))
        db.executemany("INSERT OR IGNORE INTO numbers VALUES (?, ?)", [(hub, now_s) for (hub,) in hubs])
        db.execute("COMMIT")
    sync(journal)


def _number(db: sqlite3.Connection, key: str) -> int:
    row = db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
    return int(row[0]) if row else 0


def _keep_aside(there: list[Path], data_dir: Path, now_ms: int) -> Path:
    moment = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S")
    kept = data_dir / f"before-restore-{moment}"
    kept.mkdir(mode=0o700)
    for path in there:
        path.rename(kept / path.name)
    _give_to_owner(data_dir, [kept])
    return kept


def _give_to_owner(data_dir: Path, paths: list[Path]) -> None:
    """What root has made belongs to the daemon's user, as data_dir does."""
    if os.geteuid() == 0:
        owner = data_dir.stat()
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid)
