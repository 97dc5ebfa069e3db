"""What the load's processes share: a blocking MQTT connection on the project's codec, and the event times."""

from __future__ import annotations

import mmap
import socket
import struct
import time
from pathlib import Path

from kanhu_protocol import mqtt

HUBS = 50  # with WINDOW: each hub has the 16 events in flight that a real hub has
WINDOW = 800  # events published and not yet at the consumer, of all hubs
CALL_EVERY = (
    101  # under load one event in so many is a call (P1), in turn of all hubs; the others are motion (P5)
)
BOOT = 1200


class Wire:
    """One connection to a broker; recv() returns decoded packets. Keep-alive is off: runs are short."""

    def __init__(self, port: int, client_id: str, subscriptions: list[str]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._decoder = mqtt.Decoder(65_536)
        self.socket.sendall(mqtt.connect(client_id, 0, True))
        self._expect(mqtt.CONNACK)
        if subscriptions:
            self.socket.sendall(mqtt.subscribe(1, [(name, 1) for name in subscriptions]))
            self._expect(mqtt.SUBACK)

    def _expect(self, kind: int) -> None:
        self.socket.settimeout(10)
        packets = self._decoder.feed(self.socket.recv(4096))
        assert [packet[0] for packet in packets] == [kind], packets

    def recv(self, timeout_s: float) -> list[tuple[int, int, int, str, bytes]]:
        """What came, [] after the timeout; ConnectionError when the broker has closed."""
        self.socket.settimeout(timeout_s)
        try:
            data = self.socket.recv(262_144)
        except (TimeoutError, BlockingIOError):
            return []
        if not data:
            raise ConnectionError("the broker closed the connection")
        return self._decoder.feed(data)

    def send(self, data: bytes) -> None:
        """Write all of it."""
        self.socket.settimeout(60)
        self.socket.sendall(data)


class Board:
    """Shared file: per event when it was published, arrived and was acknowledged (monotonic s; 0: not), and
    three counters."""

    UNIQUE, DUPLICATES, ACKNOWLEDGED, STRANGE = range(4)  # counters
    _COUNTERS = 64  # bytes

    def __init__(self, path: Path, events: int, create: bool = False) -> None:
        size = self._COUNTERS + 3 * 8 * events
        if create:
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        view = memoryview(self._map)
        self.counters = view[: self._COUNTERS].cast("Q")
        times = view[self._COUNTERS :].cast("d")
        self.published = times[:events]
        self.arrived = times[events : 2 * events]
        self.acknowledged = times[2 * events :]


def pack(path: Path, items: list[bytes]) -> None:
    """Write byte strings to a file, each after its length."""
    path.write_bytes(b"".join(struct.pack(">H", len(item)) + item for item in items))


def unpack(path: Path) -> list[bytes]:
    """What pack() wrote."""
    data, items, at = path.read_bytes(), [], 0
    while at < len(data):
        size = struct.unpack_from(">H", data, at)[0]
        items.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return items


def sleep_until(moment: float) -> None:
    """Until time.monotonic() reaches it."""
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)


class Answers:
    """Acknowledgement messages as the platform's SDK sends them: 100 events or 20 ms, a call at once."""

    LIMIT, WAIT_S = 100, 0.02  # kanhu.platform's own

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self._since = 0.0
        self._urgent = False
        self._packet_id = 0

    def add(self, source: str, name: str, now: float, urgent: bool = False) -> None:
        """An event has come."""
        self.waiting.append(f'{{"source":"{source}","id":"{name}"}}')
        self._since = self._since or now
        self._urgent = self._urgent or urgent

    def due(self, now: float) -> list[bytes]:
        """Packets to send at this moment (monotonic s)."""
        found = []
        while self.waiting and (
            self._urgent or len(self.waiting) >= self.LIMIT or now - self._since >= self.WAIT_S
        ):
            batch, self.waiting = self.waiting[: self.LIMIT], self.waiting[self.LIMIT :]
            self._packet_id = self._packet_id % 65_535 + 1
            body = f'{{"command":"acknowledge","events":[{",".join(batch)}]}}'
            found.append(mqtt.publish("kanhu/1/commands", body.encode(), 1, self._packet_id))
            self._since = now if self.waiting else 0.0
        self._urgent = False
        return found
