"""Between hub and platform: whoever holds an event keeps it, and each counts once."""

from __future__ import annotations

import time
from typing import Any

import pytest
from steps import ARRIVES_S, BACK_S, call_after_press, press_again, steady, unbroken, wait_calls

from kanhu.qa.board import Board
from kanhu.qa.host import Platform, wait_for
from kanhu.qa.rig import Rig

pytestmark = [pytest.mark.release, pytest.mark.needs("press", "indicator")]

RESENT_S = 25.0  # an unanswered event is sent again after 10 s
GIVEN_UP_S = 75.0  # the hub asks after 15 s, and gives a connection up that does not answer in 10 s
AGAIN_S = 10.0  # what the platform has not acknowledged is published again


@pytest.mark.promise("D-06", "D-03")
def test_what_had_to_be_sent_twice_counts_once(
    hub: Board, platform: Platform, bench: Rig, fault: Any
) -> None:
    with fault.daemon_stop():  # the broker takes it, and acknowledges it: nobody says that it is stored
        hub.press()
        hub.wait_indicator("heard", 5)
        time.sleep(RESENT_S)
        assert hub.indicator() == "unanswered", hub.indicator()
    call = platform.wait_event("call", hub.hub_id, BACK_S)
    bench.host.wait_settled(hub.hub_id)
    assert [event.id for event in platform.events("call", hub.hub_id)] == [call.id], "one press, more calls"
    assert platform.calls(hub.hub_id) == 1
    assert bench.host.open_alarms(hub.hub_id) == [call.alarm]


@pytest.mark.promise("D-06", "K-01")
@pytest.mark.needs("proxy")
def test_a_connection_that_breaks_again_and_again_doubles_nothing(
    hub: Board, platform: Platform, bench: Rig, fault: Any
) -> None:
    with fault.reset(every_s=1.5):
        for _ in range(4):
            press_again(hub)
    wait_calls(hub, platform, 4, BACK_S)
    bench.host.wait_settled(hub.hub_id)
    assert platform.calls(hub.hub_id) == 4
    unbroken(bench.host, hub)


@pytest.mark.promise("D-03")
@pytest.mark.needs("proxy")
def test_a_brokers_silence_costs_no_call(hub: Board, platform: Platform, bench: Rig, fault: Any) -> None:
    with fault.mute_broker():
        hub.press()
        platform.wait_event("call", hub.hub_id, BACK_S)
    bench.host.wait_settled(hub.hub_id)
    assert platform.calls(hub.hub_id) == 1


@pytest.mark.promise("D-05", "D-06", "O-02")
def test_the_platform_gets_it_again_until_it_has_said_so(
    hub: Board, platform: Platform, bench: Rig, fault: Any
) -> None:
    with fault.platform_down():
        hub.press()
        hub.wait_indicator("stored", ARRIVES_S)
        time.sleep(AGAIN_S + 3)
        assert bench.host.ledger(hub.hub_id)["queued"] >= 1
    call = platform.wait_event("call", hub.hub_id, BACK_S)
    sums = bench.host.wait_settled(hub.hub_id)
    assert sums["stored"] == sums["delivered"]
    said = platform.arrivals()[f"/kanhu/hubs/{hub.hub_id}", call.id]
    assert len(said) >= 2, "it was published once only, and nobody had acknowledged it"
    assert platform.calls(hub.hub_id) == 1


@pytest.mark.promise("O-01", "K-01")
def test_a_killed_host_has_lost_nothing(hub: Board, platform: Platform, bench: Rig, fault: Any) -> None:
    before = call_after_press(hub, platform)
    with fault.daemon_kill():
        press_again(hub)
        time.sleep(1)
    wait_calls(hub, platform, 2, BACK_S)
    bench.host.wait_settled(hub.hub_id)
    assert platform.calls(hub.hub_id) == 2
    assert {event.alarm for event in platform.events("call", hub.hub_id)} == {before.alarm}
    unbroken(bench.host, hub)


@pytest.mark.promise("K-01", "D-14")
def test_a_broker_that_starts_again_has_the_hub_again(
    hub: Board, platform: Platform, bench: Rig, fault: Any
) -> None:
    with fault.broker_restart():
        hub.press()
    hub.motion(seconds=1.0)
    wait_calls(hub, platform, 1, BACK_S)
    bench.host.wait_settled(hub.hub_id)
    assert platform.calls(hub.hub_id) == 1


@pytest.mark.promise("K-07", "D-14")
@pytest.mark.needs("proxy", "mains")
def test_a_connection_that_carries_nothing_is_given_up(
    hub: Board, platform: Platform, bench: Rig, fault: Any
) -> None:
    known = bench.host.proxy.count("connections")
    with fault.stall():
        hub.mains(False)
        time.sleep(7)  # mains is debounced for 5 s
        hub.mains(True)
        hub.press()
        hub.wait_indicator("unanswered", 20)
        wait_for(
            lambda: bench.host.proxy.count("connections") > known or None,
            GIVEN_UP_S,
            lambda: f"the hub has kept a dead connection for {GIVEN_UP_S} s",
        )
    wait_calls(hub, platform, 1, BACK_S)
    platform.wait_event("mains.lost", hub.hub_id, BACK_S)
    platform.wait_event("mains.back", hub.hub_id, BACK_S)
    bench.host.wait_settled(hub.hub_id)
    assert platform.calls(hub.hub_id) == 1


@pytest.mark.promise("D-09")
@pytest.mark.needs("proxy")
def test_a_call_waits_behind_nothing_on_a_slow_line(
    hub: Board, platform: Platform, fault: Any, measure: Any
) -> None:
    with fault.slow(300):  # bytes in a second: a heartbeat takes half of one
        begin = time.monotonic()
        call_after_press(hub, platform, BACK_S)
        measure("press to platform at 300 B/s", time.monotonic() - begin, "s", 30.0)


@pytest.mark.promise("D-08", "D-07")
def test_the_books_balance_at_every_moment(hub: Board, platform: Platform, bench: Rig, fault: Any) -> None:
    def balance() -> bool:
        sums = bench.host.ledger(hub.hub_id)
        return (
            sums["announced"] == sums["stored"] + sums["lost"] + sums["awaited"]
            and sums["stored"] == sums["delivered"] + sums["queued"]
        )

    with fault.platform_down():
        for _ in range(3):
            press_again(hub)
        steady(balance, True, 3, "the books do not balance")
    wait_calls(hub, platform, 3, BACK_S)
    steady(balance, True, 2, "the books do not balance")
