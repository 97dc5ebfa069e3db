"""What several release tests do: press and wait, be the operator, read the journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import kanhu.platform as sdk
from kanhu.platform import Event
from kanhu.qa.board import Board
from kanhu.qa.capabilities import FAST_CLOCK
from kanhu.qa.host import Host, Platform, wait_for
from kanhu.qa.rig import Rig

T = TypeVar("T")
ARRIVES_S = 30.0  # an event of a hub that is connected, on a busy computer
BACK_S = 90.0  # until a hub that was without something has it again and has said what it kept
ANSWERED_S = 30.0  # a person's answer, until the lamp shows it
OPERATOR = "op-7"
HEARTBEAT_S = 5  # as the bench's daemon expects them
FIRM_S = 0.5  # of a press, and before it: a simulated hub on a busy computer has its time to see both


def fast(hubs: Callable[..., list[Board]], speed: int, **config: Any) -> Board:
    """A hub whose time runs so much faster, and whose heartbeats the host hears as often as any other's. Its
    lamp is too quick to be read: the console says what it shows."""
    return hubs(1, speed=speed, config={"heartbeat": HEARTBEAT_S * speed, **config})[0]


def quick(bench: Rig, hub: Board, hubs: Callable[..., list[Board]], speed: int) -> tuple[Board, int]:
    """For what is all waiting: a hub whose time runs faster where there is one, else the one under test; and
    how much faster it runs."""
    return (fast(hubs, speed), speed) if FAST_CLOCK in bench.capabilities else (hub, 1)


def press_again(hub: Board, line: str = "button") -> None:
    """One more press, apart from the one before."""
    time.sleep(FIRM_S)
    hub.press(line, FIRM_S)


def call_after_press(hub: Board, platform: Platform, timeout: float = ARRIVES_S) -> Event:
    """One press, and the call that it is at the platform."""
    known = {event.id for event in platform.events("call", hub.hub_id)}
    press_again(hub)
    return platform.wait(
        lambda event: event.name == "call" and event.hub == hub.hub_id and event.id not in known, timeout
    )


def wait_calls(hub: Board, platform: Platform, count: int, timeout: float = ARRIVES_S) -> None:
    """The platform has so many presses of the hub; TimeoutError says how many it has."""
    wait_for(
        lambda: True if platform.calls(hub.hub_id) >= count else None,
        timeout,
        lambda: f"{platform.calls(hub.hub_id)} presses at the platform, not {count}, in {timeout} s",
    )


def steady(look: Callable[[], T], wanted: T, seconds: float, what: str) -> None:
    """It is so all the time; AssertionError as soon as it is not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        assert found == wanted, f"{what}: {found!r}"
        time.sleep(0.1)


def never_shown(hub: Board, patterns: set[str], seconds: float) -> None:
    """The lamp shows none of these all the time; AssertionError says which it did."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shown = hub.indicator()
        assert shown not in patterns, f"the lamp shows {shown!r}"
        time.sleep(0.05)


def unbroken(host: Host, hub: Board) -> None:
    """Each boot's numbers in the journal follow each other, from 0 on: none is missing, none comes twice."""
    seqs: dict[int, list[int]] = {}
    for one in host.stored(hub.hub_id):
        seqs.setdefault(one.boot, []).append(one.seq)
    for boot, found in seqs.items():
        assert found == list(range(len(found))), f"boot {boot}: {found}"


class Operator:
    """A person at the platform, by name; every word returns when the daemon has said yes: CommandRefused."""

    def __init__(self, bench: Rig, name: str = OPERATOR) -> None:
        self.name = name
        self._url = bench.host.town.platform_url

    def accept(self, alarm: str | None) -> None:
        assert alarm
        self._ask(lambda platform: platform.accept(alarm, operator=self.name))

    def dispatch(self, alarm: str | None) -> None:
        assert alarm
        self._ask(lambda platform: platform.dispatch(alarm, operator=self.name))

    def close(self, alarm: str | None, reason: str = "visited") -> None:
        assert alarm
        self._ask(lambda platform: platform.close(alarm, operator=self.name, reason=reason))

    def _ask(self, what: Callable[[sdk.Commands], Awaitable[Any]]) -> None:
        async def ask() -> None:
            async with sdk.commands(self._url) as platform:
                await what(platform)

        asyncio.run(ask())
