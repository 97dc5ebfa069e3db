"""The audit holds together: what is changed, taken out or put in shows, and nothing is shown unkept."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from kanhu.journal import Journal
from kanhu.web.audit import Audit, verify


async def test_rows_hold_each_other_over_restarts_and_cancelled_askers(tmp_path: Path) -> None:
    for _ in range(2):
        journal = Journal.open(tmp_path)
        audit = Audit(journal)
        tasks = [asyncio.ensure_future(audit.record(f"op{at}", "person", "hub", str(at))) for at in range(30)]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()  # whoever asked is gone; the row comes, or the next one does not follow it
        await asyncio.gather(*tasks, return_exceptions=True)
        await audit.record("chief", "audit")
        found = await audit.verify()
        assert (found.broken, found.forgotten) == ((), 0)
        await journal.close()
    assert verify(tmp_path / "journal.db").rows >= 2 * 21


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET operator='nobody' WHERE id=3",
        "UPDATE audit SET detail=NULL WHERE id=3",
        "UPDATE audit SET at_ms=at_ms+1 WHERE id=3",
        "DELETE FROM audit WHERE id=3",
        "INSERT INTO audit SELECT 6, at_ms, operator, what, hub, detail, digest FROM audit WHERE id=2",
    ],
)
async def test_a_changed_row_shows(tmp_path: Path, change: str) -> None:
    journal = Journal.open(tmp_path)
    audit = Audit(journal)
    for at in range(5):
        await audit.record("li", "person", "hub", f"alarm {at}")
    assert [row["detail"] for row in audit.page(limit=2)] == ["alarm 4", "alarm 3"]
    await journal.close()
    assert verify(tmp_path / "journal.db").broken == ()
    db = sqlite3.connect(tmp_path / "journal.db")
    with db:
        db.execute(change)
    db.close()
    assert verify(tmp_path / "journal.db").broken != ()
