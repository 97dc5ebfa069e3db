"""Smoke: what has to work on every board before anything else is tested."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hil_board import Board

from kanhu.install.firmware import build_files
from kanhu.sim.city import City
from kanhu.sim.town import Town

LATENCY_LIMIT_S = 5.0  # press to the platform: far below the 60 s in which 97.5 % of calls are to be answered
MPREMOTE_LIMIT_S = 30.0


def mpremote(board: Board, *words: str) -> str:
    """Run the real mpremote on the board; its output."""
    program = Path(sys.executable).with_name("mpremote")
    done = subprocess.run(
        [str(program), "connect", board.port, *words],
        capture_output=True,
        text=True,
        timeout=MPREMOTE_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def calls(city: City, board: Board) -> int:
    """How many presses of this board the platform has."""
    return sum(event.data.get("count", 1) for event in city.events("call") if event.hub == board.hub_id)


@pytest.mark.needs("press", "indicator")
def test_a_press_reaches_a_person_and_the_elder_sees_it(board: Board, city: City) -> None:
    begin = time.monotonic()
    board.press("bedroom")
    event = city.wait(lambda event: event.name == "call" and event.hub == board.hub_id)
    assert time.monotonic() - begin < LATENCY_LIMIT_S
    assert event.event_class == "p1"
    board.wait_indicator("delivered", 5)
    city.accept_all()
    board.wait_indicator("accepted", 5)
    assert calls(city, board) == 1


@pytest.mark.needs("motion")
def test_motion_reaches_the_platform(board: Board, city: City) -> None:
    board.motion("kitchen", 2.0)
    event = city.wait(lambda event: event.name.startswith("motion") and event.hub == board.hub_id)
    assert event.event_class == "p5"
    assert event.data["device"] == 2


@pytest.mark.needs("power", "press", "indicator")
def test_a_heard_press_survives_a_power_cut(board: Board, city: City, town: Town) -> None:
    town.broker.kill()  # nothing can leave the hub before the cut
    board.press("bedroom")
    board.wait_indicator("heard", 5)
    board.power(False)
    board.power(True)
    board.wait_indicator("unanswered", 15)
    town.broker.start()
    city.wait(lambda event: event.name == "call" and event.hub == board.hub_id, 30)
    assert calls(city, board) == 1


@pytest.mark.needs("press")
def test_a_soft_reset_goes_on_with_events(board: Board, city: City) -> None:
    mpremote(board, "soft-reset")
    boot = city.wait(
        lambda event: event.name == "boot" and event.id.startswith("2-") and event.hub == board.hub_id, 60
    )
    # main.py does not run after this soft reset; the watchdog, which survives it, brings the hub back.
    assert boot.data["reset"] == "watchdog"
    board.press("bedroom")
    city.wait(lambda event: event.name == "call" and event.id.startswith("2-"), 15)


@pytest.mark.needs("flash", "indicator")
def test_mpremote_sees_the_files_that_an_esp32_would_get(board: Board) -> None:
    listing = mpremote(board, "fs", "ls", ":/")
    assert "main.py" in listing
    assert "boot.py" in listing
    assert "a/" in listing
    wanted = build_files()
    present = board.flash_files()
    assert {path: present.get(path) for path in wanted} == wanted
    mpremote(board, "soft-reset")
    board.wait_indicator("well", 60)
