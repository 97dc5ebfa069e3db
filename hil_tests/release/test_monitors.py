"""Health monitors: digit by digit, once, and never an error as a number."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from steps import ARRIVES_S, BACK_S, press_again, wait_calls

from kanhu.platform import Event
from kanhu.qa import monitor_scripts
from kanhu.qa.board import Board
from kanhu.qa.host import Platform

pytestmark = [pytest.mark.release, pytest.mark.needs("radio", "monitors")]

COLLECTED_S = 60.0
READING = {"systolic": 128, "diastolic": 81, "pulse": 66}
Add = Callable[..., Any]


def values(event: Event) -> dict[str, tuple[Any, str]]:
    """Name -> (value, unit)."""
    return {one["name"]: (one["value"], one["unit"]) for one in event.data["values"]}


@pytest.mark.promise("M-01", "M-04")
def test_a_reading_arrives_as_the_monitor_gave_it(hub: Board, platform: Platform, paired: Add) -> None:
    cuff = paired_monitor(paired, "blood_pressure")
    cuff.radio.monitor(monitor_scripts.monitor("blood_pressure", cuff.radio.address, READING))
    cuff.radio.wait_said(COLLECTED_S)
    event = platform.wait_event("vitals", hub.hub_id, ARRIVES_S)
    assert event.data["device"] == cuff.device
    found = values(event)
    assert found["systolic"] == (128, "mm[Hg]")
    assert found["diastolic"] == (81, "mm[Hg]")
    assert found["pulse"] == (66, "/min")
    cuff.radio.wait(COLLECTED_S)
    assert len(platform.events("vitals", hub.hub_id)) == 1


@pytest.mark.promise("M-02")
def test_a_monitors_error_is_no_number(hub: Board, platform: Platform, paired: Add) -> None:
    cuff = paired_monitor(paired, "blood_pressure")
    error = {"systolic": math.nan, "diastolic": math.nan, "mean": math.nan, "pulse": math.nan}
    cuff.radio.monitor(monitor_scripts.monitor("blood_pressure", cuff.radio.address, error))
    cuff.radio.wait_said(COLLECTED_S)
    event = platform.wait_event("vitals.invalid", hub.hub_id, ARRIVES_S)
    assert "values" not in event.data
    assert {one["name"]: one["special"] for one in event.data["invalid"]}["systolic"] == "nan"
    cuff.radio.wait(COLLECTED_S)
    assert platform.events("vitals", hub.hub_id) == []


@pytest.mark.promise("M-03")
@pytest.mark.needs("power")
def test_a_paired_monitor_stays_paired_over_a_power_cut(hub: Board, platform: Platform, paired: Add) -> None:
    scale = paired_monitor(paired, "weight_scale")
    for count, weight in enumerate((61.5, 61.7), 1):
        script = monitor_scripts.monitor("weight_scale", scale.radio.address, {"weight": weight})
        scale.radio.monitor(script)
        scale.radio.wait_said(COLLECTED_S)
        scale.radio.wait(COLLECTED_S)
        platform.wait(lambda _, count=count: len(platform.events("vitals", hub.hub_id)) >= count, ARRIVES_S)
        if count == 1:
            hub.power(False)
            hub.power(True)
            platform.wait_event("boot", hub.hub_id, BACK_S)
    read = [values(event)["weight"][0] for event in platform.events("vitals", hub.hub_id)]
    assert read == [61.5, 61.7]
    assert platform.events("monitor.fault", hub.hub_id) == []


@pytest.mark.promise("M-05")
@pytest.mark.needs("press")
def test_calls_are_heard_while_a_monitor_speaks(hub: Board, platform: Platform, paired: Add) -> None:
    oximeter = paired_monitor(paired, "pulse_oximeter")
    oximeter.radio.monitor(
        monitor_scripts.monitor("pulse_oximeter", oximeter.radio.address, worn={"spo2": 97, "pulse": 64})
    )
    time.sleep(2)
    for count in (1, 2):
        press_again(hub)
        wait_calls(hub, platform, count)
    event = platform.wait_event("vitals", hub.hub_id, COLLECTED_S + ARRIVES_S)
    assert values(event)["oxygen"] == (97, "%")


def paired_monitor(paired: Add, kind: str) -> Any:
    """A monitor in the hub's table; what the radio plays there is its script, not a sensor's."""
    return paired("button", role=kind)
