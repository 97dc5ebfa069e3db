"""Weight Scale Profile: a weight (0x2A9D, indicated), and body mass index and height where it knows them."""

from kanhu_hub.inputs.monitors import clock
from kanhu_hub.inputs.monitors.number import NAN, put
from kanhu_hub.inputs.monitors.quirks import COARSE_WEIGHT
from kanhu_protocol import kinds as k

SERVICE = 0x181D
ROLE = 15
CHARACTERISTICS = ((0x2A9D, 2),)


def parse(uuid, data, quirks=0):
    """Fields of an event; quirks: bits. ValueError for what is too short."""
    flags = data[0] if data else 0
    user_at = 10 if flags & 2 else 3
    more_at = user_at + (flags >> 2 & 1)
    if len(data) < more_at + (4 if flags & 8 else 0):
        raise ValueError("short")
    fields = {}
    weight = data[1] | data[2] << 8
    if weight == 0xFFFF:  # it did not succeed
        put(fields, 188736, NAN, 0, 0)
    elif flags & 1:  # steps of 0.01 lb
        put(fields, 188736, (weight, -2), 2204, 881850, 6)
    else:  # steps of 0.005 kg
        put(fields, 188736, (weight * 5, -2 if quirks & COARSE_WEIGHT else -3), 1000, 400000)
    if flags & 8:
        index = data[more_at] | data[more_at + 1] << 8
        height = data[more_at + 2] | data[more_at + 3] << 8
        if index:  # else it does not know its user
            put(fields, 188752, (index, -1), 5000, 200000)
        if height:
            if flags & 1:
                put(fields, 188740, (height, -1), 20000, 110000, 12)
            else:
                put(fields, 188740, (height, -3), 500, 2800)
    if flags & 2:
        clock.stamp(fields, data, 3)
    if flags & 4 and data[user_at] != 255:  # of nobody it knows
        fields[k.USER] = data[user_at]
    return fields
