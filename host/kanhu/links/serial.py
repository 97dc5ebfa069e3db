"""Serial link to one hub: frames on the hub's USB console, log text between them.

A port is any pyserial URL. pyserial's reads block, so one thread per port reads; everything else runs on
the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import serial
import structlog

from kanhu.links.hub_link import Inlet
from kanhu_protocol import VERSION, cbor, frame
from kanhu_protocol.checks import is_id

log = structlog.get_logger("kanhu.serial")

BAUD = 115_200  # the ESP32 console's default; USB CDC ignores it
POLL_S = 0.1  # how long a read may block before the thread looks whether it should end
REOPEN_MIN_S, REOPEN_MAX_S = 0.5, 10.0
ANSWER = 32  # key of a hub's hello: its events went unanswered, is anybody there? (contracts, section 3)
HUB_LINE_MAX = 400  # characters of one log line kept


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
        self._lost = asyncio.Event()
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(256)

    @property
    def connected(self) -> bool:
        return self._port is not None

    @property
    def hub_id(self) -> str | None:
        return self._hub_id

    def send_down(self, hub_id: str, data: bytes) -> bool:
        """Queue one sealed down message; False when the hub is not here or the queue (256) is full."""
        if self._port is None or hub_id != self._hub_id:
            return False
        try:
            self._outgoing.put_nowait(frame.encode(frame.DOWN, data))
        except (asyncio.QueueFull, frame.FrameError):
            return False
        return True

    async def run(self) -> None:
        """Open, serve, open again, until cancelled."""
        delay, complained = REOPEN_MIN_S, ""
        while True:
            try:
                port = await asyncio.to_thread(
                    serial.serial_for_url, self._url, BAUD, timeout=POLL_S, write_timeout=2.0
                )
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

    async def _serve(self, port: serial.Serial) -> None:
        loop = asyncio.get_running_loop()
        self._port, self._hub_id = port, None
        self._lost.clear()
        self._decoder = frame.Decoder(self._text)
        self._seen_bad = 0
        while not self._outgoing.empty():
            self._outgoing.get_nowait()
        self._outgoing.put_nowait(frame.encode(frame.HELLO, cbor.dumps({0: VERSION})))
        stop = threading.Event()

        def read() -> None:
            try:
                while not stop.is_set():
                    data = port.read(max(1, min(4096, port.in_waiting)))
                    if data:
                        loop.call_soon_threadsafe(self._received, data)
            except (serial.SerialException, OSError, TypeError):
                pass  # pulled out or closed under us: the loop below opens it again
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._lost.set)

        reader = threading.Thread(target=read, name=self.name, daemon=True)
        reader.start()
        writer = asyncio.create_task(self._write(port))
        try:
            await self._lost.wait()
        finally:
            self._port = None
            stop.set()
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            await asyncio.to_thread(reader.join, 2.0)
            with contextlib.suppress(serial.SerialException, OSError):
                port.close()

    async def _write(self, port: serial.Serial) -> None:
        while True:
            data = await self._outgoing.get()
            try:
                await asyncio.to_thread(port.write, data)
            except (serial.SerialException, OSError):
                self._lost.set()
                return

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
        with contextlib.suppress(asyncio.QueueFull):
            self._outgoing.put_nowait(frame.encode(frame.HELLO, cbor.dumps({0: VERSION})))

    def _hello(self, body: bytes) -> None:
        try:
            hello = cbor.loads(body)
        except cbor.CborError:
            hello = None
        version, hub_id = (hello.get(0), hello.get(1, "")) if isinstance(hello, dict) else (None, "")
        if type(version) is not int or version != VERSION or not is_id(hub_id):
            self._inlet.refuse(self.name, "malformed")
            return
        if hub_id != self._hub_id:
            log.info("hub says hello", port=self._url, hub=hub_id)
            self._hub_id = hub_id
        self._inlet.present(hub_id, self.name)
        if ANSWER in hello:
            self._outgoing_hello()

    def _text(self, data: bytes) -> None:
        self._line += data
        while (end := self._line.find(b"\n")) >= 0 or len(self._line) > HUB_LINE_MAX:
            cut = end if 0 <= end <= HUB_LINE_MAX else HUB_LINE_MAX
            line = bytes(self._line[:cut]).decode("utf-8", "replace").strip()
            del self._line[: cut + 1 if cut == end else cut]
            if line:
                log.debug("hub log", port=self._url, hub=self._hub_id, line=line)
