"""The USB or UART console, where a hub on a serial link talks."""

import asyncio
import select
import sys

from micropython import const

_READ = const(128)  # bytes handed on at once, so that a flood does not hold up the loop


class Console:
    """The console as bytes; MicroPython's Ctrl-C handling stays as it is."""

    def __init__(self):
        self._stdin = sys.stdin.buffer
        self._poller = select.poll()
        self._poller.register(self._stdin, select.POLLIN)
        self._stdout = sys.stdout.buffer
        self.tap = None  # shown all that is read
        self._reader = asyncio.StreamReader(self._stdin)

    async def read(self):
        """What has come, at least one byte."""
        # The port's read(n) blocks until n bytes are there: so one at a time, as long as there are more.
        data = bytearray(await self._reader.read(1))
        # A Ctrl-C that is taken as data ends a piece: what follows may be for the REPL.
        while len(data) < _READ and data[-1] != 3 and self._poller.poll(0):
            data += self._stdin.read(1)
        if self.tap:
            self.tap(data)
        return data

    def write(self, data):
        """Write all of data in one piece, so that no log line falls into a frame."""
        self._stdout.write(data)
