"""BTHome v2 sensors for the bench's air: what a battery caller, PIR or smoke alarm advertises."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESCCM

BTHOME_UUID = 0xFCD2  # BTHome, 16-bit service data
INFO_V2 = 0x40  # version 2, unencrypted
INFO_ENCRYPTED = 0x01
MIC_BYTES = 4
INFO_TRIGGER = 0x04  # irregular, sent when something happens

PACKET_ID = 0x00
BATTERY = 0x01
BUTTON = 0x3A
PRESSES = {
    "none": 0,
    "press": 1,
    "double": 2,
    "triple": 3,
    "long": 4,
    "long_double": 5,
    "long_triple": 6,
    "hold": 0x80,
}

# kind -> BTHome object of its on/off state
STATES = {
    "motion": 0x21,
    "door": 0x1A,
    "window": 0x2D,
    "smoke": 0x29,
    "gas": 0x1C,
    "carbon_monoxide": 0x17,
    "moisture": 0x20,
    "tamper": 0x2B,
    "battery_low": 0x15,
    "fall": 0x0F,  # generic boolean: BTHome has no object for it
}
BUTTONS = ("button", "visit")
KINDS = (*BUTTONS, "battery", *STATES)
ADV_NONCONN_IND = 3  # MicroPython's adv_type
REPEATS = 6  # advertisements of one happening
REPEAT_SPAN = 1.5  # s over which they are spread
PERIOD = 20.0  # s between advertisements of an unchanged state


@dataclass(frozen=True)
class Advert:
    """One advertisement as a scanner hears it: address of 6 bytes as printed, RSSI in dBm."""

    address: bytes
    rssi: int
    data: bytes
    adv_type: int = ADV_NONCONN_IND
    random_address: bool = False


def parse_address(text: str) -> bytes:
    """Six bytes of "A4:C1:38:00:00:01"; ValueError if it is none."""
    address = bytes.fromhex(text.replace(":", ""))
    if len(address) != 6:
        raise ValueError(f"{text!r} is no BLE address: write six bytes, such as A4:C1:38:00:00:01")
    return address


def encode(objects: Sequence[tuple[int, int]], trigger: bool = False) -> bytes:
    """Advertising data of one-byte BTHome objects (id, value), in rising id as the format asks."""
    return _advertising(bytes((_info(trigger),)) + _body(objects))


def encrypt(
    objects: Sequence[tuple[int, int]], key: bytes, address: bytes, counter: int, trigger: bool = False
) -> bytes:
    """The same, encrypted (bthome.io/encryption) with a 16-byte bind key and a 32-bit counter."""
    info, sent = bytes((_info(trigger) | INFO_ENCRYPTED,)), counter.to_bytes(4, "little")
    nonce = address + BTHOME_UUID.to_bytes(2, "little") + info + sent
    sealed = AESCCM(key, tag_length=MIC_BYTES).encrypt(nonce, _body(objects), None)
    return _advertising(info + sealed[:-MIC_BYTES] + sent + sealed[-MIC_BYTES:])


def _info(trigger: bool) -> int:
    return INFO_V2 | (INFO_TRIGGER if trigger else 0)


def _body(objects: Sequence[tuple[int, int]]) -> bytes:
    return b"".join(bytes(pair) for pair in sorted(objects))


def _advertising(service: bytes) -> bytes:
    flags = b"\x02\x01\x06"  # LE general discoverable, no BR/EDR
    return flags + bytes((len(service) + 3, 0x16)) + BTHOME_UUID.to_bytes(2, "little") + service


@dataclass
class Sensor:
    """A virtual sensor; `start` it on a loop with the function that puts its advertisements on the air."""

    name: str
    kind: str
    address: bytes
    rssi: int = -60
    battery: int = 100
    period: float | None = PERIOD
    repeats: int = REPEATS
    state: bool = False
    packet_id: int = field(default_factory=lambda: random.randrange(256))
    bind_key: bytes | None = field(default=None, repr=False)  # 16 bytes: it encrypts
    counter: int = 0  # of its next encrypted message

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no sensor kind {self.kind!r}: choose one of {', '.join(KINDS)}")
        self._transmit: Callable[[Advert], None] = lambda advert: None
        self._burst: asyncio.Task[None] | None = None
        self._beacon: asyncio.Task[None] | None = None

    def start(self, transmit: Callable[[Advert], None]) -> None:
        self._transmit = transmit
        if self.period is not None:
            self._beacon = asyncio.get_running_loop().create_task(self._repeat_state(self.period))

    def stop(self) -> None:
        for task in (self._burst, self._beacon):
            if task:
                task.cancel()
        self._burst = self._beacon = None

    def press(self, press: str = "press") -> None:
        """A new happening: one packet id, advertised `repeats` times."""
        self._advertise(self.pressed(press))

    def set(self, state: bool) -> None:
        self._advertise(self.changed(state))

    def change_battery(self) -> None:
        """A new battery: what a sensor keeps in RAM starts again, its counter among it."""
        self.counter = self.packet_id = 0
        self.battery = 100

    def set_battery(self, percent: int) -> None:
        self._advertise(self.drained(percent))

    # Advertising data of its next message: each has a new packet id and, encrypted, a new counter

    def pressed(self, press: str = "press") -> bytes:
        """Of a press."""
        return self._message([(BUTTON, PRESSES[press])], trigger=True)

    def changed(self, state: bool) -> bytes:
        """Of a new state."""
        self.state = state
        return self._message(self._objects(), trigger=True)

    def drained(self, percent: int) -> bytes:
        """Of a new battery level, with the state as it is."""
        self.battery = percent
        return self._message(self._objects())

    def unchanged(self) -> bytes:
        """Of the state as it is, as it is said again and again."""
        return self._message(self._objects())

    def _objects(self) -> list[tuple[int, int]]:
        if self.kind in BUTTONS:
            return [(BUTTON, PRESSES["none"])]
        return [(STATES[self.kind], int(self.state))] if self.kind in STATES else []

    def _message(self, objects: list[tuple[int, int]], trigger: bool = False) -> bytes:
        self.packet_id = (self.packet_id + 1) & 0xFF
        objects = [(PACKET_ID, self.packet_id), (BATTERY, self.battery), *objects]
        if self.bind_key is None:
            return encode(objects, trigger)
        self.counter += 1
        return encrypt(objects, self.bind_key, self.address, self.counter - 1, trigger)

    def _advertise(self, data: bytes) -> None:
        if self._burst:
            self._burst.cancel()
        self._burst = asyncio.get_running_loop().create_task(self._send(data))

    async def _send(self, data: bytes) -> None:
        for _ in range(self.repeats):
            self._transmit(Advert(self.address, self.rssi, data))
            # Bluetooth Core, Vol 6 Part B 4.4.2.2: 0 to 10 ms of random delay keep two devices apart
            await asyncio.sleep(REPEAT_SPAN / self.repeats + random.uniform(0, 0.010))

    async def _repeat_state(self, period: float) -> None:
        while True:
            await asyncio.sleep(period * random.uniform(0.9, 1.1))
            self._advertise(self.unchanged())
