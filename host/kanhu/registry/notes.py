"""A short note about whoever lives in a home ("key at the neighbour's, hard of hearing"): personal data,
shown only while an alarm is open, and gone with the home."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from . import checks
from .checks import RegistryError
from .registry import Registry

MAX_NOTE = 300  # characters: read while somebody waits


class Note(NamedTuple):
    """What to know of a home, who wrote it, and when (host UTC ms)."""

    text: str
    by: str
    at_ms: int


class Notes:
    """The notes of an open registry; in its thread. None is held in memory."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def of(self, home: str) -> Note | None:
        """A home's note; None where there is none. RegistryError when the file cannot be read."""
        try:
            row = self._registry._db.execute(
                "SELECT text, by, at_ms FROM notes WHERE home=?", (home,)
            ).fetchone()
        except sqlite3.Error as error:
            raise RegistryError(f"{self._registry.path}: {error}") from None
        return None if row is None else Note(*row)

    def put(self, home: str, text: str, by: str) -> Note | None:
        """Write a home's note in place of what stood there; an empty text takes it away. RegistryError."""
        self._registry.home(home)
        text = one_line(text)
        note = Note(text, checks.plain_text(by, "by"), checks.now_ms()) if text else None
        with self._registry._change(load=False) as db:
            if note is None:
                db.execute("DELETE FROM notes WHERE home=?", (home,))
            else:
                db.execute("INSERT OR REPLACE INTO notes VALUES (?,?,?,?)", (home, *note))
        return note


def one_line(text: str) -> str:
    """A note in its one form; RegistryError."""
    text = " ".join(text.split())
    if len(text) > MAX_NOTE or not text.isprintable():
        raise RegistryError(f"note: must be printable text of at most {MAX_NOTE} characters")
    return text
