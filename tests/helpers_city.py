"""A stand-in for the daemon's side of the platform topics: publishes events until they are acknowledged,
carries out commands, on a real broker. Window, retry and alarms are the simplest that keep the contract."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from itertools import islice
from typing import Any, NamedTuple

import aiomqtt

from kanhu.ending import end
from kanhu.uplink import commands
from kanhu.uplink.cloudevents import to_json
from kanhu.uplink.identity import Identity
from kanhu_protocol import kinds as k

HUB = "7q8k2m3x9a"
DAEMON = "d0d0d0d0d0"
MOMENT = 1_790_000_000_000  # ms, 2026-09-21T14:13:20Z


class Row(NamedTuple):
    """A journal row, as far as the uplink needs it."""

    n: int
    hub_id: str
    boot: int
    seq: int
    event: dict[int, Any]
    daemon: bool = False

    @property
    def identity(self) -> Identity:
        return Identity(self.hub_id, self.boot, self.seq, self.daemon)

    @property
    def topic(self) -> str:
        return f"kanhu/1/events/p{k.class_of(self.event[k.KIND])}"

    def message(self) -> bytes:
        moment = MOMENT + self.n
        return to_json(self, home="home-17", region="cn/42/01/06/03", moment=moment, clockstatus="synced")


def call(seq: int, **more: Any) -> Row:
    """A press of device 3, the first of its alarm."""
    return Row(seq, HUB, 1, seq, {k.KIND: k.CALL, k.UP_MS: 1000 * seq, k.DEVICE: 3}, **more)


def motion(seq: int) -> Row:
    """Motion seen by device 5."""
    return Row(seq, HUB, 1, seq, {k.KIND: k.MOTION, k.UP_MS: 1000 * seq, k.DEVICE: 5})


class Daemon:
    """Context manager. `put` rows; `waiting` are not acknowledged; `commands` and `refused` were received."""

    def __init__(self, port: int, window: int = 200, retry_s: float = 1.0) -> None:
        self.port = port
        self.window = window
        self.retry_s = retry_s
        self.waiting: dict[Identity, Row] = {}
        self.acknowledged: Counter[Identity] = Counter()
        self.commands: list[commands.Command] = []
        self.refused: list[commands.CommandError] = []
        self.accepted: dict[Identity, str] = {}
        self.closed: dict[Identity, str] = {}
        self.deaf = False  # ignores acknowledgements, as if they had been lost
        self._sent: dict[Identity, float] = {}
        self._urgent: dict[Identity, Row] = {}
        self._kick = asyncio.Event()

    async def __aenter__(self) -> Daemon:
        self._ready = asyncio.Event()
        self._task = asyncio.create_task(self._forever())
        await asyncio.wait_for(self._ready.wait(), 10)
        return self

    async def __aexit__(self, *_: object) -> None:
        await end([self._task])  # the client's own errors on the way out may hide a cancellation

    def put(self, *rows: Row) -> None:
        for row in rows:
            self.waiting[row.identity] = row
            if row.event[k.KIND] == k.CALL:
                self._urgent[row.identity] = row
        self._kick.set()

    async def drained(self, timeout: float = 30.0) -> None:
        """Wait until everything put is acknowledged."""
        async with asyncio.timeout(timeout):
            while self.waiting:
                await asyncio.sleep(0.01)

    async def _forever(self) -> None:
        while True:
            try:
                async with aiomqtt.Client(
                    "127.0.0.1",
                    self.port,
                    identifier="stand-in-daemon",
                    clean_session=False,
                    socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
                ) as client:
                    client.pending_calls_threshold = 1000
                    await client.subscribe("kanhu/1/commands", qos=1)
                    self._sent.clear()
                    publisher = asyncio.create_task(self._publish(client))
                    self._ready.set()
                    try:
                        async for message in client.messages:
                            await self._receive(client, bytes(message.payload))
                    finally:
                        await end([publisher])
            except aiomqtt.MqttError:
                await asyncio.sleep(0.05)

    async def _publish(self, client: aiomqtt.Client) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._kick.clear()
            now = loop.time()
            rows = [*self._urgent.values(), *islice(self.waiting.values(), self.window)]
            due = [row for row in rows if self._sent.get(row.identity, 0) + self.retry_s <= now]
            for row in due:
                if row.identity not in self.waiting or self._sent.get(row.identity) == now:
                    continue
                self._sent[row.identity] = now
                await client.publish(row.topic, row.message(), qos=1)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._kick.wait(), 0.05)

    async def _receive(self, client: aiomqtt.Client, payload: bytes) -> None:
        try:
            items = commands.parse(payload)
        except commands.CommandError as error:
            items = [error]
        for item in items:
            if isinstance(item, commands.CommandError):
                self.refused.append(item)
                error = str(item)
            else:
                self.commands.append(item)
                error = self._execute(item)
            if item.id is not None or error is not None:
                await client.publish("kanhu/1/replies", commands.reply(item.id, error), qos=1)

    def _execute(self, command: commands.Command) -> str | None:
        if isinstance(command, commands.Acknowledge):
            if not self.deaf:
                for identity in command.events:
                    self.acknowledged[identity] += 1
                    self.waiting.pop(identity, None)
                    self._urgent.pop(identity, None)
                self._kick.set()
        elif isinstance(command, commands.Accept):
            holder = self.accepted.setdefault(command.alarm, command.operator)
            if holder != command.operator:
                return f"Alarm {command.alarm.alarm} is already taken by {holder}."
        elif isinstance(command, commands.Answer):
            if command.alarm not in self.accepted:
                return f"Alarm {command.alarm.alarm} is not accepted; accept it first."
            if isinstance(command, commands.HandOver):
                self.accepted[command.alarm] = command.to
            elif isinstance(command, commands.Close | commands.Correct):
                self.closed[command.alarm] = command.reason
        elif command.hub != HUB:
            return f"No hub {command.hub} is known."
        return None
