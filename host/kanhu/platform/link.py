"""The connection to the broker: made again whenever it is lost, after a growing, jittered wait."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import aiomqtt

from kanhu.ending import end
from kanhu.platform.address import Address
from kanhu.platform.errors import ConnectError

KEEPALIVE_S = 15  # a broker that stopped answering is noticed within 1.5 times this (MQTT 3.1.1, 3.1.2.10)
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
TIMEOUT_S = 10.0  # one exchange with the broker
PENDING_CALLS = 1000  # aiomqtt warns above its own 10; the caller bounds what is in flight
CREDENTIAL_REFUSED = ("Bad user name or password", "Not authorized")  # CONNACK 4 and 5, as paho names them

log = logging.getLogger("kanhu.platform")


def _stopping() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Link:
    """One MQTT session. client_id None: a new session each time; else a persistent one under that id."""

    def __init__(
        self,
        address: Address,
        topics: Sequence[str],
        on_message: Callable[[str, bytes], None],
        *,
        client_id: str | None = None,
        ca: Path | None = None,
        on_up: Callable[[], None] | None = None,
        on_failure: Callable[[BaseException], None] | None = None,
    ) -> None:
        """The callbacks run in the event loop; on_failure when the link has ended by an error of its own."""
        self.address = address
        self.up = asyncio.Event()
        self.connections = 0
        self._topics = topics
        self._on_message = on_message
        self._client_id = client_id
        self._on_up = on_up
        self._on_failure = on_failure
        self._client: aiomqtt.Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] | None = None
        self._publishing: set[asyncio.Future[None]] = set()
        self._tls = None
        if address.tls:
            try:
                self._tls = ssl.create_default_context(cafile=ca)
            except (OSError, ssl.SSLError) as error:
                raise ConnectError(f"certificate file {ca}: {error}: name a PEM file") from None

    async def start(self, *, wait_for_broker: bool = False) -> None:
        """Connect; ConnectError when the first attempt fails, unless wait_for_broker."""
        self._first = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(wait_for_broker))
        self._task.add_done_callback(self._ended)
        try:
            await self._first
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Disconnect; nothing more is called back."""
        task, self._task = self._task, None
        if task is not None:
            await end([task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.up.clear()
        if not task.cancelled() and (error := task.exception()) is not None:
            if self._first is not None and not self._first.done():
                self._first.set_exception(error)
            elif self._on_failure is not None:
                self._on_failure(error)

    def _new_client(self) -> aiomqtt.Client:
        client = aiomqtt.Client(
            self.address.host,
            self.address.port,
            username=self.address.username,
            password=self.address.password,
            identifier=self._client_id,
            clean_session=self._client_id is None,
            keepalive=KEEPALIVE_S,
            timeout=TIMEOUT_S,
            tls_context=self._tls,
            # Without it a lone publish waits up to 40 ms for the broker's delayed TCP acknowledgement.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        client.pending_calls_threshold = PENDING_CALLS
        return client

    def _reason(self, error: Exception) -> str:
        text = str(error)
        if any(refusal in text for refusal in CREDENTIAL_REFUSED):
            return f"{self.address} refused the credential: put user:password@ before the host"
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return f"the certificate of {self.address} cannot be verified: name the authority's file (--ca)"
        return f"cannot use the broker at {self.address}: {text}: check that it runs and the address is right"

    async def _session(self) -> None:
        async with self._new_client() as client:
            granted = await client.subscribe([(topic, 1) for topic in self._topics])
            if any((code if isinstance(code, int) else code.value) >= 0x80 for code in granted):
                raise ConnectError(
                    f"{self.address} does not let this user subscribe to {', '.join(self._topics)}: "
                    "allow it in the broker's access rules"
                )
            self._client = client
            self.connections += 1
            self.up.set()
            if self._first is not None and not self._first.done():
                self._first.set_result(None)
            if self._on_up is not None:
                self._on_up()
            async for message in client.messages:
                if isinstance(message.payload, bytes):
                    self._on_message(message.topic.value, message.payload)

    async def _run(self, wait_for_broker: bool) -> None:
        delay = BACKOFF_FIRST_S
        while True:
            begun = time.monotonic()
            try:
                await self._session()
            except (aiomqtt.MqttError, ConnectError, OSError, UnicodeError) as error:
                if _stopping():  # an error on the way out has taken the cancellation's place
                    raise asyncio.CancelledError from None
                reason = str(error) if isinstance(error, ConnectError) else self._reason(error)
                if self.connections == 0 and not wait_for_broker:
                    raise ConnectError(reason) from None
                # A session that broke at once (another client with the same id) is no reason to hurry.
                if self.up.is_set() and time.monotonic() - begun > BACKOFF_MAX_S:
                    delay = BACKOFF_FIRST_S
                log.warning("%s; trying again", f"connection lost: {error}" if self.up.is_set() else reason)
            finally:
                self.up.clear()
                self._client = None
                for task in self._publishing:
                    task.cancel()
            if self._first is not None and not self._first.done():
                self._first.set_result(None)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
            delay = min(delay * 2, BACKOFF_MAX_S)

    async def publish(self, topic: str, payload: bytes) -> None:
        """QoS 1; returns when the broker has it. ConnectError when it is not known to have it."""
        client = self._client
        if client is None:
            raise ConnectError(f"not connected to {self.address}")
        # aiomqtt waits for a lost connection's PUBACK until its timeout: a task can be ended with it.
        task = asyncio.ensure_future(client.publish(topic, payload, qos=1))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)
        try:
            await task
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if this is None or this.cancelling():
                raise
            raise ConnectError(f"the connection to {self.address} was lost") from None
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise ConnectError(self._reason(error)) from None
