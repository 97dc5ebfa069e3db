"""Heart Rate Profile: a strap's value of each second (0x2A37, notified). Beat-to-beat times stay out."""

from kanhu_hub.inputs.monitors.number import DEVICE_INVALID, put
from kanhu_protocol import kinds as k

SERVICE = 0x180D
ROLE = 12
CHARACTERISTICS = ((0x2A37, 1),)

_NO_CONTACT = 0x40  # names.MEASUREMENT_STATUS


def parse(uuid, data, quirks=0):
    """Fields of an event; ValueError for what is too short, or cut within a beat-to-beat time."""
    flags = data[0] if data else 0
    size = 3 if flags & 1 else 2
    if flags & 8:
        size += 2
    rest = len(data) - size
    if rest < 0 or (flags & 16 and (rest < 2 or rest % 2)):
        raise ValueError("short")
    fields = {}
    off = flags & 6 == 4  # it can tell whether it touches the skin, and does not
    rate = data[1] | data[2] << 8 if flags & 1 else data[1]
    put(fields, 147842, (rate, 0), 15000, 300000, 0, DEVICE_INVALID if off else 0)
    if off:
        fields[k.STATUS] = _NO_CONTACT
    return fields
