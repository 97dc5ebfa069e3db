"""A press while something behind the hub is wrong: daemon, its disk, its clock, the platform."""

from __future__ import annotations

import pytest
from surviving import UP_S, survives

from kanhu.qa.board import Board
from kanhu.qa.faults.faults import Faults
from kanhu.qa.host import Platform
from kanhu.qa.rig import Rig

pytestmark = [pytest.mark.release, pytest.mark.needs("press", "indicator", "log")]

DAEMON = {
    "killed": lambda fault: fault.daemon_kill(),
    "stopped": lambda fault: fault.daemon_stop(),
    "without its broker": lambda fault: fault.cut("daemon"),
    "with a stalled line": lambda fault: fault.stall("daemon"),
}
CLOCKS = {"a day ahead": 86_400.0, "an hour behind": -3_600.0}


@pytest.mark.promise("O-01", "D-14")
@pytest.mark.parametrize("what", DAEMON)
def test_a_call_outlives_a_host_that_is_away(
    what: str, hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    survives(hub, platform, bench, DAEMON[what](fault))


@pytest.mark.promise("D-04")
def test_a_full_disk_is_never_called_stored(
    hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    fault.prepare(disk=True)
    hub.wait_indicator("well", UP_S)
    survives(hub, platform, bench, fault.disk_full())


@pytest.mark.promise("O-03")
@pytest.mark.parametrize("what", CLOCKS)
def test_a_wrong_clock_of_the_host_costs_no_call(
    what: str, hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    fault.prepare(clock=True)
    hub.wait_indicator("well", UP_S)
    survives(hub, platform, bench, fault.host_clock(CLOCKS[what]))


@pytest.mark.promise("O-02", "D-14")
@pytest.mark.parametrize("hours", [0, 5])
def test_a_platform_that_is_away_gets_the_call_when_it_is_back(
    hours: float, hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    survives(hub, platform, bench, fault.platform_down(hours=hours))


@pytest.mark.promise("D-05")
def test_a_platform_that_acknowledges_nothing_is_never_called_reached(
    hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    survives(hub, platform, bench, fault.platform_mute(), fault.stall("city"))
