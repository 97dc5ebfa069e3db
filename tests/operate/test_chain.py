"""The digest chain over audit and visits: what was touched shows, and who is forgotten breaks nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from helpers_intake import HUB, OTHER, Clock, Host
from kanhu.journal import chain
from kanhu.journal.erasing import erase
from kanhu.journal.retention import DAY_MS, retire
from kanhu.journal.schema import migrate

ROWS = 6


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as found:
        migrate(found)
        yield found


def add(db: sqlite3.Connection, at_ms: int, hub: str | None, detail: str | None = "looked") -> None:
    made = chain.digest(chain.newest(db, chain.AUDIT), (at_ms, "op-a", "person"), (hub, detail))
    row = (at_ms, "op-a", "person", hub, detail, made)
    db.execute("INSERT INTO audit (at_ms, operator, what, hub, detail, digest) VALUES (?,?,?,?,?,?)", row)


def fill(db: sqlite3.Connection) -> None:
    for number in range(ROWS):
        add(db, number, HUB if number % 2 else OTHER)


def test_an_untouched_chain_holds(db: sqlite3.Connection) -> None:
    assert chain.verify(db, chain.AUDIT) == (0, 0, ())
    fill(db)
    add(db, 9, None, None)
    assert chain.verify(db, chain.AUDIT) == (ROWS + 1, 0, ())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET at_ms=99 WHERE id=3",
        "UPDATE audit SET operator='op-b' WHERE id=3",
        "UPDATE audit SET what='login' WHERE id=3",
        f"UPDATE audit SET hub='{OTHER}x' WHERE id=3",
        "UPDATE audit SET detail=NULL WHERE id=3",
        "UPDATE audit SET digest=zeroblob(80) WHERE id=3",
        "UPDATE audit SET digest=x'00' WHERE id=3",
        "DELETE FROM audit WHERE id=3",
        "DELETE FROM audit WHERE id=1",
        "UPDATE audit SET id=100 WHERE id=3",
        "UPDATE audit SET digest=(SELECT digest FROM audit WHERE id=4) WHERE id=3",
    ],
)
def test_whatever_was_touched_shows(db: sqlite3.Connection, change: str) -> None:
    fill(db)
    db.execute(change)
    assert chain.verify(db, chain.AUDIT).broken


def test_a_row_put_in_later_shows(db: sqlite3.Connection) -> None:
    fill(db)
    made = chain.digest(None, (3, "op-a", "person"), (HUB, None))
    db.execute("INSERT INTO audit VALUES (0, 3, 'op-a', 'person', ?, NULL, ?)", (HUB, made))
    assert chain.verify(db, chain.AUDIT).broken


def test_one_who_is_forgotten_cannot_be_guessed_and_the_rest_holds(db: sqlite3.Connection) -> None:
    fill(db)
    (kept,) = db.execute("SELECT digest FROM audit WHERE id=2").fetchone()
    digest = chain.forget(kept)
    db.execute("UPDATE audit SET hub=NULL, detail=NULL, digest=? WHERE id=2", (digest,))
    assert chain.verify(db, chain.AUDIT) == (ROWS, 1, ())
    assert kept[: chain.SALT] not in digest
    db.execute("UPDATE audit SET hub=? WHERE id=2", (OTHER,))  # somebody else's name in its place
    assert chain.verify(db, chain.AUDIT).broken == (2,)
    db.execute("UPDATE audit SET hub=NULL, operator='op-b' WHERE id=2")  # what is not forgotten is held
    assert chain.verify(db, chain.AUDIT).broken == (2,)


def test_a_real_row_cannot_be_passed_off_as_forgotten(db: sqlite3.Connection) -> None:
    fill(db)
    (kept,) = db.execute("SELECT digest FROM audit WHERE id=2").fetchone()
    db.execute("UPDATE audit SET digest=? WHERE id=2", (chain.forget(kept),))
    assert chain.verify(db, chain.AUDIT).broken


async def test_retention_cuts_the_beginning_and_erasing_the_names(tmp_path: Path) -> None:
    clock = Clock()
    host = Host(tmp_path, clock=clock)
    with closing(sqlite3.connect(host.journal.path, isolation_level=None)) as db:
        before = None
        for number in range(10):
            at_ms = clock.now_ms - (20 - number) * DAY_MS
            hub = HUB if number % 2 else OTHER
            before = chain.digest(before, (at_ms, "in", "card", None), (hub, "carer"))
            db.execute(
                "INSERT INTO visits (hub, at_ms, what, who, via, span_ms, digest) VALUES (?,?,?,?,?,?,?)",
                (hub, at_ms, "in", "carer", "card", None, before),
            )
        assert chain.verify(db, chain.VISITS) == (10, 0, ())
        await retire(host.journal, 16.5)
        assert chain.verify(db, chain.VISITS) == (6, 0, ())
        db.execute("DELETE FROM visits WHERE id=(SELECT min(id) FROM visits)")
        assert chain.verify(db, chain.VISITS).broken, "one more than retention deleted"
        await erase(host.journal, HUB, False)
        assert db.execute("SELECT hub, who FROM visits WHERE id=6").fetchone() == ("", "")
        assert db.execute("SELECT hub, who FROM visits WHERE id=7").fetchone() == (OTHER, "carer")
        await retire(host.journal, 1)
        assert chain.verify(db, chain.VISITS) == (0, 0, ())
        at_ms = clock.now_ms
        made = chain.digest(chain.newest(db, chain.VISITS), (at_ms, "in", "card", None), (OTHER, "carer"))
        db.execute(
            "INSERT INTO visits (hub, at_ms, what, who, via, digest) VALUES (?,?,'in','carer','card',?)",
            (OTHER, at_ms, made),
        )
        assert chain.verify(db, chain.VISITS) == (1, 0, ())
    await host.journal.close()
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("journal.db*"))
    assert HUB.encode() not in raw
