"""Waiting for edges on a wired input."""

import asyncio

from micropython import const

_REST_MS = const(5)  # ours: a line that chatters without end costs at most 200 rounds a second


async def edge_within(pin, clock, ms):
    """True when the pin's interrupt reported an edge within ms; an edge from before the call counts."""
    # Not asyncio.wait_for: that knows no time but its own.
    done = asyncio.Event()
    edge = asyncio.create_task(_then(pin.flag.wait(), done))
    late = asyncio.create_task(_then(clock.sleep_ms(ms), done))
    try:
        await done.wait()
        return edge.done()
    finally:
        edge.cancel()
        late.cancel()


async def _then(waited, done):
    await waited
    done.set()


async def steady(pin, clock, ms):
    """True when the level stayed the same without an edge for ms from now on; False soon after it did not."""
    level = pin.value()
    await clock.sleep_ms(_REST_MS)
    return not await edge_within(pin, clock, ms - _REST_MS) and pin.value() == level
