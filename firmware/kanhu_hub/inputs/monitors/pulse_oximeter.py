"""Pulse Oximeter Profile: one measurement (0x2A5E, indicated) or one of each second (0x2A5F, notified)."""

from kanhu_hub.inputs.monitors import clock
from kanhu_hub.inputs.monitors.number import DEVICE_INVALID, put, sfloat
from kanhu_protocol import kinds as k

SERVICE = 0x1822
ROLE = 13
CHARACTERISTICS = ((0x2A5E, 2), (0x2A5F, 1))

_CONTINUOUS = 0x2A5F
_STORED = 0x200  # of its measurement status
# Ours (names.MEASUREMENT_STATUS) that leave nothing to believe: demonstration, testing, calibrating,
# unavailable, invalid, malfunction, no contact.
_NOTHING = 0xDE40
_CLOCK_NOT_SET = 0x4000000
# Our bit of each of 16 bits of device and sensor status, 255: none.
_SENSOR = b"\xff\x0f\x10\x10\x10\x11\x10\x10\x12\xff\x10\x06\xff\x06\x0f\x06"


def parse(uuid, data, quirks=0):
    """Fields of an event; ValueError for what is too short."""
    flags = data[0] if data else 0
    at = 5
    if uuid == _CONTINUOUS:
        # Fast and slow averages come before the rest, which is in the same order.
        at += (4 if flags & 1 else 0) + (4 if flags & 2 else 0)
        measured_at = 0
        flags >>= 1
    else:
        measured_at = at if flags & 1 else 0
        at += 7 if flags & 1 else 0
    status_at = at
    sensor_at = at + 2 if flags & 2 else at
    amplitude_at = sensor_at + 3 if flags & 4 else sensor_at
    if len(data) < amplitude_at + (2 if flags & 8 else 0):
        raise ValueError("short")
    fields = {}
    status = 0
    if flags & 2:
        raw = data[status_at] | data[status_at + 1] << 8
        # Ongoing and early estimate are bits 5 and 6; from demonstration to invalid they are 10 to 15.
        status = (raw >> 5 & 3) << 7 | (raw >> 10) << 9
        if raw & _STORED:
            fields[k.FLAGS] = k.HISTORICAL
    if flags & 4:
        raw = data[sensor_at] | data[sensor_at + 1] << 8
        for bit in range(16):
            if raw >> bit & 1 and _SENSOR[bit] < 32:
                status |= 1 << _SENSOR[bit]
    invalid = DEVICE_INVALID if status & _NOTHING else 0
    if flags & 16 and uuid != _CONTINUOUS:
        status |= _CLOCK_NOT_SET
    put(fields, 150456, sfloat(data, 1), 20000, 100000, 0, invalid)
    put(fields, 149530, sfloat(data, 3), 15000, 300000, 0, invalid)
    if flags & 8:
        put(fields, 150320, sfloat(data, amplitude_at), 0, 100000, 0, invalid)
    if measured_at:
        clock.stamp(fields, data, measured_at)
    if status:
        fields[k.STATUS] = status
    return fields
