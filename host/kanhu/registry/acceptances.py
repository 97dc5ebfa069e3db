"""Records of acceptance: what was found when a home was checked, signed by whoever did it."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import NamedTuple

from .checks import RegistryError
from .registry import Registry


class Acceptance(NamedTuple):
    """A signed record as it is kept; at_ms: host UTC, digest: SHA-256 of the record, hexadecimal."""

    digest: str
    hub: str
    record: bytes
    signature: bytes
    at_ms: int


class Acceptances:
    """The acceptances of an open registry; in its thread. They go with the hub."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def of(self, hub: str) -> list[Acceptance]:
        """All of a hub, the newest first. RegistryError: no such hub, or the file cannot be read."""
        self._registry.hub(hub)
        try:
            rows = self._registry._db.execute(
                "SELECT digest, hub, record, signature, at_ms FROM acceptances WHERE hub=? "
                "ORDER BY at_ms DESC, digest",
                (hub,),
            ).fetchall()
        except sqlite3.Error as error:
            raise RegistryError(f"{self._registry.path}: {error}") from None
        return [Acceptance(*row) for row in rows]

    def add(self, hub: str, record: bytes, signature: bytes, at_ms: int) -> Acceptance:
        """Keep a record; the same one twice is one. RegistryError."""
        self._registry._active(hub)
        made = Acceptance(hashlib.sha256(record).hexdigest(), hub, record, signature, at_ms)
        with self._registry._change(load=False) as db:
            db.execute("INSERT OR IGNORE INTO acceptances VALUES (?,?,?,?,?)", made)
        return made
