"""A hub on a serial line: events, log text, noise and a technician share one wire."""

from __future__ import annotations

import time
from typing import Any

import pytest
from steps import ARRIVES_S, BACK_S, Operator, press_again, unbroken, wait_calls

from kanhu.qa.board import Board
from kanhu.qa.host import Platform, wait_for
from kanhu.qa.rig import Rig

pytestmark = [pytest.mark.release, pytest.mark.needs("serial_link", "fast_clock", "press", "indicator")]

ROUNDS = 3
WORDS = 4  # lines of its log that a hub writes at each call, at the least


def damaged(bench: Rig) -> int:
    """Frames that the daemon could not read on its serial ports."""
    return sum(
        count
        for (link, why), count in bench.host.refused().items()
        if link.startswith("serial") and why == "malformed"
    )


@pytest.fixture
def line(hubs: Any) -> Board:
    """A hub whose only way out is its console."""
    (one,) = hubs(1, links=["serial"])
    return one


@pytest.mark.promise("K-02", "D-01")
def test_log_text_spoils_no_event(line: Board, platform: Platform, bench: Rig) -> None:
    """Each call is between lines of log: that it is heard, stored, delivered, accepted, over."""
    before, person = damaged(bench), Operator(bench)
    for count in range(1, ROUNDS + 1):
        said = line.log_position()
        press_again(line)
        wait_calls(line, platform, count)
        line.wait_indicator("delivered", ARRIVES_S)
        person.accept(platform.events("call", line.hub_id)[-1].alarm)
        line.wait_indicator("accepted", ARRIVES_S)
        person.close(platform.events("call", line.hub_id)[-1].alarm)
        line.wait_indicator("well", ARRIVES_S)
        assert line.log(said).count("kanhu: ") >= WORDS, line.log(said)
    bench.host.wait_settled(line.hub_id)
    assert damaged(bench) == before, "frames came damaged over a wire on which nothing but the hub speaks"
    unbroken(bench.host, line)


@pytest.mark.promise("K-03", "D-06")
def test_noise_costs_no_call(line: Board, platform: Platform, bench: Rig, fault: Any) -> None:
    with fault.serial_noise(300, hub=line, toward="host"):
        for _ in range(3):
            press_again(line)
        time.sleep(1)
    wait_calls(line, platform, 3, BACK_S)
    bench.host.wait_settled(line.hub_id)
    assert platform.calls(line.hub_id) == 3
    unbroken(bench.host, line)
    Operator(bench).accept(platform.events("call", line.hub_id)[0].alarm)
    wait_for(
        lambda: line.indicator() == "accepted" or None,
        ARRIVES_S,
        lambda: f"the answer does not reach the hub: it shows {line.indicator()!r}",
    )
    Operator(bench).close(platform.events("call", line.hub_id)[0].alarm)
