"""Sensors that stand in the hub's table for one test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from steps import BACK_S

from kanhu.qa import scripts
from kanhu.qa.board import Board
from kanhu.qa.host import Platform
from kanhu.qa.rig import Rig
from kanhu.sim.sensors import Sensor


@dataclass
class Paired:
    """A sensor that the stimulus' radio plays, and its number in the hub's table."""

    device: int
    sensor: Sensor
    radio: Any

    def press(self, how: str = "press") -> None:
        """Sent as a battery caller does, until its last copy is out."""
        self.radio.play(scripts.press(self.sensor, how))

    def say(self, on: bool) -> None:
        """A new state."""
        self.radio.play(scripts.state(self.sensor, on))

    def battery(self, percent: int) -> None:
        """A new battery level."""
        self.radio.play(scripts.battery(self.sensor, percent))


@pytest.fixture
def paired(hub: Board, bench: Rig, platform: Platform) -> Iterator[Callable[..., Paired]]:
    """paired(kind, role=kind): a sensor at a new address, which the hub has taken into its table."""
    added: list[int] = []
    registry = bench.host.registry

    def add(kind: str, role: str = "", bind_key: bytes | None = None, supervision_s: int = 0) -> Paired:
        radio = bench.stimulus.radio
        address = radio.draw()
        device = registry.add_sensor(
            hub.hub_id,
            role or kind,
            address.hex(":").upper(),
            f"a {kind}",
            supervision_s=supervision_s,
            bind_key=bind_key,
        )
        added.append(device)
        platform.wait(
            lambda event: (
                event.name == "paired" and event.hub == hub.hub_id and event.data["device"] == device
            ),
            BACK_S,
        )
        return Paired(device, radio.sensor(kind, bind_key), radio)

    yield add
    with contextlib.suppress(Exception):
        bench.stimulus.radio.stop()
    for device in added:
        bench.host.registry.remove_sensor(hub.hub_id, device)
