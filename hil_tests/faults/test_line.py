"""A press while the line to the broker is bad, in each way that it can be."""

from __future__ import annotations

import pytest
from surviving import HELD_S, UP_S, arrives_once, is_heard, survives

from kanhu.qa.board import Board
from kanhu.qa.faults.faults import Faults
from kanhu.qa.host import Platform
from kanhu.qa.rig import Rig

pytestmark = [pytest.mark.release, pytest.mark.needs("press", "indicator", "log")]

LINE = {
    "cut": lambda fault: fault.cut(),
    "stall": lambda fault: fault.stall(),
    "reset again and again": lambda fault: fault.reset(every_s=3.0),
    "nobody listens": lambda fault: (fault.refuse(), fault.reset()),
    "slow": lambda fault: fault.slow(100),
    "lossy": lambda fault: fault.lossy(0.3),
    "server gone": lambda fault: fault.half_open("server"),
    "client gone": lambda fault: fault.half_open("client"),
}


@pytest.mark.promise("K-07", "D-14")
@pytest.mark.needs("proxy")
@pytest.mark.parametrize("what", LINE)
def test_a_call_outlives_a_bad_line(
    what: str, hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    wrong = LINE[what](fault)
    survives(hub, platform, bench, *(wrong if isinstance(wrong, tuple) else (wrong,)))


@pytest.mark.promise("D-03")
@pytest.mark.needs("proxy")
def test_a_broker_that_never_acknowledges_holds_no_call_back(
    hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    with fault.mute_broker():
        survives(hub, platform, bench)  # it is there while the broker is mute still
    assert bench.host.proxy.count("swallowed")


@pytest.mark.promise("K-01")
def test_a_broker_that_starts_anew_has_its_hub_back(
    hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    survives(hub, platform, bench, fault.broker_restart())


@pytest.mark.promise("K-01")
@pytest.mark.needs("wifi")
@pytest.mark.parametrize("what", ["off", "flap"])
def test_a_call_outlives_bad_wifi(
    what: str, hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    survives(hub, platform, bench, fault.wifi_off() if what == "off" else fault.wifi_flap(1.0))


@pytest.mark.promise("K-01")
@pytest.mark.needs("dns", "power")
def test_a_hub_that_starts_without_a_name_server_calls_once_there_is_one(
    hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    at = hub.log_position()
    names = fault.dead_dns()
    names.begin()
    with fault.power_cut():
        pass
    hub.wait_log("kanhu: lamp ", UP_S, at)
    known = bench.host.proxy.count("connections")
    hub.press(seconds=HELD_S)
    is_heard(hub)
    assert bench.host.proxy.count("connections") == known
    names.end()
    arrives_once(hub, platform, bench)
