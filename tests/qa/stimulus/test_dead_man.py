"""A host that is gone: nobody is left with a pressed button or a hub without supply."""

from __future__ import annotations

import time

import pytest

from helpers_e2e import wait_for
from helpers_stimulus import WAIT, Two

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated")  # pyserial's


def test_lines_are_let_go_and_the_supply_is_back_when_the_host_is_silent(boards: Two) -> None:
    stimulus, hub_board = boards.stimulus, boards.hub_board
    assert stimulus.status()["deadman"] == 60
    dead = stimulus.status()["counts"]["dead"]
    told: list[int] = []
    stimulus.listen("dead_man", lambda value, now: told.append(value))
    stimulus._leave()  # no keeper: the host is there and silent
    try:
        stimulus.ask("deadman", seconds=2)
        stimulus.stick("button2", True)
        stimulus.set("power", 0)
        hub_board.wait_state("off", timeout=WAIT)
        for _ in range(12):  # a host that says anything at all keeps them
            stimulus.ping()
            time.sleep(0.3)
        assert hub_board.state == "off"
        assert told == []
        hub_board.wait_state("application", timeout=WAIT)
        wait_for(lambda: told == [2], WAIT)
        levels = stimulus.status()["levels"]
        assert (levels["button2"], levels["power"], levels["mains"]) == (None, None, 1)
        assert stimulus.status()["counts"]["dead"] == dead + 1
        time.sleep(2.5)  # nothing is held: nothing is let go
        assert stimulus.status()["counts"]["dead"] == dead + 1
        stimulus.ask("deadman", seconds=60)
    finally:
        stimulus.open()


def test_a_client_that_is_open_keeps_what_it_holds(boards: Two) -> None:
    stimulus = boards.stimulus
    stimulus.ask("deadman", seconds=30)  # six of its pings
    stimulus.stick("cancel", True)
    pings = len([1 for _, line in stimulus.lines() if '"do":"ping"' in line])
    wait_for(lambda: len([1 for _, line in stimulus.lines() if '"do":"ping"' in line]) > pings + 1, WAIT)
    assert stimulus.status()["levels"]["cancel"] == 0
    stimulus.ask("deadman", seconds=60)
    stimulus.settle()
