"""One MQTT 3.1.1 connection as an asyncio protocol: window, manual PUBACK, pings; no task per message."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import structlog

from kanhu.errors import LinkDown
from kanhu_protocol import mqtt

log = structlog.get_logger("kanhu.mqtt.client")

ANSWER_S = 10.0  # CONNACK, SUBACK and PINGRESP
PUBACK_S = 30.0  # longest without any PUBACK while some are owed
WRITE_HIGH = 256 * 1024  # bytes buffered for the socket before the window is held
READ_MAX = 16 * 1024  # bytes of one read: a call on another connection waits for its events to be handled

Ack = Callable[[], None]
OnMessage = Callable[[str, bytes, Ack], None]


@dataclass
class Counters:
    """What a client has seen since it was made, over all its connections."""

    connects: int = 0
    received: int = 0
    acknowledged: int = 0  # PUBACKs received
    dropped: int = 0  # publishes not taken: not connected, or the queue was full
    malformed: int = 0  # connections closed because of what the broker sent
    oversize: int = 0  # messages above max_packet: acknowledged, so that they do not come back, and ignored
    failed_handlers: int = 0  # on_message raised; the message stays unacknowledged


def _nothing() -> None:
    """Acknowledge a QoS 0 message."""


class Connection(asyncio.BufferedProtocol):
    """From TCP connect to `closed`; what was in flight then is forgotten and its futures fail with LinkDown.

    The queue behind the window is bounded by max_queued; when it is full a publish is refused and counted.
    """

    def __init__(
        self,
        hello: bytes,
        keep_alive_s: int,
        window: int,
        max_queued: int,
        max_packet: int,
        on_message: OnMessage | None,
        counters: Counters,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._hello = hello
        self._ping_s = keep_alive_s / 2
        self._window = window
        self._max_queued = max_queued
        self._on_message = on_message
        self._counters = counters
        self._decoder = mqtt.Decoder(max_packet)
        self._read = bytearray(READ_MAX)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._out: list[bytes] = []
        self._paused = False
        self._held = False  # we do not read for the moment
        self._owed: dict[int, asyncio.Future[None] | None] = {}  # without PUBACK: in flight, then queued
        self._queue: deque[bytes] = deque()  # encoded, behind the window
        self._asked: dict[int, asyncio.Future[bytes]] = {}  # SUBSCRIBE by packet id
        self._drainers: list[asyncio.Future[None]] = []
        self._last_id = 0
        self._deadline = 0.0  # loop time an answer to CONNECT or PINGREQ is due; 0: none is
        self._next_ping = 0.0
        self._puback_at = 0.0
        self.up = False  # the broker has accepted it
        self.up_since = 0.0  # loop time of that; 0 before
        self.session_present = False
        self.peer_until: float | None = None  # Unix time at which the broker's certificate ends
        self.reason = "closed by the broker"
        self.accepted: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        if peer := transport.get_extra_info("peercert"):
            self.peer_until = ssl.cert_time_to_seconds(peer["notAfter"])
        self._deadline = self._loop.time() + ANSWER_S
        self._timer = self._loop.call_later(1.0, self._tick)
        self._write(self._hello)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._read

    def buffer_updated(self, nbytes: int) -> None:
        if self.up:
            self._deadline = 0.0
        try:
            packets = self._decoder.feed(bytes(memoryview(self._read)[:nbytes]))
            for kind, packet_id, flags, topic, payload in packets:
                if kind == mqtt.PUBACK:
                    self._on_puback(packet_id)
                elif kind == mqtt.PUBLISH:
                    self._on_publish(topic, payload, packet_id)
                else:
                    self._on_other(kind, packet_id, flags, payload)
        except mqtt.MqttError as error:
            self._counters.malformed += 1
            self.abort(f"the broker sent a malformed packet ({error})")
            return
        if self._queue:
            self._pump()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pump()

    def connection_lost(self, error: Exception | None) -> None:
        self.up = False
        self._transport = None
        if error is not None:
            self.reason = str(error) or type(error).__name__
        if self._timer is not None:
            self._timer.cancel()
        self._out.clear()
        waiting: list[asyncio.Future[Any] | None] = [*self._owed.values(), *self._asked.values()]
        waiting += [*self._drainers, self.accepted]
        self._owed.clear()
        self._queue.clear()
        for future in waiting:
            if future is not None and not future.done():
                future.set_exception(LinkDown(f"MQTT connection lost: {self.reason}"))
                future.exception()  # a caller may have dropped the future: then nobody is to be told
        self._asked.clear()
        self._drainers.clear()
        if not self.closed.done():
            self.closed.set_result(None)

    # verbs

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, future: asyncio.Future[None] | None
    ) -> bool:
        """Send, or queue behind the window; False when not connected or the queue is full."""
        if not self.up:
            return False
        if qos == 0:
            self._write(mqtt.publish(topic, payload, 0, 0, retain))
            if future is not None:
                future.set_result(None)
            return True
        queued = len(self._queue)
        held = queued or self._paused or len(self._owed) >= self._window
        if held and queued >= self._max_queued:
            return False
        packet_id = self._free_id()
        data = mqtt.publish(topic, payload, 1, packet_id, retain)
        if not self._owed:
            self._puback_at = self._loop.time()
        self._owed[packet_id] = future
        if held:
            self._queue.append(data)
        else:
            self._write(data)
        return True

    async def subscribe(self, topics: list[tuple[str, int]]) -> None:
        """SUBSCRIBE and wait for SUBACK; LinkDown when refused."""
        codes = await self._ask(lambda packet_id: mqtt.subscribe(packet_id, topics))
        refused = [
            name for (name, _), code in zip(topics, codes, strict=False) if code == mqtt.SUBSCRIBE_REFUSED
        ]
        if refused or len(codes) != len(topics):
            raise LinkDown(f"broker refused the subscription to {', '.join(refused) or 'some topics'}")

    async def drain(self) -> None:
        """Wait until nothing is queued behind the window; LinkDown when the connection ends."""
        if not self.up:
            raise LinkDown(f"MQTT connection lost: {self.reason}")
        if self._queue:
            future: asyncio.Future[None] = self._loop.create_future()
            self._drainers.append(future)
            await future

    def hold(self, held: bool) -> None:
        """Read nothing for the moment, or go on: TCP then holds the broker."""
        if held != self._held and self._transport is not None and not self._transport.is_closing():
            self._held = held
            if held:
                self._transport.pause_reading()
            else:
                self._puback_at = self._loop.time()
                self._transport.resume_reading()

    def disconnect(self) -> None:
        """End it gracefully: the broker discards the will."""
        if self._transport is not None and not self._transport.is_closing():
            self._flush()
            self._transport.write(mqtt.DISCONNECT)
            self.reason = "disconnected"
            self.up = False
            self._transport.close()
            if self._transport.get_write_buffer_size():
                self._loop.call_later(ANSWER_S, self._transport.abort)  # a peer that reads no more

    def abort(self, reason: str) -> None:
        """End it at once."""
        if self._transport is not None and not self._transport.is_closing():
            self.reason = reason
            self.up = False
            self._transport.abort()

    # inside

    def _write(self, data: bytes) -> None:
        # All that one turn of the loop writes leaves in one system call.
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._out and self._transport is not None and not self._transport.is_closing():
            data = b"".join(self._out)
            self._out.clear()
            self._transport.write(data)

    def _free_id(self) -> int:
        packet_id = self._last_id
        while True:
            packet_id = packet_id % 65535 + 1
            if packet_id not in self._owed and packet_id not in self._asked:
                self._last_id = packet_id
                return packet_id

    def _pump(self) -> None:
        queue = self._queue
        while queue and not self._paused and len(self._owed) - len(queue) < self._window:
            self._write(queue.popleft())
        if not queue and self._drainers:
            for future in self._drainers:
                if not future.done():
                    future.set_result(None)
            self._drainers.clear()

    def _on_puback(self, packet_id: int) -> None:
        if packet_id not in self._owed:
            return
        future = self._owed.pop(packet_id)
        self._counters.acknowledged += 1
        self._puback_at = self._loop.time()
        if future is not None and not future.done():
            future.set_result(None)

    def _on_publish(self, topic: str, payload: bytes, packet_id: int) -> None:
        if not self.up:
            if self._transport is not None and not self._transport.is_closing():
                raise mqtt.MqttError("order")
            return
        self._counters.received += 1
        if self._on_message is None:
            self._acknowledge(packet_id)
            return
        try:
            self._on_message(topic, payload, partial(self._acknowledge, packet_id) if packet_id else _nothing)
        except Exception:  # the broker would send a message that fails once more on every connection
            self._counters.failed_handlers += 1
            log.exception("message handler failed", topic=topic)

    def _acknowledge(self, packet_id: int) -> None:
        # Bound to this connection: after it, the id means nothing and the broker delivers again.
        if packet_id and self.up:
            self._write(mqtt.puback(packet_id))

    def _on_other(self, kind: int, packet_id: int, flags: int, payload: bytes) -> None:
        if kind == mqtt.CONNACK:
            if packet_id:
                self.abort(REFUSALS[packet_id])
                return
            self._deadline = 0.0
            self._next_ping = self._loop.time() + self._ping_s
            self.session_present = bool(flags)
            self.up = True
            self.up_since = self._loop.time()
            self._counters.connects += 1
            if not self.accepted.done():
                self.accepted.set_result(None)
        elif kind == mqtt.OVERSIZE:
            self._counters.oversize += 1
            self._acknowledge(packet_id)
        elif kind == mqtt.SUBACK:
            asked = self._asked.pop(packet_id, None)
            if asked is not None and not asked.done():
                asked.set_result(payload)

    async def _ask(self, encode: Callable[[int], bytes]) -> bytes:
        if not self.up:
            raise LinkDown(f"MQTT connection lost: {self.reason}")
        packet_id = self._free_id()
        data = encode(packet_id)
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._asked[packet_id] = future
        self._write(data)
        try:
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the answer.
            async with asyncio.timeout(ANSWER_S):
                return await future
        except TimeoutError:
            self.abort("no answer to SUBSCRIBE")
            raise LinkDown("broker did not answer SUBSCRIBE") from None

    def _tick(self) -> None:
        now = self._loop.time()
        self._timer = self._loop.call_later(min(1.0, self._ping_s or 1.0), self._tick)
        if self._held:
            self._deadline = now + ANSWER_S if self._deadline else 0.0  # its answers may lie there unread
            self._puback_at = now
        if self._deadline and now > self._deadline:
            self.abort("the broker does not answer")
        elif self._owed and now - self._puback_at > PUBACK_S:
            self.abort("the broker does not acknowledge")
        elif self.up and self._ping_s and not self._deadline and now >= self._next_ping:
            self._next_ping = now + self._ping_s
            self._deadline = now + ANSWER_S
            self._write(mqtt.PINGREQ)


REFUSALS = {  # CONNACK return codes (MQTT 3.1.1 section 3.2.2.3)
    1: "broker refused the protocol version",
    2: "broker refused the client id",
    3: "broker is not available",
    4: "broker refused user name or password",
    5: "broker does not authorise this client",
}
