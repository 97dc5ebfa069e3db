"""What a monitor is and says, as a request has it."""

import binascii

from micropython import const

from stimulus import fields
from stimulus.fields import Wrong
from stimulus.radio import octets

_LONGEST_MS = const(600000)
_MOST_SAYINGS = const(64)
_MOST_VALUES = const(24)
_MOST_SERVICES = const(6)  # MicroPython registers at most 8 on an ESP32, two of which it needs itself
_VALUE = const(64)  # bytes
_PROPERTIES = const(0x3A)  # read, write, notify, indicate
_WRITE = const(0x08)
_NOTIFY = const(0x10)
_TOLD = const(0x30)
_WRITE_ENCRYPTED = const(0x1000)


class Script:
    """A request, checked. pending: [uuid, data, times left, ms from one to the next, whether notified]."""

    def __init__(self, request, uuid):
        self.advertising = octets(request.get("advertising"), "advertising", None)
        self.bonded = bool(fields.integer(request, "bonded", 1, 0, 1))
        self.advertise_ms = fields.integer(request, "advertise_ms", 30000, 1, _LONGEST_MS)
        self.settle_ms = fields.integer(request, "settle_ms", 50, 0, _LONGEST_MS)
        self.linger_ms = fields.integer(request, "linger_ms", 5000, 1, _LONGEST_MS)
        self.hang_up_ms = fields.integer(request, "hang_up_ms", 500, 1, _LONGEST_MS)
        self.handles = {}
        self.uuids = {}
        self._values = {}  # uuid: its properties
        self._order = []  # (uuid, what it reads as), as they are registered
        guarded = False
        self._services = []
        for service, values in _pairs(request, "services", _MOST_SERVICES, 2):
            rows = []
            for row in values if isinstance(values, list) else ():
                if not isinstance(row, list) or len(row) != 4:
                    raise Wrong("services: each value [uuid, properties, data, whether it needs a bond]")
                flags = fields.integer({"properties": row[1]}, "properties", None, 0, _PROPERTIES)
                if row[3] and flags & _WRITE:
                    flags |= _WRITE_ENCRYPTED
                    guarded = True
                rows.append((_uuid(row[0], uuid), flags))
                self._values[row[0]] = row[1]
                self._order.append((row[0], _bytes(row[2])))
            self._services.append((_uuid(service, uuid), tuple(rows)))
        if len(self._values) > _MOST_VALUES:
            raise Wrong("services: at most %d values" % _MOST_VALUES)
        # Nobody can be kept from subscribing: what guards nothing must ask.
        self.asks = bool(fields.integer(request, "asks", 0, 0, 1)) or (self.bonded and not guarded)
        self.sayings = []
        for told, data, times, every_ms in _pairs(request, "sayings", _MOST_SAYINGS, 4):
            if told not in self._values or not self._values[told] & _TOLD:
                raise Wrong("sayings: %s is no value that can be told" % told)
            for value in (times, every_ms):
                if not isinstance(value, int) or not 0 < value <= _LONGEST_MS:
                    raise Wrong("sayings: each [uuid, data, times, ms from one to the next]")
            notified = bool(self._values[told] & _NOTIFY)
            self.sayings.append([told, _bytes(data), times, every_ms, notified])
        self.pending = self.sayings[:]

    def register(self, ble):
        """Have these services, and no others."""
        found = ble.gatts_register_services(tuple(self._services))
        at = iter([handle for row in found for handle in row])
        for number, data in self._order:
            handle = self.handles[number] = next(at)
            self.uuids[handle] = number
            if data:
                ble.gatts_write(handle, data)

    def awaits(self, handle):
        """Whether a confirmation of that value is one of what is said now."""
        if not self.pending or self.pending[0][4]:
            return False
        return handle == self.handles[self.pending[0][0]]


def _pairs(request, name, most, length):
    rows = request.get(name)
    if not isinstance(rows, list) or not 0 < len(rows) <= most:
        raise Wrong("%s: a list of 1 to %d" % (name, most))
    for row in rows:
        if not isinstance(row, list) or len(row) != length:
            raise Wrong("%s: lists of %d" % (name, length))
    return rows


def _uuid(text, uuid):
    try:
        return uuid(int(text, 16))
    except (TypeError, ValueError):
        raise Wrong("services: a UUID has four hexadecimal digits")


def _bytes(text):
    try:
        data = binascii.unhexlify(text)
    except (TypeError, ValueError):
        data = None
    if data is None or len(data) > _VALUE:
        raise Wrong("data: at most %d bytes as hexadecimal digits" % _VALUE)
    return data
