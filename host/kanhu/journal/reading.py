"""Reading stored events back, over a connection of its own that never waits for the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .event import Event, Identity
from .plain import believed

_COLUMNS = "n, hub, boot, seq, class, kind, sealed, plain, received_ms, link, delivered_ms"


class Reader:
    """Sees what is committed, nothing else."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA query_only=ON")

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query."""
        return self._db.execute(sql, values).fetchall()

    def sealed(self, identity: Identity) -> bytes | None:
        """Sealed bytes of a stored event; None when it is not there, or the daemon's own."""
        row = self._db.execute(
            "SELECT sealed FROM events WHERE hub=? AND boot=? AND seq=?", identity
        ).fetchone()
        return row[0] if row else None

    def find(self, hub: str, boot: int, seq: int) -> Event | None:
        """One event."""
        found = self.held(hub, boot, seq, seq)
        return found[0] if found else None

    def newest(self, hub: str) -> Event | None:
        """The last event of a hub's newest boot that is stored."""
        sql = f"SELECT {_COLUMNS} FROM events WHERE hub=? ORDER BY boot DESC, seq DESC LIMIT 1"  # noqa: S608  # fixed names
        rows = self.rows(sql, (hub,))
        return _event(rows[0]) if rows else None

    def held(self, hub: str, boot: int, first: int, last: int, limit: int = -1) -> list[Event]:
        """The events of a range of one boot, in order, at most limit of them (-1: all)."""
        sql = (
            f"SELECT {_COLUMNS} FROM events "  # noqa: S608  # fixed names
            "WHERE hub=? AND boot=? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
        )
        return [_event(row) for row in self.rows(sql, (hub, boot, first, last, limit))]

    def undelivered(self, after_n: int, limit: int, classes: Sequence[int]) -> list[Event]:
        """Events without the platform's acknowledgement, n above after_n, in order of n."""
        sql = (
            f"SELECT {_COLUMNS} FROM events INDEXED BY events_queued "  # noqa: S608  # fixed names
            "WHERE delivered_ms IS NULL AND class=? AND n>? ORDER BY n LIMIT ?"
        )
        rows = [row for cls in classes for row in self.rows(sql, (cls, after_n, limit))]
        rows.sort()
        return [_event(row) for row in rows[:limit]]


def _event(row: tuple[Any, ...]) -> Event:
    n, hub, boot, seq, cls, kind, sealed, plain, received_ms, link, delivered_ms = row
    fields = believed(plain)
    return Event(hub, boot, seq, cls, kind, sealed, plain, fields, received_ms, link, n, delivered_ms)
