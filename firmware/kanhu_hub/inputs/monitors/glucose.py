"""Glucose Profile: records of a meter's memory (0x2A18, notified), asked for at a control point (0x2A52)."""

from kanhu_hub.inputs.monitors import clock
from kanhu_hub.inputs.monitors.number import (
    DEVICE_INVALID,
    NEGATIVE_INFINITY,
    POSITIVE_INFINITY,
    put,
    sfloat,
)
from kanhu_protocol import kinds as k

SERVICE = 0x1808
ROLE = 16
CHARACTERISTICS = ((0x2A18, 1), (0x2A52, 2))
CONTROL_POINT = 0x2A52

_MEASUREMENT = 0x2A18
# Kind of sample, 0 to 10, as a code above 160000: see names.QUANTITIES.
_CODES = b"\xb8\xb8\xbc\xc0\xc4\xc8\xcc\x6c\x70\xd4\xd0"
_CONTROL = 10
_BASE = 160000
_ABOVE = 32
_BELOW = 64
_NOTHING = 0x79E  # malfunction, sample, strip, temperature, interrupted, fault
# Our bit (names.MEASUREMENT_STATUS) of each of 12 bits of its sensor status.
_STATUS = b"\x13\x0f\x14\x15\x15\x16\x17\x18\x18\x19\x0f\x1a"


def parse(uuid, data, quirks=0):
    """Fields of an event, none for what is no record; ValueError for what is too short."""
    if uuid != _MEASUREMENT:
        return {}
    flags = data[0] if data else 0
    sample_at = 12 if flags & 1 else 10
    status_at = sample_at + (3 if flags & 2 else 0)
    if len(data) < status_at + (2 if flags & 8 else 0):
        raise ValueError("short")
    fields = {}
    status = 0
    special = 0
    if flags & 8:
        raw = data[status_at] | data[status_at + 1] << 8
        for bit in range(12):
            if raw >> bit & 1:
                status |= 1 << _STATUS[bit]
        if raw & _ABOVE:
            special = POSITIVE_INFINITY
        elif raw & _BELOW:
            special = NEGATIVE_INFINITY
        elif raw & _NOTHING:
            special = DEVICE_INVALID
    if flags & 2:
        sample = data[sample_at + 2] & 15
        code = _BASE + (_CODES[sample] if sample < 11 else _CODES[0])
        if sample > 6 and sample < 9:
            code += 256
        found = sfloat(data, sample_at)
        if flags & 4:  # mol/L
            if isinstance(found, tuple):
                found = found[0], found[1] + 3
            put(fields, code, found, 300, 60000, 0, special)
        else:  # kg/L
            if isinstance(found, tuple):
                found = found[0], found[1] + 5
            put(fields, code, found, 5404, 1080936, 7, special)
        if sample == _CONTROL:  # of no person
            fields[k.FLAGS] = k.TEST
    else:
        put(fields, _BASE + _CODES[0], special or DEVICE_INVALID, 0, 0)
    minutes = data[10] | data[11] << 8 if flags & 1 else 0
    if minutes not in (0x7FFF, 0x8000):  # overrun and underrun
        clock.stamp(fields, data, 3, minutes - 0x10000 if minutes > 0x8000 else minutes)
    if status:
        fields[k.STATUS] = status
    return fields


def sequence(data):
    """Number of a record, 0..65535, in 0x2A18; rises by 1 until the meter's memory is emptied."""
    return data[1] | data[2] << 8


def requests(newest=None):
    """What to write to the control point, the next only where done() is False: for records after `newest`,
    the number of the last one known, or for all."""
    everything = b"\x01\x01"
    if newest is None or newest >= 65535:
        return (everything,)
    return bytes((1, 3, 1, newest + 1 & 255, newest + 1 >> 8)), everything


def done(data):
    """Whether what 0x2A52 indicates says that the asked records have all come, or that there are none; False:
    the meter refuses the request. ValueError for anything else."""
    if len(data) < 4 or data[0] != 6 or data[2] != 1:
        raise ValueError("control point")
    return data[3] in (1, 6)
