"""Pieces of a release on their way to the hubs that have asked for them: few at a time, so that a receipt for
a call never stands behind many of them."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from .values import AHEAD, CHUNK_BYTES

# One hub: at 115,200 baud a piece takes 0.09 s of a serial line, and a hub writes it to flash in less.
GAP_S = 0.1
RATE = 200  # pieces a second to all hubs: 0.2 MB/s, some 3 % of what the daemon can send
STEP_S = 0.02


class Chunks:
    """What is wanted is in memory only: a hub that gets nothing asks again."""

    def __init__(
        self,
        archive: Callable[[], bytes | None],
        may_fetch: Callable[[str], bool],
        send: Callable[[str, int, bytes], bool],
    ) -> None:
        self._archive = archive  # the release that is rolled out; None: it cannot be read
        self._may_fetch = may_fetch
        self._send = send
        self._wanted: dict[str, tuple[int, int]] = {}  # hub: next byte, end of what is sent for one wish
        self._due: list[tuple[float, str]] = []  # heap of (loop time, hub); a hub stands there once
        self._wake = asyncio.Event()
        self.sent = 0  # pieces
        self.bytes = 0
        self.unsent = 0  # pieces that no link took

    def want(self, hub: str, offset: int) -> None:
        """A hub holds offset bytes and asks for what follows; its earlier wish is void."""
        if hub not in self._wanted:
            heapq.heappush(self._due, (asyncio.get_running_loop().time(), hub))
        self._wanted[hub] = offset, offset + AHEAD
        self._wake.set()

    def forget(self, hub: str) -> None:
        """A hub is sent nothing more."""
        self._wanted.pop(hub, None)

    async def run(self) -> None:
        """Send what is wanted, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._due:
                self._wake.clear()
                await self._wake.wait()
            for _ in range(max(1, int(RATE * STEP_S))):
                if not self._due or self._due[0][0] > loop.time():
                    break
                _, hub = heapq.heappop(self._due)
                if self._next(hub):
                    heapq.heappush(self._due, (loop.time() + GAP_S, hub))
            await asyncio.sleep(STEP_S)

    def _next(self, hub: str) -> bool:
        """Send a hub its next piece; whether another one follows."""
        wanted = self._wanted.pop(hub, None)
        if wanted is None or not self._may_fetch(hub):
            return False
        archive = self._archive()
        offset, end = wanted
        piece = b"" if archive is None else archive[offset : offset + CHUNK_BYTES]
        if not piece:
            return False
        if not self._send(hub, offset, piece):
            self.unsent += 1
            return False  # it asks again when it is there again
        self.sent += 1
        self.bytes += len(piece)
        offset += len(piece)
        if archive is None or offset >= min(end, len(archive)):
            return False
        self._wanted[hub] = offset, end
        return True
