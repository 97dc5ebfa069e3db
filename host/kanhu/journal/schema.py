"""Tables of journal.db and their migrations; a journal of a newer kanhu is refused, never guessed at."""

from __future__ import annotations

import sqlite3

from .errors import JournalError

# Each entry brings the schema from its index to index + 1; entries are never edited once released.
MIGRATIONS = (
    """
    CREATE TABLE events (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        hub TEXT NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
        class INTEGER NOT NULL, kind INTEGER NOT NULL,
        sealed BLOB,                     -- as received; NULL for the daemon's own events
        plain BLOB NOT NULL,             -- CBOR map (contracts, section 1)
        received_ms INTEGER NOT NULL, link TEXT NOT NULL,
        delivered_ms INTEGER,            -- when the platform acknowledged it
        UNIQUE (hub, boot, seq)
    ) STRICT;
    CREATE INDEX events_queued ON events (class, n) WHERE delivered_ms IS NULL;

    CREATE TABLE expired (               -- delivered events that retention deleted
        hub TEXT NOT NULL, boot INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        PRIMARY KEY (hub, boot, first)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE boots (
        hub TEXT NOT NULL, boot INTEGER NOT NULL,
        claimed INTEGER NOT NULL DEFAULT 0,  -- seqs the hub has spoken of: PREVIOUS + 1, or a loss's last + 1
        started_ms INTEGER,                  -- when its boot event was received; NULL until then
        PRIMARY KEY (hub, boot)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE anchors (
        hub TEXT NOT NULL, boot INTEGER NOT NULL,
        up_ms INTEGER NOT NULL, utc_ms INTEGER NOT NULL, source INTEGER NOT NULL,
        PRIMARY KEY (hub, boot, up_ms)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE losses (
        hub TEXT NOT NULL, boot INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        reason INTEGER NOT NULL,             -- names.DETAILS[EVENTS_LOST]
        n INTEGER                            -- the events.lost that said so
    ) STRICT;
    CREATE INDEX losses_hub ON losses (hub, boot);

    CREATE TABLE refused (                   -- authentic, yet not stored; the newest only
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        hub TEXT NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
        link TEXT NOT NULL, reason TEXT NOT NULL, sealed BLOB NOT NULL, received_ms INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE alarms (
        hub TEXT NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
        kind INTEGER NOT NULL, device INTEGER NOT NULL, state INTEGER NOT NULL,
        opened_ms INTEGER NOT NULL, stored_ms INTEGER, delivered_ms INTEGER,
        accepted_ms INTEGER, accepted_by TEXT, closed_ms INTEGER, closed_by TEXT, reason TEXT,
        presses INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (hub, boot, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX alarms_live ON alarms (opened_ms) WHERE state <> 7;

    CREATE TABLE alarm_history (
        id INTEGER PRIMARY KEY,
        hub TEXT NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
        at_ms INTEGER NOT NULL, what TEXT NOT NULL, operator TEXT, reason TEXT
    ) STRICT;
    CREATE INDEX alarm_history_alarm ON alarm_history (hub, boot, seq);

    CREATE TABLE commands (
        hub TEXT NOT NULL, number INTEGER NOT NULL, type INTEGER NOT NULL,
        payload BLOB NOT NULL,               -- the down message, CBOR, not sealed
        state TEXT NOT NULL,                 -- waiting, done, refused, superseded
        created_ms INTEGER NOT NULL, confirmed_ms INTEGER, detail INTEGER,
        PRIMARY KEY (hub, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX commands_waiting ON commands (hub) WHERE state = 'waiting';

    CREATE TABLE numbers (hub TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;

    CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

    -- What events holds up to n = meta.spans_n, so that opening a large journal reads only the rest.
    CREATE TABLE spans (
        hub TEXT NOT NULL, boot INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        PRIMARY KEY (hub, boot, first)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- An alarm may begin with asking the elder (state 8, until asked_until_ms) and be said by a rule.
    ALTER TABLE alarms ADD COLUMN raised_ms INTEGER;         -- when it became an alarm; NULL while asking
    ALTER TABLE alarms ADD COLUMN asked_until_ms INTEGER;    -- host UTC; NULL: nobody was asked
    ALTER TABLE alarms ADD COLUMN level INTEGER NOT NULL DEFAULT 1;  -- names.LEVELS
    ALTER TABLE alarms ADD COLUMN dispatched_ms INTEGER;
    ALTER TABLE alarms ADD COLUMN on_scene_ms INTEGER;
    ALTER TABLE alarms ADD COLUMN rule TEXT;                 -- name and version of the rule that raised it
    ALTER TABLE alarms ADD COLUMN explanation TEXT;          -- JSON [English, Chinese]
    UPDATE alarms SET raised_ms = opened_ms;

    CREATE TABLE modes (                     -- home, away, ...: each ends by itself or by a later one
        id INTEGER PRIMARY KEY,
        hub TEXT NOT NULL, mode INTEGER NOT NULL,            -- names.MODES
        from_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, set_by TEXT NOT NULL, set_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX modes_hub ON modes (hub, id);

    CREATE TABLE rule_record (               -- what a rule said, and what people found
        id INTEGER PRIMARY KEY,
        hub TEXT NOT NULL, rule TEXT NOT NULL, at_ms INTEGER NOT NULL,
        boot INTEGER, seq INTEGER,                           -- of its alarm, if it came to one
        outcome TEXT NOT NULL,                               -- raised, cancelled, closed, corrected, hint
        reason TEXT
    ) STRICT;
    CREATE INDEX rule_record_hub ON rule_record (hub, rule);

    CREATE TABLE faults (                    -- technical faults as work: owner, deadline, end
        id INTEGER PRIMARY KEY,
        hub TEXT NOT NULL, device INTEGER NOT NULL, kind INTEGER NOT NULL, opened_ms INTEGER NOT NULL,
        owner TEXT, due_ms INTEGER NOT NULL, overdue_ms INTEGER, incident INTEGER,
        closed_ms INTEGER, closed_by TEXT, reason TEXT       -- closed_by NULL and closed: it mended itself
    ) STRICT;
    CREATE UNIQUE INDEX faults_open ON faults (hub, device, kind) WHERE closed_ms IS NULL;
    CREATE INDEX faults_due ON faults (due_ms) WHERE closed_ms IS NULL;
    CREATE INDEX faults_incident ON faults (incident) WHERE incident IS NOT NULL;

    CREATE TABLE incidents (                 -- many faults with one cause
        id INTEGER PRIMARY KEY,
        kind INTEGER NOT NULL, region TEXT NOT NULL, opened_ms INTEGER NOT NULL,
        closed_ms INTEGER, members INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE proofs (                    -- newest daily test call of each hub
        hub TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, span_ms INTEGER NOT NULL, fault INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE visits (                    -- who was at a home; a row's digest covers the one before it
        id INTEGER PRIMARY KEY,
        hub TEXT NOT NULL, at_ms INTEGER NOT NULL, what TEXT NOT NULL,   -- in, out
        who TEXT NOT NULL, via TEXT NOT NULL, span_ms INTEGER,           -- via: card, button, code, desk
        digest BLOB NOT NULL
    ) STRICT;
    CREATE INDEX visits_hub ON visits (hub, id);

    CREATE TABLE audit (                     -- who saw or did what; a row's digest covers the one before it
        id INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL, operator TEXT NOT NULL, what TEXT NOT NULL,
        hub TEXT, detail TEXT, digest BLOB NOT NULL
    ) STRICT;
    CREATE INDEX audit_hub ON audit (hub) WHERE hub IS NOT NULL;
    """,
    """
    -- What a family reads of one home, by kind and time. Of heartbeats and movement (192 to 195), which are
    -- nearly all events, nothing is indexed: a query has to say so in these very words.
    CREATE INDEX events_kinds ON events (hub, kind, received_ms) WHERE kind NOT IN (192,193,194,195);
    CREATE INDEX alarm_history_at ON alarm_history (hub, at_ms);
    CREATE INDEX faults_opened ON faults (hub, opened_ms);
    CREATE INDEX faults_closed ON faults (hub, closed_ms) WHERE closed_ms IS NOT NULL;
    CREATE INDEX visits_at ON visits (hub, at_ms);
    CREATE INDEX modes_at ON modes (hub, from_ms);
    CREATE INDEX audit_family ON audit (hub, at_ms) WHERE operator = 'family';
    """,
    """
    -- What each hub last said to run, and in which event; slots: "1 1", running and permanent (names.SLOTS).
    CREATE TABLE firmware (
        hub TEXT PRIMARY KEY, version TEXT NOT NULL, slots TEXT NOT NULL,
        boot INTEGER NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE rollouts (                  -- one release on its way to hubs (kanhu.updates)
        id INTEGER PRIMARY KEY,
        digest TEXT NOT NULL, version TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL,
        canary INTEGER NOT NULL, soak_ms INTEGER NOT NULL, at_once INTEGER NOT NULL,
        pause_percent REAL NOT NULL, pause_min INTEGER NOT NULL,
        state TEXT NOT NULL, why TEXT NOT NULL, started_ms INTEGER NOT NULL, started_by TEXT NOT NULL,
        passed_ms INTEGER, ended_ms INTEGER, base_failed INTEGER NOT NULL, base_ended INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE rollout_hubs (
        rollout INTEGER NOT NULL, hub TEXT NOT NULL, rank INTEGER NOT NULL, state TEXT NOT NULL,
        changed_ms INTEGER NOT NULL, why TEXT NOT NULL, canary INTEGER NOT NULL, command INTEGER NOT NULL,
        taken INTEGER NOT NULL, received INTEGER NOT NULL, asks INTEGER NOT NULL,
        PRIMARY KEY (rollout, hub)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX rollout_hubs_hub ON rollout_hubs (hub);
    """,
)


def migrate(db: sqlite3.Connection) -> None:
    """Bring the schema up to date in one transaction; JournalError when it is newer than this program."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise JournalError(f"the journal has schema {version}, too new for this kanhu: install a newer one")
    for step in range(version, len(MIGRATIONS)):
        db.executescript(f"BEGIN IMMEDIATE;{MIGRATIONS[step]};PRAGMA user_version={step + 1};COMMIT;")
