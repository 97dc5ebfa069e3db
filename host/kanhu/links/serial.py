"""Serial link to one hub: frames on the hub's USB console, log text between them.

A port is any pyserial URL. All of pyserial may block, so each port has threads of its own for opening,
reading, writing and closing; everything else runs on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable

import serial
import structlog

from kanhu.links import hello
from kanhu.links.hub_link import Inlet
from kanhu_protocol import VERSION, cbor, frame

log = structlog.get_logger("kanhu.serial")

BAUD = 115_200  # the ESP32 console's default; USB CDC ignores it
POLL_S = 0.1  # how long a read may block before the thread looks whether it should end
WRITE_S = 2.0  # a port that takes nothing for so long is opened again
CLOSE_S = 2.0  # how long a thread of a lost port is waited for
OUTGOING_MAX = 256  # frames waiting for the port
REOPEN_MIN_S, REOPEN_MAX_S = 0.5, 10.0
HUB_LINE_MAX = 400  # characters of one log line kept


def write_timeout(url: str) -> float | None:
    """Seconds; None where pyserial has none."""
    return None if url.lower().startswith("rfc2217:") else WRITE_S


class SerialLink:
    """One port, one hub. Up frames are taken only after a hello named the hub."""

    def __init__(self, url: str, inlet: Inlet) -> None:
        self.name = f"serial:{url}"
        self._url = url
        self._inlet = inlet
        self._port: serial.Serial | None = None
        self._hub_id: str | None = None
        self._decoder = frame.Decoder(self._text)
        self._seen_bad = 0
        self._line = bytearray()
        self._outgoing: queue.Queue[bytes | None] = queue.Queue(OUTGOING_MAX)

    @property
    def connected(self) -> bool:
        return self._port is not None

    @property
    def hub_id(self) -> str | None:
        return self._hub_id

    def send_down(self, hub_id: str, data: bytes) -> bool:
        """Queue one sealed down message; False when the hub is not here or the queue is full."""
        if self._port is None or hub_id != self._hub_id:
            return False
        try:
            self._outgoing.put_nowait(frame.encode(frame.DOWN, data))
        except (queue.Full, frame.FrameError):
            return False
        return True

    async def run(self) -> None:
        """Open, serve, open again, until cancelled."""
        delay, complained = REOPEN_MIN_S, ""
        while True:
            try:
                port = await self._open()
            except (serial.SerialException, OSError, ValueError) as error:
                if str(error) != complained:
                    complained = str(error)
                    log.warning("port cannot be opened; will keep trying", port=self._url, error=complained)
                await asyncio.sleep(delay)
                delay = min(delay * 2, REOPEN_MAX_S)
                continue
            delay, complained = REOPEN_MIN_S, ""
            log.info("port open", port=self._url)
            await self._serve(port)
            log.warning("port lost; opening again", port=self._url)
            await asyncio.sleep(REOPEN_MIN_S)

    async def _open(self) -> serial.Serial:
        opened: list[serial.Serial] = []

        def work() -> None:
            opened.append(
                serial.serial_for_url(self._url, BAUD, timeout=POLL_S, write_timeout=write_timeout(self._url))
            )

        def unwanted(_: asyncio.Future[None]) -> None:
            for port in opened:
                self._aside(port.close)

        opening = self._aside(work)
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(unwanted)
            raise
        return opened[0]

    def _aside(self, work: Callable[[], None]) -> asyncio.Future[None]:
        """Run it in a thread of its own: what a stuck port makes wait is nobody else's."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def settle(error: Exception | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
                future.exception()  # not everybody looks

        def run() -> None:
            error = None
            try:
                work()
            except Exception as caught:
                error = caught
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, error)

        threading.Thread(target=run, name=self.name, daemon=True).start()
        return future

    async def _serve(self, port: serial.Serial) -> None:
        loop = asyncio.get_running_loop()
        outgoing: queue.Queue[bytes | None] = queue.Queue(OUTGOING_MAX)
        self._port, self._hub_id, self._outgoing = port, None, outgoing
        self._decoder = frame.Decoder(self._text)
        self._seen_bad = 0
        self._outgoing_hello()
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                data = port.read(max(1, min(4096, port.in_waiting)))
                if data:
                    loop.call_soon_threadsafe(self._received, data)

        def write() -> None:
            while (data := outgoing.get()) is not None and not stop.is_set():
                port.write(data)

        # Either ends when the port is pulled out or does not take what is written: run() opens it again.
        ways = [self._aside(read), self._aside(write)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._port = None
            stop.set()
            with contextlib.suppress(queue.Full):  # then the writer has something to wake up by
                outgoing.put_nowait(None)
            await asyncio.wait(ways, timeout=CLOSE_S)
            await asyncio.wait([self._aside(port.close)], timeout=CLOSE_S)

    def _received(self, data: bytes) -> None:
        for kind, body in self._decoder.feed(data):
            self._frame(kind, body)
        bad = self._decoder.bad_crc + self._decoder.too_long + self._decoder.broken
        for _ in range(bad - self._seen_bad):
            self._inlet.refuse(self.name, "malformed")
        self._seen_bad = bad

    def _frame(self, kind: int, body: bytes) -> None:
        if kind == frame.HELLO:
            self._hello(body)
        elif kind == frame.UP:
            if self._hub_id is None:
                self._inlet.refuse(self.name, "unknown_hub")
                self._outgoing_hello()
            else:
                self._inlet.submit(self._hub_id, body, self.name)
        else:
            self._inlet.refuse(self.name, "malformed")

    def _outgoing_hello(self) -> None:
        with contextlib.suppress(queue.Full):
            self._outgoing.put_nowait(frame.encode(frame.HELLO, cbor.dumps({0: VERSION})))

    def _hello(self, body: bytes) -> None:
        said = hello.read(body)
        if said is None:
            self._inlet.refuse(self.name, "malformed")
            return
        hub_id, wants_answer = said
        if hub_id != self._hub_id:
            log.info("hub says hello", port=self._url, hub=hub_id)
            self._hub_id = hub_id
        self._inlet.present(hub_id, self.name)
        if wants_answer:
            self._outgoing_hello()

    def _text(self, data: bytes) -> None:
        self._line += data
        while (end := self._line.find(b"\n")) >= 0 or len(self._line) > HUB_LINE_MAX:
            cut = end if 0 <= end <= HUB_LINE_MAX else HUB_LINE_MAX
            line = bytes(self._line[:cut]).decode("utf-8", "replace").strip()
            del self._line[: cut + 1 if cut == end else cut]
            if line:
                log.debug("hub log", port=self._url, hub=self._hub_id, line=line)
