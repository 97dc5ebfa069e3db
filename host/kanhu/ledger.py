"""The ledger computed again from the journal's raw tables, sharing no code with the running one."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import TypedDict

from kanhu.errors import DataError

_COUNTS = "SELECT hub, boot, count(*) FROM events GROUP BY hub, boot"
_EXPIRED = "SELECT hub, boot, sum(last - first + 1) FROM expired GROUP BY hub, boot"
_ANNOUNCED = """
SELECT hub, boot, max(count) FROM (
    SELECT hub, boot, max(seq) + 1 AS count FROM events GROUP BY hub, boot
    UNION ALL SELECT hub, boot, max(last) + 1 FROM expired GROUP BY hub, boot
    UNION ALL SELECT hub, boot, max(last) + 1 FROM losses GROUP BY hub, boot
    UNION ALL SELECT hub, boot, claimed FROM boots)
GROUP BY hub, boot
"""
_QUEUED = "SELECT hub, count(*) FROM events WHERE delivered_ms IS NULL GROUP BY hub"
# Stored spans of the boots of which something was said to be lost: what is stored all the same is not lost.
_STORED_BESIDE_LOSSES = """
SELECT hub, boot, first, last FROM expired WHERE (hub, boot) IN (SELECT hub, boot FROM losses)
UNION ALL
SELECT hub, boot, min(seq), max(seq) FROM (
    SELECT hub, boot, seq, seq - row_number() OVER (PARTITION BY hub, boot ORDER BY seq) AS island
    FROM events WHERE (hub, boot) IN (SELECT hub, boot FROM losses))
GROUP BY hub, boot, island
"""


class Sums(TypedDict):
    """announced = stored + lost + awaited; stored = delivered + queued."""

    announced: int
    stored: int
    lost: int
    awaited: int
    delivered: int
    queued: int


def recompute(path: Path | str) -> dict[str, Sums]:
    """The sums of every hub (the daemon included) from journal.db, which may be in use; DataError."""
    try:
        return _recompute(path)
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}; name the data_dir of `kanhu run`") from None


def _recompute(path: Path | str) -> dict[str, Sums]:
    db = sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)
    try:
        db.execute("BEGIN")  # one consistent look
        stored: Counter[tuple[str, int]] = Counter()
        for query in (_COUNTS, _EXPIRED):
            for hub, boot, count in db.execute(query):
                stored[hub, boot] += count
        beside = _by_boot(db.execute(_STORED_BESIDE_LOSSES))
        lost = _by_boot(db.execute("SELECT hub, boot, first, last FROM losses"))
        announced = db.execute(_ANNOUNCED).fetchall()
        queued = dict(db.execute(_QUEUED).fetchall())
    finally:
        db.close()
    result: dict[str, Sums] = {}
    for hub, boot, count in announced:
        sums = result.setdefault(
            hub, {"announced": 0, "stored": 0, "lost": 0, "awaited": 0, "delivered": 0, "queued": 0}
        )
        boot_lost = _lost_alone(beside.get((hub, boot), []), lost.get((hub, boot), []))
        sums["announced"] += count
        sums["stored"] += stored[hub, boot]
        sums["lost"] += boot_lost
        sums["awaited"] += count - stored[hub, boot] - boot_lost
    for hub, sums in result.items():
        sums["queued"] = queued.get(hub, 0)
        sums["delivered"] = sums["stored"] - sums["queued"]
    return result


def balanced(one: Sums) -> bool:
    """Whether announced = stored + lost + awaited and stored = delivered + queued."""
    return (
        one["announced"] == one["stored"] + one["lost"] + one["awaited"]
        and one["stored"] == one["delivered"] + one["queued"]
    )


def _by_boot(rows: sqlite3.Cursor) -> dict[tuple[str, int], list[tuple[int, int]]]:
    found: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for hub, boot, first, last in rows:
        found.setdefault((hub, boot), []).append((first, last))
    return found


def _lost_alone(stored: list[tuple[int, int]], lost: list[tuple[int, int]]) -> int:
    """Seqs in a lost span and in no stored one, by a sweep over where spans begin and end."""
    steps = [(edge, change, 0) for first, last in stored for edge, change in ((first, 1), (last + 1, -1))]
    steps += [(edge, 0, change) for first, last in lost for edge, change in ((first, 1), (last + 1, -1))]
    steps.sort()
    in_stored = in_lost = position = count = 0
    for edge, stored_change, lost_change in steps:
        if in_lost and not in_stored:
            count += edge - position
        position = edge
        in_stored += stored_change
        in_lost += lost_change
    return count
