"""What the elder sees: no more than is known, and never less."""

from __future__ import annotations

from typing import Any

import pytest
from steps import ANSWERED_S, ARRIVES_S, BACK_S, Operator, call_after_press, never_shown

from kanhu.qa.board import Board
from kanhu.qa.host import Platform
from kanhu.qa.rig import Rig

pytestmark = [pytest.mark.release, pytest.mark.needs("press", "indicator")]

UNANSWERED_S = 10.0  # contracts, section 7
SLACK_S = 10.0
SILENT_S = 60.0  # three heartbeats of 5 s with their jitter, until the hub says that nobody answers
AT_REST = {"well", "cannot_tell"}


@pytest.mark.promise("L-01")
def test_each_receipt_shows_and_none_before_it_is_true(
    hub: Board, platform: Platform, bench: Rig, fault: Any
) -> None:
    with fault.platform_down():
        hub.press()
        hub.wait_indicator("stored", UNANSWERED_S)
        never_shown(hub, {"delivered", "accepted", *AT_REST}, 3)
    call = platform.wait_event("call", hub.hub_id, BACK_S)
    Operator(bench).accept(call.alarm)
    hub.wait_indicator("accepted", ANSWERED_S)


@pytest.mark.promise("L-01")
def test_a_press_that_has_left_the_hub_and_not_arrived_is_heard(
    hub: Board, platform: Platform, fault: Any
) -> None:
    with fault.daemon_stop():
        hub.press()
        hub.wait_indicator("heard", 5)
        never_shown(hub, {"stored", "delivered", "accepted", *AT_REST}, 5)
    platform.wait_event("call", hub.hub_id, BACK_S)


@pytest.mark.promise("L-02")
def test_nobody_has_answered_is_said_until_somebody_does(hub: Board, platform: Platform, bench: Rig) -> None:
    call = call_after_press(hub, platform)
    hub.wait_indicator("unanswered", UNANSWERED_S + SLACK_S)
    never_shown(hub, {"accepted", *AT_REST}, 5)
    Operator(bench).accept(call.alarm)
    hub.wait_indicator("accepted", ANSWERED_S)
    never_shown(hub, {"unanswered", *AT_REST}, 3)


@pytest.mark.promise("L-03")
def test_a_persons_steps_show_until_the_call_is_closed(hub: Board, platform: Platform, bench: Rig) -> None:
    person = Operator(bench)
    call = call_after_press(hub, platform)
    person.accept(call.alarm)
    hub.wait_indicator("accepted", ANSWERED_S)
    person.dispatch(call.alarm)
    hub.wait_indicator("coming", ANSWERED_S)
    person.close(call.alarm)
    hub.wait_indicator("well", ANSWERED_S)


@pytest.mark.promise("L-07")
@pytest.mark.needs("proxy")
def test_a_call_that_cannot_leave_is_unanswered(hub: Board, platform: Platform, fault: Any) -> None:
    with fault.cut():
        hub.press()
        hub.wait_indicator("unanswered", UNANSWERED_S + SLACK_S)
        never_shown(hub, {"stored", "delivered", "accepted", *AT_REST}, 3)
    platform.wait_event("call", hub.hub_id, BACK_S)


@pytest.mark.promise("L-04")
def test_well_is_said_only_while_a_host_is_heard(hub: Board, fault: Any) -> None:
    hub.wait_indicator("well", ARRIVES_S)
    with fault.daemon_kill():
        hub.wait_indicator("cannot_tell", SILENT_S)
    hub.wait_indicator("well", BACK_S)


@pytest.mark.promise("L-06", "A-09")
@pytest.mark.needs("power")
def test_an_open_call_shows_at_once_after_a_restart_and_an_answer_too(
    hub: Board, platform: Platform, bench: Rig
) -> None:
    call = call_after_press(hub, platform)
    hub.power(False)
    hub.power(True)
    hub.wait_indicator("unanswered", BACK_S)
    hub.power(False)
    Operator(bench).accept(call.alarm)
    hub.power(True)
    hub.wait_indicator("accepted", BACK_S)
