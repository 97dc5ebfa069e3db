"""Home, away, hospital, visitor, sleep: set by a person or at the hub, each ending by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from kanhu.errors import KanhuError
from kanhu.journal import Batch, Event, Journal
from kanhu_protocol import kinds as k
from kanhu_protocol import names
from kanhu_protocol.checks import MAX_TEXT, VALID

from .rules.past import AWAY, HOME, HOSPITAL, SLEEP, VISITOR, Mode

if TYPE_CHECKING:
    from kanhu.registry import Registry

log = structlog.get_logger("kanhu.modes")

HOUR_MS = 3_600_000
# How long a mode lasts when nobody says until when: long enough for what it is for, and short enough that
# one forgotten does not leave a home unwatched for long.
LASTS_MS = {
    HOME: 0, AWAY: 24 * HOUR_MS, HOSPITAL: 7 * 24 * HOUR_MS, VISITOR: 4 * HOUR_MS, SLEEP: 12 * HOUR_MS
}  # fmt: skip
MAX_MS = 92 * 24 * HOUR_MS  # the longest that may be asked for
BY_HUB = "home"  # operator of what was set at the hub itself
KEPT_MS = 3 * 24 * HOUR_MS  # modes that have ended are looked at by rules for this long


class ModeError(KanhuError):
    """The mode cannot be set so; one line that says why."""


class Modes:
    """All modes of all hubs that have not ended, or have lately; call in the thread of the journal's loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._modes: dict[str, list[Mode]] = {}  # by hub, each beginning after the one before
        self.on_set: list[Callable[[str, Mode], None]] = []  # (hub, mode), once it is on disk
        rows = journal.reader.rows(
            "SELECT hub, mode, from_ms, until_ms FROM modes WHERE until_ms > ? ORDER BY id",
            (journal.clock() - KEPT_MS,),
        )
        for hub, mode, from_ms, until_ms in rows:
            self._enter(hub, Mode(mode, from_ms, until_ms))

    def at(self, hub: str, now_ms: int) -> Mode | None:
        """The mode that holds; None: at home as always."""
        modes = self._modes.get(hub)
        if modes and modes[-1].mode != HOME and modes[-1].from_ms <= now_ms < modes[-1].until_ms:
            return modes[-1]
        return None

    def of(self, hub: str) -> list[Mode]:
        """The modes of a hub, oldest first."""
        return list(self._modes.get(hub, ()))

    async def set(self, hub: str, mode: int, until_ms: int | None, by: str) -> Mode:
        """Set a mode from now on, said to the platform as mode.set; ModeError, JournalUnavailable."""
        now = self._journal.clock()
        made = Mode(mode, now, checked(mode, until_ms, now))
        if not by.isprintable() or not VALID[k.OPERATOR](by):
            raise ModeError(f"who sets it must be 1 to {MAX_TEXT} bytes of printable text")
        batch = self._journal.batch()
        self._write(batch, hub, made, by)
        await batch.submit()
        return made

    def note(self, batch: Batch, event: Event) -> None:
        """A hub's away or home event sets the mode, in the event's own transaction."""
        if event.kind not in (k.AWAY, k.HOME):
            return
        at_ms = min(self._journal.moment(event)[0] or event.received_ms, event.received_ms)
        mode = AWAY if event.kind == k.AWAY else HOME
        newest = self._modes.get(event.hub, ())[-1:]
        if newest and newest[0].from_ms > at_ms:
            return  # it comes late: somebody has said otherwise since
        self._write(batch, event.hub, Mode(mode, at_ms, at_ms + LASTS_MS[mode]), BY_HUB)

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self._modes.pop(hub, None)

    async def carry_out(self, registry: Registry) -> None:
        """Set what commands have asked for in the registry."""
        for request in registry.mode_requests():
            try:
                for hub in registry.hubs(request.home):
                    if registry.knows(hub.id):
                        await self.set(hub.id, request.mode, request.until_ms, request.by)
            except ModeError as error:
                log.error("a mode that was asked for cannot be set", home=request.home, error=str(error))
            registry.mode_done(request.id)

    def _write(self, batch: Batch, hub: str, mode: Mode, by: str) -> None:
        batch.add_own(
            k.MODE_SET, {k.SUBJECT: hub, k.MODE: mode.mode, k.DUE_MS: mode.until_ms, k.OPERATOR: by}
        )
        # Else a mode that was ended early would hold again once the one that ended it is no longer read.
        batch.run(
            "UPDATE modes SET until_ms=max(from_ms, ?) WHERE hub=? AND until_ms>?",
            mode.from_ms, hub, mode.from_ms,
        )  # fmt: skip
        batch.run(
            "INSERT INTO modes (hub, mode, from_ms, until_ms, set_by, set_ms) VALUES (?,?,?,?,?,?)",
            hub, mode.mode, mode.from_ms, mode.until_ms, by, self._journal.clock(),
        )  # fmt: skip

        def kept() -> None:
            self._enter(hub, mode)
            for told in self.on_set:
                told(hub, mode)

        batch.then(kept)

    def _enter(self, hub: str, mode: Mode) -> None:
        modes = self._modes.setdefault(hub, [])
        if modes and modes[-1].until_ms > mode.from_ms:
            modes[-1] = modes[-1]._replace(until_ms=mode.from_ms)
        modes.append(mode)
        oldest = self._journal.clock() - KEPT_MS
        self._modes[hub] = [one for one in modes[:-1] if one.until_ms > oldest] + modes[-1:]


def checked(mode: int, until_ms: int | None, now_ms: int) -> int:
    """When a mode set now ends; ModeError when it cannot be so."""
    if mode not in LASTS_MS:
        raise ModeError(f"mode {mode}: must be one of {', '.join(names.MODES.values())}")
    if mode == HOME:
        return now_ms
    if until_ms is None:
        return now_ms + LASTS_MS[mode]
    if not now_ms < until_ms <= now_ms + MAX_MS:
        raise ModeError(f"a mode ends later than now, and within {MAX_MS // HOUR_MS // 24} days")
    return until_ms
