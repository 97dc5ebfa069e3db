"""Benches whose wires are wrong on purpose."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from helpers_board import provisioned
from helpers_stimulus import HUB, HUB_MAC, STIMULUS_MAC, flashed
from kanhu.qa.lines import HUB_SETTINGS, LINES, Line
from kanhu.qa.targets.haste import hurried
from kanhu.sim import Bench
from kanhu.sim.pairs import wire

TOML = """
[wifi]
name = "kanhu-lab"
password = "a password"
[[hub]]
board = "esp32"
port = "{hub}"
[stimulus]
board = "esp32"
port = "{stimulus}"
[power]
kind = "{power}"
"""


def swapped(first: str, second: str) -> dict[str, Line]:
    """Each wire ends where the other should."""
    one, two = LINES[first], LINES[second]
    return {**LINES, first: replace(one, hub_gpio=two.hub_gpio), second: replace(two, hub_gpio=one.hub_gpio)}


def without(*names: str) -> dict[str, Line]:
    """These wires are missing."""
    return {name: line for name, line in LINES.items() if name not in names}


def moved(name: str, hub_gpio: int) -> dict[str, Line]:
    """A wire that ends at another pin of the hub."""
    return {**LINES, name: replace(LINES[name], hub_gpio=hub_gpio)}


def touching(first: str, second: str) -> dict[str, Line]:
    """Two wires to the hub that touch."""
    one, two = LINES[first], LINES[second]
    return {
        **LINES,
        "touching 1": replace(one, name="touching 1", hub_gpio=two.hub_gpio),
        "touching 2": replace(two, name="touching 2", hub_gpio=one.hub_gpio),
    }


@contextlib.contextmanager
def standing(
    folder: Path, lines: Mapping[str, Line] = LINES, power: str = "stimulus"
) -> Iterator[tuple[Path, Bench]]:
    """Both boards wired so, and the bench.toml of them."""
    place = folder / "bench"
    place.mkdir()
    (place / "stimulus.chip").write_bytes(flashed())
    (place / "hub.chip").write_bytes(provisioned("esp32", HUB, HUB_SETTINGS))
    with hurried(), Bench(place) as bench:
        stimulus = bench.add_board("stimulus", "esp32", STIMULUS_MAC, 4, hub=False)
        board = bench.add_board("hub", "esp32", HUB_MAC, 4)
        wire(bench, stimulus, board, lines)
        file = folder / "bench.toml"
        file.write_text(TOML.format(hub=board.url, stimulus=stimulus.url, power=power))
        yield file, bench
