"""Who saw or did what at the desk: rows in the journal whose digests hold each other (journal/chain.py)."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from kanhu.journal import Journal, chain

_INSERT = "INSERT INTO audit (at_ms, operator, what, hub, detail, digest) VALUES (?,?,?,?,?,?)"
_PAGE = "SELECT id, at_ms, operator, what, hub, detail FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?"
MAX_DETAIL = 200  # characters
LATEST = 1 << 62


class Audit:
    """The audit table of an open journal; its only writer."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._turn = asyncio.Lock()
        self._newest = _look(journal.path, lambda db: chain.newest(db, chain.AUDIT))

    async def record(
        self, operator: str, what: str, hub: str | None = None, detail: str | None = None
    ) -> None:
        """Keep one row; on disk when it returns. JournalUnavailable: then nothing may be shown."""
        # In a task of its own: whoever asked may go away meanwhile, and the next row has to follow this one.
        await asyncio.shield(asyncio.ensure_future(self._write(operator, what, hub, detail)))

    async def _write(self, operator: str, what: str, hub: str | None, detail: str | None) -> None:
        detail = None if detail is None else detail[:MAX_DETAIL]
        async with self._turn:
            at_ms = self._journal.clock()
            digest = chain.digest(self._newest, (at_ms, operator, what), (hub, detail))
            batch = self._journal.batch()
            batch.run(_INSERT, at_ms, operator, what, hub, detail, digest)
            await batch.submit(urgent=True)
            self._newest = digest

    def page(self, before: int = LATEST, limit: int = 100) -> list[dict[str, Any]]:
        """Rows with an id below `before`, newest first."""
        columns = ("id", "at_ms", "operator", "what", "hub", "detail")
        return [
            dict(zip(columns, row, strict=True)) for row in self._journal.reader.rows(_PAGE, (before, limit))
        ]

    async def verify(self) -> chain.Verdict:
        """Read the whole chain."""
        return await asyncio.to_thread(verify, self._journal.path)


def verify(path: Path) -> chain.Verdict:
    """Read the audit chain of journal.db at `path`, beside a running daemon or without one."""
    found: chain.Verdict = _look(path, lambda db: chain.verify(db, chain.AUDIT))
    return found


def _look(path: Path, read: Any) -> Any:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
        return read(db)
