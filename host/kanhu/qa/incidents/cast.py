"""Who acts on the stage beside the hub: people at the platform, and BLE sensors of the home."""

from __future__ import annotations

import asyncio

from kanhu.qa.incidents.form import Sensor
from kanhu.sim.sensors import BATTERY, BUTTON, PACKET_ID, PRESSES, STATES, encode
from kanhu.sim.world.hub import Hub
from kanhu.sim.world.loop import VirtualLoop
from kanhu.sim.world.platform import Platform

RSSI = -60  # dBm
ALIVE_S = 60.0  # between two messages of a supervised sensor, at most
AGAIN_S = 0.3  # the second copy of a message


class Operators(Platform):
    """A platform whose people do what they are told, when they are told."""

    opened: list[str]  # alarms of hubs, in the order in which they came

    def start(self) -> None:
        """Connect; nobody takes anything by himself."""
        if not hasattr(self, "opened"):
            self.opened = []
        super().start()

    def _see_to(self, alarm: str) -> None:
        if alarm not in self.opened:
            self.opened.append(alarm)

    def answer(self, number: int, verb: str, operator: str) -> None:
        """A person's word about the number-th alarm, once it is here."""
        if self._process is not None:
            self._loop.spawn(self._process, self._say(number, verb, operator))

    async def _say(self, number: int, verb: str, operator: str) -> None:
        while number >= len(self.opened):  # noqa: ASYNC110  # of virtual time
            await asyncio.sleep(1.0)
        command = {"command": verb, "alarm": self.opened[number], "operator": operator}
        if verb == "close":
            command["reason"] = "helped"
        await self._until_answered(command)


class Voice:
    """A BLE sensor of the home: says that it lives, and what it is told to say."""

    def __init__(self, loop: VirtualLoop, hub: Hub, sensor: Sensor) -> None:
        self.heard = True
        self._loop, self._hub = loop, hub
        self._address = bytes.fromhex(sensor.address.replace(":", ""))
        self._state: list[tuple[int, int]] = []
        self._packet = 0
        self._every_s = min(ALIVE_S, sensor.supervision_s / 2)
        if self._every_s:
            loop.call_later(min(5.0, self._every_s), self._alive)

    def say(self, objects: list[tuple[int, int]]) -> None:
        """A message, two copies of it."""
        self._packet = (self._packet + 1) & 0xFF
        data = encode([(PACKET_ID, self._packet), (BATTERY, 100), *objects])
        for delay_s in (0.0, AGAIN_S):
            self._loop.call_later(delay_s, self._send, data)

    def state(self, what: str, value: int) -> None:
        """One of its objects has a new value."""
        number = STATES[what]
        self._state = [(number, value), *(one for one in self._state if one[0] != number)]
        self.say(self._state)

    def press(self) -> None:
        """Somebody presses it."""
        self.say([(BUTTON, PRESSES["press"])])

    def _send(self, data: bytes) -> None:
        if self.heard:
            self._hub.hear(self._address, RSSI, data)

    def _alive(self) -> None:
        self.say([])  # its state is said when the record says it
        self._loop.call_later(self._every_s, self._alive)
