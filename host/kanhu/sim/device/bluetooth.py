# bluetooth as on an ESP32 with NimBLE: scanning and the central's side of GATT; the bench is the controller.
import binascii

import _bench
from micropython import const

FLAG_READ = 0x02
FLAG_WRITE_NO_RESPONSE = 0x04
FLAG_WRITE = 0x08
FLAG_NOTIFY = 0x10
FLAG_INDICATE = 0x20

_ENODEV = const(19)
_EINVAL = const(22)
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
        self._settings = {"gap_name": b"MPY ESP32", "mtu": 256, "rxbuf": 256, "addr_mode": 0, "bond": False}

    def active(self, on=None):
        if on is not None and bool(on) != self._active:
            self._active = bool(on)
            _bench.send("ble", self._active)
        return self._active

    def irq(self, handler):
        self._irq = handler

    def config(self, param=None, **settings):
        if param is None:
            self._settings.update(settings)
            return None
        if param == "mac":
            self._check()
            return (0, _unhex(_bench.state["mac"]))
        if param not in self._settings:
            raise ValueError("unknown config param")
        return self._settings[param]

    def _check(self):
        if not self._active:
            raise OSError(_ENODEV)

    def _event(self, event, *fields):
        # {"u": hex} is a UUID; {"b": hex} is a view that is only good until the handler returns.
        if not self._irq or not self._active:
            return
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
        _bench.send("scan", duration_ms, interval_us, window_us, bool(active))

    def gap_connect(self, addr_type, addr=None, scan_duration_ms=2000, min_us=0, max_us=0):
        self._check()
        if addr_type is None:
            _bench.send("connect", None)
        else:
            _bench.call("connect", addr_type, _hex(addr), scan_duration_ms)

    def gap_disconnect(self, conn):
        self._check()
        return _bench.call("disconnect", conn)

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
