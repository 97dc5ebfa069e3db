"""Pulse Oximeter (0x1822): spot checks, kept and indicated, and what it sees while a finger is in it."""

from __future__ import annotations

import asyncio
import random
import struct
from datetime import datetime
from typing import Any

from bumble.device import Connection
from bumble.gatt import Characteristic

from kanhu.sim.monitors import values
from kanhu.sim.monitors.base import Monitor
from kanhu.sim.monitors.services import INDICATE, NOTIFY, readable
from kanhu.sim.monitors.values import Number

TIME, STATUS, SENSOR, INDEX, CLOCK_NOT_SET = 0x01, 0x02, 0x04, 0x08, 0x10  # flags of 0x2A5E
FAST, SLOW, C_STATUS, C_SENSOR, C_INDEX = 0x01, 0x02, 0x04, 0x08, 0x10  # flags of 0x2A5F
# Measurement status
ONGOING, EARLY, VALIDATED, FULLY, FROM_STORAGE = 1 << 5, 1 << 6, 1 << 7, 1 << 8, 1 << 9
QUESTIONABLE, INVALID = 1 << 14, 1 << 15
FEATURES = 0x000F  # 0x2A60: both statuses, storage, time stamps
STATUSES = struct.pack("<HHBH", FEATURES, 0xFFFF, 0xFF, 0xFFFF)
PERIOD_S = 1.0  # of continuous measurements


class PulseOximeter(Monitor):
    SERVICE = 0x1822
    NAME = "KH-OX1"
    _seeing: bytes = b""
    _worn_until = 0.0
    _next = 0.0

    def measurement(self) -> Characteristic[bytes]:
        return Characteristic("2A5E", INDICATE, Characteristic.Permissions(0))

    def others(self) -> list[Characteristic[bytes]]:
        self.continuous: Characteristic[bytes] = Characteristic("2A5F", NOTIFY, Characteristic.Permissions(0))
        return [self.continuous, readable("2A60", lambda: STATUSES[:2])]

    def encode(
        self,
        *,
        spo2: Number,
        pulse: Number,
        status: int | None = None,
        sensor: int | None = None,
        index: Number | None = None,
        at: datetime | None = None,
    ) -> bytes:
        """A spot check: percent, per minute; status and sensor (24 bits) are the profile's bits."""
        flags = 0 if self.manners.clock_set or self.manners.clock is None else CLOCK_NOT_SET
        data = values.sfloat(spo2) + values.sfloat(pulse)
        stamp = self.stamp(at)
        if stamp is not None and not flags:
            flags |= TIME
            data += stamp
        if status is not None:
            flags |= STATUS
            data += struct.pack("<H", status)
        if sensor is not None:
            flags |= SENSOR
            data += sensor.to_bytes(3, "little")
        if index is not None:
            flags |= INDEX
            data += values.sfloat(index, -1)
        return bytes((flags,)) + data

    def keep(self, **fields: Any) -> bytes:
        """A spot check; those not collected yet are from storage now, where they carry a status."""
        for i, old in enumerate(self.stored):
            self.stored[i] = from_storage(old)
        return super().keep(**fields)

    @staticmethod
    def encode_continuous(
        spo2: Number,
        pulse: Number,
        fast: tuple[Number, Number] | None = None,
        slow: tuple[Number, Number] | None = None,
        status: int | None = None,
        sensor: int | None = None,
        index: Number | None = None,
    ) -> bytes:
        """0x2A5F: percent, per minute; the same averaged fast and slowly."""
        flags = 0
        data = values.sfloat(spo2) + values.sfloat(pulse)
        for pair, bit in ((fast, FAST), (slow, SLOW)):
            if pair is not None:
                flags |= bit
                data += values.sfloat(pair[0]) + values.sfloat(pair[1])
        if status is not None:
            flags |= C_STATUS
            data += struct.pack("<H", status)
        if sensor is not None:
            flags |= C_SENSOR
            data += sensor.to_bytes(3, "little")
        if index is not None:
            flags |= C_INDEX
            data += values.sfloat(index, -1)
        return bytes((flags,)) + data

    async def watch(self, seconds: float = 10.0, **fields: Any) -> bytes:
        """A finger stays in it for that long and it sees this."""
        self._seeing = self.encode_continuous(**fields)
        self._worn_until = asyncio.get_running_loop().time() + seconds
        await self.wake()
        return self._seeing

    def pending(self) -> bool:
        return bool(self.stored) or asyncio.get_running_loop().time() < self._worn_until

    async def speak(self, connection: Connection) -> float | None:
        due = await super().speak(connection)
        now = asyncio.get_running_loop().time()
        if now >= self._worn_until or not self.subscribed(connection, self.continuous):
            return due
        if now >= self._next:
            await self.notify(connection, self.continuous, self._seeing)
            self._delivered += 1
            self._hear()
            self._stirred.clear()
            self._next = now + PERIOD_S
        return min(self._next, self._worn_until)

    def example(self) -> dict[str, Any]:
        return {"spo2": random.randint(94, 99), "pulse": random.randint(58, 92), "status": FULLY}


def from_storage(spot: bytes) -> bytes:
    """The same spot check, marked as from storage where it has a measurement status."""
    if not spot[0] & STATUS:
        return spot
    at = 5 + (7 if spot[0] & TIME else 0)
    status = struct.unpack_from("<H", spot, at)[0] | FROM_STORAGE
    return spot[:at] + struct.pack("<H", status) + spot[at + 2 :]
