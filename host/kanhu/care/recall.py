"""What the journal holds of hubs, read back for the watch in a thread of its own; newest first, and no
further than rules look."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from kanhu.journal import Event, Journal
from kanhu.journal.plain import believed
from kanhu_protocol import kinds as k

RAW_MS = 3 * 86_400_000  # single events: more than a rule's settings let it look back
SHORT_MS = 600_000  # of hubs whose home no rule watches: what came last
RHYTHM_MS = 60 * 86_400_000  # days with movement (past.DAYS_KEPT)
# What comes later than this after what follows it ends the reading all the same.
LATE_MS = 86_400_000

_COLUMNS = "n, hub, boot, seq, class, kind, plain, received_ms, link"
_RECENT = f"""
SELECT {_COLUMNS} FROM events WHERE hub=?
AND kind NOT IN ({k.CLOCK_SET}, {k.COMMAND_DONE}, {k.COMMAND_REFUSED}) ORDER BY boot DESC, seq DESC
"""  # noqa: S608  # numbers only
_MOTION = f"""
SELECT {_COLUMNS} FROM events WHERE hub=? AND kind={k.MOTION} ORDER BY boot DESC, seq DESC
"""  # noqa: S608  # numbers only
_BEFORE = (
    "SELECT boot, seq FROM events WHERE hub=? AND (boot, seq) < (?, ?) ORDER BY boot DESC, seq DESC LIMIT 1"
)
_AFTER = "SELECT boot, seq FROM events WHERE hub=? AND (boot, seq) > (?, ?) ORDER BY boot, seq LIMIT 1"


def recent(path: Path, spans: Mapping[str, int], now_ms: int) -> dict[str, list[Event]]:
    """Of each hub the events of so many ms up to now, and the newest in any case, as they were stored."""
    with _open(path) as db:
        return {
            hub: _back(db, _RECENT, hub, now_ms - span_ms, min(span_ms, LATE_MS), newest=True)
            for hub, span_ms in spans.items()
        }


def motions(path: Path, hub: str, from_ms: int, until_ms: int) -> list[Event]:
    """A hub's motion events that arrived between the two."""
    with _open(path) as db:
        found = _back(db, _MOTION, hub, from_ms, LATE_MS)
    return [event for event in found if event.received_ms < until_ms]


def around(journal: Journal, hub: str, boot: int, first: int, last: int) -> tuple[int, int] | None:
    """Moments of the last event before a lost range and of the first after it; None: not known."""
    found = []
    for sql, seq in ((_BEFORE, first), (_AFTER, last)):
        rows = journal.reader.rows(sql, (hub, boot, seq))
        event = journal.find(hub, *rows[0]) if rows else None
        found.append(journal.moment(event)[0] if event is not None else None)
    before, after = found
    return None if before is None or after is None else (before, after)


def _open(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10))


def _back(
    db: sqlite3.Connection, sql: str, hub: str, since_ms: int, late_ms: int, newest: bool = False
) -> list[Event]:
    found: list[Event] = []
    for n, _, boot, seq, cls, kind, plain, received_ms, link in db.execute(sql, (hub,)):
        if received_ms < since_ms and not (newest and not found):
            if received_ms < since_ms - late_ms:
                break
            continue
        found.append(Event(hub, boot, seq, cls, kind, b"", plain, believed(plain), received_ms, link, n))
    found.sort(key=lambda event: event.n)
    return found
