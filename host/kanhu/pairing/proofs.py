"""The proofs of all hubs: from a sensor's place in the table to the platform's receipt of what it said."""

from __future__ import annotations

import time

import structlog

from kanhu.errors import KanhuError
from kanhu.journal import Event, Journal
from kanhu.registry import Registry, RegistryError, Sensor
from kanhu_protocol import kinds as k

from .values import CALL, KEPT_S, PROOF_S, PairingError, Proof, Why
from .voice import Voice
from .windows import Windows

log = structlog.get_logger("kanhu.pairing")

_LATE = {
    "waiting": Why("the hub has not confirmed the sensor in time: is it connected?", "no_answer"),
    "asked": Why("the hub did not answer in time: is it connected?", "no_answer"),
    "ready": Why(
        "nothing came from the sensor in time; try again nearer to the hub, or change its battery", "nothing"
    ),
    "stored": Why("it is kept here, but the platform has not acknowledged it", "no_platform"),
}


class Proofs:
    """At most one a hub; one that is over can be looked at for KEPT_S."""

    def __init__(self, registry: Registry, journal: Journal, voice: Voice, windows: Windows) -> None:
        self._registry = registry
        self._journal = journal
        self._voice = voice
        self._windows = windows
        self._proofs: dict[str, Proof] = {}

    def __contains__(self, hub: str) -> bool:
        return hub in self._proofs

    async def begin(self, sensor: Sensor, seconds: int) -> Proof:
        """A new one, in place of what the hub had."""
        self.end(sensor.hub, Why("another one was begun", "replaced"))
        now = self._journal.clock()
        proof = Proof(sensor, seconds, now, now + seconds * 1000, time.monotonic() + seconds)
        self._proofs[sensor.hub] = proof
        await self._advance(proof)
        return proof

    def of(self, hub: str) -> Proof:
        """A hub's newest proof; PairingError when there was none lately."""
        found = self._proofs.get(hub)
        if found is None:
            raise PairingError(f"hub {hub}: no sensor is being proven; begin again", "no_proof")
        return found

    def end(self, hub: str, why: str) -> None:
        """A hub's proof has failed, if one is under way."""
        proof = self._proofs.get(hub)
        if proof is None or proof.over.is_set():
            return
        if proof.state in ("asked", "ready"):
            self._voice.silence(hub)
        proof.state, proof.why = "failed", why
        self._over(proof)

    def answered(self, event: Event, refusal: str) -> None:
        """The hub has answered PAIR."""
        proof = self._proofs.get(event.hub)
        if proof is not None and proof.state == "asked":
            if refusal:
                self.end(event.hub, refusal)
            else:
                proof.state, proof.answer = "ready", (event.boot, event.seq)

    def ended(self, event: Event, why: str) -> None:
        """The hub waits no more."""
        proof = self._proofs.get(event.hub)
        if proof is None or proof.state != "ready" or (event.boot, event.seq) < proof.answer:
            return
        if proof.is_hubs:
            self.end(event.hub, why)

    def stored(self, event: Event) -> None:
        """An event of a hub is on disk: it may prove the sensor."""
        proof = self._proofs.get(event.hub)
        if proof is None or proof.state not in ("asked", "ready") or event.kind not in proof.kinds:
            return
        happened = event.fields.get(k.UTC_MS)
        of_it = event.fields.get(k.DEVICE) == proof.sensor.index and (
            event.kind == k.SENSOR_HEARD or not event.fields.get(k.FLAGS, 0) & k.UNVERIFIED
        )
        # What was held up on its way says nothing of today.
        if of_it and (happened is None or happened >= proof.asked_ms - 15_000):
            proof.state, proof.kind, proof.event = "stored", event.kind, event.identity
            proof.happened_ms, proof.stored_ms = happened, event.received_ms
            proof.ends_ms = max(proof.ends_ms, event.received_ms + PROOF_S * 1000)
            proof.until = time.monotonic() + PROOF_S
            self._voice.silence(event.hub)

    def delivered(self, event: Event) -> None:
        """The platform has acknowledged a hub's event."""
        proof = self._proofs.get(event.hub)
        if proof is not None and proof.state == "stored" and proof.event == event.identity:
            proof.state, proof.delivered_ms = "delivered", self._journal.clock()
            self._over(proof)
            self._proven(proof.sensor, proof.delivered_ms)
        elif event.kind == k.TEST_PRESS:  # asked for before this daemon was started
            sensor = self._input(event.hub, event.fields.get(k.DEVICE, 0))
            if sensor is not None and sensor.role == CALL:
                self._proven(sensor, self._journal.clock())

    async def look(self) -> None:
        """Lead each on as far as it goes, and forget what has been over for long."""
        for hub, proof in list(self._proofs.items()):
            if not proof.over.is_set():
                await self._advance(proof)
            elif time.monotonic() >= proof.gone:
                del self._proofs[hub]

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self._proofs.pop(hub, None)

    async def _advance(self, proof: Proof) -> None:
        hub = proof.sensor.hub
        if proof.state in ("waiting", "asked", "ready"):
            held = self._input(hub, proof.sensor.index)
            if held is None or held.address != proof.sensor.address:
                self.end(hub, Why("the sensor was unpaired", "unpaired"))
            elif proof.state == "waiting" and held.paired_ms is not None:
                await self._ask(proof)
        over = self._journal.clock() >= proof.ends_ms or time.monotonic() >= proof.until
        if not proof.over.is_set() and over:
            self.end(hub, _LATE[proof.state])

    async def _ask(self, proof: Proof) -> None:
        hub = proof.sensor.hub
        # From now on: a person walks to the sensor only when told to.
        proof.asked_ms = self._journal.clock()
        proof.ends_ms, proof.until = proof.asked_ms + proof.seconds * 1000, time.monotonic() + proof.seconds
        if not proof.is_hubs:
            proof.state = "ready"
            return
        proof.state = "asked"
        self._windows.close(hub, "proving")
        try:
            await self._voice.say(
                hub, proof.seconds * 1000, proof.sensor.index if proof.sensor.role == CALL else None
            )
        except KanhuError as error:
            self.end(hub, Why(str(error), "not_kept"))

    def _input(self, hub: str, index: int) -> Sensor | None:
        try:
            return self._registry.input(hub, index)
        except RegistryError:
            return None

    def _proven(self, sensor: Sensor, at_ms: int) -> None:
        try:
            self._registry.sensor_proven(sensor, at_ms)
        except KanhuError as error:
            log.error("a proof could not be kept", hub=sensor.hub, device=sensor.index, error=str(error))

    def _over(self, proof: Proof) -> None:
        proof.gone = time.monotonic() + KEPT_S
        proof.over.set()
