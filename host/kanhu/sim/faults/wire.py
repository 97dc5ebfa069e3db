"""Everything on the broker that concerns the platform, repeats included: a raw MQTT client in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time

import aiomqtt

from kanhu_protocol import cbor, seal

from .oracle import Arrival, Identity

AGAIN_S = 0.1  # before the next attempt while the broker is away
EVENTS, CALLS = "kanhu/1/events/", "/up/p1"


class Wire(threading.Thread):
    """Listens until stop(), on one persistent session over all the broker's restarts."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="wire", daemon=True)
        self.received: list[Arrival] = []
        self.sent_p1: set[Identity] = set()
        self.unreadable: list[str] = []  # topic and error of what is none of Kanhu's messages
        self.up = threading.Event()
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None

    def run(self) -> None:
        self._task = self._loop.create_task(self._listen())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    def stop(self) -> None:
        """Returns when the thread has ended."""
        if self._task and self.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
            self.join(10)

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError, OSError):
                async with aiomqtt.Client(
                    self._host, self._port, identifier="bench-wire", clean_session=False
                ) as client:
                    await client.subscribe([(EVENTS + "+", 1), ("kanhu/1/hubs/+" + CALLS, 1)])
                    self.up.set()
                    async for message in client.messages:
                        self._take(str(message.topic), bytes(message.payload))
            await asyncio.sleep(AGAIN_S)

    def _take(self, topic: str, payload: bytes) -> None:
        try:
            if topic.startswith(EVENTS):
                self.received.append(Arrival.of(time.monotonic(), json.loads(payload)))
                return
            hub = topic.split("/")[3]
            position = 0
            while position < len(payload):
                _, end = cbor.decode_at(payload, position)
                sealed = seal.parse(payload[position:end])
                self.sent_p1.add((hub, sealed.a, sealed.b))
                position = end
        except (ValueError, KeyError, TypeError, IndexError) as error:
            self.unreadable.append(f"{topic}: {error!r}")
