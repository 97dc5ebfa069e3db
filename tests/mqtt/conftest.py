"""A real broker of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_broker import Broker, Mosquitto, NatsBroker


@pytest.fixture(params=["nats", "mosquitto"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """A running broker of each kind."""
    if request.param == "mosquitto" and not Mosquitto.installed():
        pytest.skip("mosquitto is not installed")
    with (NatsBroker if request.param == "nats" else Mosquitto)(tmp_path / "broker") as running:
        yield running
