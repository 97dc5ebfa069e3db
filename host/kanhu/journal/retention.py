"""Forgetting delivered events after their time, while every sum of the ledger stays the same."""

from __future__ import annotations

from kanhu_protocol import kinds as k

from . import chain
from .batch import Batch
from .journal import Journal
from .ranges import Ranges

STEP = 5000  # events looked at in one step: a few tens of milliseconds of the loop
DAY_MS = 86_400_000

# Of the other tables, what is over for as long; ?: UTC ms.
_ENDED = (
    "DELETE FROM faults WHERE closed_ms < ?",
    "DELETE FROM incidents WHERE closed_ms < ? AND id NOT IN "
    "(SELECT incident FROM faults WHERE incident IS NOT NULL)",
    "DELETE FROM modes WHERE until_ms < ?",
    "DELETE FROM rule_record WHERE at_ms < ?",
    "DELETE FROM rollout_hubs WHERE rollout IN (SELECT id FROM rollouts WHERE ended_ms < ?)",
    "DELETE FROM rollouts WHERE ended_ms < ?",
)


async def retire(journal: Journal, days: float) -> int:
    """Delete events delivered more than days ago, and what else is over for as long; how many events."""
    before_ms = journal.clock() - int(days * DAY_MS)
    deleted = after_n = 0
    while True:
        rows = journal.reader.rows(
            "SELECT n, hub, boot, seq, received_ms, delivered_ms FROM events WHERE n > ? ORDER BY n LIMIT ?",
            (after_n, STEP),
        )
        old = [row[:4] for row in rows if row[5] is not None and row[5] < before_ms]
        await _delete(journal, old, before_ms)
        deleted += len(old)
        if len(rows) < STEP or rows[-1][4] >= before_ms:  # what came in later was delivered later
            break
        after_n = rows[-1][0]
    batch = journal.batch()
    batch.run("DELETE FROM commands WHERE state <> 'waiting' AND created_ms < ?", before_ms)
    batch.run(
        "DELETE FROM alarm_history WHERE (hub, boot, seq) IN "
        "(SELECT hub, boot, seq FROM alarms WHERE state = ? AND closed_ms < ?)",
        k.CLOSED,
        before_ms,
    )
    batch.run("DELETE FROM alarms WHERE state = ? AND closed_ms < ?", k.CLOSED, before_ms)
    for statement in _ENDED:
        batch.run(statement, before_ms)
    for table in chain.TABLES:
        _cut(journal, batch, table, before_ms)
    await batch.submit()
    return deleted


def _cut(journal: Journal, batch: Batch, table: chain.Table, before_ms: int) -> None:
    """Into the batch: the oldest rows of a chained table go, and what the next one follows stays."""
    # By id, so that a clock that was set back makes no hole in the middle.
    young = f"SELECT coalesce(min(id), 1 << 62) FROM {table.name} WHERE at_ms >= ?"  # noqa: S608  # fixed names
    last = f"SELECT id, digest FROM {table.name} WHERE id < ({young}) ORDER BY id DESC LIMIT 1"  # noqa: S608  # fixed names
    for row_id, digest in journal.reader.rows(last, (before_ms,)):
        batch.run("INSERT OR REPLACE INTO meta VALUES (?,?)", chain.retired_key(table), chain.forget(digest))
        batch.run(f"DELETE FROM {table.name} WHERE id <= ?", row_id)  # noqa: S608  # fixed names


async def _delete(journal: Journal, rows: list[tuple[int, str, int, int]], before_ms: int) -> None:
    if not rows:
        return
    batch = journal.batch()
    gone: dict[tuple[str, int], Ranges] = {}
    batch.run(
        "DELETE FROM events WHERE n BETWEEN ? AND ? AND delivered_ms < ?", rows[0][0], rows[-1][0], before_ms
    )
    for _, hub, boot, seq in rows:
        gone.setdefault((hub, boot), Ranges()).add(seq)
    for name, ranges in gone.items():
        for first, last in journal.reader.rows(
            "SELECT first, last FROM expired WHERE hub=? AND boot=?", name
        ):
            ranges.add_span(first, last)
        batch.run("DELETE FROM expired WHERE hub=? AND boot=?", *name)
        for first, last in ranges:
            batch.run("INSERT INTO expired VALUES (?,?,?,?)", *name, first, last)
    await batch.submit()
