"""Erasing forgotten homes from the journal: in a running daemon, or by the command when none runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from kanhu.errors import KanhuError
from kanhu.journal import Journal
from kanhu.journal.erasing import erase
from kanhu.journal.event import Identity
from kanhu.registry import Registry

if TYPE_CHECKING:
    from kanhu.daemon import Daemon

log = structlog.get_logger("kanhu.erasure")

LOOK_EVERY_S = 1.0


async def watch(daemon: Daemon) -> None:
    """Carry out what the registry asks for, until cancelled."""
    complained = False
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        for hub, discard in daemon.registry.erasures().items():
            try:
                await _erase(daemon, hub, discard)
                complained = False
            except KanhuError as error:
                if not complained:
                    log.error("a hub could not be erased; tried again until it is", error=str(error))
                complained = True


async def _erase(daemon: Daemon, hub: str, discard: bool) -> None:
    if daemon.registry.knows(hub):
        return  # not seen yet that its keys are gone
    _forget(daemon, hub)
    daemon.witness.look()  # it forgets whom the registry has asked to erase

    def dropped(gone: list[Identity]) -> None:
        _forget(daemon, hub)  # what was on its way to the disk has come back since
        for identity in gone:
            daemon.uplink.acknowledged(identity)  # so that it is not published again

    gone = await erase(daemon.journal, hub, discard, dropped)
    if gone is None:
        return  # the platform is to have its last events first
    daemon.registry.erased(hub)
    log.info("a hub has been erased", undelivered=len(gone))


def _forget(daemon: Daemon, hub: str) -> None:
    for part in (
        daemon.alarms, daemon.faults, daemon.proofs, daemon.watch,
        daemon.downlink, daemon.silence, daemon.intake, daemon.orders, daemon.visits, daemon.referrals,
        daemon.pairing, daemon.updates, daemon.surveys,
    ):  # fmt: skip
        part.forget(hub)
    daemon.commands.drop(hub)
    if daemon.referral_line is not None:
        daemon.referral_line.forget(hub)
    if daemon.desk is not None:
        daemon.desk.board.forget(hub)


async def erase_all(data_dir: Path, registry: Registry) -> None:
    """The same without a daemon; JournalLocked when one runs, which does it then."""
    journal = Journal.open(data_dir)
    try:
        for hub, discard in registry.erasures().items():
            if await erase(journal, hub, discard) is not None:
                registry.erased(hub)
    finally:
        await journal.close()
