"""What the journal holds of a hub at this moment, read beside a running daemon."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kanhu.config import Hubs
from kanhu.errors import DataError
from kanhu.journal.plain import believed
from kanhu.silence import limit_s
from kanhu_protocol import kinds as k

NEWEST = 5000  # events in which a sensor's battery is looked for: a week of a quiet home


@dataclass(frozen=True)
class Facts:
    """One hub's; times are host UTC ms, fields as in an event of its newest boot; None: none yet."""

    now_ms: int
    limit_ms: int  # after which a hub is silent
    last_ms: int | None = None
    boot: dict[int, Any] | None = None
    heartbeat: dict[int, Any] | None = None
    heartbeat_ms: int = 0
    path: tuple[int, int, int] | None = None  # of its test calls: last proven (0: never), how long, the fault
    faults: list[tuple[int, int]] = field(default_factory=list)  # (device, kind) of those that stand
    alarms: int = 0  # that are not closed
    batteries: dict[int, int] = field(default_factory=dict)  # percent by device

    @property
    def is_heard(self) -> bool:
        """Whether the hub spoke within its limit."""
        return self.last_ms is not None and self.now_ms - self.last_ms <= self.limit_ms


def read(folder: Path, hub: str) -> Facts:
    """DataError when the journal cannot be read."""
    path = folder / "journal.db"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            return _read(db, hub)
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}") from None


def _read(db: sqlite3.Connection, hub: str) -> Facts:
    row = db.execute("SELECT value FROM meta WHERE key='silence_limit_s'").fetchone()
    limit = float(row[0]) if row else limit_s(Hubs().heartbeat_s, Hubs().missed_heartbeats)
    (last_ms,) = db.execute("SELECT max(received_ms) FROM events WHERE hub=?", (hub,)).fetchone()
    boot, _ = _newest(db, hub, k.BOOT)
    heartbeat, heartbeat_ms = _newest(db, hub, k.HEARTBEAT)
    mains, mains_ms = _newest(db, hub, k.MAINS_LOST, k.MAINS_BACK)
    if heartbeat is not None and mains is not None and mains_ms > heartbeat_ms:  # it was plugged in since
        power = [mains[k.KIND] == k.MAINS_BACK, heartbeat.get(k.POWER, [None, None])[1]]
        heartbeat = {**heartbeat, k.POWER: power}
    proof = db.execute("SELECT at_ms, span_ms, fault FROM proofs WHERE hub=?", (hub,)).fetchone()
    (alarms,) = db.execute("SELECT count(*) FROM alarms WHERE hub=? AND state<>?", (hub, k.CLOSED)).fetchone()
    faults = db.execute(
        "SELECT device, kind FROM faults WHERE hub=? AND closed_ms IS NULL ORDER BY kind, device", (hub,)
    ).fetchall()
    batteries: dict[int, int] = {}
    rows = db.execute("SELECT plain FROM events WHERE hub=? ORDER BY n DESC LIMIT ?", (hub, NEWEST))
    for (plain,) in rows:
        fields = believed(plain)
        if k.BATTERY in fields and k.DEVICE in fields:
            batteries.setdefault(fields[k.DEVICE], fields[k.BATTERY])
    return Facts(
        time.time_ns() // 1_000_000, int(limit * 1000), last_ms, boot, heartbeat, heartbeat_ms, proof, faults,
        alarms, batteries,
    )  # fmt: skip


def _newest(db: sqlite3.Connection, hub: str, *kinds: int) -> tuple[dict[int, Any] | None, int]:
    """The newest event of these kinds in the hub's newest boot, and when it was received."""
    places = ",".join("?" * len(kinds))
    row = db.execute(
        f"SELECT plain, received_ms FROM events WHERE hub=? AND kind IN ({places}) "  # noqa: S608  # question marks
        "AND boot=(SELECT max(boot) FROM events WHERE hub=?) ORDER BY seq DESC LIMIT 1",
        (hub, *kinds, hub),
    ).fetchone()
    return (believed(row[0]), row[1]) if row else (None, 0)
