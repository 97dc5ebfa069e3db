"""A second listener at the platform's broker, with none of the platform's SDK in it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import NamedTuple

import aiomqtt

from kanhu.errors import LinkDown

EVENTS = "kanhu/1/events/#"
UP_S = 30.0  # on a busy computer
RETRY_S = 0.3


class Raw(NamedTuple):
    """One message on the platform's topics, as it came; at: monotonic s."""

    at: float
    topic: str
    payload: bytes


class Observer(threading.Thread):
    """An MQTT client beside the platform's: it hears every message, also the second one of an event."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="observer", daemon=True)
        self.heard: list[Raw] = []
        self.gaps: list[tuple[float, float]] = []  # monotonic s while it had no broker
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._ready = threading.Event()

    def begin(self) -> None:
        """Start and wait until it listens; LinkDown."""
        self.start()
        if not self._ready.wait(UP_S):
            raise LinkDown(f"the observer found no broker at {self._host}:{self._port}")

    def stop(self) -> None:
        """Leave; returns when the thread has ended."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self.join(10)

    def run(self) -> None:
        self._loop.run_until_complete(self._until_stopped())
        self._loop.close()

    async def _until_stopped(self) -> None:
        reader = asyncio.create_task(self._read_on())
        await self._stopping.wait()
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader

    async def _read_on(self) -> None:
        lost = time.monotonic()
        while True:
            with contextlib.suppress(aiomqtt.MqttError, OSError):
                async with aiomqtt.Client(self._host, self._port, max_inflight_messages=1000) as client:
                    await client.subscribe(EVENTS, qos=1)
                    if self._ready.is_set():
                        self.gaps.append((lost, time.monotonic()))
                    self._ready.set()
                    async for message in client.messages:
                        self.heard.append(Raw(time.monotonic(), str(message.topic), bytes(message.payload)))
            if self._ready.is_set():
                lost = time.monotonic()
            await asyncio.sleep(RETRY_S)
