# network as on an ESP32: the station interface. Associating takes JOIN_MS; the port reconnects by itself.
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

_JOIN_MS = const(300)


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
        self._up = _bench.state["wifi"]  # the access point is there and has an uplink
        self._joined_at = None  # when associating is done, ms; None: not associating
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
                self._joined_at = None
        return self._active

    def connect(self, ssid=None, key=None, *, bssid=None):
        if not self._active:
            raise OSError("Wifi Not Started")
        if self._requested and not self.isconnected():
            raise OSError("Wifi Internal Error")
        if ssid is not None:
            self._ssid = ssid if isinstance(ssid, str) else bytes(ssid).decode()
        self._requested = True
        self._try()

    def _try(self):
        if self._up:
            self._joined_at = _bench.up_ms() + _JOIN_MS
        else:
            self._joined_at = None
            self._reason = STAT_NO_AP_FOUND

    def disconnect(self):
        if not self._active:
            raise OSError("Wifi Not Started")
        self._requested = False
        self._joined_at = None

    def isconnected(self):
        _bench.poll()
        return self._joined_at is not None and _bench.up_ms() >= self._joined_at

    def status(self, what=None):
        if what == "rssi":
            if not self.isconnected():
                raise OSError("Wifi Not Connected")
            return _bench.state["rssi"]
        if what is not None:
            raise ValueError("unknown status param")
        if self.isconnected():
            return STAT_GOT_IP
        if self._requested and (self._joined_at is not None or self._settings["reconnects"] < 0):
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
        if not self._active:
            raise OSError("STA must be active")
        _bench.poll()
        if not self._up:
            return []
        name = (self._ssid or "home").encode()
        return [(name, b"\x02\x00\x00\x00\x00\x01", 6, _bench.state["rssi"], 3, False)]


_station = None
_station = WLAN()


def _on_wifi(up):
    _station._up = up
    if _station._requested:
        if up:
            _station._try()
        else:
            _station._joined_at = None
            _station._reason = STAT_BEACON_TIMEOUT


_bench.handlers["w"] = _on_wifi
