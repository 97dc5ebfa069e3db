"""Technical faults: said in time, each with its end, and silence is noticed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from steps import ARRIVES_S, BACK_S, fast

from kanhu.qa.board import Board
from kanhu.qa.host import Platform
from kanhu.qa.rig import Rig

pytestmark = pytest.mark.release

MAINS_S = 180.0  # EN 50134: a mains failure is known within three minutes
SILENT_S = 18.0  # three heartbeats of 5 s and their jitter
SLACK_S = 40.0
SPEED = 60
PROOF_S = 15 * 60 / SPEED  # the first test call comes 10 to 15 min after a start
TOLD = ("heap_bytes", "outbox", "drops", "radio", "power", "firmware", "versions", "refused", "link")


@pytest.mark.promise("T-01")
@pytest.mark.needs("mains")
def test_mains_that_fail_and_come_back_are_said_in_time(hub: Board, platform: Platform, measure: Any) -> None:
    for on, name in ((False, "mains.lost"), (True, "mains.back")):
        begin = time.monotonic()
        hub.mains(on)
        event = platform.wait_event(name, hub.hub_id, MAINS_S)
        measure(f"{name} at the platform", time.monotonic() - begin, "s", MAINS_S)
        assert event.event_class == "p3"
        assert event.data["power"]["mains"] is on


@pytest.mark.promise("T-03")
@pytest.mark.needs("mains", "power")
def test_a_fault_that_ends_while_the_hub_is_off_is_said_to_be_over(hub: Board, platform: Platform) -> None:
    hub.mains(False)
    platform.wait_event("mains.lost", hub.hub_id, MAINS_S)
    hub.mains(True)
    hub.power(False)  # before it could say so: mains is debounced for 5 s
    hub.power(True)
    platform.wait_event("mains.back", hub.hub_id, BACK_S)
    hub.wait_indicator("well", BACK_S)
    assert len(platform.events("mains.lost", hub.hub_id)) == 1
    assert len(platform.events("mains.back", hub.hub_id)) == 1


@pytest.mark.promise("T-02")
@pytest.mark.needs("power")
def test_a_hub_that_is_not_heard_is_silent_until_it_is(hub: Board, platform: Platform, measure: Any) -> None:
    hub.power(False)
    begin = time.monotonic()
    silent = platform.wait_event("hub.silent", hub.hub_id, SILENT_S + SLACK_S)
    measure("supply gone to hub.silent", time.monotonic() - begin, "s", SILENT_S + SLACK_S)
    assert silent.event_class == "p3"
    hub.power(True)
    platform.wait_event("hub.back", hub.hub_id, BACK_S)
    hub.wait_indicator("well", BACK_S)
    assert len(platform.events("hub.silent", hub.hub_id)) == 1


@pytest.mark.promise("T-05")
def test_a_heartbeat_says_how_the_hub_is(hub: Board, platform: Platform, bench: Rig, measure: Any) -> None:
    beat = platform.wait_event("heartbeat", hub.hub_id, ARRIVES_S)
    assert [name for name in TOLD if name not in beat.data] == []
    assert beat.data["drops"] == dict.fromkeys(("p1", "p2", "p3", "p4", "p5"), 0)
    assert beat.data["radio"]["scan_percent"] == 100
    assert beat.data["power"]["mains"] is True
    measure("heap free", beat.data["heap_bytes"]["free"], "B")
    measure("largest free block", beat.data["heap_bytes"]["largest_block"], "B")


@pytest.mark.promise("T-04")
@pytest.mark.needs("fast_clock")
def test_a_hub_proves_its_path_and_alarms_nobody(hubs: Any, platform: Platform, bench: Rig) -> None:
    one = fast(hubs, SPEED)
    said = one.log_position()
    test = platform.wait_event("test_call", one.hub_id, PROOF_S + SLACK_S)
    assert (test.event_class, test.data["flags"]) == ("p1", ["test"])
    proven = platform.wait_event("path.proven", one.hub_id, SLACK_S)
    assert proven.data["span_ms"] > 0
    assert bench.host.open_alarms(one.hub_id) == []
    assert "lamp heard" not in one.log(said)


@pytest.mark.promise("T-04")
@pytest.mark.needs("fast_clock")
def test_a_path_that_fails_is_said(hubs: Any, platform: Platform, fault: Any) -> None:
    with fault.platform_down():
        one = fast(hubs, SPEED)
        time.sleep(PROOF_S + 60 / SPEED)
    said = platform.wait_event("path.fault", one.hub_id, SLACK_S)
    assert said.data["detail"] == "not_delivered"
