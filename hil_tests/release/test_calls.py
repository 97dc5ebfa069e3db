"""A call: from the button to a person, said until somebody has it, closed by a person alone."""

from __future__ import annotations

import time
from typing import Any

import pytest
from steps import ARRIVES_S, Operator, call_after_press, press_again, quick, steady, unbroken, wait_calls

import kanhu.platform as sdk
from kanhu.qa.board import Board
from kanhu.qa.host import Platform
from kanhu.qa.rig import Rig

pytestmark = [pytest.mark.release, pytest.mark.needs("press")]

REACHES_S = 10.0  # a quiet hub on a busy computer; a person has 60 s for an answer
AGAIN_S = 10.0  # contracts, section 7
HELD_S = 32.0  # docs/wiring.md: stuck after 30 s


@pytest.mark.promise("D-01", "D-08")
def test_a_press_is_one_call_at_the_platform_within_seconds(
    hub: Board, platform: Platform, bench: Rig, measure: Any
) -> None:
    begin = time.monotonic()
    call = call_after_press(hub, platform)
    measure("press to platform", time.monotonic() - begin, "s", REACHES_S)
    assert call.event_class == "p1"
    assert call.data["device"] == 1
    assert call.alarm == f"{hub.hub_id}/{call.id}"
    assert platform.calls(hub.hub_id) == 1
    sums = bench.host.wait_settled(hub.hub_id)
    assert sums["announced"] == sums["stored"] + sums["lost"] + sums["awaited"]
    assert sums["stored"] == sums["delivered"] + sums["queued"]
    assert sums["lost"] == 0


@pytest.mark.promise("A-01")
def test_a_call_is_said_again_until_a_person_has_it(hub: Board, platform: Platform, bench: Rig) -> None:
    call = call_after_press(hub, platform)
    said = [
        platform.wait(
            lambda event, attempt=attempt: (
                event.name == "call.unanswered"
                and event.alarm == call.alarm
                and event.data["attempt"] == attempt
            ),
            attempt * AGAIN_S + ARRIVES_S,
        )
        for attempt in (1, 2)
    ]
    assert [event.hub for event in said] == [hub.hub_id] * 2
    Operator(bench).accept(call.alarm)
    hub.wait_indicator("accepted", ARRIVES_S)
    bench.host.wait_settled(hub.hub_id)
    last = len(platform.events("call.unanswered", hub.hub_id))
    steady(
        lambda: len(platform.events("call.unanswered", hub.hub_id)),
        last,
        AGAIN_S + 2,
        "said again although a person has it",
    )


@pytest.mark.promise("A-02", "D-07")
def test_nobody_can_press_too_often(hub: Board, platform: Platform, bench: Rig) -> None:
    call = call_after_press(hub, platform)
    for _ in range(6):
        press_again(hub)
    wait_calls(hub, platform, 7)
    assert {event.alarm for event in platform.events("call", hub.hub_id)} == {call.alarm}
    assert bench.host.open_alarms(hub.hub_id) == [call.alarm]
    bench.host.wait_settled(hub.hub_id)
    assert platform.calls(hub.hub_id) == 7
    unbroken(bench.host, hub)


@pytest.mark.promise("A-03", "L-03")
@pytest.mark.needs("indicator")
def test_a_press_after_the_answer_is_a_new_call(hub: Board, platform: Platform, bench: Rig) -> None:
    person = Operator(bench)
    first = call_after_press(hub, platform)
    person.accept(first.alarm)
    hub.wait_indicator("accepted", ARRIVES_S)
    second = call_after_press(hub, platform)
    assert second.alarm == f"{hub.hub_id}/{second.id}"
    assert second.alarm != first.alarm
    assert set(bench.host.open_alarms(hub.hub_id)) == {first.alarm, second.alarm}


@pytest.mark.promise("A-05")
def test_the_first_who_accepts_has_the_call(hub: Board, platform: Platform, bench: Rig) -> None:
    call = call_after_press(hub, platform)
    first = Operator(bench)
    first.accept(call.alarm)
    first.accept(call.alarm)  # once more is no second answer
    with pytest.raises(sdk.CommandRefused, match=first.name):
        Operator(bench, "op-2").accept(call.alarm)
    accepted = platform.wait_event("alarm.accepted", hub.hub_id, ARRIVES_S)
    assert accepted.data["operator"] == first.name


@pytest.mark.promise("A-04", "A-09")
@pytest.mark.needs("power", "indicator")
def test_only_a_person_closes_a_call(hub: Board, platform: Platform, bench: Rig) -> None:
    call = call_after_press(hub, platform)
    hub.power(False)
    hub.power(True)
    hub.press("cancel")
    # Not the restart, not movement, not the cancel key: the same call is said on.
    said = platform.wait(
        lambda event: event.name == "call.unanswered" and event.alarm == call.alarm, 3 * ARRIVES_S
    )
    assert int(said.id.split("-")[0]) > int(call.id.split("-")[0])
    if "motion" in hub.capabilities:
        hub.motion(seconds=1.0)
        platform.wait(
            lambda event: event.hub == hub.hub_id and event.name.startswith("motion"), 3 * ARRIVES_S
        )
    assert bench.host.open_alarms(hub.hub_id) == [call.alarm]
    Operator(bench).accept(call.alarm)
    Operator(bench).close(call.alarm)
    hub.wait_indicator("well", ARRIVES_S)
    assert bench.host.open_alarms(hub.hub_id) == []


@pytest.mark.promise("I-01", "I-03", "T-03")
def test_a_button_that_stays_pressed_has_called_once_and_is_stuck(
    hub: Board, hubs: Any, platform: Platform, bench: Rig
) -> None:
    one, _ = quick(bench, hub, hubs, 5)
    one.press(seconds=HELD_S)
    stuck = platform.wait_event("contact.stuck", one.hub_id, ARRIVES_S)
    released = platform.wait_event("contact.released", one.hub_id, ARRIVES_S)
    assert (stuck.data["device"], released.data["device"]) == (1, 1)
    assert platform.calls(one.hub_id) == 1


@pytest.mark.promise("A-07")
def test_the_cancel_key_does_nothing_where_nothing_is_asked(
    hub: Board, platform: Platform, bench: Rig
) -> None:
    call = call_after_press(hub, platform)
    hub.press("cancel")
    # The call is said on: nothing has been cancelled.
    platform.wait(
        lambda event: event.name == "call.unanswered" and event.alarm == call.alarm, AGAIN_S + ARRIVES_S
    )
    assert platform.events("pre_alarm.cancelled", hub.hub_id) == []
    assert bench.host.open_alarms(hub.hub_id) == [call.alarm]
