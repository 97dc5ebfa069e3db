"""Blood Pressure (0x1810): a cuff."""

from __future__ import annotations

import random
import struct
from datetime import datetime
from typing import Any

from bumble.gatt import Characteristic

from kanhu.sim.monitors import values
from kanhu.sim.monitors.base import Monitor
from kanhu.sim.monitors.services import INDICATE, readable
from kanhu.sim.monitors.values import Number

KPA, TIME, PULSE, USER, STATUS = 0x01, 0x02, 0x04, 0x08, 0x10  # flags of 0x2A35
# Measurement status, bits of 0x2A35
MOVED, LOOSE, IRREGULAR, PULSE_HIGH, PULSE_LOW, POSITION = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
FEATURES = 0x009F  # 0x2A49: all of movement, fit, pulse, range, position, several bonds


class BloodPressure(Monitor):
    SERVICE = 0x1810
    NAME = "KH-BP1"

    def measurement(self) -> Characteristic[bytes]:
        return Characteristic("2A35", INDICATE, Characteristic.Permissions(0))

    def others(self) -> list[Characteristic[bytes]]:
        return [readable("2A49", lambda: struct.pack("<H", FEATURES))]

    def encode(
        self,
        *,
        systolic: Number,
        diastolic: Number,
        mean: Number = "NaN",
        pulse: Number | None = None,
        user: int | None = None,
        status: int | None = None,
        kpa: bool = False,
        at: datetime | None = None,
    ) -> bytes:
        """mmHg, or kPa with one decimal; pulse per minute; user 0..254, 255 unknown."""
        exponent = -1 if kpa else 0
        data = b"".join(values.sfloat(one, exponent) for one in (systolic, diastolic, mean))
        flags = KPA if kpa else 0
        stamp = self.stamp(at)
        if stamp is not None:
            flags |= TIME
            data += stamp
        odd = self.manners.odd  # pulse and status most significant byte first, a user that no flag announces
        if pulse is not None:
            flags |= PULSE
            data += values.sfloat(pulse)[:: -1 if odd else 1]
        if user is not None or odd:
            flags |= 0 if odd else USER
            data += bytes((user or 0,))
        if status is not None:
            flags |= STATUS
            data += struct.pack(">H" if odd else "<H", status)
        return bytes((flags,)) + data

    def example(self) -> dict[str, Any]:
        systolic, diastolic = random.randint(112, 148), random.randint(68, 90)
        mean = diastolic + (systolic - diastolic) // 3
        return {
            "systolic": systolic,
            "diastolic": diastolic,
            "mean": mean,
            "pulse": random.randint(58, 88),
            "status": 0,
        }
