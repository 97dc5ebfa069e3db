"""A press while something is wrong at the hub: supply, serial line, flash, clock, certificate, air."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from surviving import HELD_S, UP_S, arrives_once, is_heard, survives

from kanhu.qa.board import Board
from kanhu.qa.faults.faults import Faults
from kanhu.qa.faults.on_home import TIME_SERVER
from kanhu.qa.host import Platform
from kanhu.qa.rig import Rig

pytestmark = [pytest.mark.release, pytest.mark.needs("press", "indicator", "log")]

TORN = (1, 3, 6)  # flash operations of one press
WRONG_S = -86_400.0


@pytest.mark.promise("D-02", "P-03")
@pytest.mark.needs("power", "log")
def test_a_heard_press_outlives_a_power_cut_at_random(
    hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    hub.press(seconds=HELD_S)
    is_heard(hub)
    at = hub.log_position()
    with fault.power_cut(at="random", within_s=1.0) as cut:
        cut.wait()
    hub.wait_log("kanhu: lamp ", UP_S, at)
    arrives_once(hub, platform, bench)


@pytest.mark.promise("P-01", "P-03")
@pytest.mark.needs("power_point", "log")
@pytest.mark.parametrize("operation", TORN)
def test_power_that_goes_inside_a_flash_operation_leaves_a_hub_that_calls(
    operation: int, hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    at = hub.log_position()
    with fault.power_cut(at="flash", operation=operation) as cut:
        hub.press(seconds=HELD_S)
        cut.wait()
    said = hub.wait_log("boot ", UP_S, at)
    heard = "lamp heard" in said.partition("rst:")[0]
    hub.wait_log("kanhu: lamp ", UP_S, at + len(said.partition("rst:")[0].encode()))
    hub.press(seconds=HELD_S)
    is_heard(hub)
    end = time.monotonic() + UP_S
    while (came := platform.calls(hub.hub_id)) < 1 + heard:
        assert time.monotonic() < end, f"{came} presses at the platform"
        time.sleep(0.05)
    bench.host.wait_settled(hub.hub_id)
    assert 1 + heard <= platform.calls(hub.hub_id) <= 2  # what was not called heard may have come or not


@pytest.mark.promise("P-03", "D-14")
@pytest.mark.needs("power", "log")
def test_a_hub_calls_after_brown_outs(hub: Board, platform: Platform, bench: Rig, fault: Faults) -> None:
    at = hub.log_position()
    with fault.brown_out(times=6, on_s=(0.05, 0.8)):
        time.sleep(5.0)
    hub.wait_log("kanhu: lamp ", UP_S, at)
    hub.wait_indicator("well", UP_S)
    survives(hub, platform, bench, seconds=0.5)


@pytest.mark.promise("K-03")
@pytest.mark.needs("log")
def test_noise_and_half_frames_on_a_hubs_console_cost_no_call(
    hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    survives(hub, platform, bench, fault.serial_noise(300), fault.half_frames(5))


@pytest.mark.promise("K-03")
@pytest.mark.needs("serial_link", "air_storm")
def test_noise_and_half_frames_on_the_way_to_the_host_cost_no_call(
    hubs: Any, platform: Platform, bench: Rig, fault: Faults
) -> None:
    (wired,) = hubs(1, links=("serial",))
    with fault.serial_noise(300, wired, toward="host"), fault.half_frames(5, wired, toward="host"):
        time.sleep(1.0)
        wired.press(seconds=HELD_S)
        is_heard(wired)
        time.sleep(2.0)
    arrives_once(wired, platform, bench)
    platform.accept_all()
    wired.wait_indicator("well", UP_S)


@pytest.mark.promise("D-12")
@pytest.mark.needs("flash_full")
def test_a_hub_without_room_sends_its_call_all_the_same(
    hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    survives(hub, platform, bench, fault.flash_full())


@pytest.mark.promise("Z-03")
@pytest.mark.needs("hub_clock", "power")
def test_a_time_server_that_is_wrong_costs_no_call_and_is_not_believed(
    hubs: Any, platform: Platform, bench: Rig, fault: Faults
) -> None:
    with fault.hub_clock(0.0):
        (asking,) = hubs(1, config={"ntp": [TIME_SERVER, 123]})
    at = asking.log_position()
    with fault.hub_clock(WRONG_S):
        asking.power(False)
        asking.power(True)
        asking.wait_log("kanhu: lamp ", UP_S, at)
        asking.wait_indicator("well", UP_S)
        asking.press(seconds=HELD_S)
        event = platform.wait_event("call", asking.hub_id, UP_S)
        if "utc_ms" in event.data:
            assert event.data["utc_ms"] / 1000 - time.time() > WRONG_S / 2, "it believes a time of yesterday"
        arrives_once(asking, platform, bench)
    platform.accept_all()
    asking.wait_indicator("well", UP_S)


@pytest.mark.promise("S-06")
@pytest.mark.needs("hub_clock", "dns")
def test_an_expired_certificate_is_refused_and_a_good_one_brings_the_call(
    hub: Board, platform: Platform, bench: Rig, fault: Faults, tmp_path: Path
) -> None:
    from kanhu.qa.faults.secure import SecureLine

    with fault.hub_clock(0.0), SecureLine(bench.host, tmp_path) as line:
        safe = line.add_hub("safe", {"ntp": [TIME_SERVER, 123]})
        try:
            safe.wait_log("kanhu: lamp well", UP_S)
            with fault.expired_certificate(line):
                safe.press(seconds=HELD_S)
                is_heard(safe)
                safe.wait_log("tls: certificate expired", UP_S)
                assert platform.calls(safe.hub_id) == 0
            arrives_once(safe, platform, bench)
            platform.accept_all()
            safe.wait_indicator("well", UP_S)
        finally:
            safe.power(False)


@pytest.mark.promise("B-10")
@pytest.mark.needs("air_storm")
def test_air_full_of_strangers_costs_no_call(
    hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    survives(hub, platform, bench, fault.air_storm(300))


@pytest.mark.promise("D-02", "D-06", "O-01")
@pytest.mark.needs("power", "proxy", "log")
def test_a_heard_press_outlives_everything_at_once(
    hub: Board, platform: Platform, bench: Rig, fault: Faults
) -> None:
    at = hub.log_position()
    with fault.lossy(0.3), fault.daemon_kill(), fault.platform_down(), fault.stall():
        hub.press(seconds=HELD_S)
        is_heard(hub)
        with fault.power_cut():
            pass
        hub.wait_log("boot ", UP_S, at)
        hub.wait_indicator("unanswered", UP_S)
    arrives_once(hub, platform, bench)
