"""Who speaks under a hub's name: the key and boot that are its own, and identity faults while they last."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import structlog

from kanhu.journal import Batch, Journal, JournalUnavailable
from kanhu.journal.plain import believed
from kanhu.sealed import split
from kanhu_protocol import events
from kanhu_protocol import kinds as k

log = structlog.get_logger(__name__)

# names.DETAILS[IDENTITY_FAULT]
SAME_IDENTITY, BOOT_TWICE, REPLACED_BOARD, BOOT_NOT_RAISED, OTHER_HOST = range(1, 6)
FAULT_EVERY_MS = 3_600_000  # one identity.fault per hub, reason and hour; the rest is only counted
QUIET_MS = 3_600_000  # an hour of the hub's own events without another incident: identity.ok
DISPUTED = "disputed"  # in the journal's meta table
_SAID_MAX = 10_000  # newest of our own events on identity that a start reads


class Voice(NamedTuple):
    """What a hub speaks with now: the newest of its keys it was heard with, and the newest boot under it."""

    generation: int
    boot: int


class Identities:
    """In the thread of the journal's loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._voices: dict[str, Voice] = {}
        self._backlog: dict[tuple[str, int], tuple[int, int] | None] = {}  # hub, generation: see _left_behind
        self._said: dict[tuple[str, int], int] = {}  # hub, detail: when last raised
        self._standing: dict[str, int] = {}  # hub with a fault: when it last gave a reason
        kept = journal.reader.rows("SELECT value FROM meta WHERE key=?", (DISPUTED,))
        # hub, boot that two boards say is theirs
        self._disputed = {(hub, boot) for hub, boot in json.loads(kept[0][0])} if kept else set()
        rows = journal.reader.rows(
            "SELECT kind, plain, received_ms FROM events WHERE hub=? AND kind IN (?, ?) "
            "ORDER BY n DESC LIMIT ?",
            (journal.daemon_id, k.IDENTITY_FAULT, k.IDENTITY_OK, _SAID_MAX),
        )
        ended: set[str] = set()
        for kind, plain, received_ms in rows:
            event = events.decode(plain)
            hub = event[k.SUBJECT]
            if kind == k.IDENTITY_OK:
                ended.add(hub)
            elif hub not in ended:
                self._standing.setdefault(hub, received_ms)
                self._said.setdefault((hub, event.get(k.DETAIL, 0)), received_ms)

    @property
    def faults(self) -> frozenset[str]:
        """Hubs whose identity is in doubt."""
        return frozenset(self._standing)

    def voice(self, hub: str) -> Voice | None:
        """The hub's own key and boot; None when it was never heard."""
        known = self._voices.get(hub)
        if known is None:
            if not self._journal.has_any(hub):
                return None
            newest = self._journal.reader.newest(hub)
            if newest is None or newest.sealed is None:
                return None
            (message,), _ = split(newest.sealed)
            known = self._voices[hub] = Voice(message.generation, newest.boot)
        return known

    def boot(self, hub: str) -> int:
        """The hub's newest boot; 0 when it was never heard."""
        known = self.voice(hub)
        return known.boot if known is not None else self._journal.hub(hub).highest

    def is_own(self, hub: str, generation: int) -> bool:
        """Whether this key is the hub's own, and not one that a newer has replaced."""
        known = self.voice(hub)
        return known is None or generation >= known.generation

    def is_disputed(self, hub: str, boot: int) -> bool:
        """Whether two boards have spoken under this boot: what one has said covers nothing of the other."""
        return (hub, boot) in self._disputed

    def heard(self, batch: Batch, hub: str, heard: Voice, seq: int, now: int) -> bool:
        """An authentic, new event came; True when it is the hub's own voice, False for an older key."""
        known = self.voice(hub)
        if known is None or heard > known:
            self._voices[hub] = heard
            if known is not None and heard.generation > known.generation and heard.boot <= known.boot:
                self.dispute(batch, hub, heard.boot)
                self.fault(batch, hub, BOOT_NOT_RAISED, now)
                return True
        elif heard.generation < known.generation:
            left = self._left_behind(hub, known.generation)
            if left is not None and (heard.boot, seq) > left:
                self.fault(batch, hub, REPLACED_BOARD, now)
            return False
        if hub in self._standing and now - self._standing[hub] >= QUIET_MS:
            self._end(batch, hub)
        return True

    def _left_behind(self, hub: str, generation: int) -> tuple[int, int] | None:
        """The last identity that the board with this key had in its flash from older ones; (0, 0) when that
        was empty, None when its first boot event is not known."""
        found = self._backlog.get((hub, generation))
        if found is not None:
            return found
        rows = self._journal.reader.rows(
            "SELECT sealed, plain FROM events WHERE hub=? AND kind=? ORDER BY boot", (hub, k.BOOT)
        )
        older = False
        for sealed, plain in rows:
            (message,), _ = split(sealed)
            if message.generation < generation:
                older = True
            elif message.generation == generation and older:
                boot, seq = believed(plain).get(k.PREVIOUS, (0, 0))
                found = self._backlog[hub, generation] = (boot, seq)
                return found
        return None

    def dispute(self, batch: Batch, hub: str, boot: int) -> None:
        """Two boards have spoken under this boot; kept over a restart of the daemon."""
        if (hub, boot) in self._disputed:
            return
        self._disputed.add((hub, boot))
        batch.run("INSERT OR REPLACE INTO meta VALUES (?,?)", DISPUTED, json.dumps(sorted(self._disputed)))
        batch.otherwise(lambda: self._disputed.discard((hub, boot)))

    def fault(
        self,
        batch: Batch,
        hub: str,
        detail: int,
        now: int,
        fields: dict[int, Any] | None = None,
        again: bool = False,
    ) -> None:
        """Raise identity.fault, hourly at most for one reason unless again; it stands until all is quiet."""
        before = self._standing.get(hub)
        self._standing[hub] = now
        last = self._said.get((hub, detail))
        if last is not None and now - last < FAULT_EVERY_MS and not again:
            return
        self._said[hub, detail] = now
        batch.add_own(k.IDENTITY_FAULT, {k.SUBJECT: hub, k.DETAIL: detail, **(fields or {})})

        def not_kept() -> None:
            self._said.pop((hub, detail), None)
            if before is None:
                self._standing.pop(hub, None)

        batch.otherwise(not_kept)

    def other_host(self, hub: str) -> None:
        """A hub was answered by a host that is not this one."""
        batch = self._journal.batch()
        self.fault(batch, hub, OTHER_HOST, self._journal.clock())
        batch.hand_over(_log)

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self._voices.pop(hub, None)
        self._standing.pop(hub, None)
        self._disputed = {one for one in self._disputed if one[0] != hub}
        self._said = {key: at for key, at in self._said.items() if key[0] != hub}
        self._backlog = {key: left for key, left in self._backlog.items() if key[0] != hub}

    def _end(self, batch: Batch, hub: str) -> None:
        since = self._standing.pop(hub)
        for key in [key for key in self._said if key[0] == hub]:
            del self._said[key]
        batch.add_own(k.IDENTITY_OK, {k.SUBJECT: hub})

        def not_kept() -> None:
            self._standing[hub] = since

        batch.otherwise(not_kept)


def _log(error: JournalUnavailable | None) -> None:
    if error is not None:
        log.error("an identity fault could not be kept", error=str(error))
