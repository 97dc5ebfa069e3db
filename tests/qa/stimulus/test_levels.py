"""Each line at its pin, level by level, as a hub's firmware of this test reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_e2e import wait_for
from helpers_stimulus import WAIT, Two, two, with_main
from kanhu.qa.lines import LINES

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated")  # pyserial's

# As the hub pulls them: buttons, cancel and PIR up, mains down.
PULLS = {name: 0 if name == "mains" else 1 for name, line in LINES.items() if line.drives and line.hub_gpio}
READER = f"""
import machine, time
P = machine.Pin
pins = {{name: P(gpio, P.IN, P.PULL_UP if up else P.PULL_DOWN) for name, gpio, up in
    {[(name, LINES[name].hub_gpio, up) for name, up in PULLS.items()]!r}}}
lamp, buzzer = P({LINES["lamp"].hub_gpio}, P.OUT, value=0), P({LINES["buzzer"].hub_gpio}, P.OUT, value=0)
before = None
while True:
    levels = {{name: pin.value() for name, pin in pins.items()}}
    if levels != before:
        before = levels
        print("levels", sorted(levels.items()))
        lamp.value(1 - levels["button"])
    time.sleep_ms(5)
"""
REST = {**PULLS, "pir": 0, "mains": 1}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with two(tmp_path_factory.mktemp("reader"), with_main(READER)) as both:
        yield both


def line_of(changed: dict[str, int]) -> str:
    """What the reader says of these levels."""
    return f"levels {sorted({**REST, **changed}.items())}"


def told(both: Two) -> list[str]:
    """All it said of levels so far."""
    return [line for _, line in both.hub.lines() if line.startswith("levels")]


def wait_levels(both: Two, **changed: int) -> None:
    """The last line says so."""
    wait_for(lambda: told(both)[-1:] == [line_of(changed)], WAIT)


def test_each_line_moves_its_own_pin_and_no_other(reader: Two) -> None:
    stimulus = reader.stimulus
    stimulus.settle()
    wait_levels(reader)
    for name in PULLS:
        stimulus.stick(name, True)
        wait_levels(reader, **{name: LINES[name].acts})
        if name == "button":
            wait_for(lambda: stimulus.ask("edges")["levels"]["lamp"] == 1, WAIT)
        stimulus.stick(name, False)
        wait_levels(reader)
        before = len(told(reader))
        stimulus.pulse(name, 300)
        both = [line_of({name: LINES[name].acts}), line_of({})]
        wait_for(lambda: told(reader)[before:] == both, WAIT)  # noqa: B023  it is over before they change
    for name in ("pir", "mains"):  # a cut wire: the hub's own pull
        stimulus.set(name, None)
        wait_levels(reader, **{name: PULLS[name]})
        stimulus.settle()
        wait_levels(reader)


def test_without_its_supply_all_wires_hang_free(reader: Two) -> None:
    reader.stimulus.settle()
    wait_levels(reader)
    reader.board.cut_power()
    wait_levels(reader, **PULLS)
    assert reader.hub_board.state == "application"
    reader.board.power_on()
    wait_levels(reader)


def test_what_the_hub_drives_when_it_comes_back_is_what_the_stimulus_reads(
    reader: Two, tmp_path: Path
) -> None:
    stimulus = reader.stimulus
    stimulus.settle()
    stimulus.stick("button", True)
    wait_for(lambda: stimulus.ask("edges")["levels"]["lamp"] == 1, WAIT)
    stimulus.set("power", 0)
    wait_for(lambda: stimulus.ask("edges")["levels"]["lamp"] == 0, WAIT)
    stimulus.set("power", None)
    wait_for(lambda: stimulus.ask("edges")["levels"]["lamp"] == 1, WAIT)  # the button is still held
    stimulus.settle()
    wait_for(lambda: stimulus.ask("edges")["levels"]["lamp"] == 0, WAIT)
