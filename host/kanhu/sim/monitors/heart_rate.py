"""Heart Rate (0x180D): a strap that is worn for a while and says its rate once a second."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from typing import Any

from bumble.gatt import Characteristic

from kanhu.sim.monitors.services import NOTIFY, readable
from kanhu.sim.monitors.stream import Stream

WIDE, CONTACT, CONTACT_KNOWN, ENERGY, RR = 0x01, 0x02, 0x04, 0x08, 0x10  # flags of 0x2A37
CHEST = 1  # 0x2A38


class HeartRate(Stream):
    SERVICE = 0x180D
    NAME = "KH-HR1"

    def measurement(self) -> Characteristic[bytes]:
        return Characteristic("2A37", NOTIFY, Characteristic.Permissions(0))

    def others(self) -> list[Characteristic[bytes]]:
        return [readable("2A38", lambda: bytes((CHEST,)))]

    def encode(
        self,
        *,
        pulse: int,
        contact: bool | None = True,
        energy: int | None = None,
        rr: Sequence[float] = (),
        wide: bool = False,
    ) -> bytes:
        """Beats per minute; contact None: not known; energy in kJ; rr intervals in s."""
        flags = 0 if contact is None else CONTACT_KNOWN | (CONTACT if contact else 0)
        if wide or pulse > 255:
            flags |= WIDE
            data = struct.pack("<H", pulse)
        else:
            data = bytes((pulse,))
        if energy is not None:
            flags |= ENERGY
            data += struct.pack("<H", energy)
        if rr:
            flags |= RR
            data += b"".join(struct.pack("<H", round(one * 1024)) for one in rr)
        return bytes((flags,)) + data

    def example(self) -> dict[str, Any]:
        pulse = random.randint(58, 92)
        return {"pulse": pulse, "rr": (60 / pulse,)}
