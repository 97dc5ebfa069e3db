"""Sensors on Bluetooth: each press heard and counted once, and nobody believed who cannot prove himself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from steps import ARRIVES_S, BACK_S, steady, wait_calls

from kanhu.platform import Event
from kanhu.qa import scripts
from kanhu.qa.board import Board
from kanhu.qa.host import Platform
from kanhu.qa.rig import Rig

pytestmark = [pytest.mark.release, pytest.mark.needs("radio")]

KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
OTHER_KEY = bytes(range(16))
PRESSES = 8
UNHEARD_S = 5.0  # what is heard is at the platform in less than one
STORM_PER_S = 100
SUPERVISION_S = 4  # of a sensor that is to be heard so often
Add = Callable[..., Any]


def of(name: str, device: int) -> Callable[[Event], bool]:
    """Events of this name and sensor."""
    return lambda event: event.name == name and event.data.get("device") == device


def presses(platform: Platform, hub: Board) -> int:
    """How many the platform has."""
    return platform.calls(hub.hub_id)


@pytest.mark.promise("B-01", "B-02")
def test_every_press_of_a_paired_button_is_one_press(
    hub: Board, platform: Platform, bench: Rig, paired: Add
) -> None:
    button = paired("button", role="call")
    for _ in range(PRESSES):
        button.press()
    wait_calls(hub, platform, PRESSES)
    bench.host.wait_settled(hub.hub_id)
    assert presses(platform, hub) == PRESSES
    first = platform.events("call", hub.hub_id)[0]
    assert first.data["device"] == button.device
    assert "flags" not in first.data


@pytest.mark.promise("B-01")
def test_a_press_that_is_sent_only_once_is_heard(hub: Board, platform: Platform, paired: Add) -> None:
    button = paired("button", role="call")
    button.sensor.repeats = 1
    for count in range(1, 4):
        button.press()
        wait_calls(hub, platform, count)


@pytest.mark.promise("B-03")
def test_a_strangers_press_is_nobodys(hub: Board, platform: Platform, bench: Rig) -> None:
    radio = bench.stimulus.radio
    radio.draw()
    radio.press()
    steady(lambda: platform.events("call", hub.hub_id), [], UNHEARD_S, "a call of a sensor of no home")
    assert hub.indicator() == "well"


@pytest.mark.promise("B-04")
@pytest.mark.needs("power")
def test_a_recorded_press_is_refused_also_after_a_power_cut(
    hub: Board, platform: Platform, paired: Add
) -> None:
    button = paired("button", role="call", bind_key=KEY)
    recorded = scripts.press(button.sensor)
    button.radio.play(recorded)
    wait_calls(hub, platform, 1)
    for _ in range(2):
        button.radio.play(recorded)
        steady(lambda: presses(platform, hub), 1, UNHEARD_S, "a recording is believed")
        hub.power(False)
        hub.power(True)
        platform.wait_event("boot", hub.hub_id, BACK_S)
        hub.wait_indicator("unanswered", BACK_S)
    button.press()  # and the sensor itself is believed as ever
    wait_calls(hub, platform, 2)
    assert all("flags" not in event.data for event in platform.events("call", hub.hub_id))


@pytest.mark.promise("B-05")
def test_who_does_not_have_the_key_is_refused_and_reported(
    hub: Board, platform: Platform, paired: Add
) -> None:
    button = paired("button", role="call", bind_key=KEY)
    for key, why in ((None, "not_encrypted"), (OTHER_KEY, "forged")):
        button.radio.press(caller=button.radio.sensor("button", key, counter=1000))
        said = platform.wait(
            lambda event, why=why: event.name == "sensor.doubted" and event.data["detail"] == why, ARRIVES_S
        )
        assert said.data["device"] == button.device
    assert platform.events("call", hub.hub_id) == []


@pytest.mark.promise("B-06")
def test_a_new_battery_costs_no_call(hub: Board, platform: Platform, paired: Add) -> None:
    button = paired("button", role="call", bind_key=KEY)
    button.sensor.counter = 500
    button.press()
    wait_calls(hub, platform, 1)
    button.sensor.change_battery()
    button.press()
    wait_calls(hub, platform, 2)
    last = platform.events("call", hub.hub_id)[-1]
    assert last.data["flags"] == ["unverified"]
    said = platform.wait_event("sensor.doubted", hub.hub_id, ARRIVES_S)
    assert said.data["detail"] == "counter_went_back"


@pytest.mark.promise("B-07", "T-03")
def test_a_sensor_that_is_not_heard_is_silent_until_it_is(
    hub: Board, platform: Platform, paired: Add
) -> None:
    door = paired("door", supervision_s=SUPERVISION_S)
    door.say(False)
    platform.wait(of("sensor.silent", door.device), 3 * SUPERVISION_S + ARRIVES_S)
    door.say(True)
    platform.wait(of("sensor.back", door.device), ARRIVES_S)
    assert len([one for one in platform.events("sensor.silent") if one.data["device"] == door.device]) == 1


@pytest.mark.promise("B-08", "L-08", "T-03")
@pytest.mark.needs("indicator")
def test_a_low_battery_is_said_and_shown_until_it_is_changed(
    hub: Board, platform: Platform, paired: Add
) -> None:
    door = paired("door")
    door.battery(4)
    platform.wait(of("battery.low", door.device), ARRIVES_S)
    hub.wait_indicator("fault", ARRIVES_S)
    door.battery(3)
    door.battery(100)
    platform.wait(of("battery.ok", door.device), ARRIVES_S)
    hub.wait_indicator("well", ARRIVES_S)
    assert len(platform.events("battery.low", hub.hub_id)) == 1


@pytest.mark.promise("B-09")
@pytest.mark.parametrize(
    ("kind", "role", "on", "off"),
    [
        ("door", "door", "door.open", "door.closed"),
        ("moisture", "moisture", "water_leak", "water_leak.clear"),
    ],
)
def test_what_a_sensor_says_is_what_arrives(
    hub: Board, platform: Platform, paired: Add, kind: str, role: str, on: str, off: str
) -> None:
    sensor = paired(kind, role=role)
    sensor.say(True)
    platform.wait(of(on, sensor.device), ARRIVES_S)
    sensor.say(False)
    platform.wait(of(off, sensor.device), ARRIVES_S)


@pytest.mark.promise("A-10", "B-09")
@pytest.mark.needs("press")
def test_smoke_is_an_alarm_of_its_own_beside_a_call(
    hub: Board, platform: Platform, bench: Rig, paired: Add
) -> None:
    smoke = paired("smoke")
    hub.press()
    call = platform.wait_event("call", hub.hub_id, ARRIVES_S)
    smoke.say(True)
    alarm = platform.wait_event("smoke", hub.hub_id, ARRIVES_S)
    assert alarm.event_class == "p1"
    assert alarm.data["device"] == smoke.device
    assert set(bench.host.open_alarms(hub.hub_id)) == {call.alarm, alarm.alarm}
    smoke.say(False)
    platform.wait(of("smoke.clear", smoke.device), ARRIVES_S)


@pytest.mark.promise("A-08", "A-07", "A-11")
@pytest.mark.needs("press", "indicator")
def test_a_suspected_fall_is_asked_about_and_cancelled(
    hub: Board, platform: Platform, bench: Rig, paired: Add
) -> None:
    detector = paired("fall")
    detector.say(True)
    hub.wait_indicator("asking", ARRIVES_S)
    asked = platform.wait_event("pre_alarm", hub.hub_id, ARRIVES_S)
    hub.press("cancel")
    platform.wait_event("pre_alarm.cancelled", hub.hub_id, ARRIVES_S)
    hub.wait_indicator("well", ARRIVES_S)
    # Asked for 20 s; and nothing is raised when they are over.
    steady(lambda: platform.events("fall", hub.hub_id), [], 25, "a fall that was cancelled")
    assert asked.alarm not in bench.host.open_alarms(hub.hub_id)


@pytest.mark.promise("A-06", "A-08")
@pytest.mark.needs("press", "indicator")
def test_the_call_button_cancels_no_fall(hub: Board, platform: Platform, paired: Add) -> None:
    detector = paired("fall")
    detector.say(True)
    hub.wait_indicator("asking", ARRIVES_S)
    hub.press()
    platform.wait_event("call", hub.hub_id, ARRIVES_S)
    fall = platform.wait_event("fall", hub.hub_id, 20 + ARRIVES_S)
    assert fall.event_class == "p1"
    assert platform.events("pre_alarm.cancelled", hub.hub_id) == []


@pytest.mark.promise("B-10")
@pytest.mark.needs("press")
def test_crowded_air_costs_no_press(
    hub: Board, platform: Platform, bench: Rig, paired: Add, measure: Any
) -> None:
    radio = bench.stimulus.radio
    before = radio.sent()
    radio.storm(STORM_PER_S, 6)
    time.sleep(2)
    begin = time.monotonic()
    hub.press()  # the wired one is no slower by it
    wait_calls(hub, platform, 1)
    measure("press to platform in crowded air", time.monotonic() - begin, "s", 10.0)
    radio.wait(ARRIVES_S)
    measure("strangers' advertisements", radio.sent() - before, "", 100, at_most=False)
    button = paired("button", role="call")
    button.press()
    wait_calls(hub, platform, 2)
