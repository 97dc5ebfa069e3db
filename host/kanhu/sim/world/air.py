"""The air of one home: BLE sensors that say how they are now and then, and whatever happens at once."""

from __future__ import annotations

import random

from kanhu.sim.sensors import BATTERY, PACKET_ID, STATES, encode
from kanhu.sim.world.hub import Hub
from kanhu.sim.world.loop import VirtualLoop

PERIOD_S = (270.0, 330.0)  # between two messages of an unchanged state
HELD_S = 30.0  # a motion sensor says "motion" for this long
RSSI = -60  # dBm


class Beacon:
    """One battery sensor of a home, of a kind of kanhu.sim.sensors.STATES."""

    def __init__(self, loop: VirtualLoop, hub: Hub, kind: str, address: bytes, chance: random.Random) -> None:
        self.heard = True  # in range, and its battery not empty
        self.battery = 100  # percent
        self._loop, self._hub, self._chance = loop, hub, chance
        self._object, self._address = STATES[kind], address
        self._state = self._packet = 0
        loop.call_later(chance.uniform(0, PERIOD_S[0]), self._again)

    def set(self, state: bool) -> None:
        """It sees something new, and says so."""
        self._state = int(state)
        self.say()

    def moved(self) -> None:
        """Somebody passes a motion sensor."""
        self.set(True)
        self._loop.call_later(HELD_S, self.set, False)

    def say(self) -> None:
        """One message, heard or not."""
        self._packet = (self._packet + 1) & 0xFF
        if self.heard:
            objects = [(PACKET_ID, self._packet), (BATTERY, self.battery), (self._object, self._state)]
            self._hub.hear(self._address, RSSI, encode(objects))

    def _again(self) -> None:
        self.say()
        self._loop.call_later(self._chance.uniform(*PERIOD_S), self._again)
