"""The one rollout there is, as hubs speak of it: what they say is led to the engine, and what it changes to
the journal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from kanhu.care import Alarms
from kanhu.downlink import Downlink
from kanhu.journal import Batch, Event, Journal
from kanhu.journal.commands import Commands
from kanhu.registry import Registry
from kanhu_protocol import kinds as k
from kanhu_protocol.down import DownError

from . import book
from .chunks import Chunks
from .engine import Engine, Turn
from .known import Running
from .releases import Releases
from .values import ENDED, OVER, Rollout, Unit, UpdateError


class Following:
    """The newest rollout is in memory; in the thread of the journal's loop."""

    def __init__(
        self,
        journal: Journal,
        registry: Registry,
        commands: Commands,
        downlink: Downlink,
        alarms: Alarms,
        heard: Callable[[str], bool],
        provable: Callable[[], bool],
        data_dir: Path,
    ) -> None:
        """heard: whether a hub is heard at present; provable: whether a test call would come through now."""
        self._journal = journal
        self._registry = registry
        self._commands = commands
        self._downlink = downlink
        self._alarms = alarms
        self._is_heard = heard
        self.provable = provable
        self.releases = Releases(data_dir)
        self.running = Running(journal)
        self.chunks = Chunks(self._archive, self._may_fetch, downlink.chunk)
        self._heard_ms: dict[str, int] = {}
        self._alarmed: frozenset[str] = frozenset()  # homes that may need help
        self._bytes: tuple[str, bytes | None] = ("", None)  # digest, archive
        self._kept: Rollout | None = None  # as it was last written
        self._last_id = 0
        self._unread = ""  # why the archive cannot be read
        self.engine: Engine | None = None
        if found := book.rollouts(journal.reader.rows):
            self._kept = found[0]
            self._last_id = found[0].id
            self.engine = Engine(found[0], book.units(journal.reader.rows, found[0].id))
        journal.on_own.append(self.own)
        journal.on_stored.append(self.stored)

    # What the engine has to know of hubs (values.View)

    def knows(self, hub: str) -> bool:
        return self._registry.knows(hub)

    def heard(self, hub: str) -> bool:
        return self._is_heard(hub)

    def heard_ms(self, hub: str) -> int:
        return self._heard_ms.get(hub, 0)

    def alarm(self, hub: str) -> bool:
        home = self._registry.home_of(hub)
        return (home is not None and home.id in self._alarmed) or bool(self._alarms.live(hub))

    def firmware(self, hub: str) -> str | None:
        return self.running.version(hub)

    # What hubs say

    def note(self, batch: Batch, event: Event) -> None:
        """A new event of a hub: what follows from it goes to disk with it."""
        kind, hub, now, fields = event.kind, event.hub, event.received_ms, event.fields
        self._heard_ms[hub] = now
        said = self.running.note(batch, event) if kind in (k.BOOT, k.HEARTBEAT) else None
        if kind == k.UPDATE_PROGRESS and k.FIRMWARE in fields and not self._is_wanted(event):
            self._give_up(batch, hub, fields[k.FIRMWARE])
            return
        engine = self.engine
        if engine is None or hub not in engine.units or engine.rollout.state == ENDED:
            return
        unit: Unit | None = None
        if kind == k.BOOT and said is not None:
            unit = engine.booted(hub, said.version, said.slots, now)
        elif kind == k.COMMAND_DONE:
            unit = engine.taken(hub, fields.get(k.COMMAND, 0), now)
        elif kind == k.COMMAND_REFUSED:
            unit = engine.refused(hub, fields.get(k.COMMAND, 0), fields.get(k.DETAIL, 0), now)
        elif k.FIRMWARE in fields:
            version = fields[k.FIRMWARE]
            if kind == k.UPDATE_PROGRESS:
                unit = engine.progress(hub, version, fields.get(k.OFFSET, 0), fields.get(k.SIZE, 0), now)
            elif kind == k.UPDATE_DONE:
                unit = engine.done(hub, version, now)
            elif kind == k.UPDATE_FAILED:
                unit = engine.failed(hub, version, fields.get(k.DETAIL, 0), now)
        if kind == k.SAFE_MODE:
            unit = engine.safe_mode(hub, now)
        if unit is not None:
            self._keep(batch, [unit])

    def _is_wanted(self, event: Event) -> bool:
        """Whether the release that a hub fetches is one that it may still get."""
        engine = self.engine
        if engine is None or engine.is_over or event.fields[k.FIRMWARE] != engine.rollout.version:
            return False
        unit = engine.units.get(event.hub)
        return unit is not None and unit.asks > 0 and unit.state not in OVER

    def _give_up(self, batch: Batch, hub: str, version: str) -> None:
        """A hub fetches what is over: it had been told before, and not heard of the end."""
        if self.knows(hub) and not any(one.type == k.UPDATE for one in self._commands.waiting(hub)):
            fields = {k.RELEASE: version, k.RELEASE_SIZE: 0, k.RELEASE_DIGEST: bytes(32)}
            with contextlib.suppress(DownError):  # no release has such a name
                self._commands.add(batch, hub, k.UPDATE, fields)

    def own(self, batch: Batch, event: Event) -> None:
        """An event of the daemon itself: a hub that has fallen silent."""
        if event.kind == k.HUB_SILENT and self.engine is not None and self.engine.rollout.state != ENDED:
            self._apply(batch, self.engine.silent(event.fields[k.SUBJECT], event.received_ms))

    def stored(self, events: Iterable[Event]) -> None:
        """Events are on disk: a hub that wants the next bytes gets them after its receipts."""
        for event in events:
            if event.kind == k.UPDATE_PROGRESS and event.sealed is not None and self._may_fetch(event.hub):
                self.chunks.want(event.hub, event.fields.get(k.OFFSET, 0))

    def _may_fetch(self, hub: str) -> bool:
        return self.engine is not None and self.engine.may_fetch(hub) and not self.alarm(hub)

    def _archive(self) -> bytes | None:
        """The bytes of the release that is rolled out; None when they are gone, which pauses it."""
        if self.engine is None:
            return None
        digest = self.engine.rollout.digest
        if self._bytes[0] != digest:
            try:
                self._bytes = digest, self.releases.read(digest)
            except UpdateError as error:
                self._bytes = digest, None
                self._unread = str(error)  # the next tick pauses it
        return self._bytes[1]

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self.running.forget(hub)
        self.chunks.forget(hub)
        self._heard_ms.pop(hub, None)
        if self.engine is not None:
            self.engine.forget(hub)

    # Rows and orders

    def _keep(self, batch: Batch, units: Iterable[Unit]) -> None:
        if self.engine is not None:
            for unit in units:
                book.keep_unit(batch, self.engine.rollout.id, unit)

    def _apply(self, batch: Batch, turn: Turn) -> None:
        """Into the batch: rows that changed, and commands that are said no more, or to give up."""
        self._keep(batch, turn.changed)
        for hub, number in turn.withdraw:
            self._withdraw(batch, hub, number)

    def _withdraw(self, batch: Batch, hub: str, number: int) -> None:
        self._commands.withdraw(batch, hub, number)
        batch.then(lambda: self._say_no_more(hub, number))

    def _say_no_more(self, hub: str, number: int) -> None:
        self._downlink.confirm(hub, number)

    def _keep_rollout(self, batch: Batch) -> None:
        """Into the batch: the rollout, when it is neither on disk as it is nor on its way there."""
        if self.engine is None or self.engine.rollout == self._kept:
            return
        rollout = self._kept = self.engine.rollout
        book.keep(batch, rollout)

        def not_kept() -> None:
            if self._kept is rollout:
                self._kept = None

        batch.otherwise(not_kept)
