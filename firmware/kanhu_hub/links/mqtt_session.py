"""One MQTT connection that comes back by itself: QoS 1 inside a window, pings, dead-peer detection."""

import asyncio

from micropython import const

from kanhu_hub.links import LinkError
from kanhu_protocol import mqtt_packets as packets

TICK_MS = const(500)  # how often tick() is to be called
LAST_ID = const(65533)  # packet ids 65534 and 65535 are for the packets sent on connecting

_LIVED_MS = const(30000)  # a connection older than this resets the back-off
_HURRY_MS = const(1000)  # back-off when a call is waiting
_OPEN_MS = const(15000)  # DNS, TCP and TLS together
_ANSWER_MS = const(10000)  # CONNACK and PINGRESP
_PUBACK_MS = const(30000)  # longest without any PUBACK while some are owed
_STALL_MS = const(20)  # between attempts to hand bytes to a full socket
_CHUNK = const(512)  # bytes read at once
_MAX_PACKET = const(1280)  # bytes: the 1,019 of a down message, its topic and header
# CONNACK return codes (MQTT 3.1.1 section 3.2.2.3)
_REFUSALS = ("", "version", "client id", "unavailable", "bad password", "not authorised", "refused")
_INBOX = const(4)  # messages waiting for receive(); when full, reading stops and TCP holds the rest


class Session:
    """start, publish, receive, stop; what a lost connection had in flight is forgotten.

    The outbox sends every event again until the host has stored it, and no PUBACK says that.
    """

    def __init__(self, net, clock, resolver, backoff, broker, hello, first, keep_alive_s, window):
        self._net = net
        self._clock = clock
        self._resolver = resolver
        self._backoff = backoff
        self._host, self._port = broker
        self._hello = hello  # the CONNECT
        self._first = first  # packets to send first on each connection
        self._ping_ms = keep_alive_s * 500
        self._window = window
        self._task = None
        self._writer = None
        self._out = []  # packets the socket has not taken: at most the window, PUBACKs and a ping
        self._inflight = set()  # packet ids without PUBACK
        self._inbox = []
        self._id = 0
        self._up = False
        self._moved = asyncio.Event()  # window, connection or inbox changed
        self._error = None  # why this connection is being ended
        self._limit_ms = 0  # an answer is due this long after _asked_ms; 0: none is
        self._asked_ms = 0
        self._pinged_ms = 0
        self._acked_ms = 0
        self._since_ms = 0  # when the broker accepted the connection
        self._hurry = False
        self.failure = None  # what ended the last attempt or connection
        self.connects = 0
        self.refused = 0  # packets malformed or above the bound

    def start(self):
        """Begin to connect, and to connect again whenever the connection ends."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self):
        """End the connection without DISCONNECT, so that the broker publishes the will."""
        task = self._task
        self._task = None
        self._moved.set()
        if task:
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass

    def connected(self):
        """Whether the broker has accepted the present connection."""
        return self._up

    def hurry(self):
        """Cut a long back-off short: something cannot wait."""
        self._hurry = True

    async def publish(self, topic, payload):
        """Hand one QoS 1 message to the socket once the window has room; LinkError when not connected."""
        while self._up and len(self._inflight) >= self._window:
            await self._change()
        writer = self._writer
        if not self._up:
            raise LinkError("closed")
        if not self._inflight:
            self._acked_ms = self._clock.ticks_ms()
        self._id = self._id % LAST_ID + 1
        self._inflight.add(self._id)
        self._send(packets.publish(topic, payload, 1, self._id))
        await self._sent(writer)

    async def receive(self):
        """Wait for a message, over reconnections, and acknowledge it; LinkError when stopped."""
        while not self._inbox:
            await self._change()
        packet_id, payload = self._inbox.pop(0)
        self._moved.set()
        if packet_id:
            self._send(packets.puback(packet_id))
        return payload

    def tick(self):
        """Flush, ping, and end a connection whose peer has gone silent."""
        now = self._clock.ticks_ms()
        since = self._clock.ticks_diff
        if self._limit_ms:
            if since(now, self._asked_ms) > self._limit_ms:
                self._end(LinkError("silent"))
        elif self._up and since(now, self._pinged_ms) >= self._ping_ms:
            # Whatever else flows: it keeps the broker content and proves the way back.
            self._pinged_ms = now
            self._ask(_ANSWER_MS)
            self._send(packets.PINGREQ)
        if self._inflight and since(now, self._acked_ms) > _PUBACK_MS:
            self._end(LinkError("puback"))
        self._send()

    async def _sent(self, writer):
        while self._out and self._writer is writer:
            await asyncio.sleep_ms(_STALL_MS)
            self._send()
        if self._writer is not writer:
            raise LinkError("closed")

    async def _change(self):
        if self._task is None:
            raise LinkError("closed")
        self._moved.clear()
        await self._moved.wait()

    def _ask(self, limit_ms):
        self._asked_ms = self._clock.ticks_ms()
        self._limit_ms = limit_ms

    def _end(self, error):
        # Only the session's own task waits on the socket: no other may close it under the poller.
        if self._task is asyncio.current_task():
            raise error
        if self._error is None and self._task:
            self._error = error
            self._task.cancel()

    def _send(self, packet=None):
        # Never waits. The stream's drain() loses bytes when two tasks share it or one is cancelled, and
        # TLS wants a retry to be the same bytes, so packets are handed over one by one.
        writer = self._writer
        out = self._out
        if not writer:
            return
        try:
            if packet:
                out.append(packet)
            while out:
                writer.write(out[0])
                rest = writer.out_buf
                if rest:
                    writer.out_buf = b""
                    out[0] = rest
                    return
                out.pop(0)
        except Exception as error:  # OSError; memory; ValueError: a certificate that is refused
            self._end(error)

    async def _run(self):
        while True:
            self._error = None
            try:
                await self._converse()
            except asyncio.CancelledError:
                if self._error is None or self._task is None:
                    raise
                self.failure = self._error
            except Exception as error:  # memory may run out anywhere, and the link must come back
                self.failure = error
                if isinstance(error, packets.MqttError):
                    self.refused += 1
            finally:
                await self._drop()
            wait_ms = self._backoff.next_ms()
            while wait_ms > 0:
                if self._hurry:
                    self._hurry = False
                    wait_ms = min(wait_ms, _HURRY_MS)
                await asyncio.sleep_ms(min(wait_ms, TICK_MS))
                wait_ms -= TICK_MS

    async def _drop(self):
        if not self._up:
            self._resolver.doubt()
        elif self._clock.ticks_diff(self._clock.ticks_ms(), self._since_ms) > _LIVED_MS:
            self._backoff.reset()
        writer = self._writer
        self._writer = None
        self._up = False
        self._limit_ms = 0
        self._out.clear()
        self._inflight.clear()
        self._inbox.clear()  # not acknowledged: a persistent session gets them again
        self._moved.set()
        if writer:
            writer.close()
            await writer.wait_closed()

    async def _converse(self):
        while not self._net.up():
            await asyncio.sleep_ms(TICK_MS)
        self._ask(_OPEN_MS)
        address = await self._resolver.resolve(self._host, self._port)
        reader, writer = await self._net.connect(address)
        self._writer = writer
        self._send(self._hello)
        await self._sent(writer)  # a TLS handshake happens here
        self._ask(_ANSWER_MS)
        decoder = packets.Decoder(_MAX_PACKET)
        while True:
            data = await reader.read(_CHUNK)
            if not data:
                raise LinkError("ended")
            if self._up:
                self._limit_ms = 0
            for kind, packet_id, _, _, payload in decoder.feed(data):
                if kind == packets.PUBLISH:
                    while len(self._inbox) >= _INBOX:
                        await self._change()
                    self._inbox.append((packet_id, payload))
                    self._moved.set()
                else:
                    self._take(kind, packet_id, payload)

    def _take(self, kind, packet_id, payload):
        now = self._clock.ticks_ms()
        if kind == packets.PUBACK:
            self._inflight.discard(packet_id)
            self._acked_ms = now
            self._moved.set()
        elif kind == packets.CONNACK:
            if packet_id:
                raise LinkError(_REFUSALS[min(packet_id, 6)] + " (%d)" % packet_id)
            self._limit_ms = 0
            self._pinged_ms = self._since_ms = now
            self._send(self._first)
            self._up = True
            self.connects += 1
            self._moved.set()
        elif kind == packets.OVERSIZE:
            self.refused += 1
            if packet_id:
                self._send(packets.puback(packet_id))
        elif kind == packets.SUBACK and payload[0] == packets.SUBSCRIBE_REFUSED:
            raise LinkError("subscribe")
