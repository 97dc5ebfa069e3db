"""A pairing window of the running daemon, as `kanhu pair` looks at it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kanhu import requests
from kanhu.cli.pair_table import choose
from kanhu.errors import KanhuError
from kanhu.registry import checks

LOOK_EVERY_S = 0.5
NOTHING = (
    "nothing was heard in {} s: press the sensor's button or wake the monitor, near the hub; change its "
    "battery if its lamp stays dark; then open a new window"
)
ENDINGS = {
    "alarm": "an alarm was raised there",
    "restarted": "the hub has restarted",
    "by_command": "somebody closed it",
    "proving": "somebody proves a sensor of it",
}


@contextmanager
def opened(folder: Path, hub: str, seconds: int) -> Iterator[None]:
    """For the length of a with block."""
    requests.ask(folder, {"do": "pair.open", "hub": hub, "seconds": seconds})
    try:
        yield
    finally:
        # Whoever goes away leaves neither the lamp blinking nor a hub that takes a press for a test.
        requests.ask(folder, {"do": "pair.close", "hub": hub})


def listen(folder: Path, hub: str, seconds: int) -> dict[str, Any]:
    """All that is heard until the window's end."""
    last: dict[str, Any] = {}
    with opened(folder, hub, seconds):
        for window in _looks(folder, hub):
            last = window
            time.sleep(LOOK_EVERY_S)
    return last


def pick(folder: Path, hub: str, address: str, seconds: int, moves: bool = False) -> dict[str, Any]:
    """The sensor of this address once it is heard, or the one that a person chooses; KanhuError.

    moves: one that the hub has already may be chosen, too."""
    if address:
        return _wait_for(folder, hub, checks.mac(address).hex(":").upper(), seconds)
    if not sys.stdin.isatty():
        raise KanhuError("nobody to ask: give --address, and --bind-key where it encrypts")
    found, heard = choose(_looks(folder, hub), LOOK_EVERY_S, moves)
    if found is None:
        raise KanhuError(f"the window has closed: kanhu pair {hub}" if heard else NOTHING.format(seconds))
    return found


def _wait_for(folder: Path, hub: str, wanted: str, seconds: int) -> dict[str, Any]:
    heard: list[dict[str, Any]] = []
    for window in _looks(folder, hub):
        heard = window["heard"]
        for one in heard:
            if one["address"] == wanted:
                return dict(one)
        time.sleep(LOOK_EVERY_S)
    if not heard:
        raise KanhuError(NOTHING.format(seconds))
    others = ", ".join(one["address"] for one in heard)
    raise KanhuError(f"sensor {wanted} was not heard in {seconds} s; others were: {others}")


def _looks(folder: Path, hub: str) -> Iterator[dict[str, Any]]:
    """The window as it is, whenever asked for; KanhuError when it closes for another reason than time."""
    while True:
        window = requests.ask(folder, {"do": "pair.heard", "hub": hub})
        if window["state"] == "closed" and window["why"] != "expired":
            why = ENDINGS.get(window["why"], window["why"])
            raise KanhuError(f"hub {hub}: the window is closed: {why}")
        yield window
        if window["state"] == "closed":
            return
