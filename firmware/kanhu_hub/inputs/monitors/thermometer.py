"""Health Thermometer Profile: one temperature (0x2A1C, indicated). Where it was measured stays out."""

from kanhu_hub.inputs.monitors import clock
from kanhu_hub.inputs.monitors.number import float32, put

SERVICE = 0x1809
ROLE = 14
CHARACTERISTICS = ((0x2A1C, 2),)


def parse(uuid, data, quirks=0):
    """Fields of an event; ValueError for what is too short."""
    flags = data[0] if data else 0
    if len(data) < 5 + (7 if flags & 2 else 0) + (flags >> 2 & 1):
        raise ValueError("short")
    fields = {}
    if flags & 1:
        put(fields, 150364, float32(data, 1), 68000, 114800, 4)
    else:
        put(fields, 150364, float32(data, 1), 20000, 46000)
    if flags & 2:
        clock.stamp(fields, data, 5)
    return fields
