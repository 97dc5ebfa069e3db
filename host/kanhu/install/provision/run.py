"""One hub, from the first hello to the kept settings: what is asked in which order, told as it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kanhu.install.code import ProvisionError

from .session import Heard, Session, Settings, Step
from .wires import Wire
from .words import Words, sentence

Begun = Callable[[str, str], None]  # the hub's id and its firmware
Tell = Callable[[Step, Words], None]


@dataclass
class Outcome:
    """What came of it; failed: the step that ended it, with its sentence."""

    hub: str
    ok: bool = False
    firmware: str = ""
    steps: list[tuple[Step, Words]] = field(default_factory=list)
    networks: list[Heard] | None = None

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        found: dict[str, Any] = {
            "hub": self.hub, "ok": self.ok, "firmware": self.firmware,
            "steps": [
                {
                    "step": step.step, "ok": step.ok, "why": step.why or None, "rssi": step.rssi,
                    "more": step.more or None, "said": {"en": words.en, "zh": words.zh} if words.en else None,
                }
                for step, words in self.steps
            ],
        }  # fmt: skip
        if self.networks is not None:
            found["networks"] = [
                {"ssid": one.ssid, "rssi": one.rssi, "open": one.open} for one in self.networks
            ]
        return found


async def provision(
    wire: Wire,
    key: bytes,
    hub_id: str | None,
    settings_for: Callable[[str], Settings],
    tell: Tell,
    begun: Begun = lambda hub, firmware: None,
) -> Outcome:
    """Have the hub try settings_for(its id); ProvisionError when it cannot even be talked to."""
    async with Session(wire, key, hub_id) as hub:
        outcome = Outcome(hub.hub_id, firmware=str((await hub.status()).get("firmware") or ""))
        settings = settings_for(hub.hub_id)
        begun(outcome.hub, outcome.firmware)
        await hub.set_time()
        async for step in hub.trial(settings):
            seen: Sequence[Heard] | None = None
            if not step.ok and step.why == "no_such_network":
                seen = outcome.networks = await _around(hub)
            words = sentence(step, settings, hub.hub_id, seen)
            outcome.steps.append((step, words))
            tell(step, words)
            outcome.ok = step.ok  # of the last one
        return outcome


async def _around(hub: Session) -> list[Heard] | None:
    for _ in range(3):  # it may still be on its way back to what it had
        try:
            return await hub.scan()
        except ProvisionError:
            await asyncio.sleep(2)
    return None


async def scan(wire: Wire, key: bytes, hub_id: str | None) -> Outcome:
    """The networks that the hub hears."""
    async with Session(wire, key, hub_id) as hub:
        outcome = Outcome(hub.hub_id, True, str((await hub.status()).get("firmware") or ""))
        outcome.networks = await hub.scan()
        return outcome
