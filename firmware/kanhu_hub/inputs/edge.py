"""Waiting for edges on a wired input."""

import asyncio

from micropython import const

_REST_MS = const(5)  # ours: a line that chatters without end costs at most 200 rounds a second


async def edge_within(pin, clock, ms):
    """True when the pin's interrupt reported an edge within ms; an edge from before the call counts."""
    try:
        # MicroPython's wait_for takes the sleep to use: so time stays an argument.
        await asyncio.wait_for(pin.flag.wait(), ms, clock.sleep_ms)  # type: ignore[call-arg]
        return True
    except asyncio.TimeoutError:
        return False


async def steady(pin, clock, ms):
    """True when the level stayed the same without an edge for ms from now on; False soon after it did not."""
    level = pin.value()
    await clock.sleep_ms(_REST_MS)
    return not await edge_within(pin, clock, ms - _REST_MS) and pin.value() == level
