"""What only a simulated bench does to a hub: the power goes inside a flash operation, no name is found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kanhu.sim.bench import Bench, BenchError
from kanhu.sim.hub import Hub
from kanhu.sim.town import Town

LIMIT_S = 60.0


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with Town(tmp_path) as made:
        made.broker.start()
        yield made


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def outbox(hub: Hub) -> dict[str, bytes]:
    return {path: data for path, data in hub.flash_files().items() if not path.startswith("/a/")}


@pytest.mark.parametrize("operation", [1, 2, 5])
def test_the_power_goes_half_way_through_a_flash_operation(town: Town, operation: int) -> None:
    home = town.add_home("home", buttons={"bed": 4}, speed=5)
    bench: Bench = town.bench
    home.hub.wait_log("kanhu: lamp ", LIMIT_S)
    bench.cut_power_inside(operation, home.hub)
    for _ in range(5):  # one press is a few operations
        if home.hub.running:
            bench.press("home/bed")
    until(lambda: not home.hub.running)
    bench.cut_power(home.hub)
    assert outbox(home.hub)  # the volume can be mounted
    at = home.hub.log_position()
    bench.power(home.hub)
    home.hub.wait_log("kanhu: lamp ", LIMIT_S, at)
    assert "corrupted" not in home.hub.log()
    boots = home.hub.boots
    bench.press("home/bed")
    home.hub.wait_log("kanhu: lamp ", LIMIT_S, at)
    assert home.hub.boots == boots  # once


def test_it_can_be_called_off_and_bad_numbers_are_refused(town: Town) -> None:
    home = town.add_home("home", buttons={"bed": 4}, speed=5)
    home.hub.wait_log("kanhu: lamp ", LIMIT_S)
    town.bench.cut_power_inside(1, home.hub)
    town.bench.cut_power_inside(0, home.hub)
    at = home.hub.log_position()
    town.bench.press("home/bed")
    home.hub.wait_log("kanhu: lamp heard", LIMIT_S, at)
    assert home.hub.running
    with pytest.raises(BenchError, match="1 or more"):
        town.bench.cut_power_inside(-1, home.hub)


def test_names_are_not_found_until_the_name_server_is_back(town: Town) -> None:
    home = town.add_home("home", buttons={"bed": 4}, speed=5)
    home.hub.wait_log("kanhu: lamp ", LIMIT_S)
    town.bench.name_server(False, home.hub)
    at = home.hub.log_position()
    town.bench.cut_power(home.hub)
    town.bench.power(home.hub)
    home.hub.wait_log("mqtt: broker.lan: ", LIMIT_S, at)
    assert "broker.lan: connected" not in home.hub.log(at)
    town.bench.name_server(True, home.hub)
    home.hub.wait_log("broker.lan: connected", LIMIT_S, at)
