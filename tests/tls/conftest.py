"""A CA, and a broker of each kind behind TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_broker import Broker, Mosquitto
from helpers_tls import Papers, TlsMosquitto, TlsNats


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path / "papers")


@pytest.fixture(params=["nats", "mosquitto"])
def tls_broker(request: pytest.FixtureRequest, tmp_path: Path, papers: Papers) -> Iterator[Broker]:
    """A running broker of each kind with a good certificate."""
    if request.param == "mosquitto" and not Mosquitto.installed():
        pytest.skip("mosquitto is not installed")
    made = (TlsNats if request.param == "nats" else TlsMosquitto)(tmp_path / "broker", papers)
    with made as running:
        yield running
