"""What the journal remembers of the registry: an older copy that is put back is noticed, and nobody who was
revoked is believed again."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass, field

import structlog

from kanhu.journal import Journal
from kanhu.registry import Registry, RegistryError

log = structlog.get_logger(__name__)

KEY = "registry"  # in the journal's meta table


@dataclass(slots=True)
class Seen:
    """The newest registry that a daemon of this journal has seen."""

    changes: int = 0
    revoked: list[str] = field(default_factory=list)
    older_ms: int | None = None  # when a copy from before that was last found
    missing: int = 0  # changes that it lacked


class Witness:
    """look() at the start and whenever the registry has changed."""

    def __init__(self, journal: Journal, registry: Registry) -> None:
        self._journal = journal
        self._registry = registry
        self._version = -1
        self.seen = _read(journal.reader.rows("SELECT value FROM meta WHERE key=?", (KEY,)))

    def look(self) -> None:
        """Compare, revoke again who was revoked, remember."""
        registry, seen = self._registry, self.seen
        if registry.version == self._version:
            return
        before = asdict(seen)
        if registry.changes < seen.changes:
            seen.older_ms, seen.missing = self._journal.clock(), seen.changes - registry.changes
            log.error(
                "the registry is older than the last: hubs and keys added since are refused and keep their "
                "events (docs/what-to-do-when.md)",
                changes_missing=seen.missing,
            )
        for hub in seen.revoked:
            if registry.knows(hub):
                try:
                    registry.revoke_hub(hub)
                    log.warning("a hub was revoked before this copy of the registry: revoked again", hub=hub)
                except RegistryError as error:
                    log.error("a revoked hub is believed again", hub=hub, error=str(error))
        known = {hub.id for hub in registry.hubs() if hub.revoked_ms is not None}
        seen.revoked = sorted((known | set(seen.revoked)) - set(registry.erasures()) - {""})
        seen.changes = registry.changes
        self._version = registry.version
        if asdict(seen) != before:
            batch = self._journal.batch()
            batch.run("INSERT OR REPLACE INTO meta VALUES (?,?)", KEY, json.dumps(asdict(seen)))
            batch.otherwise(self._not_kept)
            batch.hand_over(lambda error: None)

    def _not_kept(self) -> None:
        self._version = -1


def read(db: sqlite3.Connection) -> Seen:
    """What a journal has of it."""
    return _read(db.execute("SELECT value FROM meta WHERE key=?", (KEY,)).fetchall())


def _read(rows: list[tuple[str]]) -> Seen:
    try:
        return Seen(**json.loads(rows[0][0])) if rows else Seen()
    except (ValueError, TypeError):
        return Seen()
