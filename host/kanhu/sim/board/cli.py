"""`kanhu sim board`: a bare simulated board on the desk, to try flashing on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from kanhu.errors import KanhuError
from kanhu.sim.bench import Bench
from kanhu.sim.hub import Hub
from kanhu.sim.keyboard import keyboard

from .board import Board

BUTTON, BUTTON_PIN = "button", 4  # the firmware's default wiring
KEYS = {"p": "press the wired button", "r": "press reset", "c": "cut power / restore it", "q": "quit"}


def board(
    chip: Annotated[str, typer.Option(help="esp32, esp32s3 or esp32c3")] = "esp32s3",
    mac: Annotated[str, typer.Option(help="its MAC address, 12 hex digits")] = "240ac4000001",
    flash_mb: Annotated[int, typer.Option(help="size of its flash in MB")] = 8,
    folder: Annotated[Path, typer.Option(help="where it keeps its flash")] = Path("kanhu-board"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0: a free one")] = 0,
    seconds: Annotated[float, typer.Option(help="stop after that long; 0: when q is pressed")] = 0,
) -> None:
    """Start one bare board; esptool, mpremote and kanhu flash reach it at the port that this prints."""
    if not 0 <= seconds < math.inf:
        raise KanhuError(f"--seconds {seconds:g}: must be 0 or more, such as --seconds 30")
    try:
        with Bench(folder) as bench:
            made = bench.add_board("board", chip, mac, flash_mb, wiring={BUTTON: BUTTON_PIN}, port=port)
            typer.echo(f"board {made.chip} {made.mac} with {flash_mb} MB in {folder}, port {made.url}")
            typer.echo("\n".join(f"  {key}  {what}" for key, what in KEYS.items()))
            _desk(bench, made, seconds)
    except OSError as error:
        raise KanhuError(str(error)) from None


def _desk(bench: Bench, made: Board, seconds: float) -> None:
    end = time.monotonic() + seconds if seconds else math.inf
    words = made.words.position
    hub: Hub | None = None
    said = 0
    spoken = state = ""
    with keyboard() as keys:
        while time.monotonic() < end:
            key = keys(0.1)
            if made.words.position > words:
                spoken, before = made.words.text(words).strip("\r\n"), spoken
                words = made.words.position
                if spoken != before:  # a chip without an image says the same for ever
                    typer.echo(spoken)
            if made.hubs and made.hubs[-1] is not hub:
                hub, said = made.hubs[-1], 0
            if hub and hub.log_position() > said:
                typer.echo(hub.log(said).rstrip("\r\n"))
                said = hub.log_position()
            if made.state != state:
                state = made.state
                typer.echo(f"[{state}]")
            if key == "q":
                return
            if key in KEYS:
                typer.echo(f"[{KEYS[key]}]")
                _act(bench, made, key)


def _act(bench: Bench, made: Board, key: str) -> None:
    off = made.state == "off"
    actions: dict[str, Callable[[], None]] = {"r": made.reset, "c": made.power_on if off else made.cut_power}
    if made.hub:
        hub = made.hub
        actions["p"] = lambda: bench.press(BUTTON, hub=hub)
    actions.get(key, lambda: None)()
