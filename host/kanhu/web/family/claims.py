"""Claims: a phone that shows it is at the hub, by one press of the hub's call button that is waited for."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kanhu.pairing import PROOF_S, Proof
from kanhu.pairing.values import Why

if TYPE_CHECKING:
    from .family import Family
    from .visit import Visit

# Begun for one hub within so long. While a claim waits for its press, an elder's single press is a test:
# whoever has found a label must not make that last.
MAX_CLAIMS = ((5, 3_600_000), (12, 86_400_000))
PIN_MS = 600_000  # after the press, for setting the PIN
SLOW_MS = 8_000  # a hub that is connected has answered by then
LATE_MS = 20_000  # a press that was held up on its way for less may still count (kanhu.pairing)

Stage = Literal["asked", "ready", "pressed", "failed"]


class ClaimError(Exception):
    """No claim can be begun; code: other (another phone is at it), too_many or no_button."""

    def __init__(self, code: str, wait_ms: int = 0) -> None:
        super().__init__(code)
        self.code, self.wait_ms = code, wait_ms


@dataclass
class Claim:
    """door: of the browser that has begun it."""

    door: str
    proof: Proof

    def stage(self, now_ms: int) -> Stage:
        """What there is to do for whoever claims."""
        pressed_ms = self.proof.stored_ms  # kept here: whether the platform has it too is no matter for this
        if pressed_ms is not None:
            return "pressed" if now_ms < pressed_ms + PIN_MS else "failed"
        if self.proof.state == "failed":
            return "failed"
        return "ready" if self.proof.state == "ready" else "asked"

    def why(self) -> str:
        """A code for why it has failed."""
        why = self.proof.why
        return why.code if isinstance(why, Why) and self.proof.stored_ms is None else "late"

    def ends_ms(self, now_ms: int) -> int:
        """Until when no other browser may claim (host UTC): its press must not be taken for this one's."""
        if self.proof.stored_ms is not None:
            return self.proof.stored_ms + PIN_MS
        if self.stage(now_ms) != "failed" or self.why() == "nothing":
            return self.proof.ends_ms + LATE_MS
        return now_ms


class Claims:
    """Of homes that nobody has claimed yet; one at a time for each. In memory, as proofs are."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._claims: dict[str, Claim] = {}  # by home
        self._begun: dict[str, deque[int]] = {}  # by hub, host UTC ms
        self._turn = asyncio.Lock()

    def of(self, visit: Visit) -> Claim | None:
        """The claim that this browser has begun."""
        found = self._claims.get(visit.home.id)
        return found if found is not None and found.door == self._door(visit) else None

    async def begin(self, visit: Visit) -> Claim:
        """Let the hub wait for a press. ClaimError, PairingError, RegistryError."""
        async with self._turn:
            return await self._begin(visit, visit.hub.id, self._family.journal.clock())

    def look(self) -> None:
        """Forget what is over, and whoever has been erased; call it now and again."""
        registry = self._family.registry
        self._forget(self._family.journal.clock())
        for home, claim in list(self._claims.items()):
            if not registry.remembers(claim.proof.sensor.hub):
                del self._claims[home]
        for hub in [one for one in self._begun if not registry.remembers(one)]:
            del self._begun[hub]

    def done(self, home: str) -> None:
        """The PIN is set."""
        self._claims.pop(home, None)

    async def _begin(self, visit: Visit, hub: str, now: int) -> Claim:
        self._forget(now)
        door, other = self._door(visit), self._claims.get(visit.home.id)
        if other is not None and other.door != door and now < other.ends_ms(now):
            raise ClaimError("other", other.ends_ms(now) - now)
        begun = self._begun.setdefault(hub, deque())
        for most, within_ms in MAX_CLAIMS:
            if len(begun) >= most and begun[-most] + within_ms > now:
                raise ClaimError("too_many", begun[-most] + within_ms - now)
        button = self._button(hub)
        if button is None:
            raise ClaimError("no_button")
        begun.append(now)
        proof = await self._family.pairing.prove(hub, button, PROOF_S)
        claim = self._claims[visit.home.id] = Claim(door, proof)
        return claim

    def _button(self, hub: str) -> int | None:
        """The call button that shows who is at the hub: one of its own, else one that was paired with it."""
        registry = self._family.registry
        paired = {one.index for one in registry.sensors(hub) if one.paired_ms is not None}
        calls = [one for one in registry.devices_of(hub) if one.role == "call"]
        found = [one for one in calls if not one.radio] or [one for one in calls if one.index in paired]
        return found[0].index if found else None

    def _door(self, visit: Visit) -> str:
        return self._family.access.door(visit.request, visit.token)

    def _forget(self, now: int) -> None:
        for home, claim in list(self._claims.items()):
            ended_ms = max(claim.proof.ends_ms, claim.proof.stored_ms or 0)
            # Why it failed can be read till then.
            if claim.stage(now) == "failed" and now >= ended_ms + PIN_MS:
                del self._claims[home]
        for hub, begun in list(self._begun.items()):
            while begun and begun[0] + MAX_CLAIMS[-1][1] <= now:
                begun.popleft()
            if not begun:
                del self._begun[hub]
