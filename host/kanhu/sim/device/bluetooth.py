# bluetooth as on an ESP32 with NimBLE: scanning and both sides of GATT; the bench is the controller.
# Pairing and its errors: see the head of host/kanhu/sim/gatt.py.
import binascii
import os
import sys

import _bench
from micropython import const

FLAG_READ = 0x02
FLAG_WRITE_NO_RESPONSE = 0x04
FLAG_WRITE = 0x08
FLAG_NOTIFY = 0x10
FLAG_INDICATE = 0x20
_LEAST_US = const(20000)  # of advertising: Bluetooth Core, Vol 6 Part B 4.4.2.2
_MOST_US = const(10240000)
_MOST_DATA = const(31)  # bytes
_UNHEARD_US = const(100000)  # least, where nobody can connect: an ESP32 has Bluetooth 4.2

_CENTRAL_CONNECT = const(1)
_CENTRAL_DISCONNECT = const(2)
_WRITTEN = const(3)
_CONNECT = const(7)
_DISCONNECT = const(8)
_INDICATE = const(19)
_GET_SECRET = const(29)
_SET_SECRET = const(30)
_STATIC = const(1)  # addr_mode: a random static address, drawn anew at each setting
_PEERS = const(2)  # type of secret: a bond's, by the peer
_IDENTITY = const(10)  # type of secret: our identity resolving key
_SECRET = const(80)  # bytes of a bond's secret; NimBLE takes no other size
_ENODEV = const(19)
_EINVAL = const(22)
_ENOTCONN = const(107)
_unhex = binascii.unhexlify


def _hex(data):
    return binascii.hexlify(bytes(data)).decode()


class UUID:
    def __init__(self, value):
        if isinstance(value, UUID):
            self._bytes = value._bytes
        elif isinstance(value, int):
            if not 0 <= value <= 0xFFFF:
                raise ValueError("invalid UUID")
            self._bytes = bytes((value & 0xFF, value >> 8))
        elif isinstance(value, str):
            self._bytes = bytes(reversed(_unhex(value.replace("-", ""))))
            if len(self._bytes) != 16:
                raise ValueError("invalid UUID")
        else:
            self._bytes = bytes(value)
            if len(self._bytes) not in (2, 4, 16):
                raise ValueError("invalid UUID")

    def __eq__(self, other):
        return isinstance(other, UUID) and self._bytes == other._bytes

    def __lt__(self, other):
        return self._bytes < other._bytes

    def __hash__(self):
        return hash(self._bytes)

    def __bytes__(self):
        return self._bytes

    def __len__(self):
        return len(self._bytes)

    def __iter__(self):
        return iter(self._bytes)

    def __repr__(self):
        text = _hex(reversed(self._bytes))
        if len(text) == 4:
            return f"UUID(0x{text})"
        text = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        return f"UUID('{text}')"


class BLE:
    def __new__(cls):
        return _ble or object.__new__(cls)

    def __init__(self):
        if _ble:
            return
        self._active = False
        self._irq = None
        self._buffer = bytearray(520)  # reused by every event, as the port does
        self._settings = {"gap_name": b"MPY ESP32", "mtu": 256, "rxbuf": 256, "addr_mode": 0}
        self._settings.update({"bond": False, "mitm": False, "io": 3, "le_secure": False})
        self._peers = {}  # connection -> key of its secret
        self._centrals = set()  # connections in which the other side is the central
        self._address = None  # drawn by this run
        self._values = {}  # handle of one of our characteristics -> [bytes, limit, whether writes add up]
        self._adv = ["", ""]  # advertising data and scan response, until others are given

    def active(self, on=None):
        if on is not None and bool(on) != self._active:
            self._active = bool(on)
            _bench.send("ble", self._active)
            self._peers = {}
            self._address = None
            if self._active:
                self._load_identity()
        return self._active

    def irq(self, handler):
        self._irq = handler

    def config(self, param=None, **settings):
        if param is None:
            if "addr_mode" in settings:
                self._set_address(settings["addr_mode"])
            self._settings.update(settings)
            if "bond" in settings or "mitm" in settings or "io" in settings:
                found = self._settings
                _bench.send("security", bool(found["bond"]), bool(found["mitm"]), found["io"])
            return None
        if param == "mac":
            self._check()
            # An ESP32 has a public address of its own; here the board's own is random static, too.
            own = bytearray(_unhex(_bench.state["mac"]))
            own[0] |= 0xC0
            return (1, self._address or bytes(own))
        if param not in self._settings:
            raise ValueError("unknown config param")
        return self._settings[param]

    def _set_address(self, mode):
        self._check()
        if mode not in (0, _STATIC):
            raise ValueError("the bench has addr_mode 0 and 1 only")
        address = None
        if mode == _STATIC:
            address = bytearray(os.urandom(6))
            address[0] |= 0xC0
            address = bytes(address)
        _bench.call("address", _hex(address) if address else None)
        self._address = address

    def _check(self):
        if not self._active:
            raise OSError(_ENODEV)

    def _event(self, event, *fields):
        # {"u": hex} is a UUID; {"b": hex} is a view that is only good until the handler returns.
        if not self._active:
            return
        if event in (_CONNECT, _CENTRAL_CONNECT):
            if event == _CENTRAL_CONNECT:
                self._centrals.add(fields[0])
            self._peers[fields[0]] = bytes((fields[1],)) + bytes(reversed(_unhex(fields[2]["b"])))
        elif event in (_DISCONNECT, _CENTRAL_DISCONNECT):
            self._peers.pop(fields[0], None)
            self._centrals.discard(fields[0])
        elif event == _WRITTEN:
            self._written(fields[1], _unhex(fields[2]["b"]))
            fields = fields[:2]
        if self._irq:
            self._tell(event, fields)
        if event == _INDICATE:
            _bench.send("confirmed", fields[0])

    def _tell(self, event, fields):
        used = 0
        out = []
        for field in fields:
            if isinstance(field, dict):
                if "u" in field:
                    field = UUID(_unhex(field["u"]))
                else:
                    data = _unhex(field["b"])
                    self._buffer[used : used + len(data)] = data
                    field = memoryview(self._buffer)[used : used + len(data)]
                    used += len(data)
            out.append(field)
        _bench.irq(self._irq, event, tuple(out))
        for i in range(used):
            self._buffer[i] = 0xEE

    def gap_scan(self, duration_ms=0, interval_us=1280000, window_us=11250, active=False):
        self._check()
        if duration_ms is None:
            _bench.send("scan", None)
            return
        if window_us > interval_us or window_us < 2500 or duration_ms < 0:
            raise OSError(_EINVAL)
        _bench.call("scan", duration_ms, interval_us, window_us)

    def gap_connect(self, addr_type, addr=None, scan_duration_ms=2000, min_us=0, max_us=0):
        self._check()
        if addr_type is None:
            _bench.send("connect", None)
        else:
            _bench.call("connect", addr_type, _hex(addr), scan_duration_ms)

    def gap_disconnect(self, conn):
        self._check()
        return _bench.call("disconnect", conn)

    def gap_pair(self, conn):
        self._check()
        if conn not in self._peers:
            raise OSError(_ENOTCONN)
        if conn in self._centrals:
            _bench.call("ask_security", conn)  # a security request: the central decides
            return
        key = bytearray(self._peers[conn])
        secret = self._ask(_GET_SECRET, _PEERS, 0, memoryview(key))
        known = secret is not None and len(secret) == _SECRET
        for i in range(len(key)):
            key[i] = 0xEE
        s = self._settings
        self._gatt("secure", conn, _hex(secret) if known else None, bool(s["bond"]), bool(s["mitm"]), s["io"])

    def _asked_for_secret(self, number, kind, key):
        found = self._ask(_GET_SECRET, kind, 0, memoryview(_unhex(key)))
        _bench.send("secret", number, None if found is None else _hex(found))

    def _asked_to_secure(self, conn):
        try:
            self.gap_pair(conn)
        except OSError:
            pass  # it is being done, or the connection is gone

    def _load_identity(self):
        # As NimBLE does when it starts; what a handler does not keep is made anew each time.
        if not self._irq:
            return
        found = self._ask(_GET_SECRET, _IDENTITY, 0, memoryview(b"irk"))
        kept = found is not None and len(found) == 16
        if not kept and not self._ask(_SET_SECRET, _IDENTITY, memoryview(b"irk"), memoryview(os.urandom(16))):
            return
        for index in range(256):
            if self._ask(_GET_SECRET, _PEERS, index, None) is None:
                return

    def _ask(self, event, *data):
        try:
            return self._irq(event, data) if self._irq else None
        except Exception as error:
            sys.stderr.write("Unhandled exception in callback\n")
            sys.print_exception(error)

    def gap_advertise(self, interval_us, adv_data=None, *, resp_data=None, connectable=True):
        self._check()
        if adv_data is not None:
            self._adv[0] = _hex(adv_data)
        if resp_data is not None:
            self._adv[1] = _hex(resp_data)
        if interval_us is not None and not _LEAST_US <= interval_us <= _MOST_US:
            raise OSError(_EINVAL)
        if interval_us is None or connectable:
            _bench.call("advertise", interval_us, *self._adv)
        elif interval_us < _UNHEARD_US or len(self._adv[0]) > 2 * _MOST_DATA:
            raise OSError(_EINVAL)
        else:
            _bench.call("beacon", interval_us, self._adv[0])

    def gatts_register_services(self, services):
        self._check()
        told = [[_hex(uuid), [[_hex(one[0]), one[1]] for one in rows]] for uuid, rows in services]
        handles = _bench.call("gatts", told, self._settings["mtu"])
        self._values = {handle: [b"", 20, False] for row in handles for handle in row}
        return tuple(tuple(row) for row in handles)

    def gatts_set_buffer(self, value_handle, length, append=False):
        self._check()
        self._values[value_handle][1:] = [length, append]

    def _written(self, handle, data):
        row = self._values.get(handle)
        if row:
            row[0] = ((row[0] if row[2] else b"") + data)[: row[1]]

    def gatts_read(self, value_handle):
        self._check()
        row = self._values[value_handle]
        data = row[0]
        if row[2]:
            row[0] = b""
        return data

    def gatts_write(self, value_handle, data, send_update=False):
        self._check()
        row = self._values[value_handle]
        row[0] = bytes(data)
        row[1] = max(row[1], len(data))
        _bench.send("value", value_handle, _hex(data))
        if send_update:
            _bench.call("update", value_handle)

    def gatts_notify(self, conn, value_handle, data=None):
        self._check()
        data = self._values[value_handle][0] if data is None else data
        _bench.call("notify", conn, value_handle, _hex(data))

    def gatts_indicate(self, conn, value_handle, data=None):
        self._check()
        data = self._values[value_handle][0] if data is None else data
        _bench.call("indicate", conn, value_handle, _hex(data))

    def gattc_discover_services(self, conn, uuid=None):
        self._gatt("services", conn, _hex(uuid) if uuid else None)

    def gattc_discover_characteristics(self, conn, start, end, uuid=None):
        self._gatt("characteristics", conn, start, end, _hex(uuid) if uuid else None)

    def gattc_discover_descriptors(self, conn, start, end):
        self._gatt("descriptors", conn, start, end)

    def gattc_read(self, conn, handle):
        self._gatt("read", conn, handle)

    def gattc_write(self, conn, handle, data, mode=0):
        self._gatt("write", conn, handle, _hex(data), mode)

    def gattc_exchange_mtu(self, conn):
        self._gatt("mtu", conn, self._settings["mtu"])

    def _gatt(self, *request):
        self._check()
        _bench.call("gatt", *request)  # OSError(ENOTCONN) for a connection that is gone


_ble = None
_ble = BLE()
_bench.handlers["b"] = _ble._event
_bench.handlers["s"] = _ble._asked_to_secure
_bench.handlers["k"] = _ble._asked_for_secret
