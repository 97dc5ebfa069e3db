"""The city platform's side: follow the events, each once, and answer the elder.

async with kanhu.platform.connect("mqtt://localhost", state="platform.db") as platform:
    async for event in platform:
        handle(event)
        await platform.done(event)
"""

from __future__ import annotations

from pathlib import Path

from kanhu.platform.client import Counters, Platform
from kanhu.platform.commands import Commands
from kanhu.platform.errors import (
    AddressError,
    CommandRefused,
    ConnectError,
    NoAnswer,
    PlatformError,
    StateError,
)
from kanhu.platform.event import Event

__all__ = [
    "AddressError",
    "CommandRefused",
    "Commands",
    "ConnectError",
    "Counters",
    "Event",
    "NoAnswer",
    "Platform",
    "PlatformError",
    "StateError",
    "commands",
    "connect",
]


def connect(
    url: str,
    *,
    state: str | Path | None,
    acknowledge: bool = True,
    ca: Path | None = None,
    wait_for_broker: bool = False,
) -> Platform:
    """The stream from the broker at url; `async with` it. state: this platform's file; None only looks on.

    acknowledge False leaves the events to another platform; wait_for_broker keeps trying from the start."""
    return Platform(url, state=state, acknowledge=acknowledge, ca=ca, wait_for_broker=wait_for_broker)


def commands(url: str, *, ca: Path | None = None) -> Commands:
    """Only the commands, without following the events; `async with` it."""
    return Commands(url, ca=ca)
