"""Endurance of the flash: what a hub writes in days that are lived, carried on into years.

The firmware runs through days of virtual time on a flash that notes every erase. Makers of such flash name
100,000 erases of each block (W25Q32 and its kin, data sheets). littlefs spreads what it writes over the free
blocks: the years until the average block is worn, and until the busiest is, were it never moved, are both
told. What it does not show: how the flash of one board really ages.
"""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import pytest

from kanhu.qa.measure import Measures
from kanhu.sim.faults.plan import Step
from kanhu.sim.world.house import House
from kanhu.sim.world.loop import COARSE
from kanhu.sim.world.schedule import Session
from kanhu.sim.world.world import World

pytestmark = [pytest.mark.endurance, pytest.mark.timeout(1800)]

SEED = 11
DAY_S = 86_400.0
YEAR_DAYS = 365.25
CYCLES = 100_000  # erases of one block
YEARS = 10.0  # a hub is to last that long; twice as long as its battery
NVS_PAGES, NVS_ENTRIES = 6, 126  # of 24 kB; numbers that a page takes until it is erased (ESP-IDF, NVS)
HOUSE = House(
    pirs={"bedroom": 13, "bath": 14, "kitchen": 18}, radio={"hall": "door", "bed": "motion"}, knows_time=True
)


class Worn(World):
    """A world whose hubs note what they erase."""

    def add_home(self, *given: object, **more: object) -> None:
        super().add_home(*given, **more)  # type: ignore[arg-type]
        hub = self.homes[-1].hub
        hub.worn = self.folder / f"{hub.hub_id}.worn"


class Days(Session):
    """A session in such a world."""

    def make_world(self, folder: Path) -> World:
        return Worn(folder, SEED, [HOUSE], COARSE)


def lived() -> list[Step]:
    """A day of somebody who lives alone: movement every 4 min by day, three presses, one power cut."""
    steps = [Step(float(s), "motion", {"hub": 0}) for s in range(6 * 3600, 22 * 3600, 240)]
    steps += [Step(h * 3600.0, "press", {"hub": 0, "button": h % 2}) for h in (8, 13, 20)]
    steps.append(Step(15 * 3600.0, "hub_power_cut", {"hub": 0, "for_s": 60.0}))
    return steps


def unheard() -> list[Step]:
    """The same while the host is away from 1 to 23 h: the hub keeps everything, and says its calls again."""
    return [*lived(), Step(3600.0, "daemon_kill", {"for_s": 22 * 3600.0})]


def erases(path: Path) -> Counter[int]:
    data = path.read_bytes()
    return Counter(struct.unpack(f"<{len(data) // 2}H", data))


@pytest.mark.parametrize(("what", "days"), [(lived, 3), (unheard, 1)], ids=["lived", "without-a-host"])
def test_the_flash_outlasts_the_hub(what: object, days: int, measure: Measures) -> None:
    steps = sorted(what(), key=lambda step: step.at_s)  # type: ignore[operator]
    with Days(SEED, [HOUSE], COARSE) as session:
        home, loop = session.world.homes[0], session.world.loop
        assert home.hub.worn is not None
        begin = loop.time()
        for number in range(days):
            for step in steps:
                session.wait(begin + number * DAY_S + step.at_s - loop.time())
                session.do(step)
            session.wait(begin + (number + 1) * DAY_S - loop.time())
        found, nvs, recorded = erases(home.hub.worn), home.hub.nvs_writes, len(home.recorded)
    assert recorded > 250 * days, "the hub recorded too little to say anything about its flash"
    total = sum(found.values())
    measure("events in a day", recorded / days, "events")
    measure("erases in a day", total / days, "erases")
    for name, a_day in {
        "years until the average block is worn": total / len(found) / days,
        "years until the busiest block is worn, were it never moved": max(found.values()) / days,
        "years until the NVS is worn": nvs / days / NVS_ENTRIES / (NVS_PAGES - 1),
    }.items():
        measure(name, CYCLES / a_day / YEAR_DAYS, "years", YEARS, at_most=False)
