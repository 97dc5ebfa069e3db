"""registry.db: opened only when nobody else can read it, because hubs' keys are in it."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import Literal

from kanhu.errors import DataError

Access = Literal["make", "change", "read"]

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
    """
    -- bind_key: 16 bytes of an encrypted BTHome sensor; mqtt_password: the hub's own at the broker; or NULL.
    ALTER TABLE sensors ADD COLUMN bind_key BLOB;
    ALTER TABLE hubs ADD COLUMN mqtt_password TEXT;
    """,
    """
    -- Hubs of forgotten homes that the journal still has to forget; discard: undelivered events too.
    CREATE TABLE erasures (hub TEXT PRIMARY KEY, discard INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    """,
    """
    -- next_floor: the boot counter that the next program for a board of this hub begins with, at least.
    ALTER TABLE hubs ADD COLUMN next_floor INTEGER NOT NULL DEFAULT 0;
    -- changes: how many there were, so that an older copy of this file can be told from a newer one.
    CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('changes', 0);
    """,
    """
    -- People at the call desk; id is the pseudonym that events carry. region: what they may see, and below.
    CREATE TABLE operators (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, password TEXT,  -- a hash; NULL: logs in elsewhere
        subject TEXT UNIQUE,                -- of the OpenID provider
        role TEXT NOT NULL, region TEXT NOT NULL, language TEXT NOT NULL,
        epoch INTEGER NOT NULL DEFAULT 0,   -- raised to end all log-ins
        created_ms INTEGER NOT NULL, disabled_ms INTEGER
    ) STRICT, WITHOUT ROWID;

    -- Who is on duty: days is a mask, Monday 1; minutes of the day in the time zone (over midnight too).
    CREATE TABLE duty (
        id INTEGER PRIMARY KEY, operator TEXT NOT NULL REFERENCES operators (id),
        level INTEGER NOT NULL, region TEXT NOT NULL, days INTEGER NOT NULL,
        from_min INTEGER NOT NULL, until_min INTEGER NOT NULL, time_zone TEXT NOT NULL
    ) STRICT;

    -- Settings of a rule for one home, or for all ('').
    CREATE TABLE rules (
        home TEXT NOT NULL, rule TEXT NOT NULL, settings TEXT NOT NULL,  -- JSON
        changed_ms INTEGER NOT NULL, changed_by TEXT NOT NULL,
        PRIMARY KEY (home, rule)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE visit_plans (
        id INTEGER PRIMARY KEY, home TEXT NOT NULL REFERENCES homes (id),
        days INTEGER NOT NULL, from_min INTEGER NOT NULL, until_min INTEGER NOT NULL, what TEXT NOT NULL
    ) STRICT;
    """,
    """
    -- Modes that a command has asked for, until the daemon has carried them out. until_ms NULL: as it goes.
    CREATE TABLE mode_requests (
        id INTEGER PRIMARY KEY, home TEXT NOT NULL REFERENCES homes (id), mode INTEGER NOT NULL,
        until_ms INTEGER, by TEXT NOT NULL, asked_ms INTEGER NOT NULL
    ) STRICT;
    """,
    """
    -- What whoever helps at a home has to know: personal, and gone with the home.
    CREATE TABLE notes (
        home TEXT PRIMARY KEY REFERENCES homes (id) ON DELETE CASCADE,
        text TEXT NOT NULL, by TEXT NOT NULL, at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- wearer: of a health monitor; table_version: the first device table with the sensor as it is;
    -- paired_ms: its hub has reported that one; proven_ms: what it said came through when it was waited for.
    ALTER TABLE sensors ADD COLUMN wearer TEXT NOT NULL DEFAULT '';
    ALTER TABLE sensors ADD COLUMN table_version INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE sensors ADD COLUMN paired_ms INTEGER;
    ALTER TABLE sensors ADD COLUMN proven_ms INTEGER;
    -- zone_s: the home's local time ahead of UTC that goes with the device table.
    ALTER TABLE hubs ADD COLUMN zone_s INTEGER;
    """,
    """
    -- Families' page: the link on a hub's label, and the PIN of a home. All of it goes with the home.
    CREATE TABLE labels (
        hub TEXT PRIMARY KEY REFERENCES hubs (id) ON DELETE CASCADE,
        token TEXT NOT NULL UNIQUE, made_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE families (
        home TEXT PRIMARY KEY REFERENCES homes (id) ON DELETE CASCADE,
        claimed_ms INTEGER NOT NULL,
        epoch INTEGER NOT NULL,             -- another one ends all visits
        pin TEXT NOT NULL,                  -- a hash
        wrong INTEGER NOT NULL,             -- PINs since the last right one
        locked_until_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- Who a reading of a shared monitor was of.
    CREATE TABLE reading_wearers (
        hub TEXT NOT NULL REFERENCES hubs (id) ON DELETE CASCADE,
        boot INTEGER NOT NULL, seq INTEGER NOT NULL,
        wearer TEXT NOT NULL, by TEXT NOT NULL, at_ms INTEGER NOT NULL,
        PRIMARY KEY (hub, boot, seq)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- When what a wired input said last came through to the platform, and was waited for.
    CREATE TABLE wired_proofs (
        hub TEXT NOT NULL REFERENCES hubs (id) ON DELETE CASCADE, device INTEGER NOT NULL,
        proven_ms INTEGER NOT NULL, PRIMARY KEY (hub, device)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- Boards as they were flashed: mac is the chip's own, 12 hexadecimal digits; state: allocated, written,
    -- trusted, aborted; bundle: SHA-256 of its manifest.
    CREATE TABLE boards (
        mac TEXT PRIMARY KEY, hub TEXT NOT NULL REFERENCES hubs (id) ON DELETE CASCADE,
        chip TEXT NOT NULL, board TEXT NOT NULL, serial TEXT NOT NULL, state TEXT NOT NULL,
        generation INTEGER NOT NULL, bundle TEXT NOT NULL, version TEXT NOT NULL, changed_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX boards_hub ON boards (hub);

    -- commission: 16 bytes, what the code on the label stands for; opens a hub's commissioning.
    ALTER TABLE hubs ADD COLUMN commission BLOB;

    -- Records of acceptance: what was found when a home was checked, by whom, signed.
    CREATE TABLE acceptances (
        digest TEXT PRIMARY KEY, hub TEXT NOT NULL REFERENCES hubs (id) ON DELETE CASCADE,
        record BLOB NOT NULL, signature BLOB NOT NULL, at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
)


def open_database(data_dir: Path, access: Access = "make") -> sqlite3.Connection:
    """Open data_dir/registry.db, mode 0600; DataError with the command that puts a problem right.

    Only "make" makes folder and file when they are not there; "read" changes nothing.
    """
    path = data_dir / "registry.db"
    none = DataError(f"no registry in {data_dir}: add a home first (kanhu registry home add)")
    try:
        if access == "make":
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        found = path.stat()
    except OSError as error:
        if access != "make" and isinstance(error, FileNotFoundError | NotADirectoryError):
            raise none from None
        raise DataError(
            f"{path}: {error.strerror}; run this as the daemon's user, or give another data_dir"
        ) from None
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise DataError(f"{path} holds keys and others may read it (mode {mode:04o}): run chmod 600 {path}")
    db: sqlite3.Connection | None = None
    try:
        # Not mode=ro: what a killed writer left half done has to be taken back before it can be read.
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=10)
        if access == "read":
            db.execute("PRAGMA query_only=ON")
        else:
            # A rollback journal: it is made with this file's mode, and nothing here is in a hurry.
            db.execute("PRAGMA journal_mode=DELETE")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA secure_delete=ON")
            db.execute("PRAGMA foreign_keys=ON")
        db.execute("BEGIN" if access == "read" else "BEGIN IMMEDIATE")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise DataError(f"{path} has schema {version}, too new for this kanhu: install a newer one")
        if access == "make":
            _migrate(db, version)
        elif version == 0:
            raise none
        elif version < len(MIGRATIONS):
            raise DataError(f"{path} is of an older kanhu: start `kanhu run` once")
        db.execute("COMMIT")
    except BaseException as error:
        if db is not None:
            db.close()  # and with it ends what it has begun
        raise (_cure(path, error) if isinstance(error, sqlite3.Error) else error) from None
    return db


def _cure(path: Path, error: sqlite3.Error) -> DataError:
    if isinstance(error, sqlite3.OperationalError):
        return DataError(f"{path}: {error}; run this as the daemon's user, with room on its disk")
    return DataError(f"{path}: {error}; restore it from a backup, or move it away to start anew")


def _migrate(db: sqlite3.Connection, version: int) -> None:
    for step in range(version, len(MIGRATIONS)):
        for statement in MIGRATIONS[step].split(";\n"):  # executescript would end the transaction
            db.execute(statement)
        db.execute(f"PRAGMA user_version={step + 1}")
