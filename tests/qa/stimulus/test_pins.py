"""What a simulated board's pins drive, as who is wired to them sees it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_board import mpremote
from helpers_e2e import wait_for
from helpers_stimulus import WAIT, with_main
from kanhu.qa.targets.haste import hurried
from kanhu.sim import Bench
from kanhu.sim.bench import BenchError
from kanhu.sim.board import Board
from kanhu.sim.wires import Lead

MAC = "240ac40000a9"
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated")  # pyserial's
STEPS = """
from machine import Pin
steps = (
    lambda: Pin(4, Pin.OUT, value=1),
    lambda: Pin(4).value(0),
    lambda: Pin(4).init(Pin.IN),
    lambda: Pin(4).value(1),
    lambda: Pin(4).init(Pin.OUT),
    lambda: Pin(4).init(Pin.OPEN_DRAIN, value=1),
    lambda: Pin(4).value(0),
    lambda: Pin(4).on(),
    lambda: Pin(5, Pin.OUT, value=0),
)
for step in steps:
    step()
print("levels", Pin(4).value(), Pin(5).value())
"""
BUSY = """
import machine, time
from machine import Pin
when = []
pin = Pin(4, Pin.IN, Pin.PULL_UP)
pin.irq(lambda p: when.append((p.value(), time.ticks_us())), Pin.IRQ_FALLING | Pin.IRQ_RISING)
print("now", time.ticks_us())
while len(when) < 2:
    begin = time.ticks_ms()
    while time.ticks_diff(time.ticks_ms(), begin) < 400:  # computes, and looks at nothing
        pass
    machine.idle()
print("edges", when)
"""
ASKED = """
from machine import Pin
p = Pin(4, Pin.OPEN_DRAIN, Pin.PULL_UP, value=1)
while True:
    input()
    print("reads", p.value())
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with hurried(), Bench(tmp_path) as bench:
        yield bench


def board(bench: Bench, source: str, **wiring: Lead) -> tuple[Board, list[tuple[int, int | None]]]:
    (bench.folder / "board.chip").write_bytes(with_main(source))
    made = bench.add_board("board", "esp32", MAC, 4, wiring=wiring, power=False, hub=False)
    seen: list[tuple[int, int | None]] = []
    made.watchers.append(lambda pin, level, when: seen.append((pin, level)))
    made.power_on()
    return made, seen


def test_levels_released_and_let_go(bench: Bench) -> None:
    made, seen = board(bench, STEPS)
    made.wait_hub().wait_log("levels 0 0", WAIT)
    assert seen == [
        (4, 1), (4, 0), (4, None),  # push-pull, then an input, which drives nothing
        (4, 1), (4, None), (4, 0), (4, None),  # open drain: a 1 is released
        (5, 0),
    ]  # fmt: skip
    seen.clear()
    # A soft reset leaves the pins as they are, until the next program sets them.
    code = "import machine; print(machine.Pin(5, machine.Pin.IN).value())"
    assert mpremote(made.url, "exec", code).strip() == "0"
    assert seen == [(5, None)]
    seen.clear()
    made.reset()
    made.wait_hub()
    wait_for(lambda: seen[-1:] == [(5, 0)], WAIT)
    seen.clear()
    made.cut_power()
    assert sorted(seen) == [(4, None), (5, None)]


def test_a_released_open_drain_reads_what_others_drive(bench: Bench) -> None:
    lead = Lead(4, driven=0)
    made, _ = board(bench, ASKED, line=lead)
    hub = made.wait_hub()
    for driven, reads in ((0, 0), (1, 1), (None, 1), (0, 0)):
        lead.driven = driven
        bench._do(lambda: hub._show(lead))
        mark = hub.log_position()
        bench._do(lambda: hub._on_input(b"\n"))
        hub.wait_log(f"reads {reads}", WAIT, after=mark)


def test_an_interrupt_has_the_time_of_its_edge_however_busy_the_board_is(bench: Bench) -> None:
    lead = Lead(4)
    made, _ = board(bench, BUSY, line=lead)
    hub = made.wait_hub()
    hub.wait_log("now", WAIT)
    sent = []
    for level in (0, None):
        lead.driven = level
        sent.append(time.monotonic())
        bench._do(lambda: hub._show(lead, sent[-1]))
        time.sleep(0.05)
    text = hub.wait_log(")]", WAIT)
    (line,) = [line for line in text.splitlines() if line.startswith("edges")]
    (low, first), (high, second) = eval(line.removeprefix("edges "))  # noqa: S307  our own board's
    assert (low, high) == (0, 1)
    assert (second - first) / 1e6 == pytest.approx(sent[1] - sent[0], abs=0.000_01)


def test_a_hand_at_a_wired_pin(bench: Bench) -> None:
    button, pir, mains = (
        Lead(4, "button"),
        Lead(13, "pir", driven=0),
        Lead(21, "mains", pressed=True, driven=1),
    )
    assert [one.level() for one in (button, pir, mains)] == [None, 0, 1]
    button.pressed, pir.pressed, mains.pressed = True, True, False
    assert [one.level() for one in (button, pir, mains)] == [0, 1, 0]
    button.plugged = False
    assert button.level() is None


def test_a_board_that_is_no_hub_is_not_taken_for_one(bench: Bench) -> None:
    made, _ = board(bench, "print('x')")
    made.wait_hub().wait_log("x", WAIT)
    assert bench.hubs == {}
    with pytest.raises(BenchError, match="none has been added"):
        bench.indicator()
