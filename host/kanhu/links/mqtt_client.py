"""MQTT 3.1.1 client for the daemon's hot path: reconnects by itself, acknowledges when it is told to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import structlog

from kanhu.errors import KanhuError, LinkDown
from kanhu.links.mqtt_connection import ANSWER_S, Connection, Counters, OnMessage
from kanhu.links.mqtt_tls import ClientTls
from kanhu_protocol import mqtt

log = structlog.get_logger("kanhu.mqtt.client")

MIN_BACKOFF_S = 0.25
MAX_BACKOFF_S = 15.0
LIVED_S = 10.0  # a connection older than this resets the back-off
OPEN_S = 15.0  # DNS, TCP and TLS together

Will = tuple[str, bytes, int, bool]  # topic, payload, QoS, retain


class MqttClient:
    """run() keeps one connection; a publish in flight when it ends fails, and its maker publishes again.

    on_message(topic, payload, ack) is called in the loop; PUBACK leaves only when ack() is called. An ack()
    after the connection ended does nothing: the broker delivers again.
    """

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        *,
        clean: bool = False,
        username: str | None = None,
        password: str | None = None,
        will: Will | None = None,
        keepalive: int = 30,
        tls: ClientTls | None = None,
        on_message: OnMessage | None = None,
        window: int = 1000,
        max_queued: int = 10_000,
        max_packet: int = 65_536,
    ) -> None:
        """Keepalive in s; window and max_queued in publishes; max_packet in bytes of one received packet."""
        if window < 1 or max_queued < 0 or window + max_queued > 60_000:
            raise ValueError("window + max_queued must be at most 60000: packet ids have 16 bits")
        self.host = host
        self._port = port
        self._tls = tls
        self._hello = mqtt.connect(client_id, keepalive, clean, will, username, password)
        self._keepalive = keepalive
        self._on_message = on_message
        self._window = window
        self._max_queued = max_queued
        self._max_packet = max_packet
        self._connection: Connection | None = None
        self.client_id = client_id
        self.counters = Counters()
        self.last_error: str | None = None

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the present connection."""
        return self._connection is not None and self._connection.up

    @property
    def session_present(self) -> bool:
        """Whether the broker still had this client's session when it last accepted."""
        return self._connection is not None and self._connection.session_present

    @property
    def peer_until(self) -> float | None:
        """Unix time at which the broker's certificate ends; None without TLS."""
        return self._connection.peer_until if self._connection is not None else None

    def publish_nowait(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> bool:
        """Publish without waiting for PUBACK; False (and counted) when not connected or the queue is full."""
        taken = self._connection is not None and self._connection.publish(topic, payload, qos, retain, None)
        if not taken:
            self.counters.dropped += 1
        return taken

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> asyncio.Future[None]:
        """Publish; the future ends with the PUBACK, or with LinkDown."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._connection is None or not self._connection.publish(topic, payload, qos, retain, future):
            self.counters.dropped += 1
            future.set_exception(LinkDown("MQTT: not connected, or the queue is full"))
            future.exception()  # a caller may drop the future
        return future

    def hold(self, held: bool) -> None:
        """Read nothing more of the present connection for the moment, or go on."""
        if self._connection is not None:
            self._connection.hold(held)

    async def subscribe(self, topics: Sequence[tuple[str, int]]) -> None:
        """Subscribe to [(filter, QoS)]; LinkDown when refused or not connected."""
        await self._present().subscribe(list(topics))

    async def drain(self) -> None:
        """Wait until nothing is queued behind the window; LinkDown when the connection ends."""
        await self._present().drain()

    async def run(self, on_connect: Callable[[], Awaitable[None]] | None = None) -> None:
        """Connect and reconnect until cancelled; on_connect runs on each connection (subscribe there)."""
        loop = asyncio.get_running_loop()
        limit = MIN_BACKOFF_S
        while True:
            before = self.last_error
            try:
                await self._once(on_connect)
            except (
                OSError,
                TimeoutError,
                UnicodeError,
                KanhuError,
            ) as error:  # UnicodeError: the host's name
                said = self._tls.why(error) if self._tls else ""
                self.last_error = said or str(error) or type(error).__name__
            ended, self._connection = self._connection, None
            since = ended.up_since if ended is not None else 0.0
            if since or self.last_error != before:
                log.warning("no broker", client=self.client_id, reason=self.last_error)
            if since and loop.time() - since > LIVED_S:
                limit = MIN_BACKOFF_S
            await asyncio.sleep(random.uniform(0, limit))  # noqa: S311 - spreads reconnections, is no secret
            limit = min(2 * limit, MAX_BACKOFF_S)

    async def _once(self, on_connect: Callable[[], Awaitable[None]] | None) -> None:
        loop = asyncio.get_running_loop()
        connection = Connection(
            self._hello,
            self._keepalive,
            self._window,
            self._max_queued,
            self._max_packet,
            self._on_message,
            self.counters,
        )
        # Read again for each connection: a certificate that was put right is believed without a restart.
        context = self._tls.context() if self._tls else None
        name = self._tls.server_name if self._tls else None
        self._connection = connection
        try:
            async with asyncio.timeout(OPEN_S):
                await loop.create_connection(
                    lambda: connection, self.host, self._port, ssl=context, server_hostname=name
                )
            async with asyncio.timeout(ANSWER_S):
                await connection.accepted
            if on_connect is not None:
                await on_connect()
            await connection.closed
            self.last_error = connection.reason
        finally:
            connection.disconnect()

    def _present(self) -> Connection:
        if self._connection is None:
            raise LinkDown("MQTT: not connected")
        return self._connection
