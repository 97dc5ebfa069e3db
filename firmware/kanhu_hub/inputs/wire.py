"""A wired input: its edges, a beat without them, and the time between two looks at it."""

import asyncio

from micropython import const

_REST_MS = const(1)  # ours: a line that chatters without end costs at most 1,000 rounds a second
_STEP_MS = const(5)  # how finely steadiness is measured
_RETRY_MS = const(100)


class Wire:
    """Over pin.value() and pin.flag (set at each edge); beat_ms is the longest time between two looks."""

    def __init__(self, pin, clock, beat_ms):
        self.value = pin.value
        self.flag = pin.flag
        self.clock = clock
        self.beat_ms = beat_ms
        self._edge = False
        self._last = clock.ticks_ms()
        self._wake = asyncio.Event()
        self._wake.set()  # the first look is at once

    async def run(self, step):
        """Awaits step() for ever; logs its errors."""
        # Two tasks for good: made anew for each wait, as by asyncio.wait_for, they litter the heap.
        tasks = asyncio.create_task(self._watch()), asyncio.create_task(self._beat())
        try:
            while True:
                try:
                    await step()
                except Exception as error:
                    print("input", repr(error))
                    await self.clock.sleep_ms(_RETRY_MS)
        finally:
            for task in tasks:
                task.cancel()

    async def _watch(self):
        while True:
            await self.flag.wait()
            self._edge = True
            self._wake.set()
            await self.clock.sleep_ms(_REST_MS)

    async def _beat(self):
        while True:
            await self.clock.sleep_ms(self.beat_ms)
            self._wake.set()

    async def edge(self):
        """Waits for an edge or a beat; True for an edge that steady() has not seen."""
        await self._wake.wait()
        self._wake.clear()
        return self._edge

    async def steady(self, ms):
        """True when the level stayed for ms from now on, without an edge; False soon after it did not."""
        level = self.value()
        self._edge = False
        while ms > 0:
            await self.clock.sleep_ms(_STEP_MS)
            ms -= _STEP_MS
            if self._edge:
                return False
        return self.value() == level

    def elapsed(self):
        """Milliseconds since the last call; to be summed up, because ticks say nothing beyond 2^29 ms."""
        last, self._last = self._last, self.clock.ticks_ms()
        return self.clock.ticks_diff(self._last, last)
