"""Provisioning over the air: the same program as anywhere, over bleak on the bench's radio."""

from __future__ import annotations

import pytest

from helpers_provision import WIFI, boxed, broker, provisioned
from kanhu.install.provision.bluetooth import BleWire
from kanhu.install.provision.session import Settings
from kanhu.sim.bleak_bumble import Computer
from kanhu.sim.town import Town


@pytest.fixture
def computer(town: Town) -> Computer:
    return Computer(town.bench._air.link())


def test_from_the_box_to_a_stored_event(town: Town, computer: Computer) -> None:
    box = boxed(town)
    box.hub.wait_log("commissioning is open", 20)
    settings = Settings(WIFI, broker(town, box.hub_id))
    outcome = town.bench.run(provisioned(BleWire("", box.hub_id, computer), box, settings), 180)
    assert outcome.ok, outcome
    assert [step.step for step, _ in outcome.steps] == ["join", "address", "time", "broker", "proof", "done"]
