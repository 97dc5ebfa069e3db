"""`kanhu demo`: two simulated homes in one terminal."""

from __future__ import annotations

import math

import typer

from kanhu.demo import main
from kanhu.errors import KanhuError


def demo(
    seconds: float = typer.Option(0, help="Stop by itself after this long; 0: until q is pressed."),
    as_json: bool = typer.Option(False, "--json", help="No picture; end with one line of JSON."),
    seed: int = typer.Option(1, help="Seed of the scripted morning."),
) -> None:
    """Two simulated homes, broker, daemon and city in one terminal, with faults to inject."""
    if not 0 <= seconds < math.inf:
        raise KanhuError(f"--seconds {seconds:g}: must be 0 or more, such as --seconds 30")
    raise typer.Exit(main(seconds=seconds, as_json=as_json, seed=seed))
