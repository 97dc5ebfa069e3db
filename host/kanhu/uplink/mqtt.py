"""MQTT uplink: publishes the journal's undelivered events as CloudEvents, P1 first and on a session of its
own, with a bounded window; takes the platform's commands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from kanhu.config import Broker, Platform
from kanhu.journal import Event
from kanhu.links.mqtt_client import MqttClient
from kanhu.uplink.commands import MAX_BYTES
from kanhu.uplink.window import Key, Window

log = structlog.get_logger("kanhu.uplink")

EVENTS = "kanhu/1/events/p"
COMMANDS = "kanhu/1/commands"
REPLIES = "kanhu/1/replies"
P1_PAGE = 1_000  # P1 events read at once after a reconnect


URGENT, BULK = (1,), (2, 3, 4, 5)  # classes of the two sessions

# The journal as the uplink reads it: (after n, limit, classes) -> undelivered events in order of n.
Source = Callable[[int, int, Sequence[int]], list[Event]]


class Uplink:
    """Two sessions to the platform's broker. `render` makes an event's message; `delivered` is called with
    events that count as delivered on PUBACK; `command` with each message on the commands topic."""

    def __init__(
        self,
        broker: Broker,
        settings: Platform,
        daemon_id: str,
        source: Source,
        render: Callable[[Event], bytes],
        delivered: Callable[[list[Event]], None],
        command: Callable[[bytes], None],
    ) -> None:
        self._broker = broker
        self._source = source
        self._render = render
        self._delivered = delivered
        self._command = command
        self._puback = settings.delivered_by == "puback"
        self._window: Window[Event] = Window(settings.window, settings.retry_s)
        self._urgent = self._client(f"kanhu-{daemon_id}-city-1")
        self._bulk = self._client(f"kanhu-{daemon_id}-city-2")
        self._cursor = 0  # journal number of the last P2..P5 event put in the window
        self._caught_up = False  # nothing between the cursor and the newest event
        self._wake = asyncio.Event()
        self.published = 0
        self.republished = 0

    def _client(self, client_id: str) -> MqttClient:
        return MqttClient(
            self._broker.host,
            self._broker.port,
            client_id,
            clean=False,
            username=self._broker.username,
            password=self._broker.password(),
            on_message=self._message,
            max_packet=MAX_BYTES + 1024,
        )

    @property
    def connected(self) -> bool:
        return self._urgent.connected

    @property
    def oversize(self) -> int:
        """Messages of the platform too long to be read."""
        return self._urgent.counters.oversize + self._bulk.counters.oversize

    @property
    def awaiting(self) -> int:
        """Events published and not yet acknowledged."""
        return len(self._window)

    def offer(self, events: Sequence[Event]) -> None:
        """Newly stored events, in journal order."""
        for event in events:
            if event.cls == 1:
                if self._urgent.connected:
                    self._publish(event)
            elif event.n <= self._cursor:
                continue  # a read of the journal was faster than this notice
            elif self._caught_up and self._window.room > 0 and self._bulk.connected:
                self._cursor = event.n
                self._publish(event)
            else:
                self._caught_up = False
        if not self._caught_up:
            self._wake.set()

    def acknowledged(self, key: Key) -> Event | None:
        """The platform has this one: the event, or None when it was not awaited."""
        event = self._window.done(key)
        if not self._caught_up:
            self._wake.set()
        return event

    def again(self, events: Sequence[Event]) -> None:
        """Publish events the platform asked for, delivered or not."""
        for event in events:
            self._send(event)

    def reply(self, message: bytes) -> None:
        """Answer a command; an unconnected platform asks again."""
        if self._urgent.connected:
            self._urgent.publish_nowait(REPLIES, message)

    def _publish(self, event: Event) -> None:
        if event.delivered_ms is None and self._window.put(event, time.monotonic()):
            self.published += 1
            self._send(event)

    def _send(self, event: Event) -> None:
        client = self._urgent if event.cls == 1 else self._bulk
        if not client.connected:
            return
        topic = f"{EVENTS}{event.cls}"
        if not self._puback:
            client.publish_nowait(topic, self._render(event))
            return

        def taken(future: asyncio.Future[None]) -> None:
            if not future.cancelled() and future.exception() is None and self.acknowledged(event.identity):
                self._delivered([event])

        client.publish(topic, self._render(event)).add_done_callback(taken)

    def _message(self, topic: str, payload: bytes, ack: Callable[[], None]) -> None:
        self._command(payload)
        ack()

    async def run(self) -> None:
        """Sessions, filling and republishing, until cancelled."""

        async def urgent_up() -> None:
            await self._urgent.subscribe([(COMMANDS, 1)])
            log.info("platform's broker connected", session="urgent")
            for event in self._window.everything(time.monotonic()):
                if event.cls == 1:
                    self._send(event)
            after = 0
            while page := self._source(after, P1_PAGE, URGENT):
                for event in page:
                    self._publish(event)
                after = page[-1].n

        async def bulk_up() -> None:
            log.info("platform's broker connected", session="bulk")
            for event in self._window.everything(time.monotonic()):
                if event.cls != 1:
                    self._send(event)
            self._wake.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(self._urgent.run(urgent_up))
            group.create_task(self._bulk.run(bulk_up))
            group.create_task(self._fill())
            group.create_task(self._retry())

    async def _fill(self) -> None:
        """Read what the window has room for, whenever offer() could not pass it on directly."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._bulk.connected and self._window.room > 0 and not self._caught_up:
                page = self._source(self._cursor, self._window.room, BULK)
                for event in page:
                    self._publish(event)
                    self._cursor = max(self._cursor, event.n)
                self._caught_up = not page
                await asyncio.sleep(0)

    async def _retry(self) -> None:
        while True:
            now = time.monotonic()
            for event in self._window.overdue(now):
                self.republished += 1
                self._send(event)
            due = self._window.next_due()
            await asyncio.sleep(1.0 if due is None else min(1.0, max(0.02, due - now)))
