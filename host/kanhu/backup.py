"""A copy of journal and registry of one moment, made beside a running daemon and checked before it counts."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kanhu import ledger
from kanhu.errors import DataError
from kanhu.registry.store import open_database

JOURNAL, REGISTRY, MANIFEST = "journal.db", "registry.db", "manifest.json"
FORMAT = 1  # of the manifest
STEP_PAGES = 256  # copied between two reports of progress: 1 MiB
HASH_STEP = 1 << 20  # bytes

Progress = Callable[[str, int, int], None]  # what is being done, done of total


@dataclass(frozen=True, slots=True)
class File:
    """One database of a backup."""

    sha256: str
    bytes: int
    schema: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds, and of when; manifest.json."""

    made_ms: int
    made: str  # the same moment, for people
    kanhu: str  # version that made it
    daemon_id: str
    events: int
    homes: int
    files: dict[str, File]


def make(data_dir: Path, target: Path, now_ms: int, progress: Progress) -> Manifest:
    """Back data_dir up into target, a new folder (mode 0700, files 0600); DataError, and then no folder."""
    part = target.parent / f"{target.name}.part"
    try:
        if not target.name or target.exists():  # "." and "/" have no name
            raise DataError(f"{target}: there already; name a new folder, such as one with today's date")
        _make_folder(part)
        try:
            _room(data_dir, part)
            manifest = _copy_all(data_dir, part, now_ms, progress)
            _write_manifest(part / MANIFEST, manifest)
            sync(part)
            part.rename(target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        sync(target.parent)
    except OSError as error:
        raise DataError(f"{target}: {error.strerror}; nothing was kept of this backup") from None
    except sqlite3.Error as error:
        raise DataError(f"{target}: {error}; nothing was kept of this backup") from None
    return manifest


def verify(folder: Path, progress: Progress) -> Manifest:
    """Read a backup's manifest and hold its files against it; DataError says what is wrong."""
    manifest = _read_manifest(folder / MANIFEST)
    for name, expected in manifest.files.items():
        if digest(folder / name, progress) != expected.sha256:
            raise DataError(f"{folder / name}: not what was backed up (SHA-256 differs); use another backup")
    return manifest


def digest(path: Path, progress: Progress) -> str:
    """SHA-256 of a file in hex; DataError when it cannot be read."""
    found = hashlib.sha256()
    try:
        total = path.stat().st_size
        with path.open("rb") as file:
            while block := file.read(HASH_STEP):
                found.update(block)
                progress(f"checking {path.name}", file.tell(), total)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; use another backup") from None
    return found.hexdigest()


def sync(path: Path) -> None:
    """Bring a file, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(part: Path) -> None:
    if part.exists():  # left by a backup that was killed
        if {one.name.split("-")[0] for one in part.iterdir()} - {JOURNAL, REGISTRY, MANIFEST}:
            raise DataError(f"{part}: is in the way and no backup that was left off; move it")
        shutil.rmtree(part)
    part.mkdir(mode=0o700, parents=True)


def _room(data_dir: Path, part: Path) -> None:
    needed = sum(one.stat().st_size for one in data_dir.iterdir() if one.name.startswith((JOURNAL, REGISTRY)))
    free = shutil.disk_usage(part).free
    if free < needed:
        raise DataError(
            f"{part.parent}: {free >> 20} MB free, and {needed >> 20} MB are needed; make room, or name "
            "another disk"
        )


def _copy_all(data_dir: Path, part: Path, now_ms: int, progress: Progress) -> Manifest:
    journal = sqlite3.connect(f"{(data_dir / JOURNAL).resolve().as_uri()}?mode=ro", uri=True, timeout=10)
    with closing(journal), closing(open_database(data_dir, "read")) as registry:
        # One look at the journal, held to the end: without it every commit of the daemon starts the copy
        # anew. The registry is read just after it, so that every hub of the journal is in it.
        journal.execute("BEGIN")
        (daemon_id,) = journal.execute("SELECT value FROM meta WHERE key='daemon_id'").fetchone()
        (events,) = journal.execute("SELECT count(*) FROM events").fetchone()
        (homes,) = registry.execute("SELECT count(*) FROM homes").fetchone()
        files = {
            name: _copy(name, db, part / name, progress)
            for name, db in ((REGISTRY, registry), (JOURNAL, journal))
        }
    if not all(map(ledger.balanced, ledger.recompute(part / JOURNAL).values())):
        raise DataError(f"{data_dir}: the ledger does not balance; run `kanhu ledger`, keep the journal")
    made = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="seconds")
    return Manifest(now_ms, made, version("kanhu"), str(daemon_id), events, homes, files)


def _copy(name: str, source: sqlite3.Connection, path: Path, progress: Progress) -> File:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
        source.backup(
            copy,
            pages=STEP_PAGES,
            progress=lambda _, left, total: progress(f"copying {name}", total - left, total),
            sleep=0.01,
        )
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
        (said,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise DataError(f"{name}: damaged on its disk ({said}); see docs/operate.md")
        (schema,) = copy.execute("PRAGMA user_version").fetchone()
    sync(path)
    return File(digest(path, progress), path.stat().st_size, schema)


def _write_manifest(path: Path, manifest: Manifest) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, **asdict(manifest)}, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(descriptor)


def _read_manifest(path: Path) -> Manifest:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found.pop("format") != FORMAT:
            raise DataError(f"{path}: of a newer kanhu; install it first")
        files = {name: File(**found["files"][name]) for name in (JOURNAL, REGISTRY)}
        return Manifest(**{**found, "files": files})
    except FileNotFoundError:
        raise DataError(f"{path.parent}: no backup there; name a folder that `kanhu backup` made") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; run this as the user who made the backup") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(f"{path}: cannot be read; use another backup") from None
