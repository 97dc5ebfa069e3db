"""A stimulus board and a hub's board on a simulated bench, wired; the stimulus is flashed by real esptool."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from helpers_board import chip_image, provisioned
from helpers_firmware import loaded
from kanhu.install import filesystem
from kanhu.qa.lines import HUB_SETTINGS
from kanhu.qa.stimulus import Image, Stimulus, build, flash
from kanhu.qa.targets.haste import hurried
from kanhu.sim import Bench
from kanhu.sim.board import Board
from kanhu.sim.hub import Hub
from kanhu.sim.pairs import wire

HUB = "0123456789"
HUB_MAC, STIMULUS_MAC = "240ac40000a1", "240ac40000a2"
WAIT = 60  # s; this computer may have much else to do


@cache
def image() -> Image:
    return build()


def flashed() -> bytes:
    """A flash with the stimulus's image, as esptool leaves it."""
    flash = bytearray(b"\xff" * image().flash_size)
    for region in image().regions:
        flash[region.offset : region.offset + len(region.data)] = region.data
    return bytes(flash)


def with_main(source: str) -> bytes:
    """A flash that holds MicroPython and this main.py alone."""
    vfs = loaded("esp32").partition("vfs")
    made = bytearray(chip_image(loaded("esp32")))
    made[vfs.offset : vfs.offset + vfs.size] = b"\xff" * vfs.size
    volume = filesystem.make({"/main.py": source.encode()}, vfs.size)
    made[vfs.offset : vfs.offset + len(volume)] = volume
    return bytes(made)


@dataclass
class Two:
    """Both boards; the hub's has a hub of the bench's settings on it."""

    bench: Bench
    board: Board  # the stimulus
    hub_board: Board
    stimulus: Stimulus

    @property
    def hub(self) -> Hub:
        return self.hub_board.wait_hub()


@contextlib.contextmanager
def two(folder: Path, hub: bytes | None = None, *, by_esptool: bool = False) -> Iterator[Two]:
    """Wired and running, the stimulus open; hub: its board's flash."""
    with hurried(), Bench(folder) as bench:
        (folder / "hub.chip").write_bytes(provisioned("esp32", HUB, HUB_SETTINGS) if hub is None else hub)
        if not by_esptool:
            (folder / "stimulus.chip").write_bytes(flashed())
        board = bench.add_board("stimulus", "esp32", STIMULUS_MAC, 4, hub=False)
        hub_board = bench.add_board("hub", "esp32", HUB_MAC, 4, power=False)
        wire(bench, board, hub_board)
        hub_board.power_on()
        if by_esptool:
            flash(board.url, image(), mac=STIMULUS_MAC)
        with Stimulus(board.url) as stimulus:
            stimulus.prove(image())
            yield Two(bench, board, hub_board, stimulus)
