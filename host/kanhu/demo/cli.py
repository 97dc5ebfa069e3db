"""`kanhu demo`: two simulated homes in one terminal."""

from __future__ import annotations

import math
import signal
from types import FrameType

import typer

from kanhu.demo import main
from kanhu.errors import KanhuError


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)  # what was started is ended on the way out


def demo(
    seconds: float = typer.Option(0, help="Stop by itself after this long; 0: until q is pressed."),
    as_json: bool = typer.Option(False, "--json", help="No picture; end with one line of JSON."),
    seed: int = typer.Option(1, help="Seed of the scripted morning."),
) -> None:
    """Two simulated homes, broker, daemon and city in one terminal, with faults to inject."""
    if not 0 <= seconds < math.inf:
        raise KanhuError(f"--seconds {seconds:g}: must be 0 or more, such as --seconds 30")
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal, too
        signal.signal(number, _end)
    raise typer.Exit(main(seconds=seconds, as_json=as_json, seed=seed))
