"""Changes of the lines that the stimulus reads: taken by interrupt into a ring, told from there in order."""

import asyncio
from array import array

from micropython import const

RING = const(256)  # changes; when it is full the newest is left out and counted: lamp and buzzer change 20/s
_LOOK_MS = const(100)


class Edges:
    """seen: changes so far; lost: that found the ring full; missed: that no interrupt told in time."""

    def __init__(self, board, table, emit):
        self._ticks_us = board.ticks_us
        self._emit = emit
        self._when = array("i", [0] * RING)
        self._what = bytearray(RING)
        self._head = self._tail = 0
        self._flag = asyncio.ThreadSafeFlag()
        self.seen = self.lost = self.missed = 0
        self.names = [name for name, row in table.items() if row[1] == "input"]
        self._probes = []
        for number, name in enumerate(self.names):
            self._probes.append(board.probe(table[name][0], self._handler(number)))
        self._levels = [probe.value() for probe in self._probes]

    def levels(self):
        """Name -> level as last told."""
        return dict(zip(self.names, self._levels))

    def _handler(self, number):
        def edge(pin):
            self._put(number << 1 | pin.value())

        return edge

    def _put(self, what):
        # In an interrupt: no allocation.
        head = self._head
        after = (head + 1) & (RING - 1)
        if after == self._tail:
            self.lost += 1
            return
        self._when[head] = self._ticks_us()
        self._what[head] = what
        self._head = after
        self._flag.set()

    def _drain(self):
        while self._tail != self._head:
            what, when = self._what[self._tail], self._when[self._tail]
            self._tail = (self._tail + 1) & (RING - 1)
            number, level = what >> 1, what & 1
            if level == self._levels[number]:
                self.missed += 1  # it went there and back before the interrupt looked
                continue
            self._levels[number] = level
            self._tell(number, when)

    def _tell(self, number, when):
        self.seen += 1
        self._emit("edge", [self.names[number], self._levels[number], when, self.seen])

    async def run(self):
        """Tell every change, for ever."""
        asyncio.create_task(self._look())  # noqa: RUF006  MicroPython's loop holds it
        while True:
            await self._flag.wait()
            self._drain()

    async def _look(self):
        # The port forgets interrupts that come while eight wait: what a pin says now shows it.
        while True:
            await asyncio.sleep_ms(_LOOK_MS)
            for number, probe in enumerate(self._probes):
                if self._tail == self._head and probe.value() != self._levels[number]:
                    self._drain()
                    level = probe.value()
                    if level != self._levels[number]:
                        self.missed += 1
                        self._levels[number] = level
                        self._tell(number, self._ticks_us())
