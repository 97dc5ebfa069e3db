"""What the journal's tables say of one hub, in one view of them beside a running daemon, resolved in time."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kanhu.journal.errors import JournalError
from kanhu.journal.plain import believed
from kanhu.journal.ranges import Ranges
from kanhu.journal.schema import MIGRATIONS
from kanhu.journal.times import Anchor, resolve
from kanhu.qa.incidents.form import MAX_EVENTS, IncidentError
from kanhu_protocol import kinds as k

LATE_MS = 7 * 86_400_000  # how late a backlog may have come and still belong to the span
How = Literal["synced", "resolved", "boot", "received"]


class Row(NamedTuple):
    """An event as the journal has it; at_ms and all other times UTC."""

    boot: int
    seq: int
    fields: dict[int, Any]
    at_ms: int
    how: How
    received_ms: int
    delivered_ms: int | None
    link: str


class Start(NamedTuple):
    """A boot: when its up_ms was 0 and by what that is known; seqs that were given out."""

    started_ms: int | None
    by: Literal["anchor", "receipt", "unknown"]
    claimed: int


@contextmanager
def opened(data_dir: Path) -> Iterator[sqlite3.Connection]:
    """The journal, read only, as it is at this moment; JournalError with what to do."""
    path = data_dir / "journal.db"
    if not path.exists():
        raise IncidentError(f"no journal in {data_dir}: name the daemon's folder with --data-dir")
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
        ) as db:
            db.execute("BEGIN")
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise JournalError(
                    f"the journal has schema {version}, too new for this kanhu: install a newer one"
                )
            if version < len(MIGRATIONS):
                raise JournalError(f"{path} is of an older kanhu: start `kanhu run` once")
            yield db
    except sqlite3.Error as error:
        raise JournalError(
            f"{path}: {error}; run this as the daemon's user, beside a whole journal"
        ) from None


class Hub:
    """One hub's rows."""

    def __init__(self, db: sqlite3.Connection, hub: str) -> None:
        self._db = db
        self._hub = hub
        self._anchors: dict[int, list[Anchor]] = defaultdict(list)
        for boot, up_ms, utc_ms, source in db.execute(
            "SELECT boot, up_ms, utc_ms, source FROM anchors WHERE hub=? ORDER BY up_ms", (hub,)
        ):
            self._anchors[boot].append(Anchor(up_ms, utc_ms, source))
        rows = db.execute("SELECT boot, claimed, started_ms FROM boots WHERE hub=?", (hub,)).fetchall()
        self._starts = {boot: self._start(boot, claimed, started_ms) for boot, claimed, started_ms in rows}

    def _start(self, boot: int, claimed: int, received_ms: int | None) -> Start:
        anchors = self._anchors.get(boot)
        if anchors:
            return Start(anchors[0].utc_ms - anchors[0].up_ms, "anchor", claimed)
        if received_ms is None:
            return Start(None, "unknown", claimed)
        # What came at once says it best: nothing can be received before it happened.
        rows = self._db.execute(
            "SELECT plain, received_ms FROM events WHERE hub=? AND boot=? ORDER BY seq LIMIT ?",
            (self._hub, boot, MAX_EVENTS),
        )
        ends = (received - believed(plain)[k.UP_MS] for plain, received in rows)
        return Start(min(ends, default=received_ms), "receipt", claimed)

    def start(self, boot: int) -> Start:
        """Of a boot that is perhaps not in the table."""
        return self._starts.get(boot) or self._start(boot, 0, None)

    def starts(self) -> dict[int, Start]:
        """All boots that the journal knows."""
        return self._starts

    def range(self) -> tuple[int, int] | None:
        """When its first and its last event were received; None: there is none."""
        first, last = self._db.execute(
            "SELECT min(received_ms), max(received_ms) FROM events WHERE hub=?", (self._hub,)
        ).fetchone()
        return None if first is None else (first, last)

    def events(self, since_ms: int, until_ms: int) -> list[Row]:
        """Those that happened in the span, by boot and seq; IncidentError when there are too many."""
        rows = self._db.execute(
            "SELECT boot, seq, plain, received_ms, delivered_ms, link FROM events "
            "WHERE hub=? AND sealed IS NOT NULL AND received_ms BETWEEN ? AND ? ORDER BY boot, seq",
            (self._hub, since_ms, until_ms + LATE_MS),
        )
        found: list[Row] = []
        for boot, seq, plain, received_ms, delivered_ms, link in rows:
            fields = believed(plain)
            at_ms, how = self._moment(boot, fields, received_ms)
            if since_ms <= at_ms <= until_ms:
                found.append(Row(boot, seq, fields, at_ms, how, received_ms, delivered_ms, link))
                if len(found) > MAX_EVENTS:
                    raise IncidentError(f"the span holds more than {MAX_EVENTS} events: take a shorter one")
        return found

    def _moment(self, boot: int, fields: dict[int, Any], received_ms: int) -> tuple[int, How]:
        utc_ms, how = resolve(fields, received_ms, self._anchors.get(boot, []))
        if utc_ms is not None and how != "unknown":
            return utc_ms, how
        start = self.start(boot)
        if start.started_ms is not None:
            return min(start.started_ms + fields[k.UP_MS], received_ms), "boot"
        return received_ms, "received"

    def lost(self, boot: int, first: int) -> list[tuple[int, int, int]]:
        """(first, last, reason) of seqs from first on that no host has; reason 0: nobody has said why."""
        said = Ranges()
        rows = []
        for begin, end, reason in self._db.execute(
            "SELECT first, last, reason FROM losses WHERE hub=? AND boot=? ORDER BY first", (self._hub, boot)
        ):
            said.add_span(begin, end)
            if end >= first:
                rows.append((max(begin, first), end, reason))
        there = Ranges()
        for (seq,) in self._db.execute("SELECT seq FROM events WHERE hub=? AND boot=?", (self._hub, boot)):
            there.add_span(seq, seq)
        for table in ("spans", "expired"):
            for begin, end in self._db.execute(
                f"SELECT first, last FROM {table} WHERE hub=? AND boot=?",  # noqa: S608  # fixed names
                (self._hub, boot),
            ):
                there.add_span(begin, end)
        lost = [(a, b, reason) for begin, end, reason in rows for a, b in there.gaps(begin, end)]
        top = max(self.start(boot).claimed - 1, there.last(), said.last())
        gaps = [gap for one in there.gaps(first, top) for gap in said.gaps(*one)] if top >= first else []
        return lost + [(begin, end, 0) for begin, end in gaps]


def daemons_own(db: sqlite3.Connection, hub: str, since_ms: int, until_ms: int) -> list[Row]:
    """What the daemon itself said about a hub in the span."""
    rows = db.execute(
        "SELECT boot, seq, plain, received_ms, delivered_ms, link FROM events WHERE hub="
        "(SELECT value FROM meta WHERE key='daemon_id') AND received_ms BETWEEN ? AND ? "
        "AND instr(plain, CAST(? AS BLOB)) > 0 ORDER BY n LIMIT ?",
        (since_ms, until_ms, hub, MAX_EVENTS),
    )
    found = []
    for boot, seq, plain, received_ms, delivered_ms, link in rows:
        fields = believed(plain)
        if fields.get(k.SUBJECT) == hub:
            found.append(Row(boot, seq, fields, received_ms, "synced", received_ms, delivered_ms, link))
    return found


def daemon_starts(db: sqlite3.Connection, since_ms: int, until_ms: int) -> list[int]:
    """UTC ms at which daemons on this journal started: a daemon's boot is its start in Unix seconds."""
    rows = db.execute(
        "SELECT DISTINCT boot FROM events WHERE hub=(SELECT value FROM meta WHERE key='daemon_id') "
        "AND boot BETWEEN ?1 AND ?2 "
        "UNION SELECT value FROM meta WHERE key='daemon_boot' AND value BETWEEN ?1 AND ?2 ORDER BY 1",
        (since_ms // 1000, until_ms // 1000),
    )
    return [boot * 1000 for (boot,) in rows]
