"""A monitor that says what it sees now, again and again, to whoever listens; nothing is kept."""

from __future__ import annotations

import asyncio
from typing import Any

from bumble.device import Connection

from kanhu.sim.monitors.base import Monitor

PERIOD_S = 1.0  # between two notifications


class Stream(Monitor):
    """measure(seconds=10, **fields): worn for that long, on the air meanwhile, then it hangs up."""

    _saying: bytes = b""
    _worn_until = 0.0
    _next = 0.0

    async def measure(self, seconds: float = 10.0, **fields: Any) -> bytes:
        """Be worn for that long and see this; its bytes."""
        self._saying = self.encode(**fields)
        self._worn_until = asyncio.get_running_loop().time() + seconds
        self.manners.advertise_s = max(self.manners.advertise_s, seconds)
        await self.wake()
        return self._saying

    def pending(self) -> bool:
        return asyncio.get_running_loop().time() < self._worn_until

    async def speak(self, connection: Connection) -> float | None:
        now = asyncio.get_running_loop().time()
        if not self.subscribed(connection, self.value) or not self.pending():
            return None
        if now >= self._next:
            await self.notify(connection, self.value, self._saying)
            self._delivered += 1
            self._hear()
            self._stirred.clear()
            self._next = now + PERIOD_S
        return min(self._next, self._worn_until)
