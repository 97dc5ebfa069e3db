"""A hub as it comes out of the box at a town, and the person who gives it its network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kanhu.install.provision import run
from kanhu.install.provision.session import Settings, Step
from kanhu.install.provision.words import Words
from kanhu.sim.hub import Hub
from kanhu.sim.net import AccessPoint
from kanhu.sim.town import BROKER_NAME, Town
from kanhu_protocol import cbor

WIFI = ("home-2.4", "a good password")
POINTS = (
    AccessPoint(*WIFI, rssi=-58),
    AccessPoint("Home 24", "another one", rssi=-70),
    AccessPoint("far away", "a good password", rssi=-85),
    AccessPoint("no addresses", "a good password", rssi=-75, dhcp=False),
)


@dataclass
class Boxed:
    """A flashed hub: in the registry, in a placeholder home, with no network."""

    hub: Hub
    hub_id: str
    key: bytes  # what its label's code stands for
    home: str


def boxed(town: Town, *, settings: dict[str, Any] | None = None, **options: Any) -> Boxed:
    """One more, switched on."""
    home = town.registry.add_home()
    hub_id, key = town.registry.add_hub(home)
    town.registry.set_settings(
        hub_id, {"heartbeat": 5, "buttons": [[1, 4, None]], "pirs": [], **(settings or {})}
    )
    commission = town.registry.commission(hub_id)
    config = cbor.loads(town.registry.hub_config(hub_id))
    hub = town.bench.add_hub(
        hub_id, config=config, key=key, commission=commission, wiring={f"{hub_id}/bed": 4}, **options
    )
    town.bench.access_points(POINTS, hub)
    return Boxed(hub, hub_id, commission, home)


def broker(town: Town, hub_id: str) -> tuple[str, int, str | None, str | None]:
    """How it reaches the town's broker."""
    return (BROKER_NAME, 1883, hub_id, town.registry.mqtt_password(hub_id))


class Told:
    """What the installer saw."""

    def __init__(self) -> None:
        self.steps: list[tuple[Step, Words]] = []

    def __call__(self, step: Step, said: Words) -> None:
        self.steps.append((step, said))

    @property
    def names(self) -> list[str]:
        return [step.step for step, _ in self.steps]


async def provisioned(wire: Any, box: Boxed, settings: Settings, key: bytes | None = None) -> run.Outcome:
    """One run of it."""
    return await run.provision(wire, key or box.key, box.hub_id, lambda _: settings, Told())
