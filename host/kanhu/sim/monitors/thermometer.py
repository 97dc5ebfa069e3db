"""Health Thermometer (0x1809)."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

from bumble.gatt import Characteristic

from kanhu.sim.monitors import values
from kanhu.sim.monitors.base import Monitor
from kanhu.sim.monitors.services import INDICATE
from kanhu.sim.monitors.values import Number

FAHRENHEIT, TIME, TYPE = 0x01, 0x02, 0x04  # flags of 0x2A1C
ARMPIT, BODY, EAR, FINGER, TRACT, MOUTH, RECTUM, TOE, DRUM = range(1, 10)  # where, 0x2A1D


class Thermometer(Monitor):
    SERVICE = 0x1809
    NAME = "KH-T1"

    def measurement(self) -> Characteristic[bytes]:
        return Characteristic("2A1C", INDICATE, Characteristic.Permissions(0))

    def encode(
        self,
        *,
        temperature: Number,
        where: int | None = EAR,
        fahrenheit: bool = False,
        exponent: int = -1,
        at: datetime | None = None,
    ) -> bytes:
        """Degrees Celsius or Fahrenheit."""
        flags = FAHRENHEIT if fahrenheit else 0
        data = values.float32(temperature, exponent)
        stamp = self.stamp(at)
        if stamp is not None:
            flags |= TIME
            data += stamp
        if where is not None:
            flags |= TYPE
            data += bytes((where,))
        return bytes((flags,)) + data

    def example(self) -> dict[str, Any]:
        return {"temperature": random.randint(361, 371) / 10}
