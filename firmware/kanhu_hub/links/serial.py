"""Serial link: frames on the console, between the log's lines and the REPL."""

import asyncio

from micropython import const

from kanhu_hub.links import LinkError
from kanhu_protocol import VERSION, cbor, frame

_HELLO_MS = const(10000)  # contracts, section 3
_SILENT_MS = const(30000)  # sent, and nothing heard for this long: nobody is there
_ANSWER = const(32)  # key of the hello: the host is asked for its own
_INBOX = const(8)  # down messages waiting; when full the newest is dropped, and the host says it again


class SerialLink:
    """console: read() coroutine -> bytes, write(bytes). Connected until the host leaves events unanswered."""

    name = "serial"
    optional = True  # there need not be anybody at the other end

    def __init__(self, hub_id, boot, console, clock):
        self._hello = {0: VERSION, 1: hub_id, 2: boot}
        self._console = console
        self._clock = clock
        self._decoder = frame.Decoder()
        self._inbox = []
        self._came = asyncio.Event()
        self._tasks = []
        self._open = False
        self._asked_ms = None  # when the first bytes left that nothing has answered
        self.greetings = 0  # hellos heard: each may be a host that knows nothing of what was sent before
        self._useless = 0  # frames of no use here

    async def open(self):
        """Say hello and begin to read; returns at once."""
        if not self._open:
            self._open = True
            self._asked_ms = None
            self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._greet())]

    async def send(self, lane, cls, payload):
        """Write one frame of sealed events, to a silent host too; LinkError when closed."""
        if not self._open:
            raise LinkError("closed")
        self._console.write(frame.encode(frame.UP, payload))
        if self._asked_ms is None:
            self._asked_ms = self._clock.now_ms()
        await self._clock.sleep_ms(0)

    async def receive(self):
        """The next down message; LinkError when closed."""
        while not self._inbox:
            if not self._open:
                raise LinkError("closed")
            self._came.clear()
            await self._came.wait()
        return self._inbox.pop(0)

    async def close(self):
        """Stop reading; the console stays."""
        self._open = False
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        self._came.set()

    def connected(self, lane):
        """Whether a host is there, as far as it has answered."""
        if not self._open:
            return False
        return self._asked_ms is None or self._clock.now_ms() - self._asked_ms < _SILENT_MS

    def hurry(self):
        """Nothing here waits."""

    def refused(self):
        """Frames that were damaged or of no use here, since start."""
        decoder = self._decoder
        return self._useless + decoder.bad_crc + decoder.too_long + decoder.broken

    def _say_hello(self):
        hello = dict(self._hello)
        if not self.connected(0):
            hello[_ANSWER] = 1
        self._console.write(frame.encode(frame.HELLO, cbor.dumps(hello)))

    async def _greet(self):
        while True:
            self._say_hello()
            await self._clock.sleep_ms(_HELLO_MS)

    async def _read(self):
        while True:
            try:
                for kind, body in self._decoder.feed(await self._console.read()):
                    self._take(kind, body)
            except OSError:
                await self._clock.sleep_ms(1000)

    def _take(self, kind, body):
        if kind == frame.HELLO:
            self._asked_ms = None
            self.greetings += 1
            self._say_hello()
        elif kind == frame.DOWN and len(self._inbox) < _INBOX:
            self._asked_ms = None
            self._inbox.append(body)
            self._came.set()
        elif kind != frame.COMMISSION_DOWN:  # for somebody else, while that is there
            self._useless += 1
