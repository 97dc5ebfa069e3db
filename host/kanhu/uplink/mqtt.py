"""MQTT uplink: publishes the journal's undelivered events as CloudEvents, P1 first and on a session of its
own, with a bounded window; takes the platform's commands."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from kanhu.config import Broker, Platform
from kanhu.errors import LinkDown
from kanhu.journal import Event
from kanhu.links.mqtt_client import MqttClient
from kanhu.links.mqtt_sessions import two_sessions
from kanhu.uplink.cloudevents import ALARM_OPENERS
from kanhu.uplink.commands import MAX_BYTES
from kanhu.uplink.window import Key, Window
from kanhu_protocol import kinds as k

log = structlog.get_logger("kanhu.uplink")

EVENTS = "kanhu/1/events/p"
COMMANDS = "kanhu/1/commands"
REPLIES = "kanhu/1/replies"
PAGE = 200  # events published before others have their turn: some 10 ms of the loop
SOON_S = 0.2  # an event that the client could not take is tried again after one to two of this
READ_AGAIN_S = 1.0  # after the journal could not be read
SAFE_S = 60.0  # longest a command stays without PUBACK; a disk that has not answered by then is stuck
COMPLAINED_MAX = 10_000  # events remembered as complained of


URGENT, BULK = (1,), (2, 3, 4, 5)  # classes of the two sessions

# The journal as the uplink reads it: (after n, limit, classes) -> undelivered events in order of n.
Source = Callable[[int, int, Sequence[int]], list[Event]]


def _calls_first(event: Event) -> int:
    """Of P1, what opens an alarm comes first, the newest before the older; the rest in order."""
    opens = event.kind in ALARM_OPENERS and k.ALARM not in event.fields
    return -event.n if opens else event.n


@dataclass(slots=True)
class _Session:
    client: MqttClient
    window: Window[Event]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # one page at a time in the client's queue


class Uplink:
    """Two sessions to the platform's broker. `render` makes an event's message; `delivered` is called with
    events that count as delivered on PUBACK; `command` with each message on the commands topic: it returns
    what must end before the broker may forget the message."""

    def __init__(
        self,
        broker: Broker,
        settings: Platform,
        daemon_id: str,
        source: Source,
        render: Callable[[Event], bytes],
        delivered: Callable[[list[Event]], object],
        command: Callable[[bytes], Sequence[asyncio.Future[None]]],
    ) -> None:
        self._source = source
        self._render = render
        self._delivered = delivered
        self._command = command
        self._puback = settings.delivered_by == "puback"
        urgent, bulk = two_sessions(broker, f"kanhu-{daemon_id}-city", self._message, MAX_BYTES + 1024)
        self._urgent = _Session(urgent, Window(settings.window, settings.retry_s, _calls_first))
        self._bulk = _Session(bulk, Window(settings.window, settings.retry_s))
        self._cursor = 0  # journal number of the last P2..P5 event put in the window
        self._caught_up = False  # nothing between the cursor and the newest event
        self._wake = asyncio.Event()
        self._unsafe: set[asyncio.Task[None]] = set()  # commands without PUBACK
        self._complained: set[Key] = set()
        self.published = 0
        self.republished = 0
        self.unrendered = 0  # attempts at events that could not be made into a message

    @property
    def connected(self) -> bool:
        return self._urgent.client.connected

    @property
    def oversize(self) -> int:
        """Messages of the platform too long to be read."""
        return self._urgent.client.counters.oversize + self._bulk.client.counters.oversize

    @property
    def awaiting(self) -> int:
        """Events published and not yet acknowledged."""
        return len(self._urgent.window) + len(self._bulk.window)

    def offer(self, events: Sequence[Event]) -> None:
        """Newly stored events, in journal order."""
        for event in events:
            if event.cls == 1:
                if self._urgent.client.connected:
                    self._publish(event)
            elif event.n <= self._cursor:
                continue  # a read of the journal was faster than this notice
            elif self._caught_up and self._bulk.window.room > 0 and self._bulk.client.connected:
                self._cursor = event.n
                self._publish(event)
            else:
                self._caught_up = False
        if not self._caught_up:
            self._wake.set()

    def acknowledged(self, key: Key) -> Event | None:
        """The platform has this one: the event, or None when it was not awaited."""
        event = self._bulk.window.done(key) or self._urgent.window.done(key)
        if not self._caught_up:
            self._wake.set()
        return event

    def unrecorded(self, events: Sequence[Event]) -> None:
        """The disk did not take that these were delivered: they are published again."""
        now = time.monotonic()
        for event in events:
            if event.delivered_ms is None:
                self._session(event).window.put(event, now)

    async def again(self, events: Sequence[Event]) -> None:
        """Publish events the platform asked for, delivered or not; returns when there is room for more.
        LinkDown without a broker."""
        for event in events:
            self._send(event)
        for session in (self._urgent, self._bulk):
            await session.client.drain()
        await asyncio.sleep(0)

    def reply(self, message: bytes) -> None:
        """Answer a command; an unconnected platform asks again."""
        if self._urgent.client.connected:
            self._urgent.client.publish_nowait(REPLIES, message)

    def _session(self, event: Event) -> _Session:
        return self._urgent if event.cls == 1 else self._bulk

    def _publish(self, event: Event) -> None:
        if event.delivered_ms is None and self._session(event).window.put(event, time.monotonic()):
            self.published += 1
            self._send(event)

    def _send(self, event: Event) -> None:
        """Hand its message to the client; what is not taken, and waits in the window, is due again soon."""
        session = self._session(event)
        if not session.client.connected:
            return  # everything is due on the next connection
        topic = f"{EVENTS}{event.cls}"
        try:
            message = self._render(event)
            if self._puback:
                done = session.client.publish(topic, message)
                taken = not done.done() or done.exception() is None
                done.add_done_callback(lambda done: self._taken(event, done))
            else:
                taken = session.client.publish_nowait(topic, message)
        except Exception as error:
            self._cannot(session, event, error)
            return
        if not taken:
            # At one moment for all that were refused about now, so that their rank decides.
            session.window.soon(event.identity, (time.monotonic() // SOON_S + 2) * SOON_S)
        elif self._complained and event.identity in self._complained:
            self._complained.discard(event.identity)
            session.window.excuse(event.identity, False)

    def _taken(self, event: Event, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and done.exception() is None and self.acknowledged(event.identity):
            self._delivered([event])

    def _cannot(self, session: _Session, event: Event, error: Exception) -> None:
        # It is tried again like any other, since the reason may pass, and keeps no other from its place.
        self.unrendered += 1
        session.window.excuse(event.identity)
        self._wake.set()
        if event.identity not in self._complained:
            if len(self._complained) >= COMPLAINED_MAX:
                self._complained.clear()
            self._complained.add(event.identity)
            log.error(
                "an event cannot be published; it is kept, and tried again",
                hub=event.hub,
                boot=event.boot,
                seq=event.seq,
                kind=event.kind,
                exc_info=error,
            )

    def _message(self, topic: str, payload: bytes, ack: Callable[[], None]) -> None:
        steps = self._command(payload)
        if not steps:
            ack()
            return

        async def when_safe() -> None:
            _, late = await asyncio.wait(steps, timeout=SAFE_S)
            if late:
                log.error("a command of the platform is not on disk yet", seconds=SAFE_S)
            ack()

        task = asyncio.get_running_loop().create_task(when_safe())
        self._unsafe.add(task)
        task.add_done_callback(self._unsafe.discard)

    async def run(self) -> None:
        """Sessions, filling and republishing, until cancelled."""

        async def urgent_up() -> None:
            await self._urgent.client.subscribe([(COMMANDS, 1)])
            log.info("platform's broker connected", session="urgent")
            self._urgent.window.all_due(time.monotonic())
            await self._send_due(self._urgent)
            after = 0
            while page := self._read(after, PAGE, URGENT):
                async with self._urgent.turn:
                    for event in page:
                        self._publish(event)
                    after = page[-1].n
                    await self._urgent.client.drain()  # the queue stays open for what is pressed meanwhile
                await asyncio.sleep(0)

        async def bulk_up() -> None:
            log.info("platform's broker connected", session="bulk")
            self._bulk.window.all_due(time.monotonic())
            self._wake.set()
            await self._send_due(self._bulk)

        async with asyncio.TaskGroup() as group:
            group.create_task(self._urgent.client.run(urgent_up))
            group.create_task(self._bulk.client.run(bulk_up))
            group.create_task(self._fill())
            group.create_task(self._retry(self._urgent))
            group.create_task(self._retry(self._bulk))

    def _read(self, after_n: int, limit: int, classes: Sequence[int]) -> list[Event]:
        try:
            return self._source(after_n, limit, classes)
        except sqlite3.Error as error:
            raise LinkDown(f"the journal cannot be read: {error}") from error

    async def _fill(self) -> None:
        """Read what the window has room for, whenever offer() could not pass it on directly."""
        client, window = self._bulk.client, self._bulk.window
        while True:
            await self._wake.wait()
            self._wake.clear()
            while client.connected and window.room > 0 and not self._caught_up:
                try:
                    page = self._read(self._cursor, min(window.room, PAGE), BULK)
                except LinkDown as error:
                    log.error("events wait", reason=str(error))
                    await asyncio.sleep(READ_AGAIN_S)
                    continue
                for event in page:
                    self._cursor = max(self._cursor, event.n)
                    self._publish(event)
                self._caught_up = not page
                await asyncio.sleep(0)

    async def _send_due(self, session: _Session) -> None:
        client = session.client
        page: list[Event] | None = None
        while page is None or page:
            async with session.turn:
                if not client.connected:
                    return
                page = session.window.overdue(time.monotonic(), PAGE)
                for event in page:
                    self.republished += 1
                    self._send(event)
                with suppress(LinkDown):
                    await client.drain()
            await asyncio.sleep(0)

    async def _retry(self, session: _Session) -> None:
        while True:
            await self._send_due(session)
            due = session.window.next_due() if session.client.connected else None
            await asyncio.sleep(1.0 if due is None else min(1.0, max(0.02, due - time.monotonic())))
