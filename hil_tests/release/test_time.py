"""Time: a counter that wraps, and moments that are said only where they are known."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from steps import ARRIVES_S, Operator, call_after_press

from kanhu.qa.board import Board
from kanhu.qa.host import Platform
from kanhu.qa.rig import Rig

pytestmark = pytest.mark.release

TICKS = 1 << 30  # ms: an ESP32's ticks begin again
SPEED = 4
BEFORE_S = 80  # of the hub's time until the wrap, when it starts
TRUE_S = 10.0  # an event's time, against this computer's


@pytest.mark.promise("Z-01", "A-01")
@pytest.mark.needs("fast_clock", "press", "log")
def test_a_call_is_said_on_when_the_ticks_begin_again(hubs: Any, platform: Platform, bench: Rig) -> None:
    """Starts shortly before the wrap, calls before it, and is heard, repeated and answered after it."""
    begin = time.monotonic()
    (one,) = hubs(1, speed=SPEED, tick_start=TICKS - BEFORE_S * 1000)
    call = call_after_press(one, platform)
    time.sleep(max(0.0, begin + BEFORE_S / SPEED - time.monotonic()))
    passed = len(platform.events("call.unanswered", one.hub_id))
    said = platform.wait(
        lambda event: event.name == "call.unanswered" and event.hub == one.hub_id
        and event.data["attempt"] == passed + 2,
        60,
    )  # fmt: skip
    assert said.alarm == call.alarm
    assert said.data["up_ms"] < 600_000, "the hub's own time has jumped"
    before = one.log_position()
    Operator(bench).accept(call.alarm)
    # Its lamp is too quick for the eye: the console says what it shows.
    one.wait_log("lamp accepted", ARRIVES_S, before)
    Operator(bench).close(call.alarm)
    one.wait_log("lamp well", ARRIVES_S, before)


@pytest.mark.promise("Z-02", "Z-03")
@pytest.mark.needs("press")
def test_an_event_says_when_it_was_and_how_well_that_is_known(hub: Board, platform: Platform) -> None:
    call = call_after_press(hub, platform)
    assert call.clock_status in {"synced", "resolved"}
    assert call.time is not None
    off = abs((datetime.now(UTC) - call.time).total_seconds())
    assert off < TRUE_S + ARRIVES_S, f"{off} s off"
