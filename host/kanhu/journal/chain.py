"""A digest chain over the rows of a table (audit, visits): what was changed, put in or left out shows, and a
row whose person is forgotten still holds the rest together.

A row's digest is salt (16 bytes), commitment (32), link (32): commitment = SHA-256(salt, private values),
link = SHA-256(link of the row before, SHA-256(public values), commitment). Forgetting empties the private
values and the salt; without the salt nobody can try out what they were."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

SALT = 16  # bytes
SIZE = 80  # bytes of a digest
START = bytes(32)  # the link before the first row
FORGOTTEN = bytes(SALT)

Value = str | int | None


class Table(NamedTuple):
    """A chained table: which columns stay when a hub is forgotten, and which are emptied (to what)."""

    name: str
    public: tuple[str, ...]
    private: tuple[str, ...]
    empty: tuple[Value, ...]


AUDIT = Table("audit", ("at_ms", "operator", "what"), ("hub", "detail"), (None, None))
VISITS = Table("visits", ("at_ms", "what", "via", "span_ms"), ("hub", "who"), ("", ""))
TABLES = (AUDIT, VISITS)


class Verdict(NamedTuple):
    """What reading a chain found: rows, those of forgotten hubs among them, ids of rows that do not fit."""

    rows: int
    forgotten: int
    broken: tuple[int, ...]


def digest(before: bytes | None, public: Sequence[Value], private: Sequence[Value]) -> bytes:
    """Of a new row; before: the newest row's, None where there is none. Values as in the table's columns."""
    salt = secrets.token_bytes(SALT)
    commitment = _commit(salt, private)
    return salt + commitment + _link(START if before is None else before[-32:], public, commitment)


def forget(kept: bytes) -> bytes:
    """The digest of a row whose private values have been emptied."""
    return FORGOTTEN + kept[SALT:]


def newest(db: sqlite3.Connection, table: Table) -> bytes | None:
    """The digest that the next row follows, None for the first; also where retention has deleted them all."""
    row = db.execute(f"SELECT digest FROM {table.name} ORDER BY id DESC LIMIT 1").fetchone()  # noqa: S608  # fixed names
    return row[0] if row else before_first(db, table)


def before_first(db: sqlite3.Connection, table: Table) -> bytes | None:
    """The digest of the last row that retention has deleted, None when it has deleted none."""
    row = db.execute("SELECT value FROM meta WHERE key=?", (retired_key(table),)).fetchone()
    return row[0] if row else None


def retired_key(table: Table) -> str:
    """Of the meta table, where the digest of the last deleted row is kept."""
    return f"{table.name}_before"


def verify(db: sqlite3.Connection, table: Table) -> Verdict:
    """Read a whole table against its chain. Rows cut off at its end do not show: a copy does that."""
    before = before_first(db, table)
    link = START if before is None else before[-32:]
    columns = ", ".join(("id", "digest", *table.public, *table.private))
    rows = forgotten = 0
    broken: list[int] = []
    for row_id, kept, *values in db.execute(f"SELECT {columns} FROM {table.name} ORDER BY id"):  # noqa: S608  # fixed names
        public, private = values[: len(table.public)], values[len(table.public) :]
        rows += 1
        salt, commitment = kept[:SALT], kept[SALT : SALT + 32]
        if salt == FORGOTTEN:
            forgotten += 1
            fits = tuple(private) == table.empty
        else:
            fits = commitment == _commit(salt, private)
        if not fits or len(kept) != SIZE or kept[-32:] != _link(link, public, commitment):
            broken.append(row_id)
        link = kept[-32:]
    return Verdict(rows, forgotten, tuple(broken))


def _commit(salt: bytes, private: Sequence[Value]) -> bytes:
    return hashlib.sha256(salt + _canonical(private)).digest()


def _link(before: bytes, public: Sequence[Value], commitment: bytes) -> bytes:
    return hashlib.sha256(before + hashlib.sha256(_canonical(public)).digest() + commitment).digest()


def _canonical(values: Sequence[Value]) -> bytes:
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":")).encode()
