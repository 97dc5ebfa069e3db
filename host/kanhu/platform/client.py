"""The event stream: each event once, P1 first, acknowledged when the caller is done with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from kanhu.platform import event as events
from kanhu.platform.commands import COMMANDS, REPLIES, Commands
from kanhu.platform.errors import ConnectError, StateError
from kanhu.platform.event import Event
from kanhu.platform.link import Link
from kanhu.platform.queue import Closed, EventQueue
from kanhu.platform.state import State, StateWriter
from kanhu.uplink.identity import Identity

EVENTS = "kanhu/1/events/"
QUEUE_LIMIT = 10_000  # events not yet handed out; the daemon publishes again what found no room
BATCH = 100  # events of one acknowledgement
BATCH_S = 0.02  # how long an acknowledgement waits for company; P1 does not wait
IN_FLIGHT = 50  # acknowledgements on their way to the broker; above 100 aiomqtt slows down
FLUSH_S = 2.0  # for the last acknowledgements when leaving

log = logging.getLogger("kanhu.platform")


@dataclass(slots=True)
class Counters:
    """Since the start. received = duplicates + refused + overflow + accepted for handing out."""

    received: int = 0
    duplicates: int = 0
    refused: int = 0  # not one of Kanhu's events
    overflow: int = 0  # no room; comes again
    handed: int = 0
    done: int = 0
    acknowledged: int = 0


class Platform(Commands):
    """The events and the commands over one session; an asynchronous context manager and iterator."""

    def __init__(
        self,
        url: str,
        *,
        state: str | Path | None,
        acknowledge: bool = True,
        ca: Path | None = None,
        wait_for_broker: bool = False,
    ) -> None:
        """AddressError when url cannot be read. state None: remember nothing beyond this process."""
        super().__init__(url, ca=ca, wait_for_broker=wait_for_broker)
        self.counters = Counters()
        self._path = None if state is None else Path(state)
        self._acknowledge = acknowledge
        self._open: set[Identity] = set()  # received and not done
        self._before: set[Identity] = set()  # handed out once, not known to be done
        self._acks: dict[Identity, None] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._state: State | None = None
        self._writer: StateWriter | None = None

    async def __aenter__(self) -> Self:
        """StateError when the state file cannot be used, ConnectError when the broker cannot be reached."""
        self._queue = EventQueue(QUEUE_LIMIT)
        self._state = await asyncio.to_thread(State, self._path)
        self._before = set(self._state.handed)
        self._writer = StateWriter(self._state, self._committed)
        try:
            self._link = Link(
                self.address,
                [EVENTS + "+", REPLIES],
                self._received,
                client_id=None if self._path is None else self._state.client_id,
                ca=self._ca,
                on_up=self._flush,
                on_failure=self._queue.close,
            )
            await self._link.start(wait_for_broker=self._wait_for_broker)
        except BaseException:
            await self._writer.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._queue.close()
        try:
            self._flush()
            if self._sending:
                await asyncio.wait(self._sending, timeout=FLUSH_S)
            for task in self._sending:
                task.cancel()
            if self._timer is not None:
                self._timer.cancel()
        finally:
            if self._link is not None:
                await self._link.stop()
            if self._writer is not None:
                await self._writer.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event; call done() when it is safe with you. Ends when the platform is left."""
        try:
            event = await self._queue.get()
        except Closed:
            raise StopAsyncIteration from None
        try:
            await self._written(handed=[event.identity])
        except StateError as error:
            # Not a reason to withhold an alarm: done() will say it again, and refuse.
            log.warning("%s", error)
        except BaseException:
            self._queue.put_back(event)
            raise
        self.counters.handed += 1
        redelivered = event.identity in self._before
        self._before.add(event.identity)
        return replace(event, redelivered=True) if redelivered else event

    async def done(self, *finished: Event) -> None:
        """You have them: returns once that is on disk; acknowledges them. StateError: they come again."""
        await self._written(finished=[event.identity for event in finished])
        urgent = any(event.event_class == "p1" for event in finished)
        if urgent or len(self._acks) >= BATCH:
            self._flush()

    def release(self, event: Event) -> None:
        """You could not handle it: you get it again when the daemon publishes it again (10 s to 5 min)."""
        self._open.discard(event.identity)

    async def _written(self, handed: Sequence[Identity] = (), finished: Sequence[Identity] = ()) -> None:
        if self._writer is None:
            raise StateError('the state file is not open: use "async with"')
        await self._writer.write(handed, finished)

    def _committed(self, finished: Sequence[Identity]) -> None:
        for identity in finished:
            self._open.discard(identity)
            self._before.discard(identity)
            self.counters.done += 1
            self._to_acknowledge(identity)

    def _received(self, topic: str, payload: bytes) -> None:
        if not topic.startswith(EVENTS):
            super()._received(topic, payload)
            return
        self.counters.received += 1
        topic_class = topic.removeprefix(EVENTS)
        try:
            event = events.parse(payload, topic_class)
        except events.NotAnEvent as error:
            self.counters.refused += 1
            if (
                self.counters.refused.bit_count() == 1
            ):  # the 1st, 2nd, 4th, ...: a flood must not fill the log
                log.warning("%d not an event, the last on %s: %s", self.counters.refused, topic, error)
            return
        if event.identity in self._open:
            self.counters.duplicates += 1
        elif self._state is not None and event.identity in self._state:
            # The daemon did not get the acknowledgement.
            self.counters.duplicates += 1
            self._to_acknowledge(event.identity)
            if event.event_class == "p1":
                self._flush()
        elif self._queue.put(event):
            self._open.add(event.identity)
        else:
            self.counters.overflow += 1

    def _to_acknowledge(self, identity: Identity) -> None:
        if not self._acknowledge:
            return
        self._acks[identity] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_S, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (
            self._acks
            and self._link is not None
            and self._link.up.is_set()
            and len(self._sending) < IN_FLIGHT
        ):
            batch = list(self._acks)[-BATCH:]
            for identity in batch:
                del self._acks[identity]
            task = asyncio.create_task(self._send(self._link, batch))
            self._sending.add(task)
            task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if self._acks and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_S, self._flush)

    async def _send(self, link: Link, batch: list[Identity]) -> None:
        try:
            await link.publish(COMMANDS, acknowledgement(batch))
        except ConnectError as error:
            log.warning("%s", error)
            self._acks.update(dict.fromkeys(batch))
        else:
            self.counters.acknowledged += len(batch)


def acknowledgement(batch: Sequence[Identity]) -> bytes:
    """The command that acknowledges these events; nothing in it needs escaping."""
    items = ",".join(f'{{"source":"{identity.source}","id":"{identity.id}"}}' for identity in batch)
    return f'{{"command":"acknowledge","events":[{items}]}}'.encode()
