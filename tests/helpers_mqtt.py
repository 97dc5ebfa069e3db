"""An observer on a real broker, by the daemon's own client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from kanhu.links.mqtt_client import MqttClient


class Observer:
    """Receives and acknowledges everything on some topics."""

    def __init__(self, port: int, client_id: str) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.client = MqttClient("127.0.0.1", port, client_id, on_message=self._take)

    def _take(self, topic: str, payload: bytes, ack: Callable[[], None]) -> None:
        self.messages.append((topic, payload))
        ack()

    def on(self, ending: str) -> list[bytes]:
        """Payloads of the topics with this ending, in order."""
        return [payload for topic, payload in self.messages if topic.endswith(ending)]


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Poll until it holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(client: MqttClient, *topics: str) -> AsyncIterator[MqttClient]:
    """A client connected and subscribed."""
    ready = asyncio.Event()

    async def connected() -> None:
        if topics:
            await client.subscribe([(topic, 1) for topic in topics])
        ready.set()

    task = asyncio.create_task(client.run(connected))
    try:
        await asyncio.wait_for(ready.wait(), 20)
        yield client
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def observing(port: int, *topics: str, client_id: str = "observer") -> AsyncIterator[Observer]:
    """An Observer subscribed to topics (default: everything of every hub)."""
    observer = Observer(port, client_id)
    async with running(observer.client, *(topics or ("kanhu/1/hubs/#",))):
        yield observer
