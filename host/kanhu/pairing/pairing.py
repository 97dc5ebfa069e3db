"""Pairing, as the daemon has it: what people ask and what hubs say, led to windows, proofs and the registry.

The registry owns the device table; a hub's copy follows by version (kanhu.orders). Windows and proofs live in
memory only: what ends a daemon ends them, and what was paired by then is in the registry, or is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import structlog

from kanhu.errors import KanhuError
from kanhu.journal import Event, Journal
from kanhu.journal.commands import Commands
from kanhu.registry import Registry, Sensor
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from .choosing import choose, whose
from .proofs import Proofs
from .values import MAX_WINDOW_S, PROOF_S, WINDOW_S, Heard, PairingError, Proof, Why, Window
from .voice import Down, Voice, refusal
from .windows import Windows

log = structlog.get_logger("kanhu.pairing")

LOOK_EVERY_S = 0.2
AGAIN_S = 1.0  # after the registry could not be written
ZONES_EVERY_S = 3600.0


class Pairing:
    """Of all hubs of a daemon; call in the thread of the journal's loop. run() has to be running."""

    def __init__(self, registry: Registry, journal: Journal, commands: Commands, downlink: Down) -> None:
        self._registry = registry
        self._journal = journal
        self._voice = Voice(commands, downlink, journal.clock)
        self._windows = Windows(self._voice, journal.clock)
        self._proofs = Proofs(registry, journal, self._voice, self._windows)
        self._reported: dict[str, int] = {}  # table versions that hubs hold, not in the registry yet
        self._keep_due = self._zones_due = 0.0  # monotonic s
        self._tasks: set[asyncio.Task[Any]] = set()

    # What people ask

    async def open(self, hub: str, seconds: int = WINDOW_S) -> Window:
        """Let a hub listen; returns at once, `state` says when it does. PairingError, RegistryError."""
        if not 1 <= seconds <= MAX_WINDOW_S:
            raise PairingError(f"{seconds} s: a window is open for 1 to {MAX_WINDOW_S} s")
        self._active(hub)
        self._proofs.end(hub, Why("another window was opened", "replaced"))
        return await self._windows.open(hub, seconds)

    async def close(self, hub: str) -> None:
        """End a hub's window, and a proof that is under way."""
        self._proofs.end(hub, Why("it was ended", "ended"))
        self._windows.close(hub, "by_command")
        await self._voice.say(hub, 0)

    def window(self, hub: str) -> Window:
        """A hub's window; PairingError when none was opened lately."""
        return self._windows.of(hub)

    def heard(self, hub: str) -> list[Heard]:
        """What was heard since the window was opened, the strongest first; PairingError."""
        found = self.window(hub).heard.values()
        return sorted(found, key=lambda one: (-one.strength, one.address))

    def whose(self, hub: str, address: bytes) -> str:
        """here (the hub has it), home (another hub of the home), elsewhere (another home); "": nobody's."""
        return whose(self._registry, hub, address)

    def pair(
        self, hub: str, address: str, role: str = "", name: str = "", room: str = "", wearer: str = "",
        bind_key: bytes | None = None, supervision_s: int = 0,
    ) -> Sensor:  # fmt: skip
        """Take a sensor that was heard; the hub is told at once. Without a role it is what it seems to be.

        PairingError, RegistryError."""
        found = choose(self._registry, self.window(hub), address, bind_key)
        if self.whose(hub, found.address) == "here":
            (own,) = [one for one in self._registry.sensors(hub) if one.address == found.address]
            raise PairingError(f"sensor {found.mac}: is sensor {own.index} of this hub already", "here")
        if not role and found.role is None:
            raise PairingError(f"sensor {found.mac}: does not say what it is; choose its role", "no_role")
        index = self._registry.add_sensor(
            hub, role or names.ROLES[found.role or 0], found.mac, name or found.name, room, supervision_s,
            bind_key=bind_key, wearer=wearer,
        )  # fmt: skip
        log.info("a sensor is paired", hub=hub, device=index)
        return self._registry.sensor(hub, index)

    def replace(self, hub: str, old: int, address: str, bind_key: bytes | None = None) -> Sensor:
        """A sensor that was heard takes one's index, name and history. PairingError, RegistryError."""
        found = choose(self._registry, self.window(hub), address, bind_key)
        self._registry.replace_sensor(hub, old, found.mac, bind_key, found.role)
        log.info("a sensor is replaced", hub=hub, device=old)
        return self._registry.sensor(hub, old)

    def rename(
        self, hub: str, index: int, name: str | None = None, room: str | None = None,
        wearer: str | None = None,
    ) -> Sensor:  # fmt: skip
        """What people call a sensor, where it is, who wears it; None stays. RegistryError."""
        return self._registry.rename_sensor(hub, index, name, room, wearer)

    def unpair(self, hub: str, index: int) -> None:
        """The hub listens to a sensor no more. RegistryError."""
        self._registry.remove_sensor(hub, index)

    async def prove(self, hub: str, index: int, seconds: int = PROOF_S) -> Proof:
        """Wait for a test press, or what an input senses, wired or BLE, and for the platform's receipt of it;
        returns at once, `over` is set when it has ended. PairingError, RegistryError."""
        if not 1 <= seconds <= PROOF_S:
            raise PairingError(f"{seconds} s: a proof takes 1 to {PROOF_S} s")
        self._active(hub)
        return await self._proofs.begin(self._registry.input(hub, index), seconds)

    def proven_ms(self, hub: str, device: int) -> int | None:
        """When a wired input or BLE sensor was last proven, host UTC; None: never. RegistryError."""
        return self._registry.proven_ms(hub, device)

    def proof(self, hub: str) -> Proof:
        """A hub's newest proof; PairingError when there was none lately."""
        return self._proofs.of(hub)

    def _active(self, hub: str) -> None:
        if not self._registry.knows(hub):
            self._registry.hub(hub)  # says that there is none
            raise PairingError(f"hub {hub}: is revoked", "revoked")

    # What hubs and the platform say

    def stored(self, events: Iterable[Event]) -> None:
        """Events are on disk."""
        for event in events:
            if event.sealed is not None and (event.hub in self._windows or event.hub in self._proofs):
                self._take(event)

    def _take(self, event: Event) -> None:
        if event.kind in (k.COMMAND_DONE, k.COMMAND_REFUSED):
            if self._voice.answers(event):
                self._windows.answered(event, refusal(event))
                self._proofs.answered(event, refusal(event))
        elif event.kind == k.BOOT:
            if self._windows.ended(event, "restarted"):
                self._tell_restarted(event.hub)
            self._proofs.ended(event, Why("the hub has restarted; a press is a call again", "restarted"))
        elif event.kind == k.PAIRING_CLOSED:
            why = names.DETAILS[k.PAIRING_CLOSED].get(event.fields.get(k.DETAIL, 0), "")
            self._windows.ended(event, why)
            if why == "alarm":
                self._proofs.ended(
                    event, Why("an alarm came, or another press than a single one: that is a call", "alarm")
                )
        elif event.kind == k.SENSOR_HEARD:
            self._windows.heard(event)
        self._proofs.stored(event)

    def _tell_restarted(self, hub: str) -> None:
        about = {k.SUBJECT: hub, k.DETAIL: 3}
        task = asyncio.get_running_loop().create_task(self._journal.host_event(k.PAIRING_CLOSED, about))
        self._tasks.add(task)
        task.add_done_callback(self._told)

    def _told(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the end of pairing could not be kept", error=str(error))

    def delivered(self, events: Iterable[Event]) -> None:
        """The platform has acknowledged these."""
        for event in events:
            if event.sealed is not None:
                self._proofs.delivered(event)

    def table_reported(self, hub: str, version: int) -> None:
        """A hub holds this version of its device table."""
        self._reported[hub] = max(version, self._reported.get(hub, 0))

    def forget(self, hub: str) -> None:
        """A hub is being erased: what was heard around it goes too."""
        self._windows.forget(hub)
        self._proofs.forget(hub)
        self._voice.forget(hub)
        self._reported.pop(hub, None)

    # The regular round

    async def run(self) -> None:
        """Keep what hubs report, end what is over, and hubs' local time right; until cancelled."""
        while True:
            await self._round()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _round(self) -> None:
        now = time.monotonic()
        if now >= self._keep_due:
            try:
                self._keep()
            except KanhuError as error:  # windows and proofs end all the same
                self._keep_due = now + AGAIN_S
                log.error("pairing could not be kept; tried again", error=str(error))
        self._windows.look()
        await self._proofs.look()

    def _keep(self) -> None:
        if self._reported:
            self._registry.tables_confirmed(self._reported)
            self._reported.clear()
        now = time.monotonic()
        if now >= self._zones_due:
            self._zones_due = now + ZONES_EVERY_S
            moved = self._registry.keep_zones(self._journal.clock() / 1000)
            if moved:
                log.info("local time has moved: hubs are told", hubs=len(moved))
