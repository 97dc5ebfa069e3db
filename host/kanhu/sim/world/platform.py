"""A city platform: keeps what it is given, acknowledges, and has operators who take and close alarms."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from kanhu.links.mqtt_client import MqttClient
from kanhu.sim.faults.oracle import Arrival, Identity
from kanhu.sim.world.loop import Process, VirtualLoop
from kanhu.sim.world.net import Net

EVENTS, COMMANDS, REPLIES = "kanhu/1/events/+", "kanhu/1/commands", "kanhu/1/replies"
GATHER_S = 0.05  # acknowledgements wait this long for company
ACCEPT_S = (3.0, 60.0)  # a person takes an alarm after
CLOSE_S = (10.0, 90.0)  # and has helped after
AGAIN_S = 15.0  # an operator whose command got no answer tries again
GIVES_UP = 0.05  # chance that a case is closed without anybody having taken it


class Platform:
    """Its memory is on disk: what it has acknowledged survives stop() and start()."""

    def __init__(self, loop: VirtualLoop, net: Net, address: tuple[str, int], chance: random.Random) -> None:
        self.received: list[Arrival] = []
        self.handed: dict[Identity, Arrival] = {}  # each event once
        self.acknowledged: dict[Identity, float] = {}  # when its acknowledgement left
        self.states: dict[str, str] = {}  # alarm: open, accepted, closed
        self.mute = False
        self.on_handed: list[Callable[[Arrival], None]] = []
        self._loop = loop
        self._net = net
        self._address = address
        self._chance = chance
        self._process: Process | None = None
        self._client: MqttClient | None = None
        self._due: dict[Identity, tuple[str, str]] = {}  # to be acknowledged: source, id
        self._replies: dict[str, str] = {}  # command: why it was refused, empty: it was not
        self._number = 0
        self._openings: Counter[str] = Counter()
        self._in_hands: set[str] = set()  # alarms that an operator sees to

    def start(self) -> None:
        """Connect, with the session it had."""
        process = self._process = Process("platform")
        self._client = MqttClient(
            *self._address, "city", keepalive=30, on_message=self._message, max_packet=1 << 20
        )
        self._loop.spawn(process, self._run(self._client))
        for alarm, state in self.states.items():
            if state != "closed":
                self._see_to(alarm)

    def stop(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._loop.kill(self._process)
            self._net.abandon(self._process)
        self._process = self._client = None
        self._due.clear()
        self._in_hands.clear()

    async def _run(self, client: MqttClient) -> None:
        async def connected() -> None:
            await client.subscribe([(EVENTS, 1), (REPLIES, 1)])

        await client.run(connected)

    def _message(self, topic: str, payload: bytes, ack: Callable[[], None]) -> None:
        message: dict[str, Any] = json.loads(payload)
        ack()
        if topic == REPLIES:
            if "id" in message:
                self._replies[message["id"]] = message.get("error", "")
            return
        arrival = Arrival.of(self._loop.time(), message)
        self.received.append(arrival)
        identity = arrival.identity
        if identity not in self.handed:
            self.handed[identity] = arrival
            self._alarm(arrival)
            for listener in self.on_handed:
                listener(arrival)
        if not self.mute:
            if not self._due:
                self._loop.call_later(GATHER_S, self._acknowledge)
            self._due[identity] = (arrival.source, arrival.id)

    def _acknowledge(self) -> None:
        due, self._due = self._due, {}
        events = [{"source": source, "id": name} for source, name in due.values()]
        if events and not self.mute and self._send({"command": "acknowledge", "events": events}):
            for identity in due:
                self.acknowledged.setdefault(identity, self._loop.time())

    def _send(self, command: dict[str, Any]) -> bool:
        return self._client is not None and self._client.publish_nowait(
            COMMANDS, json.dumps(command).encode()
        )

    # Operators

    def _alarm(self, event: Arrival) -> None:
        alarm = event.data.get("alarm")
        if alarm is None:
            return
        if event.name == "alarm.reopened":
            self._open(alarm)
        elif event.event_class not in ("p1", "p2") or event.name.startswith("pre_alarm"):
            return
        elif alarm not in self.states:
            self._open(alarm)

    def _open(self, alarm: str) -> None:
        self.states[alarm] = "open"
        self._openings[alarm] += 1
        self._see_to(alarm)

    def _see_to(self, alarm: str) -> None:
        if self._process is not None and alarm not in self._in_hands:
            self._in_hands.add(alarm)
            self._loop.spawn(self._process, self._operate(alarm))

    async def _operate(self, alarm: str) -> None:
        operator = f"operator{self._chance.randrange(3)}"
        opening = 0
        while opening != self._openings[alarm]:  # opened again meanwhile: somebody has to go again
            opening = self._openings[alarm]
            if self.states[alarm] == "open":
                await asyncio.sleep(self._chance.uniform(*ACCEPT_S))
                if self._chance.random() >= GIVES_UP:
                    await self._until_answered({"command": "accept", "alarm": alarm, "operator": operator})
                self.states[alarm] = "accepted"
            await asyncio.sleep(self._chance.uniform(*CLOSE_S))
            await self._until_answered(
                {"command": "close", "alarm": alarm, "operator": operator, "reason": "helped"}
            )
        self.states[alarm] = "closed"
        self._in_hands.discard(alarm)

    async def _until_answered(self, command: dict[str, Any]) -> None:
        while True:
            self._number += 1
            name = f"c{self._number}"
            if not self.mute:
                self._send({**command, "id": name})
            await asyncio.sleep(AGAIN_S)
            if name in self._replies and (not self._replies[name] or "already" in self._replies[name]):
                return
