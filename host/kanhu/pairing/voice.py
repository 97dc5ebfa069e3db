"""The order PAIR: one stands for a hub at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from kanhu.downlink import Command
from kanhu.journal import Event
from kanhu.journal.commands import Commands
from kanhu_protocol import kinds as k

from .values import Why

REFUSALS = {
    1: "its firmware does not know pairing yet: update it",
    3: "it has no memory left for it: try again",
    4: "it does not know the time, or its clock and this computer's differ: try again in a minute",
    5: "an alarm stands there: a person has to answer and close it first",
    6: "it has no such call button, in its device table or on its wires, or it has no radio",
    7: "the button is pressed already: let it go; if nobody holds it, its contact or line is stuck",
}


class Down(Protocol):
    """What pairing needs of kanhu.downlink."""

    def command(self, hub_id: str, command: Command) -> None:
        """Send now and again until confirm()."""

    def confirm(self, hub_id: str, number: int) -> Command | None:
        """Send it no more."""


class Voice:
    """What hubs are told of pairing."""

    def __init__(self, commands: Commands, downlink: Down, clock: Callable[[], int]) -> None:
        self._commands = commands
        self._downlink = downlink
        self._clock = clock
        self._numbers: dict[str, int] = {}  # of each hub's last PAIR

    async def say(self, hub: str, ms: int, prove: int | None = None) -> None:
        """Order PAIR, in place of what was ordered before; it is not kept, because late it would be wrong."""
        ends_ms = self._clock() + ms
        number = await self._commands.number(hub)
        self.silence(hub)
        self._numbers[hub] = number
        fields: dict[int, Any] = {k.PAIR_MS: ms}
        if ms:
            fields[k.TIME_MS] = ends_ms
        if prove is not None:
            fields[k.PROVE] = prove
        self._downlink.command(hub, Command(number, k.PAIR, fields))

    def silence(self, hub: str) -> None:
        """Nothing is said again of what is over."""
        number = self._numbers.get(hub)
        if number is not None:
            self._downlink.confirm(hub, number)

    def answers(self, event: Event) -> bool:
        """Whether this is the hub's answer to its last PAIR."""
        number = self._numbers.get(event.hub)
        return number is not None and event.fields.get(k.COMMAND) == number

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self._numbers.pop(hub, None)


def refusal(event: Event) -> Why:
    """Why the hub does not do it; empty: it does. code: refused_ and the DETAIL."""
    if event.kind == k.COMMAND_DONE:
        return Why("", "")
    detail = event.fields.get(k.DETAIL, 0)
    return Why(f"the hub refuses: {REFUSALS.get(detail, f'reason {detail}')}", f"refused_{detail}")
