# network as on an ESP32: the station interface. Associating takes JOIN_MS, an address ADDRESS_MS more; the
# port reconnects by itself. Without access points set up on the bench there is one that takes any password.
import binascii

import _bench
from _ppp import PPP  # noqa: F401  network.PPP
from micropython import const

STA_IF = 0
AP_IF = 1
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_BEACON_TIMEOUT = 200
STAT_ASSOC_FAIL = 203
STAT_HANDSHAKE_TIMEOUT = 204
STAT_NO_AP_FOUND_IN_AUTHMODE_THRESHOLD = 211

_JOIN_MS = const(300)
_ADDRESS_MS = const(100)
_SCAN_US = const(2000000)  # of all channels; the thread that asked waits
_DEAF_DBM = const(-92)  # at or below it no beacon is understood
_LOST_DBM = const(-88)  # at or below it some frames of a handshake are lost


def hostname(name=None):
    if name is None:
        return _station._settings["dhcp_hostname"]
    _station._settings["dhcp_hostname"] = name


def country(code=None):
    return "XX"


class WLAN:
    IF_STA = STA_IF
    IF_AP = AP_IF
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    def __new__(cls, interface=STA_IF):
        if interface != STA_IF:
            raise ValueError("the bench has a station interface only")
        return _station or object.__new__(cls)

    def __init__(self, interface=STA_IF):
        if _station:
            return
        self._active = False
        self._requested = False
        self._ssid = ""
        self._key = ""
        self._up = _bench.state["wifi"]  # the access point is there and has an uplink
        self._points = _bench.state["points"]
        self._point = None  # the access point it is at, or is trying
        self._done_at = None  # when associating is done or has failed, ms; None: not associating
        self._reason = 0
        self._settings = {
            "reconnects": -1,
            "txpower": 20,
            "pm": 1,
            "dhcp_hostname": "mpy-esp32s3",
            "channel": 6,
        }

    def active(self, on=None):
        if on is not None:
            self._active = bool(on)
            if not on:
                self._requested = False
                self._leave()
        return self._active

    def connect(self, ssid=None, key=None, *, bssid=None):
        if not self._active:
            raise OSError("Wifi Not Started")
        if self._requested and not self.isconnected() and self.status() == STAT_CONNECTING:
            raise OSError("Wifi Internal Error")
        if ssid is not None:
            self._ssid = ssid if isinstance(ssid, str) else bytes(ssid).decode()
            self._key = key or ""
        self._requested = True
        self._try()

    def _try(self):
        self._leave()
        self._reason = 0
        point = None
        if self._points is None:
            if self._up:
                point = {"rssi": _bench.state["rssi"], "dhcp": True}
            else:
                self._reason = STAT_NO_AP_FOUND
        else:
            for one in self._points if self._up else ():
                if one["ssid"] == self._ssid and one["rssi"] > _DEAF_DBM:
                    point = one
            self._reason = self._refusal(point)
        self._done_at = _bench.up_ms() + _JOIN_MS
        if not self._reason:
            self._point = point
            _bench.send("joined", self._ssid)

    def _refusal(self, point):
        if point is None:
            return STAT_NO_AP_FOUND
        if point["fails"]:
            return point["fails"]
        if point["rssi"] <= _LOST_DBM:
            return STAT_HANDSHAKE_TIMEOUT
        if bool(point["password"]) != bool(self._key):
            return STAT_NO_AP_FOUND_IN_AUTHMODE_THRESHOLD
        return 0 if point["password"] == self._key else STAT_WRONG_PASSWORD

    def _leave(self):
        if self._point:
            _bench.send("joined", None)
        self._point = self._done_at = None

    def disconnect(self):
        if not self._active:
            raise OSError("Wifi Not Started")
        self._requested = False
        self._leave()

    def _joined(self):
        _bench.poll()
        return self._point is not None and _bench.up_ms() >= self._done_at

    def isconnected(self):
        return self._joined() and self._point["dhcp"] and _bench.up_ms() >= self._done_at + _ADDRESS_MS

    def status(self, what=None):
        if what == "rssi":
            if not self._joined():
                raise OSError("Wifi Not Connected")
            return self._point["rssi"]
        if what is not None:
            raise ValueError("unknown status param")
        if self.isconnected():
            return STAT_GOT_IP
        failed = self._reason and _bench.up_ms() >= (self._done_at or 0)
        if self._requested and not (failed and self._settings["reconnects"] >= 0):
            return STAT_CONNECTING
        return self._reason or STAT_IDLE

    def ifconfig(self, config=None):
        address = "192.168.4.23" if self.isconnected() else "0.0.0.0"  # noqa: S104
        return (address, "255.255.255.0", "192.168.4.1", "192.168.4.1")

    def ipconfig(self, param=None):
        address, mask, gateway, _ = self.ifconfig()
        return {"addr4": (address, mask), "gw4": gateway, "has_dhcp4": self.isconnected()}[param]

    def config(self, param=None, **settings):
        if param is None:
            for name in settings:
                if name not in self._settings and name not in ("hostname", "ssid", "essid", "protocol"):
                    raise ValueError("unknown config param")
            self._settings.update(settings)
            return None
        if param == "mac":
            return binascii.unhexlify(_bench.state["mac"])
        if param in ("ssid", "essid"):
            return self._ssid
        if param not in self._settings:
            raise ValueError("unknown config param")
        return self._settings[param]

    def scan(self):
        # Neither reads nor writes the wire to the bench: it may run in a thread of its own.
        if not self._active:
            raise OSError("STA must be active")
        if self._requested and not self._point:
            raise OSError("Wifi Internal State Error")  # it is trying to connect
        end = _bench.up_us() + _SCAN_US
        while _bench.up_us() < end:
            _bench.unix_time.sleep_us((end - _bench.up_us()) // _bench.SPEED + 1)
        if not self._up:
            return []
        if self._points is None:
            name = (self._ssid or "home").encode()
            return [(name, b"\x02\x00\x00\x00\x00\x01", 6, _bench.state["rssi"], 3, False)]
        found = []
        for n, one in enumerate(self._points):
            if one["rssi"] > _DEAF_DBM:
                name = b"" if one["hidden"] else one["ssid"].encode()
                security = 3 if one["password"] else 0
                found.append((name, bytes((2, 0, 0, 0, 1, n)), 6, one["rssi"], security, one["hidden"]))
        return found


_station = None
_station = WLAN()


def _on_wifi(up):
    _station._up = up
    _again(up)


def _on_points(points):
    _station._points = points
    point = _station._point
    # Only its own access point's going or coming means anything to a station.
    _again(not point or point in (points or [point]))


def _again(there):
    if not _station._requested:
        return
    if not there:
        _station._leave()
        _station._reason = STAT_BEACON_TIMEOUT
        _station._done_at = _bench.up_ms()
    elif not _station._point:
        _station._try()


_bench.handlers["points"] = _on_points
_bench.handlers["w"] = _on_wifi
