"""registry.db: opened only when nobody else can read it, because hubs' keys are in it."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

from kanhu.errors import DataError

# Each entry brings the schema from its index to index + 1; entries are never edited once released.
MIGRATIONS = (
    """
    CREATE TABLE homes (
        id TEXT PRIMARY KEY, region TEXT, time_zone TEXT NOT NULL,
        name TEXT NOT NULL, address TEXT NOT NULL,
        phones TEXT NOT NULL                -- JSON list
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE hubs (
        id TEXT PRIMARY KEY, home TEXT NOT NULL REFERENCES homes (id),
        table_version INTEGER NOT NULL DEFAULT 0,
        config_version INTEGER NOT NULL DEFAULT 1,
        settings TEXT NOT NULL DEFAULT '{}',  -- JSON, no secrets
        created_ms INTEGER NOT NULL, revoked_ms INTEGER
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE keys (
        hub TEXT NOT NULL REFERENCES hubs (id), generation INTEGER NOT NULL,
        key BLOB NOT NULL, created_ms INTEGER NOT NULL,
        PRIMARY KEY (hub, generation)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE sensors (
        hub TEXT NOT NULL REFERENCES hubs (id), device INTEGER NOT NULL,
        role INTEGER NOT NULL, address BLOB NOT NULL,
        name TEXT NOT NULL, room TEXT NOT NULL, supervision_s INTEGER NOT NULL,
        added_ms INTEGER NOT NULL, removed_ms INTEGER  -- kept: its events name it by its number
    ) STRICT;
    CREATE UNIQUE INDEX sensors_device ON sensors (hub, device) WHERE removed_ms IS NULL;
    CREATE UNIQUE INDEX sensors_address ON sensors (hub, address) WHERE removed_ms IS NULL;
    """,
)


def open_database(data_dir: Path) -> sqlite3.Connection:
    """Open or make data_dir/registry.db, mode 0600; DataError with the command that puts a problem right."""
    path = data_dir / "registry.db"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; check the owner of data_dir, or give another") from None
    if mode & 0o077:
        raise DataError(f"{path} holds keys and others may read it (mode {mode:04o}): run chmod 600 {path}")
    try:
        db = sqlite3.connect(path, isolation_level=None, timeout=10)
        # A rollback journal: it is made with this file's mode, and nothing here is in a hurry.
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=ON")
        db.execute("PRAGMA foreign_keys=ON")
        db.execute("BEGIN IMMEDIATE")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("COMMIT")
        if version > len(MIGRATIONS):
            raise DataError(f"{path} has schema {version}, too new for this kanhu: install a newer one")
        for step in range(version, len(MIGRATIONS)):
            db.executescript(f"BEGIN IMMEDIATE;{MIGRATIONS[step]};PRAGMA user_version={step + 1};COMMIT;")
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}; restore it from a backup, or move it away to start anew") from None
    return db
