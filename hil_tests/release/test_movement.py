"""PIR sensors: every movement once, stillness once, and a sensor that sees nothing is no quiet room."""

from __future__ import annotations

import time
from typing import Any

import pytest
from steps import ARRIVES_S, BACK_S, fast, quick, steady

from kanhu.qa.board import Board
from kanhu.qa.host import Platform
from kanhu.qa.rig import Rig

pytestmark = pytest.mark.release

SPEED = 60  # hours in minutes; a minute of the hub's is a second here
STUCK_S = 15 * 60 / SPEED  # docs/wiring.md
STILL_S = 10 * 60 / SPEED
SLACK_S = 40.0
MOVING_S = 30.0  # of the hub's time


def moved(platform: Platform, hub: Board) -> int:
    """How many movements the platform has."""
    return len(platform.events("motion", hub.hub_id)) + sum(
        int(event.data["count"]) for event in platform.events("motion.count", hub.hub_id)
    )


@pytest.mark.promise("I-05")
@pytest.mark.needs("motion")
def test_each_movement_is_in_one_event(hub: Board, hubs: Any, platform: Platform, bench: Rig) -> None:
    one, speed = quick(bench, hub, hubs, 10)
    before = moved(platform, one)
    for _ in range(3):
        one.motion(seconds=1.0 * speed)
        time.sleep(2.5)
    event = platform.wait(
        lambda event: event.hub == one.hub_id and event.name in {"motion", "motion.count"}, 90 + ARRIVES_S
    )
    assert event.event_class == "p5"
    # Further ones come together, at most once a minute.
    platform.wait(lambda _: moved(platform, one) - before >= 3, 90 + ARRIVES_S)
    bench.host.wait_settled(one.hub_id)
    assert moved(platform, one) - before == 3


@pytest.mark.promise("I-06", "I-05")
@pytest.mark.needs("fast_clock", "motion")
def test_ten_minutes_without_a_movement_are_said_once(hubs: Any, platform: Platform) -> None:
    one = fast(hubs, SPEED, proof=0)
    one.motion(seconds=MOVING_S)
    platform.wait_event("motion", one.hub_id, ARRIVES_S)
    still = platform.wait_event("still", one.hub_id, STILL_S + SLACK_S)
    assert 600_000 <= still.data["span_ms"] < 700_000
    steady(lambda: len(platform.events("still", one.hub_id)), 1, STILL_S * 1.5, "said more than once")
    one.motion(seconds=MOVING_S)
    platform.wait(lambda _: len(platform.events("motion", one.hub_id)) >= 2, ARRIVES_S)


@pytest.mark.promise("I-07", "T-03")
@pytest.mark.needs("fast_clock", "motion")
def test_a_pir_that_is_stuck_is_a_fault_and_never_a_quiet_room(hubs: Any, platform: Platform) -> None:
    one = fast(hubs, SPEED, proof=0)
    one.motion(seconds=30 * 60)  # the wire is cut, or the output stays on
    platform.wait_event("contact.stuck", one.hub_id, STUCK_S + SLACK_S)
    assert platform.events("still", one.hub_id) == []
    # From then on there is neither movement nor stillness, until it is mended.
    seen = moved(platform, one)
    steady(
        lambda: (len(platform.events("still", one.hub_id)), moved(platform, one) <= seen + 1),
        (0, True),
        STILL_S * 1.5,
        "said of a sensor that is stuck",
    )
    released = platform.wait_event("contact.released", one.hub_id, 30 * 60 / SPEED + SLACK_S)
    assert released.data["device"] == platform.events("contact.stuck", one.hub_id)[0].data["device"]


@pytest.mark.promise("I-08")
@pytest.mark.needs("fast_clock", "motion")
def test_what_a_pir_says_while_it_warms_up_counts_for_nothing(hubs: Any, platform: Platform) -> None:
    (one,) = hubs(1, config={"pir_warm_up": 600})
    one.motion(seconds=1.0)
    time.sleep(2)
    one.motion(seconds=1.0)
    platform.wait_event("heartbeat", one.hub_id, BACK_S)
    steady(lambda: moved(platform, one), 0, 6, "movements while it warms up")
