"""Weight Scale (0x181D)."""

from __future__ import annotations

import random
import struct
from datetime import datetime
from typing import Any

from bumble.gatt import Characteristic

from kanhu.sim.monitors.base import Monitor
from kanhu.sim.monitors.services import INDICATE, readable

POUNDS, TIME, USER, BMI = 0x01, 0x02, 0x04, 0x08  # flags of 0x2A9D
UNSUCCESSFUL = 0xFFFF
KG, LB, METRE, INCH = 0.005, 0.01, 0.001, 0.1  # resolutions
COARSE = 0.05  # kg; of scales that do not keep to the profile
FEATURES = 0x0000_009F  # 0x2A9E: time stamps, users, BMI; 0.005 kg; 0.001 m


class WeightScale(Monitor):
    SERVICE = 0x181D
    NAME = "KH-W1"

    def measurement(self) -> Characteristic[bytes]:
        return Characteristic("2A9D", INDICATE, Characteristic.Permissions(0))

    def others(self) -> list[Characteristic[bytes]]:
        return [readable("2A9E", lambda: struct.pack("<I", FEATURES))]

    def encode(
        self,
        *,
        weight: float | None,
        user: int | None = None,
        bmi: float | None = None,
        height: float | None = None,
        pounds: bool = False,
        at: datetime | None = None,
    ) -> bytes:
        """kg or lb, None: the measurement failed; user 0..254, 255 unknown; height in m or inches."""
        flags = POUNDS if pounds else 0
        step = LB if pounds else COARSE if self.manners.odd else KG
        number = UNSUCCESSFUL if weight is None else round(weight / step)
        if not 0 <= number <= UNSUCCESSFUL:
            raise ValueError(f"{weight} does not fit a weight")
        data = struct.pack("<H", number)
        stamp = self.stamp(at)
        if stamp is not None:
            flags |= TIME
            data += stamp
        if user is not None:
            flags |= USER
            data += bytes((user,))
        if bmi is not None and height is not None:
            flags |= BMI
            data += struct.pack("<HH", round(bmi * 10), round(height / (INCH if pounds else METRE)))
        return bytes((flags,)) + data

    def example(self) -> dict[str, Any]:
        return {"weight": random.randint(1180, 1320) / 20, "user": 1}
