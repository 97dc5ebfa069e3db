"""What the journal on disk knows of a hub's boots and keys, for a registry that gives out new ones."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from kanhu.errors import DataError
from kanhu.sealed import split
from kanhu_protocol import down
from kanhu_protocol import kinds as k

_BOOT = """
SELECT max(boot) FROM (
    SELECT max(boot) AS boot FROM events WHERE hub=?1 UNION ALL SELECT max(boot) FROM expired WHERE hub=?1
    UNION ALL SELECT max(boot) FROM boots WHERE hub=?1 UNION ALL SELECT max(boot) FROM losses WHERE hub=?1)
"""
_SEALED = """
SELECT sealed FROM events WHERE hub=?1 AND kind=?2 AND sealed IS NOT NULL
UNION ALL SELECT * FROM (
    SELECT sealed FROM events WHERE hub=?1 AND sealed IS NOT NULL ORDER BY boot DESC, seq DESC LIMIT 1)
"""


_TABLE = "SELECT payload FROM commands WHERE hub=? AND type=? ORDER BY number DESC LIMIT 1"


class Past(NamedTuple):
    """The highest boot and key generation a hub was heard with or spoke of, and the newest device table it
    was sent; 0: none."""

    boot: int = 0
    generation: int = 0
    table: int = 0


def past(data_dir: Path, hub: str) -> Past:
    """Of one hub; all 0 without a journal. DataError when there is one that cannot be read."""
    path = data_dir / "journal.db"
    try:
        if not path.exists():
            return Past()
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            (boot,) = db.execute(_BOOT, (hub,)).fetchone()
            tables = db.execute(_TABLE, (hub, k.DEVICES)).fetchall()
            generations = [split(sealed)[0][0].generation for (sealed,) in db.execute(_SEALED, (hub, k.BOOT))]
        finally:
            db.close()
    except (OSError, sqlite3.Error) as error:
        raise DataError(
            f"{path}: {error}; without it no boot can be told that the hub has not used: put it right first"
        ) from None
    table = down.decode(tables[0][0])[k.VERSION_OF] if tables else 0
    return Past(boot or 0, max(generations, default=0), table)
