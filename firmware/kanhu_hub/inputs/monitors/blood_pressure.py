"""Blood Pressure Profile: a cuff's measurement (0x2A35, indicated)."""

from kanhu_hub.inputs.monitors import clock
from kanhu_hub.inputs.monitors.number import put, sfloat
from kanhu_hub.inputs.monitors.quirks import BIG_ENDIAN, USER_UNSAID
from kanhu_protocol import kinds as k

SERVICE = 0x1810
ROLE = 11
CHARACTERISTICS = ((0x2A35, 2),)

# Least and most of systolic, diastolic and mean in thousandths, in mmHg and in kPa; ours, wide.
_BOUNDS = ((30000, 350000), (10000, 250000), (20000, 300000))
_KPA_BOUNDS = ((4000, 46662), (1334, 33330), (2667, 39996))


def parse(uuid, data, quirks=0):
    """Fields of an event; quirks: bits. ValueError for what is too short."""
    flags = data[0] if data else 0
    at = 7
    pulse_at = at + 7 if flags & 2 else at
    user_at = pulse_at + 2 if flags & 4 else pulse_at
    status_at = user_at + 1 if flags & 8 else user_at
    end = status_at + 2 if flags & 16 else status_at
    if len(data) < max(7, end):
        raise ValueError("short")
    # Only where the message has the one byte more, so that a mended firmware is read as it should be.
    odd = len(data) == end + 1 and not flags & 8
    user = flags & 8
    if odd and quirks & USER_UNSAID:
        user = 1
        status_at += 1
    else:
        odd = False
    fields = {}
    for one in range(3):
        low, high = (_KPA_BOUNDS if flags & 1 else _BOUNDS)[one]
        put(fields, 150021 + one, sfloat(data, 1 + 2 * one), low, high, 2 if flags & 1 else 0)
    swapped = odd and quirks & BIG_ENDIAN
    if flags & 4:
        pulse = data[pulse_at : pulse_at + 2]
        put(fields, 149546, sfloat(bytes((pulse[1], pulse[0])) if swapped else pulse, 0), 15000, 300000)
    if flags & 2:
        clock.stamp(fields, data, at)
    if user and data[user_at] != 255:  # of nobody it knows
        fields[k.USER] = data[user_at]
    if flags & 16:
        # Bits 0 to 5 are ours, too: names.MEASUREMENT_STATUS
        status = data[status_at + 1 if swapped else status_at] & 0x3F
        if status:
            fields[k.STATUS] = status
    return fields
