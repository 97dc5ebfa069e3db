"""Which hubs were refused and why, kept on disk for `kanhu status`; bounded, whatever strangers send."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from typing import Any

from kanhu.journal import Batch, Journal
from kanhu.sealed import Message

KEY = "refusals"  # in the journal's meta table
KEPT = 500  # hub and reason; the one that was refused last longest ago goes
BYTES_KEPT = 1000  # rows of the refused table
WORDS = 7 * 86_400_000  # ms for which a refusal is still told of

_IS_KEPT = "SELECT 1 FROM refused WHERE hub=? AND boot=? AND seq=? AND sealed=? LIMIT 1"
_KEEP = "INSERT INTO refused (hub, boot, seq, sealed, link, reason, received_ms) VALUES (?,?,?,?,?,?,?)"


@dataclass(slots=True)
class Refusal:
    """One hub's messages that were refused for one reason."""

    hub: str
    reason: str
    link: str  # of the newest
    count: int
    first_ms: int
    last_ms: int


class Refusals:
    """Notes from intake; save() writes them now and then, in the journal's loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._changed = False
        self._kept: dict[bytes, None] = {}  # the newest bytes kept, some of them not yet on disk
        rows = journal.reader.rows("SELECT value FROM meta WHERE key=?", (KEY,))
        self._by: dict[tuple[str, str], Refusal] = {
            (one.hub, one.reason): one for one in _read(rows, journal.clock())
        }

    def note(self, hub: str, reason: str, link: str) -> None:
        """A message that says it is this hub's was refused; hub is one that registry or journal know."""
        now = self._journal.clock()
        one = self._by.pop((hub, reason), None) or Refusal(hub, reason, link, 0, now, now)
        one.count += 1
        one.link, one.last_ms = link, now
        self._by[hub, reason] = one  # newest last
        while len(self._by) > KEPT:
            del self._by[next(iter(self._by))]
        self._changed = True

    def keep(self, batch: Batch, hub: str, message: Message, link: str, reason: str) -> bool:
        """Keep the bytes of an authentic message that is not stored; False when they are kept already."""
        where = (hub, message.boot, message.seq, message.raw)
        if message.raw in self._kept or self._journal.reader.rows(_IS_KEPT, where):
            return False
        self._kept[message.raw] = None
        while len(self._kept) > BYTES_KEPT:
            del self._kept[next(iter(self._kept))]
        batch.run(_KEEP, *where, link, reason, self._journal.clock())
        batch.run("DELETE FROM refused WHERE id <= (SELECT max(id) FROM refused) - ?", BYTES_KEPT)

        def not_kept() -> None:
            self._kept.pop(message.raw, None)

        batch.otherwise(not_kept)
        return True

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self._by = {key: one for key, one in self._by.items() if key[0] != hub}
        self._changed = True

    def save(self) -> None:
        """Write what has changed; what cannot be written is tried again the next time."""
        if not self._changed:
            return
        self._changed = False
        batch: Batch = self._journal.batch()
        text = json.dumps([asdict(one) for one in self._by.values()])
        batch.run("INSERT OR REPLACE INTO meta VALUES (?,?)", KEY, text)
        batch.otherwise(self._not_saved)
        batch.hand_over(lambda error: None)

    def _not_saved(self) -> None:
        self._changed = True


def read(db: sqlite3.Connection, now_ms: int) -> list[Refusal]:
    """What a journal has of them, the newest first."""
    return sorted(
        _read(db.execute("SELECT value FROM meta WHERE key=?", (KEY,)).fetchall(), now_ms),
        key=lambda one: -one.last_ms,
    )


def _read(rows: list[Any], now_ms: int) -> list[Refusal]:
    try:
        found = [Refusal(**one) for one in json.loads(rows[0][0])] if rows else []
    except (ValueError, TypeError):
        return []  # of another version: they are notes only
    return [one for one in found if one.hub and one.last_ms > now_ms - WORDS]
