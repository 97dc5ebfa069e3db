"""Advertising that nobody can connect to, as a radio repeats it until it is told to stop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from kanhu.sim.sensors import ADV_NONCONN_IND, Advert

RSSI = -60  # dBm at every scanner
DELAY_MAX = 0.010  # s, Bluetooth Core, Vol 6 Part B 4.4.2.2: a random delay keeps two devices apart


class Beacon:
    """start() replaces what is advertised; lives in the bench's loop."""

    def __init__(self, transmit: Callable[[Advert], None]) -> None:
        self._transmit = transmit
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._task is not None

    def start(self, address: bytes, data: bytes, interval: float) -> None:
        """At once, and again every interval s."""
        self.stop()
        advert = Advert(address, RSSI, data, ADV_NONCONN_IND, random_address=True)
        self._transmit(advert)
        self._task = asyncio.get_running_loop().create_task(self._repeat(advert, interval))

    def stop(self) -> None:
        if self._task:
            self._task.cancel()
        self._task = None

    async def _repeat(self, advert: Advert, interval: float) -> None:
        while True:
            await asyncio.sleep(interval + random.uniform(0, DELAY_MAX))
            self._transmit(advert)
