"""BTHome v2 service data (bthome.io/format), unencrypted. Pure: runs on CPython and MicroPython alike."""

# Bits of the device information byte; its three highest bits are the version.
ENCRYPTED = 1
MAC_INCLUDED = 2
TRIGGER_BASED = 4  # sends when something happens, not at intervals

_SERVICE_DATA = 0x16  # AD type "Service Data - 16-bit UUID", Bluetooth Assigned Numbers 2.3
_COUNTED = 9  # text and raw: one byte says how many follow
_COMMAND = 8  # low five bits of the next byte: how many follow the opcode
# Value bytes of objects 0x00..0x65, a line of sixteen each; 0: no such object.
_LENGTHS = (
    b"\x01\x01\x02\x02\x03\x03\x02\x02\x02\x01\x03\x03\x02\x02\x02\x01"
    b"\x01\x01\x02\x02\x02\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
    b"\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x08\x02\x02\x04\x02"
    b"\x02\x02\x03\x02\x02\x02\x01\x02\x02\x02\x02\x03\x04\x04\x04\x04"
    b"\x04\x02\x02\x09\x09\x04\x02\x01\x01\x01\x02\x04\x04\x02\x02\x02"
    b"\x01\x02\x04\x04\x01\x01"
)
_INFO_LENGTHS = b"\x02\x04\x03"  # 0xF0 device type, 0xF1 and 0xF2 firmware version


def service_data(adv):
    """BTHome service data (from the device information byte on) in raw advertising data; None without one."""
    at = 0
    end = len(adv)
    while at + 1 < end:
        size = adv[at]
        if size == 0:  # early termination, Bluetooth Core Specification Vol 3 Part C 11
            return None
        after = at + 1 + size
        if after > end:
            return None
        if size >= 3 and adv[at + 1] == _SERVICE_DATA and adv[at + 2] == 0xD2 and adv[at + 3] == 0xFC:
            return adv[at + 4 : after]
        at = after
    return None


def version_2(data):
    """Whether service data says version 2; the only one there is under 0xFCD2."""
    return len(data) > 0 and data[0] >> 5 == 2


def objects(data):
    """Yields (object id, value) of service data: little-endian int, bytes where the length is sent too.

    Ends at an unknown or cut object with (-1, its offset): what follows cannot be told apart.
    """
    at = 7 if data[0] & MAC_INCLUDED else 1
    end = len(data)
    while at < end:
        start = at
        what = data[at]
        at += 1
        size = 0
        if what < len(_LENGTHS):
            size = _LENGTHS[what]
        elif 0xF0 <= what <= 0xF2:
            size = _INFO_LENGTHS[what - 0xF0]
        counted = size >= _COMMAND
        if counted and at < end:
            size = data[at] if size == _COUNTED else 1 + (data[at] & 0x1F)
            at += 1
        elif size == 0:
            size = end  # an unknown object: as if cut
        value = data[at : at + size]
        at += size
        if at > end:
            yield -1, start
            return
        yield what, value if counted else int.from_bytes(value, "little")
    if at > end:  # the MAC that bit 1 promises is cut
        yield -1, 1
