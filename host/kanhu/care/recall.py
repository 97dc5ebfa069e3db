"""What the journal holds of hubs, read back for the watch in a thread of its own; newest first, and no
further than rules look."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from kanhu.journal import Event, Journal
from kanhu.journal.plain import believed
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import VALID

RAW_MS = 3 * 86_400_000  # single events: more than a rule's settings let it look back
SHORT_MS = 600_000  # of hubs whose home no rule watches: what came last
RHYTHM_MS = 60 * 86_400_000  # days with movement (past.DAYS_KEPT)
# What comes later than this after what follows it ends the reading all the same.
LATE_MS = 86_400_000

_COLUMNS = "n, boot, seq, class, kind, plain, received_ms, link"
_BOOT: Final = 1  # of a row
_KIND: Final = 4
_RECEIVED: Final = 6
_BLOCK = 500  # rows looked at together
_RECENT = f"""
SELECT {_COLUMNS} FROM events WHERE hub=?
AND kind NOT IN ({k.CLOCK_SET}, {k.COMMAND_DONE}, {k.COMMAND_REFUSED}) ORDER BY boot DESC, seq DESC
"""  # noqa: S608  # numbers only
_MOTION = f"""
SELECT {_COLUMNS} FROM events WHERE hub=? AND kind={k.MOTION} AND received_ms<? ORDER BY boot DESC, seq DESC
"""  # noqa: S608  # numbers only
_BEFORE = (
    "SELECT boot, seq FROM events WHERE hub=? AND (boot, seq) < (?, ?) ORDER BY boot DESC, seq DESC LIMIT 1"
)
_AFTER = "SELECT boot, seq FROM events WHERE hub=? AND (boot, seq) > (?, ?) ORDER BY boot, seq LIMIT 1"


_Row = tuple[int, int, int, int, int, bytes, int, str]  # of _COLUMNS


def recent(path: Path, spans: Mapping[str, int], now_ms: int, limit_ms: int) -> dict[str, list[Event]]:
    """Of each hub the events of so many ms up to now, and the newest in any case, as they were stored; of
    heartbeats as many as show that the hub was there, when one that is unheard for limit_ms is not."""
    with _open(path) as db:
        return {
            hub: [
                _event(hub, row)
                for row in _thinned(
                    _back(db, _RECENT, (hub,), now_ms - span_ms, min(span_ms, LATE_MS), newest=True), limit_ms
                )
            ]
            for hub, span_ms in spans.items()
        }


def motions(path: Path, hub: str, from_ms: int, until_ms: int) -> list[Event]:
    """A hub's motion events that arrived between the two."""
    with _open(path) as db:
        return [_event(hub, row) for row in _back(db, _MOTION, (hub, until_ms), from_ms, LATE_MS)]


def visits(journal: Journal, hub: str) -> list[tuple[str, str, int]]:
    """("in" or "out", who, moment) of the visits that no event of the hub tells of, of the last day."""
    sql = "SELECT what, who, at_ms FROM visits WHERE hub=? AND via<>'button' AND at_ms>=? ORDER BY id"
    return journal.reader.rows(sql, (hub, journal.clock() - LATE_MS))


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
    db: sqlite3.Connection,
    sql: str,
    given: tuple[Any, ...],
    since_ms: int,
    late_ms: int,
    newest: bool = False,
) -> list[_Row]:
    found: list[_Row] = []
    cursor = db.execute(sql, given)
    while block := cursor.fetchmany(_BLOCK):
        if newest and not found:
            found.append(block.pop(0))
        oldest_ms = min((row[_RECEIVED] for row in block), default=since_ms)
        if oldest_ms >= since_ms:
            found += block
            continue
        found += [row for row in block if row[_RECEIVED] >= since_ms]
        if oldest_ms < since_ms - late_ms:
            break
    found.sort()
    return found


def _thinned(rows: list[_Row], limit_ms: int) -> Iterator[_Row]:
    # Most of what a hub says is that it is there: of a long past it is enough to know that it never was not.
    # What it said last before a start stays, because it says how long it was off.
    kept_ms = 0
    for row, following in pairwise(rows):
        if (
            row[_KIND] != k.HEARTBEAT
            or following[_BOOT] != row[_BOOT]
            or following[_RECEIVED] - kept_ms > limit_ms * 3 // 4
        ):
            kept_ms = row[_RECEIVED]
            yield row
    yield from rows[-1:]


def _event(hub: str, row: _Row) -> Event:
    n, boot, seq, cls, kind, plain, received_ms, link = row
    fields = _when(plain) if kind == k.HEARTBEAT else believed(plain)
    return Event(hub, boot, seq, cls, kind, b"", plain, fields, received_ms, link, n)


def _when(plain: bytes) -> dict[int, Any]:
    """The keys of an event that come first: what it is and when; the rest of a heartbeat is not looked at."""
    fields: dict[int, Any] = {}
    position = 1  # keys are in order (RFC 8949, 4.2.1)
    while position < len(plain) and plain[position] <= k.CLOCK:
        key = plain[position]
        value, position = cbor.decode_at(plain, position + 1)
        if VALID[key](value):
            fields[key] = value
    if k.UP_MS not in fields or not 0xA0 < plain[0] < 0xB8:  # another form of map
        return believed(plain)
    if (k.UTC_MS in fields) != (k.CLOCK in fields):  # either is worth nothing alone
        fields.pop(k.UTC_MS, None)
    return fields
