"""Pairing: what a hub hears while a window is open, which of it a person takes, and the proof that it works.

The registry owns the device table; a hub's copy follows by version (kanhu.orders). Windows and proofs live in
memory only: what ends a daemon ends them, and what was paired by then is in the registry, or is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from kanhu.downlink import Command
from kanhu.errors import KanhuError
from kanhu.journal import Event, Journal
from kanhu.journal.commands import Commands
from kanhu.registry import Registry, Sensor, checks
from kanhu_protocol import kinds as k
from kanhu_protocol import names

log = structlog.get_logger("kanhu.pairing")

WINDOW_S, MAX_WINDOW_S = 120, 600
PROOF_S = 120  # the longest for which a hub takes a press for a test (contracts, section 12)
LOOK_EVERY_S = 0.2
ZONES_EVERY_S = 3600.0
KEPT_S = 600.0  # a window or proof that is over can still be looked at
HEARD_MAX = 64  # a hub tells of 30 strangers and its own 28
CALL = 1  # role

# What a sensor of each role says of itself when it senses; those that are not here would raise an alarm.
SENSES = {
    CALL: (k.TEST_PRESS,),
    2: (k.MOTION, k.MOTION_COUNT),
    3: (k.DOOR_OPEN, k.DOOR_CLOSED),
    4: (k.WINDOW_OPEN, k.WINDOW_CLOSED),
    10: (k.CHECK_IN, k.CHECK_OUT),
    **dict.fromkeys(range(11, 17), (k.VITALS, k.VITALS_INVALID)),
}
HEARING = (k.SENSOR_HEARD,)
REFUSALS = {
    1: "its firmware does not know pairing yet: update it",
    3: "it has no memory left for it: try again",
    4: "it does not know the time, or its clock and this computer's differ: try again in a minute",
    5: "an alarm stands there: a person has to answer and close it first",
    6: "its device table does not hold that sensor as a call button, or it has no radio",
}


class PairingError(KanhuError):
    """Pairing is not possible so; one line that says why and what to do."""


class Down(Protocol):
    """What pairing needs of kanhu.downlink."""

    def command(self, hub_id: str, command: Command) -> None:
        """Send now and again until confirm()."""

    def confirm(self, hub_id: str, number: int) -> Command | None:
        """Send it no more."""


@dataclass
class Heard:
    """A sensor that a hub hears; role is a number of names.ROLES, address 6 bytes as printed."""

    address: bytes
    role: int | None = None  # what it seems to be
    name: str = ""
    rssi: int | None = None
    battery: int | None = None
    advertised: bytes | None = None  # BTHome service data of one that encrypts
    heard_ms: int = 0  # host UTC

    @property
    def mac(self) -> str:
        """The address as printed on the sensor."""
        return self.address.hex(":").upper()


@dataclass
class Window:
    """A hub listens for new sensors; times are host UTC ms."""

    hub: str
    ends_ms: int
    state: Literal["asked", "open", "closed"] = "asked"
    why: str = ""  # it is closed: a name of names.DETAILS, or a sentence
    heard: dict[bytes, Heard] = field(default_factory=dict)
    gone: float = 0.0  # monotonic s: when it can be forgotten


@dataclass
class Proof:
    """A sensor that is being proven; times are host UTC ms. state: waiting until the hub holds the sensor,
    asked until the hub waits for the press, ready until it comes, stored, delivered; or failed, and why."""

    sensor: Sensor
    seconds: int
    asked_ms: int
    ends_ms: int
    state: Literal["waiting", "asked", "ready", "stored", "delivered", "failed"] = "waiting"
    why: str = ""
    kind: int = 0  # of the event that proves it
    happened_ms: int | None = None
    stored_ms: int | None = None
    delivered_ms: int | None = None
    event: tuple[str, int, int] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    gone: float = 0.0

    @property
    def kinds(self) -> tuple[int, ...]:
        """Events that prove it."""
        return SENSES.get(self.sensor.role, HEARING)

    @property
    def is_hubs(self) -> bool:
        """Whether the hub has to wait for it, too."""
        return self.kinds in (SENSES[CALL], HEARING)


class Pairing:
    """Of all hubs of a daemon; call in the thread of the journal's loop. run() has to be running."""

    def __init__(self, registry: Registry, journal: Journal, commands: Commands, downlink: Down) -> None:
        self._registry = registry
        self._journal = journal
        self._commands = commands
        self._downlink = downlink
        self._numbers: dict[str, int] = {}  # of each hub's last PAIR
        self._windows: dict[str, Window] = {}
        self._proofs: dict[str, Proof] = {}  # one a hub
        self._reported: dict[str, int] = {}  # table versions that hubs hold, not in the registry yet
        self._zones_due = 0.0  # monotonic s
        self._tasks: set[asyncio.Task[Any]] = set()

    # Windows

    async def open(self, hub: str, seconds: int = WINDOW_S) -> Window:
        """Let a hub listen; returns at once, `state` says when it does. PairingError, RegistryError."""
        if not 1 <= seconds <= MAX_WINDOW_S:
            raise PairingError(f"{seconds} s: a window is open for 1 to {MAX_WINDOW_S} s")
        self._active(hub)
        self._end_proof(hub, "another window was opened")
        now = self._journal.clock()
        window = Window(hub, now + seconds * 1000)
        before = self._windows.get(hub)
        if before is not None and before.state != "closed":
            window.heard = before.heard
        self._windows[hub] = window
        await self._say(hub, seconds * 1000)
        return window

    async def close(self, hub: str) -> None:
        """End a hub's window, and a proof that is under way."""
        self._end_proof(hub, "it was ended")
        window = self._windows.get(hub)
        if window is not None:
            self._close(window, "by_command")
        await self._say(hub, 0)

    def window(self, hub: str) -> Window:
        """A hub's window; PairingError when none was opened lately."""
        found = self._windows.get(hub)
        if found is None:
            raise PairingError(f"hub {hub}: no pairing window is open; open one: kanhu pair {hub}")
        return found

    def heard(self, hub: str) -> list[Heard]:
        """What was heard since the window was opened, the strongest first; PairingError."""
        found = self.window(hub).heard.values()
        return sorted(found, key=lambda one: (-(one.rssi if one.rssi is not None else -128), one.address))

    def whose(self, hub: str, address: bytes) -> str:
        """here (the hub has it), home (another hub of the home), elsewhere (another home); "": nobody's."""
        owners = [sensor.hub for sensor in self._registry.owners(address)]
        if hub in owners:
            return "here"
        home = self._registry.hub(hub).home
        if any(self._registry.hub(owner).home != home for owner in owners):
            return "elsewhere"
        return "home" if owners else ""

    # Sensors

    def pair(
        self, hub: str, address: str, role: str = "", name: str = "", room: str = "", wearer: str = "",
        bind_key: bytes | None = None, supervision_s: int = 0,
    ) -> Sensor:  # fmt: skip
        """Take a sensor that was heard; the hub is told at once. Without a role it is what it seems to be.

        PairingError, RegistryError."""
        found = self._choose(hub, address, bind_key)
        if self.whose(hub, found.address) == "here":
            (own,) = [one for one in self._registry.sensors(hub) if one.address == found.address]
            raise PairingError(f"sensor {found.mac}: is sensor {own.index} of this hub already")
        if not role and found.role is None:
            raise PairingError(f"sensor {found.mac}: does not say what it is; choose its role")
        index = self._registry.add_sensor(
            hub, role or names.ROLES[found.role or 0], found.mac, name or found.name, room, supervision_s,
            bind_key=bind_key, wearer=wearer,
        )  # fmt: skip
        log.info("a sensor is paired", hub=hub, device=index)
        return self._registry.sensor(hub, index)

    def replace(self, hub: str, old: int, address: str, bind_key: bytes | None = None) -> Sensor:
        """A sensor that was heard takes one's index, name and history. PairingError, RegistryError."""
        found = self._choose(hub, address, bind_key)
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

    def _choose(self, hub: str, address: str, bind_key: bytes | None) -> Heard:
        mac = checks.mac(address)
        found = self.window(hub).heard.get(mac)
        if found is None:
            raise PairingError(
                f"sensor {address}: hub {hub} has not heard it; press its button or wake it near the hub"
            )
        if self.whose(hub, mac) == "elsewhere":
            raise PairingError(f"sensor {found.mac}: belongs to another home; unpair it there first")
        if found.advertised is None:
            if bind_key is not None:
                raise PairingError(f"sensor {found.mac}: does not encrypt; leave its key away")
        elif bind_key is None:
            raise PairingError(
                f"sensor {found.mac}: encrypts; its key is needed (32 hexadecimal digits, from its app)"
            )
        elif not opens(bind_key, mac, found.advertised):
            raise PairingError(f"sensor {found.mac}: the key does not open what was heard of it; look again")
        return found

    # Proofs

    async def prove(self, hub: str, index: int, seconds: int = PROOF_S) -> Proof:
        """Wait for a test press, or what a sensor senses, and for the platform's receipt of it; returns at
        once, `over` is set when it has ended. PairingError, RegistryError."""
        if not 1 <= seconds <= PROOF_S:
            raise PairingError(f"{seconds} s: a proof takes 1 to {PROOF_S} s")
        self._active(hub)
        sensor = self._registry.sensor(hub, index)
        self._end_proof(hub, "another one was begun")
        now = self._journal.clock()
        proof = self._proofs[hub] = Proof(sensor, seconds, now, now + seconds * 1000)
        await self._advance(hub, proof)
        return proof

    def proof(self, hub: str) -> Proof:
        """A hub's newest proof; PairingError when there was none lately."""
        found = self._proofs.get(hub)
        if found is None:
            raise PairingError(f"hub {hub}: no sensor is being proven; begin again")
        return found

    async def _advance(self, hub: str, proof: Proof) -> None:
        if proof.state == "waiting":
            held = [one for one in self._registry.sensors(hub) if one.index == proof.sensor.index]
            if not held or held[0].address != proof.sensor.address:
                self._end_proof(hub, "the sensor was unpaired")
            elif held[0].paired_ms is not None:
                # From now on: a person walks to the sensor only when told to.
                now = self._journal.clock()
                proof.asked_ms, proof.ends_ms = now, now + proof.seconds * 1000
                proof.state = "ready"
                window = self._windows.get(hub)
                if proof.is_hubs:
                    proof.state = "asked"
                    if window is not None:
                        self._close(window, "proving")
                    await self._say(
                        hub, proof.seconds * 1000, proof.sensor.index if proof.sensor.role == CALL else None
                    )
        if not proof.over.is_set() and self._journal.clock() >= proof.ends_ms:
            self._end_proof(hub, _LATE[proof.state])

    def _end_proof(self, hub: str, why: str) -> None:
        proof = self._proofs.get(hub)
        if proof is None or proof.over.is_set():
            return
        if proof.state in ("asked", "ready"):
            self._silence(hub)
        proof.state, proof.why = "failed", why
        self._over(proof)

    def _over(self, proof: Proof) -> None:
        proof.gone = time.monotonic() + KEPT_S
        proof.over.set()

    # What hubs and the platform say

    def stored(self, events: Iterable[Event]) -> None:
        """Events are on disk."""
        for event in events:
            if event.sealed is not None and (event.hub in self._windows or event.hub in self._proofs):
                self._take(event)

    def _take(self, event: Event) -> None:
        hub, fields = event.hub, event.fields
        window, proof = self._windows.get(hub), self._proofs.get(hub)
        if event.kind in (k.COMMAND_DONE, k.COMMAND_REFUSED):
            if fields.get(k.COMMAND) == self._numbers.get(hub):
                self._answered(hub, None if event.kind == k.COMMAND_DONE else fields.get(k.DETAIL, 0))
        elif event.kind == k.BOOT:
            self._restarted(hub)
        elif event.kind == k.PAIRING_CLOSED:
            why = names.DETAILS[k.PAIRING_CLOSED].get(fields.get(k.DETAIL, 0), "")
            if window is not None and window.state == "open":
                self._close(window, why)
            if proof is not None and proof.state == "ready" and proof.is_hubs and why == "alarm":
                self._end_proof(hub, "an alarm came, or another press than a single one: that is a call")
        elif event.kind == k.SENSOR_HEARD and window is not None and window.state != "closed":
            self._hear(window, event)
        if proof is not None and proof.state in ("asked", "ready") and event.kind in proof.kinds:
            happened = fields.get(k.UTC_MS)
            of_it = fields.get(k.DEVICE) == proof.sensor.index and (
                event.kind == k.SENSOR_HEARD or not fields.get(k.FLAGS, 0) & k.UNVERIFIED
            )
            # What was held up on its way says nothing of today.
            if of_it and (happened is None or happened >= proof.asked_ms - 15_000):
                proof.state, proof.kind, proof.event = "stored", event.kind, event.identity
                proof.happened_ms, proof.stored_ms = happened, event.received_ms
                proof.ends_ms = max(proof.ends_ms, event.received_ms + PROOF_S * 1000)
                self._silence(hub)

    def _answered(self, hub: str, refused: int | None) -> None:
        window, proof = self._windows.get(hub), self._proofs.get(hub)
        why = "" if refused is None else f"the hub refuses: {REFUSALS.get(refused, f'reason {refused}')}"
        if window is not None and window.state == "asked":
            if refused is None:
                window.state = "open"
            else:
                self._close(window, why)
        if proof is not None and proof.state == "asked":
            if refused is None:
                proof.state = "ready"
            else:
                self._end_proof(hub, why)

    def _restarted(self, hub: str) -> None:
        window, proof = self._windows.get(hub), self._proofs.get(hub)
        if window is not None and window.state == "open":
            self._close(window, "restarted")
            about = {k.SUBJECT: hub, k.DETAIL: 3}
            task = asyncio.get_running_loop().create_task(self._journal.host_event(k.PAIRING_CLOSED, about))
            self._tasks.add(task)
            task.add_done_callback(self._said)
        if proof is not None and proof.state == "ready" and proof.is_hubs:
            self._end_proof(hub, "the hub has restarted; a press is a call again")

    def _said(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the end of pairing could not be kept", error=str(error))

    def _hear(self, window: Window, event: Event) -> None:
        fields = event.fields
        address = fields.get(k.ADDRESS)
        if not isinstance(address, bytes) or len(address) != 6:
            return
        found = window.heard.get(address)
        if found is None:
            if len(window.heard) >= HEARD_MAX:
                return
            found = window.heard[address] = Heard(address)
        role = fields.get(k.ROLE)
        found.role = role if role in names.ROLES else found.role
        name = "".join(c for c in fields.get(k.NAME, "") if c.isprintable()).strip()
        found.name = name or found.name
        found.rssi = fields.get(k.RSSI, found.rssi)
        found.battery = fields.get(k.BATTERY, found.battery)
        found.advertised = fields.get(k.ADVERTISED)
        found.heard_ms = event.received_ms

    def delivered(self, events: Iterable[Event]) -> None:
        """The platform has acknowledged these."""
        for event in events:
            if event.sealed is None:
                continue
            proof = self._proofs.get(event.hub)
            if proof is not None and proof.state == "stored" and proof.event == event.identity:
                proof.state, proof.delivered_ms = "delivered", self._journal.clock()
                self._over(proof)
                self._proven(proof.sensor, proof.delivered_ms)
            elif event.kind == k.TEST_PRESS:  # asked for before this daemon was started
                for sensor in self._registry.sensors(event.hub) if self._registry.knows(event.hub) else ():
                    if sensor.index == event.fields.get(k.DEVICE) and sensor.role == CALL:
                        self._proven(sensor, self._journal.clock())

    def _proven(self, sensor: Sensor, at_ms: int) -> None:
        try:
            self._registry.sensor_proven(sensor, at_ms)
        except KanhuError as error:
            log.error("a proof could not be kept", hub=sensor.hub, device=sensor.index, error=str(error))

    def table_reported(self, hub: str, version: int) -> None:
        """A hub holds this version of its device table."""
        self._reported[hub] = max(version, self._reported.get(hub, 0))

    def forget(self, hub: str) -> None:
        """A hub is being erased: what was heard around it goes too."""
        self._windows.pop(hub, None)
        self._proofs.pop(hub, None)
        self._reported.pop(hub, None)
        self._numbers.pop(hub, None)

    # The regular round

    async def run(self) -> None:
        """Keep what hubs report, end what is over, and hubs' local time right; until cancelled."""
        while True:
            try:
                await self._round()
            except KanhuError as error:
                log.error("pairing could not be kept; tried again", error=str(error))
                await asyncio.sleep(1.0)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _round(self) -> None:
        if self._reported:
            self._registry.tables_confirmed(self._reported)
            self._reported.clear()
        now = time.monotonic()
        for hub, window in list(self._windows.items()):
            if window.state != "closed" and self._journal.clock() >= window.ends_ms:
                late = "the hub did not answer in time: is it connected?"
                self._close(window, "expired" if window.state == "open" else late)
            elif window.state == "closed" and now >= window.gone:
                del self._windows[hub]
        for hub, proof in list(self._proofs.items()):
            if not proof.over.is_set():
                await self._advance(hub, proof)
            elif now >= proof.gone:
                del self._proofs[hub]
        if now >= self._zones_due:
            self._zones_due = now + ZONES_EVERY_S
            moved = self._registry.keep_zones(self._journal.clock() / 1000)
            if moved:
                log.info("local time has moved: hubs are told", hubs=len(moved))

    # Inside

    def _active(self, hub: str) -> None:
        if not self._registry.knows(hub):
            self._registry.hub(hub)  # says that there is none
            raise PairingError(f"hub {hub}: is revoked")

    def _close(self, window: Window, why: str) -> None:
        if window.state != "closed":
            window.state, window.why, window.gone = "closed", why, time.monotonic() + KEPT_S
            self._silence(window.hub)

    async def _say(self, hub: str, ms: int, prove: int | None = None) -> None:
        """Order PAIR, in place of what was ordered before; it is not kept, because late it would be wrong."""
        ends_ms = self._journal.clock() + ms
        number = await self._commands.number(hub)
        self._silence(hub)
        self._numbers[hub] = number
        fields: dict[int, Any] = {k.PAIR_MS: ms}
        if ms:
            fields[k.TIME_MS] = ends_ms
        if prove is not None:
            fields[k.PROVE] = prove
        self._downlink.command(hub, Command(number, k.PAIR, fields))

    def _silence(self, hub: str) -> None:
        # Nothing is said again of a window that is over.
        number = self._numbers.get(hub)
        if number is not None:
            self._downlink.confirm(hub, number)


_LATE = {
    "waiting": "the hub has not confirmed the sensor in time: is it connected?",
    "asked": "the hub did not answer in time: is it connected?",
    "ready": "nothing came from the sensor in time; try again nearer to the hub, or change its battery",
    "stored": "it is kept here, but the platform has not acknowledged it",
}


def opens(key: bytes, address: bytes, service: bytes) -> bool:
    """Whether a BTHome v2 bind key opens encrypted service data (bthome.io/encryption)."""
    at = 7 if service[0] & 2 else 1
    if len(service) < at + 8:
        return False
    mac = bytes(reversed(service[1:7])) if at == 7 else address
    nonce = mac + b"\xd2\xfc" + service[:1] + service[-8:-4]
    try:
        AESCCM(key, tag_length=4).decrypt(nonce, service[at:-8] + service[-4:], None)
    except InvalidTag:
        return False
    return True
