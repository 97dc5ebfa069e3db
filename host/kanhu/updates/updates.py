"""Updates, as the daemon has them: what people ask, and what time brings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import structlog

from kanhu.care.ticking import tick_every
from kanhu.journal import Batch
from kanhu_protocol import kinds as k

from . import book
from .engine import Engine, Turn
from .following import Following
from .picking import ranked, share
from .releases import Kept
from .values import FETCHING, PAUSED, RUNNING, SKIPPED, WAITING, Rollout, Settings, Unit, UpdateError, is_at

log = structlog.get_logger("kanhu.updates")

TICK_S = 1.0
RESTORED = "the journal was put back from a backup: look at the hubs, then let it go on"


class Updates(Following):
    """One rollout at a time."""

    asks = 0  # UPDATE commands since the daemon's start

    # People

    async def start(
        self, release: str, hubs: Iterable[str], settings: Settings, canary: str, by: str
    ) -> dict[str, Any]:
        """Bring a release to these hubs; canary: a share such as "5%". UpdateError: nothing is done."""
        if self.engine is not None and not self.engine.is_over:
            now = self.engine.rollout
            raise UpdateError(
                f"rollout {now.id} of {now.version} is not over: wait for it, or end it (kanhu update cancel)"
            )
        kept = self.releases.find(release)
        archive = await asyncio.to_thread(self.releases.verify, kept)
        units = self._units(kept, list(hubs))
        waiting = sum(unit.state == WAITING for unit in units)
        settings = replace(settings, canary=share(canary, waiting))
        rollout = Rollout(
            self._last_id + 1, kept.digest, kept.version, kept.number, kept.size, settings, RUNNING, "",
            self._journal.clock(), by,
        )  # fmt: skip
        batch = self._journal.batch()
        book.keep(batch, rollout)
        for unit in units:
            book.keep_unit(batch, rollout.id, unit)
        await batch.submit()
        self._last_id, self._kept = rollout.id, rollout
        self.engine = Engine(rollout, units)
        self._bytes, self._unread = (kept.digest, archive), ""
        log.info("a rollout begins", release=rollout.version, hubs=waiting, canary=settings.canary)
        return {
            "rollout": rollout.id, "version": rollout.version, "hubs": len(units), "waiting": waiting,
            "skipped": len(units) - waiting, "canary": settings.canary,
        }  # fmt: skip

    def _units(self, kept: Kept, hubs: list[str]) -> list[Unit]:
        """Rows of those that it is for, in the order of their turns; UpdateError when it is for none."""
        now = self._journal.clock()
        known = [hub for hub in hubs if self.knows(hub)]
        there = [hub for hub in known if is_at(self.firmware(hub), kept.number)]
        if not known:
            raise UpdateError("nobody to update: none of these hubs is in the registry and trusted")
        if len(there) == len(known):
            newest = max((self.firmware(hub) or "" for hub in there), default="")
            raise UpdateError(
                f"nobody to update: {kept.version} is not newer than what runs on "
                + (f"all {len(known)} hubs" if len(known) > 1 else f"the hub ({newest})")
            )
        regions: dict[str, str | None] = {}
        for hub in known:
            home = self._registry.home_of(hub)
            regions[hub] = home.region if home is not None else None
        at = set(there)
        return [
            Unit(hub, rank, SKIPPED if hub in at else WAITING, now, "already" if hub in at else "")
            for rank, hub in enumerate(ranked(regions, kept.digest))
        ]

    def _must(self, *states: str) -> Engine:
        if self.engine is None:
            raise UpdateError("there is no rollout: start one (kanhu update start RELEASE)")
        rollout = self.engine.rollout
        if rollout.state not in states:
            raise UpdateError(f"rollout {rollout.id} of {rollout.version} is {rollout.state}")
        return self.engine

    async def pause(self, by: str) -> Rollout:
        """Nobody is asked, and nobody fetches, until resume()."""
        engine = self._must(RUNNING)
        await self._carry_out(engine, engine.pause(f"paused by {by}"))
        return engine.rollout

    async def resume(self, by: str) -> Rollout:
        """Go on; the failures so far are known."""
        engine = self._must(PAUSED)
        archive = await asyncio.to_thread(self.releases.read, engine.rollout.digest)
        self._bytes, self._unread = (engine.rollout.digest, archive), ""
        turn = engine.resume(self._journal.clock())
        await self._carry_out(engine, turn)
        self._go_on(turn.changed)
        log.info("a rollout goes on", release=engine.rollout.version, by=by)
        return engine.rollout

    async def cancel(self, by: str) -> Rollout:
        """Over, for those too that fetch."""
        engine = self._must(RUNNING, PAUSED)
        await self._carry_out(engine, engine.cancel(self._journal.clock()))
        log.info("a rollout is cancelled", release=engine.rollout.version, by=by)
        return engine.rollout

    async def _carry_out(self, engine: Engine, turn: Turn) -> None:
        batch = self._journal.batch()
        self._apply(batch, turn)
        for hub in turn.give_up:
            if self.knows(hub):
                self._command(batch, engine.rollout, hub, 0)
        self._keep_rollout(batch)
        await batch.submit()

    # Time

    async def run(self) -> None:
        """Ask who is due, and send what is wanted, until cancelled."""
        self._notice_restore()
        if self.engine is not None:
            self._go_on(unit for unit in self.engine.units.values() if unit.state == FETCHING)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.chunks.run())
            group.create_task(
                tick_every(TICK_S, self._journal, self.tick, log, "a rollout could not be kept; tried again")
            )

    def _notice_restore(self) -> None:
        # What was rolled out since is not known: a person looks before anybody is asked.
        rows = dict(
            self._journal.reader.rows(
                "SELECT key, value FROM meta WHERE key IN ('restored_ms', 'updates_restored')"
            )
        )
        restored_ms = rows.get("restored_ms", 0)
        if restored_ms and restored_ms != rows.get("updates_restored"):
            self._journal.note("updates_restored", restored_ms)
            self._unread = RESTORED

    async def tick(self) -> None:
        """What is due now, in one commit; JournalUnavailable: tried again."""
        engine = self.engine
        if engine is None or engine.is_over:
            return
        self._look_for_alarms()
        batch, now = self._journal.batch(), self._journal.clock()
        was = engine.rollout
        if was.state == RUNNING:
            self._archive()
            if self._unread:
                self._apply(batch, engine.pause(self._unread))
                self._unread = ""
        turn = engine.tick(now, self)
        self._apply(batch, turn)
        self._go_on(turn.changed)
        for hub in turn.ask:
            self._ask(batch, engine, hub, now)
        self._keep_rollout(batch)
        if engine.rollout.state != was.state or engine.rollout.passed_ms != was.passed_ms:
            rollout = engine.rollout
            log.warning(
                "a rollout has come on", release=rollout.version, state=rollout.state, why=rollout.why,
                canary_passed=rollout.passed_ms is not None,
            )  # fmt: skip
        await batch.submit()

    def _go_on(self, units: Iterable[Unit]) -> None:
        """Hubs that may fetch again get the next pieces unasked: their own wishes have become rare."""
        for unit in units:
            if unit.state == FETCHING and self._may_fetch(unit.hub):
                self.chunks.want(unit.hub, unit.received)

    def _look_for_alarms(self) -> None:
        homes = (self._registry.home_of(alarm.hub) for alarm in self._alarms.live())
        self._alarmed = frozenset(home.id for home in homes if home is not None)

    def _ask(self, batch: Batch, engine: Engine, hub: str, now: int) -> None:
        before = engine.units[hub]
        number = self._command(batch, engine.rollout, hub, engine.rollout.size)
        after = engine.asked(hub, number, now)
        self._keep(batch, [after])
        self.asks += 1

        def undo() -> None:
            if engine.units.get(hub) is after:
                engine.put(before)  # nobody was asked

        batch.otherwise(undo)

    def _command(self, batch: Batch, rollout: Rollout, hub: str, size: int) -> int:
        """Into the batch: fetch the release, or give it up (size 0); the command's number."""
        digest = bytes.fromhex(rollout.digest)
        fields = {k.RELEASE: rollout.version, k.RELEASE_SIZE: size, k.RELEASE_DIGEST: digest}
        return self._commands.add(batch, hub, k.UPDATE, fields).number
