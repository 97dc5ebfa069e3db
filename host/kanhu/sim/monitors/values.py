"""Values as health profiles encode them (Bluetooth SIG, GATT Specification Supplement; IEEE 11073-20601)."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from datetime import datetime

# What a number field may say instead of a number, and with math.nan and math.inf for short.
SPECIALS = ("NaN", "NRes", "+INF", "-INF", "RFU")
_SFLOAT: Mapping[str, int] = {"NaN": 0x07FF, "NRes": 0x0800, "+INF": 0x07FE, "-INF": 0x0802, "RFU": 0x0801}
_FLOAT: Mapping[str, int] = {
    "NaN": 0x007FFFFF,
    "NRes": 0x00800000,
    "+INF": 0x007FFFFE,
    "-INF": 0x00800002,
    "RFU": 0x00800001,
}
Number = float | str  # a number or one of SPECIALS


def _special(value: Number) -> str | None:
    if isinstance(value, str):
        if value not in SPECIALS:
            raise ValueError(f"{value!r} is neither a number nor one of {', '.join(SPECIALS)}")
        return value
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+INF" if value > 0 else "-INF"
    return None


def sfloat(value: Number, exponent: int = 0) -> bytes:
    """2 bytes: mantissa * 10 ** exponent (-8..7); ValueError if the number does not fit."""
    special = _special(value)
    if special is not None:
        return struct.pack("<H", _SFLOAT[special])
    mantissa = round(float(value) / 10**exponent)
    if not -2045 <= mantissa <= 2045 or not -8 <= exponent <= 7:
        raise ValueError(f"{value} does not fit an SFLOAT with exponent {exponent}")
    return struct.pack("<H", (exponent & 0xF) << 12 | mantissa & 0xFFF)


def float32(value: Number, exponent: int = -1) -> bytes:
    """4 bytes: mantissa * 10 ** exponent (-128..127); ValueError if the number does not fit."""
    special = _special(value)
    if special is not None:
        return struct.pack("<I", _FLOAT[special])
    mantissa = round(float(value) / 10**exponent)
    if abs(mantissa) > 0x7FFFFD or not -128 <= exponent <= 127:
        raise ValueError(f"{value} does not fit a FLOAT with exponent {exponent}")
    return struct.pack("<I", (exponent & 0xFF) << 24 | mantissa & 0xFFFFFF)


def date_time(moment: datetime | None) -> bytes:
    """7 bytes of Date Time (0x2A08); None: a clock that was never set, year, month and day unknown."""
    if moment is None:
        return bytes(7)
    return struct.pack(
        "<H5B", moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second
    )


def read_date_time(data: bytes) -> datetime:
    """Of at least 7 bytes; ValueError where it names no moment."""
    try:
        return datetime(*struct.unpack_from("<H5B", data))  # noqa: DTZ001  a monitor knows no zone
    except struct.error:
        raise ValueError("a date and time is 7 bytes") from None


def current_time(moment: datetime | None) -> bytes:
    """10 bytes of Current Time (0x2A2B): day of the week, 1/256 s, no reason for an adjustment."""
    if moment is None:
        return bytes(10)
    return date_time(moment) + bytes((moment.isoweekday(), moment.microsecond * 256 // 1_000_000, 0))
