"""The console: one JSON object a line, both ways; what is not JSON is log. Ctrl-C stays the REPL's."""

import asyncio
import json
import select
import sys

from micropython import const

LINE_MAX = const(4096)  # bytes of a request; a longer one is left out as a whole
_TURN = const(256)  # bytes after which the other tasks have their turn


class Console:
    """line() reads, write() writes."""

    def __init__(self):
        self._stdin = sys.stdin.buffer
        self._poller = select.poll()
        self._poller.register(self._stdin, select.POLLIN)
        self._reader = asyncio.StreamReader(self._stdin)
        self._line = bytearray(LINE_MAX)

    async def line(self):
        """The next line that is not empty, without its end; None: it was longer than LINE_MAX."""
        used = 0
        since = 0
        while True:
            # The port's read(n) blocks until n bytes are there: so one at a time, as long as there are more.
            if since < _TURN and self._poller.poll(0):
                byte = self._stdin.read(1)
                since += 1
            else:
                byte = await self._reader.read(1)
                since = 0
            if byte in (b"\n", b"\r"):
                if used > LINE_MAX:
                    return None
                if used:
                    return bytes(memoryview(self._line)[:used])
            elif used < LINE_MAX:
                self._line[used] = byte[0]
                used += 1
            else:
                used = LINE_MAX + 1

    def write(self, message):
        """One object, in one piece."""
        sys.stdout.write(json.dumps(message) + "\n")
