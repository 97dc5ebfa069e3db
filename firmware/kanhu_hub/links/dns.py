"""The broker's address: asked rarely, because a look-up may block, and remembered for when DNS fails."""

import asyncio

from micropython import const

_FRESH_MS = const(600000)  # an address that works is not asked for again within this time
_ANSWER_MS = const(5000)


class Resolver:
    """resolve(host, port) gives a socket address, the last good one when DNS fails; else OSError."""

    def __init__(self, net, clock):
        self._net = net
        self._clock = clock
        self._address = None
        self._asked_ms = 0
        self._doubted = False
        self.failures = 0  # look-ups without an answer

    async def resolve(self, host, port):
        now = self._clock.ticks_ms()
        if self._address and not self._doubted and self._clock.ticks_diff(now, self._asked_ms) < _FRESH_MS:
            return self._address
        try:
            self._address = await asyncio.wait_for_ms(self._net.resolve(host, port), _ANSWER_MS)
            self._asked_ms = now
            self._doubted = False
        except (OSError, asyncio.TimeoutError):
            self.failures += 1
            if not self._address:
                raise OSError("no address")
        return self._address

    def doubt(self):
        """Nothing answered at the address: ask again before the next attempt."""
        self._doubted = True
