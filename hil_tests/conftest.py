"""Targets of the hardware-in-the-loop suite. `--target sim` needs no hardware."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hil_board import Board, SimBoard

from kanhu.sim.city import City
from kanhu.sim.town import Home, Town

HUB_UP_S = 15.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--target", choices=("sim",), default="sim", help="what is under test")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*capabilities): skipped, with the reason, on a board without them"
    )


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Broker, daemon and registry around the boards."""
    with Town(tmp_path, heartbeat_s=5) as town:
        town.start()
        yield town


@pytest.fixture
def home(town: Town) -> Home:
    """A home with one caller and one PIR, its hub connected over MQTT."""
    return town.add_home("home", buttons={"bedroom": 4}, pirs={"kitchen": 5})


@pytest.fixture
def board(town: Town, home: Home, request: pytest.FixtureRequest) -> Board:
    """The hub under test, up and answered by the host."""
    board = SimBoard(town.bench, home)
    marker = request.node.get_closest_marker("needs")
    missing = set(marker.args) - board.capabilities if marker else set()
    if missing:
        pytest.skip(f"this board has no {', '.join(sorted(missing))}")
    board.wait_indicator("well", HUB_UP_S)
    return board


@pytest.fixture
def city(town: Town, tmp_path: Path) -> Iterator[City]:
    """The platform; its operator accepts only when told to (city.auto_accept)."""
    city = City(town.platform_url, tmp_path / "city.db")
    city.auto_accept = False
    city.start()
    assert city.up.wait(15), "the city's side did not start"
    assert city.error is None, city.error
    yield city
    city.stop()
