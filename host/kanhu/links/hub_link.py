"""What the daemon needs of every link to hubs."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol


class Inlet(Protocol):
    """The daemon's side: takes what hubs send."""

    def submit(self, hub_id: str, payload: bytes, link: str) -> asyncio.Future[Any]:
        """Hand over a CBOR sequence of sealed events; the future ends when all is on disk."""

    def refuse(self, link: str, reason: str) -> None:
        """Count something that was not even a message."""

    def present(self, hub_id: str, link: str) -> None:
        """This link can reach the hub (said by a hello or a topic, not authenticated)."""


class HubLink(Protocol):
    """A way to hubs: run until cancelled, reconnecting by itself; send_down returns False when it cannot."""

    name: str

    async def run(self) -> None: ...

    def send_down(self, hub_id: str, data: bytes) -> bool: ...

    @property
    def connected(self) -> bool: ...
