"""Forgetting a hub whole: events, alarms and commands go; the ledger keeps two sums that name nobody."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from kanhu_protocol import events
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import ID_ALPHABET

from . import chain
from .batch import Batch
from .books import Hub
from .errors import JournalUnavailable
from .event import Identity
from .journal import Journal
from .ranges import Ranges
from .writer import explain

ERASED = 4  # losses.reason: forgotten; stands in that table only, no event says it
PREFIX = "erased-"  # of what stands for a forgotten hub; "-" is in no id
STEP = 2000  # events deleted in one commit, so that calls are stored in between
TRIES = 20  # to find the journal unread for the moment that emptying its log takes
TRY_AGAIN_S = 0.5
VACUUM_WAIT_S = 5.0  # for whoever is writing
SCAN_STEP = 1 << 20  # bytes
# A larger journal is not written anew while calls wait: 256 MiB take 2 to 5 s.
MAX_VACUUM = 256 << 20  # bytes

# Every table with a column `hub` (tests/operate/test_erasure.py holds this against the schema).
TABLES = (
    "events", "expired", "boots", "anchors", "losses", "refused", "alarms", "alarm_history", "commands",
    "numbers", "spans", "modes", "rule_record", "faults", "proofs", "firmware", "rollout_hubs",
)  # fmt: skip
CHAINED = tuple(table.name for table in chain.TABLES)  # their rows stay, and name nobody

_OF_SUBJECT = """
SELECT n, boot, seq, plain, delivered_ms FROM events
WHERE hub=? AND instr(plain, CAST(? AS BLOB)) > 0 ORDER BY n
"""
_QUEUED = "SELECT boot, seq FROM events WHERE hub=? AND delivered_ms IS NULL"
_SAID = "SELECT boot, seq FROM events WHERE hub=? AND delivered_ms IS NOT NULL ORDER BY boot, seq LIMIT ?"


def about(db: sqlite3.Connection, daemon_id: str, hub: str) -> list[tuple[int, int, int, bool]]:
    """(n, boot, seq, delivered) of the daemon's own events that name a hub."""
    return [
        (n, boot, seq, delivered_ms is not None)
        for n, boot, seq, plain, delivered_ms in db.execute(_OF_SUBJECT, (daemon_id, hub))
        if events.decode(plain).get(k.SUBJECT) == hub
    ]


def undelivered(db: sqlite3.Connection, daemon_id: str, hub: str) -> list[Identity]:
    """Events of a hub, and the daemon's own about it, that the platform has not acknowledged."""
    own = [(daemon_id, boot, seq) for _, boot, seq, said in about(db, daemon_id, hub) if not said]
    return [(hub, boot, seq) for boot, seq in db.execute(_QUEUED, (hub,))] + own


def tombstone() -> str:
    """A name for what stays in the ledger; random, so that it leads to nobody."""
    return PREFIX + "".join(secrets.choice(ID_ALPHABET) for _ in range(10))


async def erase(
    journal: Journal, hub: str, discard: bool, dropped: Callable[[list[Identity]], None] | None = None
) -> list[Identity] | None:
    """Erase a hub from the journal, also from its file's bytes; the ledger balances after every commit.

    Nobody may bring events of it meanwhile. Returns the undelivered events that went with it (discard), or
    None when there are some and they are to be delivered first; dropped is told of them as soon as they are
    out of the tables. Killed at any point, it is done again.
    JournalUnavailable: not all of it is erased, and it is to be asked for again."""
    try:
        return await _erase(journal, hub, discard, dropped)
    except sqlite3.Error as error:
        raise JournalUnavailable(explain(error)) from error


async def _erase(
    journal: Journal, hub: str, discard: bool, dropped: Callable[[list[Identity]], None] | None
) -> list[Identity] | None:
    await _barrier(journal, hub)
    me = journal.daemon_id
    waiting: list[Identity] = await _read(journal.path, lambda db: undelivered(db, me, hub))
    if waiting and not discard:
        return None
    # Once more as long as something was written meanwhile by what was under way.
    while await _read(journal.path, lambda db: _is_there(db, me, hub)):
        await _drop_delivered(journal, hub)
        await _drop_own(journal, hub)
        await _fold(journal, hub)
    if dropped:
        dropped(waiting)
    await _scrub(journal.path, [hub.encode()])
    return waiting


async def _barrier(journal: Journal, hub: str) -> None:
    # Out of the notes on refused, revoked and disputed hubs too (kanhu.refusals, kanhu.witness,
    # kanhu.identities), which are JSON text.
    batch = journal.batch()
    batch.run(
        "UPDATE meta SET value=replace(value, ?, '') WHERE key IN ('refusals', 'registry', 'disputed')", hub
    )
    await batch.submit()


async def _read(path: Path, look: Any) -> Any:
    def look_there() -> Any:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            return look(db)

    return await asyncio.to_thread(look_there)


def _is_there(db: sqlite3.Connection, daemon_id: str, hub: str) -> bool:
    rows = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE hub=?1" for table in TABLES + CHAINED)  # noqa: S608  # fixed names
    return bool(db.execute(rows + " LIMIT 1", (hub,)).fetchone()) or bool(about(db, daemon_id, hub))


async def _drop_delivered(journal: Journal, hub: str) -> None:
    """As retention does, whatever their age."""
    while rows := journal.reader.rows(_SAID, (hub, STEP)):
        by_boot: dict[int, list[int]] = defaultdict(list)
        for boot, seq in rows:
            by_boot[boot].append(seq)
        batch = journal.batch()
        for boot, seqs in by_boot.items():
            batch.run(
                "DELETE FROM events WHERE hub=? AND boot=? AND seq BETWEEN ? AND ? "
                "AND delivered_ms IS NOT NULL",
                hub, boot, seqs[0], seqs[-1],
            )  # fmt: skip
            _expire(journal, batch, hub, boot, seqs)
        await batch.submit()


def _expire(journal: Journal, batch: Batch, hub: str, boot: int, seqs: Sequence[int]) -> None:
    """Into the batch: these delivered events are no longer held, and still count as stored."""
    ranges = Ranges((seq, seq) for seq in seqs)
    for first, last in journal.reader.rows(
        "SELECT first, last FROM expired WHERE hub=? AND boot=?", (hub, boot)
    ):
        ranges.add_span(first, last)
    batch.run("DELETE FROM expired WHERE hub=? AND boot=?", hub, boot)
    for first, last in ranges:
        batch.run("INSERT INTO expired VALUES (?,?,?,?)", hub, boot, first, last)


async def _drop_own(journal: Journal, hub: str) -> None:
    """What the daemon itself has said of the hub: delivered as above, the rest counts as lost."""
    me = journal.daemon_id
    rows = await _read(journal.path, lambda db: about(db, me, hub))
    for start in range(0, len(rows), STEP):
        batch = journal.batch()
        said: dict[int, list[int]] = defaultdict(list)
        unsaid: dict[int, list[int]] = defaultdict(list)
        for n, boot, seq, delivered in rows[start : start + STEP]:
            batch.run("DELETE FROM events WHERE n=?", n)
            (said if delivered else unsaid)[boot].append(seq)
        for boot, seqs in said.items():
            _expire(journal, batch, me, boot, seqs)
        for boot, seqs in unsaid.items():
            _unsay(journal, batch, boot, seqs)
        await batch.submit()


def _unsay(journal: Journal, batch: Batch, boot: int, seqs: list[int]) -> None:
    me = journal.daemon_id
    left = Ranges(journal.hub(me).boots[boot].stored)
    left.remove_all(seqs)
    batch.run("DELETE FROM spans WHERE hub=? AND boot=?", me, boot)
    for first, last in left:
        batch.run("INSERT INTO spans VALUES (?,?,?,?)", me, boot, first, last)
    batch.then(lambda: journal.hub(me).unstore(boot, seqs))
    for seq in seqs:
        batch.lose(me, boot, seq, seq, ERASED, None)


async def _fold(journal: Journal, hub: str) -> None:
    """In one commit: nothing of the hub is left, and its sums stand under another name."""
    sums = journal.ledger(hub)
    stand_in = tombstone()
    batch = journal.batch()
    for table in TABLES:
        batch.run(f"DELETE FROM {table} WHERE hub=?", hub)  # noqa: S608  # fixed names
    for chained in chain.TABLES:
        _unname(journal, batch, chained, hub)
    book = Hub()
    if sums.delivered:
        batch.run("INSERT INTO expired VALUES (?,1,0,?)", stand_in, sums.delivered - 1)
        book.store_spans(1, Ranges([(0, sums.delivered - 1)]))
        book.boots[1].delivered = Ranges(book.boots[1].stored)
        book.delivered = sums.delivered
    if sums.announced > sums.delivered:
        batch.run(
            "INSERT INTO losses (hub, boot, first, last, reason) VALUES (?,1,?,?,?)",
            stand_in, sums.delivered, sums.announced - 1, ERASED,
        )  # fmt: skip
        book.lose(1, sums.delivered, sums.announced - 1)
    batch.then(lambda: journal.replace(hub, stand_in, book))
    await batch.submit()


def _unname(journal: Journal, batch: Batch, table: chain.Table, hub: str) -> None:
    """Into the batch: the rows of a chained table say when and what, and no longer of whom."""
    columns = ", ".join(f"{column}=?" for column in (*table.private, "digest"))
    sql = f"UPDATE {table.name} SET {columns} WHERE id=?"  # noqa: S608  # fixed names
    for row_id, kept in journal.reader.rows(f"SELECT id, digest FROM {table.name} WHERE hub=?", (hub,)):  # noqa: S608  # fixed names
        batch.run(sql, *table.empty, chain.forget(kept), row_id)


async def _scrub(path: Path, traces: list[bytes]) -> None:
    """Old bytes out of the log and the file, where moving rows about may have left some."""
    await _empty_log(path)
    if await asyncio.to_thread(_holds, path, traces):
        await asyncio.to_thread(_run, path, "VACUUM", VACUUM_WAIT_S)
        await _empty_log(path)


async def _empty_log(path: Path) -> None:
    for _ in range(TRIES):
        # Without waiting: who waits for readers here keeps the writer, and with it every call, waiting too.
        busy, _, _ = await asyncio.to_thread(_run, path, "PRAGMA wal_checkpoint(TRUNCATE)", 0)
        if not busy:
            return
        await asyncio.sleep(TRY_AGAIN_S)
    raise JournalUnavailable("the journal's log could not be emptied: something reads it without pause")


def _run(path: Path, statement: str, wait_s: float) -> Any:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=wait_s)) as db:
        return db.execute(statement).fetchone()


def _holds(path: Path, traces: list[bytes]) -> bool:
    """Whether a journal that is small enough to be written anew holds one of these."""
    if path.stat().st_size > MAX_VACUUM:
        return False
    overlap = max(map(len, traces)) - 1
    with path.open("rb") as file:
        tail = b""
        while block := file.read(SCAN_STEP):
            if any(trace in tail + block for trace in traces):
                return True
            tail = block[-overlap:]
    return False
