"""`kanhu sim bench`: a hub's board and a stimulus board, wired, at two serial ports of a process apart."""

from __future__ import annotations

import contextlib
import math
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from kanhu.errors import KanhuError
from kanhu.sim.bench import Bench
from kanhu.sim.hub import Hub
from kanhu.sim.keyboard import keyboard
from kanhu.sim.pairs import wire

from .board import Board

BOARD, CHIP, FLASH_MB = "esp32", "esp32", 4
HUB_MAC, STIMULUS_MAC = "240ac40000a1", "240ac40000a2"
TEXT = """\
# Two simulated boards at two serial ports (kanhu sim bench). Their home's Wi-Fi takes any name and password,
# and reaches this computer as 127.0.0.1.
[host]
address = "127.0.0.1"

[wifi]
name = "kanhu-lab"
password = "simulated"

[[hub]]
board = "{board}"
port = "{hub}"

[stimulus]
board = "{board}"
port = "{stimulus}"

[power]
kind = "stimulus"
"""


def bench(
    folder: Annotated[
        Path | None, typer.Option(help="where the boards keep their flash; without it they begin bare")
    ] = None,
    hub_port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0: a free one")] = 0,
    stimulus_port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0: a free one")] = 0,
    write: Annotated[Path | None, typer.Option(help="write the bench.toml there, too")] = None,
    seconds: Annotated[float, typer.Option(help="stop after that long; 0: when q is pressed")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="leave out what the hub says")] = False,
) -> None:
    """Start a hub's board and a stimulus board, wired, for `pytest hil_tests --target usb --bench FILE`."""
    if not 0 <= seconds < math.inf:
        raise KanhuError(f"--seconds {seconds:g}: must be 0 or more, such as --seconds 30")
    try:
        with _terminated(), contextlib.ExitStack() as stack:
            place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kanhu-bench-")))
            stand = stack.enter_context(Bench(place))
            hub = stand.add_board("hub", CHIP, HUB_MAC, FLASH_MB, port=hub_port, power=False)
            stimulus = stand.add_board(
                "stimulus", CHIP, STIMULUS_MAC, FLASH_MB, port=stimulus_port, hub=False
            )
            wire(stand, stimulus, hub)
            hub.power_on()
            text = TEXT.format(board=BOARD, hub=hub.url, stimulus=stimulus.url)
            if write:
                scratch = write.with_name(write.name + ".new")
                scratch.write_text(text, encoding="utf-8")
                scratch.replace(write)
            typer.echo(text)
            _desk([hub, stimulus], seconds, quiet)
    except OSError as error:
        raise KanhuError(str(error)) from None


def _desk(boards: list[Board], seconds: float, quiet: bool) -> None:
    end = time.monotonic() + seconds if seconds else math.inf
    states: dict[str, str] = {}
    hub: Hub | None = None
    said = 0
    with keyboard() as keys:
        while time.monotonic() < end:
            if keys(0.1) == "q":
                return
            for board in boards:
                if states.get(board.name) != board.state:
                    states[board.name] = board.state
                    typer.echo(f"{board.name} [{board.state}]")
            if boards[0].hubs and boards[0].hubs[-1] is not hub:
                hub, said = boards[0].hubs[-1], 0
            if hub and not quiet and hub.log_position() > said:
                more = hub.log(said)
                said = hub.log_position()
                typer.echo("\n".join(f"hub | {line}" for line in more.splitlines() if line))


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM ends the boards in order, too."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
