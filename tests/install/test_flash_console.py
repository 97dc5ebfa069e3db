"""A simulated board's console, where a real one's goes wrong: a lost pulse, a reset amid the self-test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_board import provisioned
from kanhu.install.flash import console, troubles
from kanhu.install.flash.ports import Port
from kanhu.sim import Bench
from kanhu.sim.board import Board

HUB = "k3v9m2x7qa"
MAC = "240ac4c0ffee"
WAIT = 60  # s

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated")  # pyserial's


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    (tmp_path / "board.chip").write_bytes(provisioned("esp32", HUB))
    with Bench(tmp_path) as bench:
        made = bench.add_board("board", "esp32", MAC, 4)
        made.wait_hub().wait_log("boot 1", WAIT)
        yield made


def test_a_pulse_that_was_lost_is_given_again(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, lost = board._on_lines, [False]

    def first_is_lost(dtr: bool, rts: bool) -> None:
        if rts and not dtr and not lost[0]:
            lost[0] = True
        else:
            lines(dtr, rts)

    monkeypatch.setattr(board._port, "_on_lines", first_is_lost)
    monkeypatch.setattr(console, "DEAF_S", 1.0)
    notes: list[str] = []
    began = time.monotonic()
    opened, start = console.opened(Port(board.url), MAC, threading.Event(), notes.append)
    opened.close()
    assert lost == [True]
    assert (start.hub, start.boot) == (HUB, 2)
    assert notes == ["not a word of it: resetting it once more"]
    assert time.monotonic() - began < console.START_S


def test_a_board_that_starts_is_reset_once(board: Board) -> None:
    notes: list[str] = []
    opened, start = console.opened(Port(board.url), MAC, threading.Event(), notes.append)
    opened.close()
    assert (start.hub, start.boot, start.deaf) == (HUB, 2, False)
    assert notes == []
    assert board.resets == 2


def test_a_reset_amid_the_self_test_is_told_at_once(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_selftest", lambda: "import machine\nrun = machine.reset")
    opened, _ = console.opened(Port(board.url), MAC, threading.Event())
    began = time.monotonic()
    try:
        with pytest.raises(troubles.Trouble, match="started again in the middle of the self-test") as caught:
            opened.ask("run()")
    finally:
        opened.close()
    assert caught.value.again
    assert time.monotonic() - began < console.ANSWER_S
