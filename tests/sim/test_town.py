"""A home's health monitors: on the air, in its device table, their clocks at the home's time."""

from __future__ import annotations

from pathlib import Path

import pytest

from kanhu.sim.bench import BenchError
from kanhu.sim.town import Town


def test_a_home_with_health_monitors(tmp_path: Path) -> None:
    with Town(tmp_path) as town:
        home = town.add_home("north", sensors={"pendant": "button", "cuff": "blood_pressure"})
        index = town.add_monitor(home, "scale", "weight_scale", wearer="Mother", clock_offset_s=-60.0)
        assert town.add_monitor(home, "new", "thermometer", paired=False) == 0
        assert list(town.bench.monitors) == ["north/cuff", "north/scale", "north/new"]
        addresses = {one.address for one in town.bench.monitors.values()}
        assert len(addresses) == 3
        _, table = town.registry.device_table(home.hub_id)
        assert [row[:2] for row in table] == [[1, 1], [2, 11], [3, 15]]
        assert home.devices["scale"] == index == 3
        assert town.bench.monitors["north/cuff"].manners.clock_offset_s == 8 * 3600
        assert town.bench.monitors["north/scale"].manners.clock_offset_s == -60
        taken = town.bench.measure("north/scale", weight=61.5, user=1)
        assert list(town.bench.monitors["north/scale"].stored) == [taken]
        town.bench.wait_monitor("north/scale", "advertising")


def test_what_there_is_not(tmp_path: Path) -> None:
    with Town(tmp_path) as town:
        for wrong in (
            lambda: town.bench.monitor("sphygmograph", "F0:F1:F2:F3:F4:01"),
            lambda: town.bench.monitor("thermometer", "F0:F1:F2:F3:F4:01", polite=True),
            lambda: town.bench.measure("thermometer"),
        ):
            with pytest.raises(BenchError):
                wrong()
        town.bench.monitor("thermometer", "F0:F1:F2:F3:F4:01")
        with pytest.raises(BenchError, match="already"):
            town.bench.monitor("thermometer", "F0:F1:F2:F3:F4:02")
        with pytest.raises(TimeoutError, match="no 'confirmed'"):
            town.bench.wait_monitor("thermometer", "confirmed", timeout=0.1)
        with pytest.raises(ValueError, match="does not fit"):
            town.bench.measure("thermometer", temperature=1e9)
