"""The wiring table: what two dev boards can do, and what a hub takes."""

from __future__ import annotations

from collections import Counter

import cbor2
import pytest

from kanhu.qa.lines import HUB_SETTINGS, LINES, load_lines
from kanhu.registry import checks
from kanhu.sim.board.cli import BUTTON_PIN

STRAPPING = {0, 2, 5, 12, 15}  # ESP32 data sheet, section 3: they choose how the chip starts
FLASH, CONSOLE = set(range(6, 12)), {1, 3}
INPUT_ONLY = set(range(34, 40))
SPEAK_AT_START = {14}  # a signal of its own while the ROM runs
ESP32 = {*range(24), *range(25, 28), *range(32, 40)} - {20}
S3_OUT_OF_REACH = {*range(22, 26), *range(26, 38), 0, 3, 45, 46, 19, 20, 43, 44}


def test_no_pin_is_used_twice_and_each_can_do_its_part() -> None:
    assert set(LINES) == {"button", "button2", "pir", "mains", "cancel", "lamp", "buzzer", "power"}
    assert set(Counter(line.gpio for line in LINES.values()).values()) == {1}
    hub = [line.hub_gpio for line in LINES.values() if line.hub_gpio is not None]
    assert len(set(hub)) == len(hub) == len(LINES) - 1
    for line in LINES.values():
        assert line.gpio in ESP32 - STRAPPING - FLASH - CONSOLE, line
        if line.drives:
            assert line.gpio not in INPUT_ONLY | SPEAK_AT_START, line
        if line.hub_gpio is not None:
            assert line.hub_gpio in ESP32 - FLASH - CONSOLE - INPUT_ONLY - S3_OUT_OF_REACH, line
            assert not line.drives or line.hub_gpio not in STRAPPING, line
        assert line.note
        assert line.resistor


def test_nobody_touches_anything_at_rest() -> None:
    rest = {name: line.rest for name, line in LINES.items() if line.drives}
    assert rest == {
        "button": None, "button2": None, "cancel": None, "pir": 0, "mains": 1, "power": None,
    }  # fmt: skip
    assert {name: LINES[name].acts for name in rest} == {
        "button": 0, "button2": 0, "cancel": 0, "pir": 1, "mains": 0, "power": 0,
    }  # fmt: skip


def test_the_hub_takes_the_settings() -> None:
    given = checks.settings(HUB_SETTINGS)
    assert {key: given[key] for key in HUB_SETTINGS} == HUB_SETTINGS
    assert HUB_SETTINGS["buttons"][0][1] == BUTTON_PIN  # the first button is where every hub has it
    assert cbor2.loads(cbor2.dumps(HUB_SETTINGS)) == HUB_SETTINGS


def test_another_table_can_be_loaded() -> None:
    (line,) = load_lines('LINES = {"x": (1, "input", None, 2, "lamp", 0, "1k", "y")}').values()
    assert (line.name, line.gpio, line.drives) == ("x", 1, False)
    with pytest.raises(TypeError):
        load_lines('LINES = {"x": (1,)}')
