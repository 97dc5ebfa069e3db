"""Heartbeat: the hub's own state, said at intervals that are never in step with other hubs'."""

import gc

from micropython import const

from kanhu_protocol import kinds as k

_FIRST_MS = const(5000)


def largest_block():
    """Bytes of the largest free heap block, found by trying (MicroPython does not tell)."""
    low, high = 0, gc.mem_free()
    while high - low > 256:
        middle = (low + high) // 2
        try:
            bytearray(middle)
            low = middle
        except MemoryError:
            high = middle
    return low


class Heartbeat:
    """gather() gives the fields of one heartbeat but HEAP; rng has getrandbits(n)."""

    def __init__(self, recorder, clock, every_s, rng, gather):
        self._recorder = recorder
        self._clock = clock
        self.every_ms = every_s * 1000
        self._rng = rng
        self._gather = gather
        self._due_ms = clock.now_ms() + _FIRST_MS

    def tick(self):
        """Record one when it is due."""
        now = self._clock.now_ms()
        if now < self._due_ms:
            return
        # +-10 %
        self._due_ms = now + self.every_ms * (922 + self._rng.getrandbits(8) * 205 // 256) // 1024
        gc.collect()
        fields = self._gather()
        fields[k.HEAP] = [gc.mem_free(), largest_block()]
        gc.collect()
        self._recorder.record(k.HEARTBEAT, fields)
