"""The Wi-Fi station while settings are tried: why it does not get in, and what is around. Rarely loaded."""

import _thread
import asyncio

import network
from micropython import const

_WEAK_DBM = const(-80)  # below it frames are lost that a call would have to wait for

_TRIES = const(2)  # the first after another network fails now and then for nothing
_JOIN_MS = const(15000)
_ADDRESS_MS = const(15000)
_POLL_MS = const(100)
_SCAN_MS = const(10000)
# network.STAT_* and ESP-IDF's wifi_err_reason_t, which MicroPython passes on
_REASONS = {
    201: "no_such_network",
    202: "wrong_password",
    204: "wrong_password",  # time-out of the handshake: what most access points leave a wrong password to
    15: "wrong_password",
    210: "wrong_security",
    211: "wrong_security",
    200: "weak_signal",
    212: "weak_signal",
}


class Joining:
    """Takes the station over; keep() or back() gives it back."""

    def __init__(self):
        self.station = network.WLAN(network.STA_IF)
        self.station.active(True)
        self.station.config(pm=network.WLAN.PM_NONE)

    def rssi(self):
        """dBm of the access point that it is associated with, None without one."""
        try:
            return self.station.status("rssi")
        except OSError:
            return None

    def _leave(self):
        try:
            self.station.disconnect()
        except OSError:
            pass

    async def join(self, ssid, password):
        """(None, None, dBm) once associated, else (why, the status as text, dBm or None)."""
        self.station.config(reconnects=0)
        for _ in range(_TRIES):
            self._leave()
            await asyncio.sleep_ms(_POLL_MS)
            try:
                self.station.connect(ssid, password or None)
            except (OSError, ValueError) as error:
                return "wrong_password", str(error), None
            for _ in range(_JOIN_MS // _POLL_MS):
                if self.rssi() is not None:
                    return None, None, self.rssi()
                if self.station.status() != network.STAT_CONNECTING:
                    break
                await asyncio.sleep_ms(_POLL_MS)
        status = self.station.status()
        self._leave()
        rssi = None
        if status != network.STAT_NO_AP_FOUND:
            levels = [level for name, level, _ in await self.scan() if name == ssid]
            rssi = levels[0] if levels else None
        return self.weak(rssi) or _REASONS.get(status, "not_joined"), "status %d" % status, rssi

    def weak(self, rssi):
        """The word for a signal that will not do; None: it will, or is not known."""
        return "weak_signal" if rssi is not None and rssi < _WEAK_DBM else None

    async def address(self):
        """Whether the network gives an address."""
        for _ in range(_ADDRESS_MS // _POLL_MS):
            if self.station.isconnected():
                return True
            await asyncio.sleep_ms(_POLL_MS)
        return False

    def keep(self):
        """It is to stay in the network that it is in, or tries."""
        self.station.config(reconnects=-1)

    def back(self, wifi):
        """To the network (ssid, password) of before; None: there was none."""
        self._leave()
        self.station.config(reconnects=-1)
        if wifi:
            self.station.connect(*wifi)

    async def scan(self, wifi=None):
        """[(ssid, dBm, open)], strongest first, each name once; wifi: to be connected to again after it."""
        if not self.station.isconnected():
            self._leave()  # no scan while it tries to connect
        found = []
        # In a thread of its own: the port's scan takes two seconds, in which a press would go unnoticed.
        _thread.start_new_thread(self._scan, (found,))
        for _ in range(_SCAN_MS // _POLL_MS):
            if found:
                break
            await asyncio.sleep_ms(_POLL_MS)
        if wifi and not self.station.isconnected():
            self.back(wifi)
        names = {}
        for row in found[0] if found else ():
            name, level = bytes(row[0]), row[3]
            if name.strip(b"\0") and level > names.get(name, (-200,))[0]:
                names[name] = (level, row[4] == 0)
        rows = [(_text(name), level, is_open) for name, (level, is_open) in names.items()]
        rows.sort(key=lambda row: -row[1])
        return rows

    def _scan(self, found):
        try:
            found.append(self.station.scan())
        except OSError:
            found.append(())


def _text(name):
    try:
        return name.decode()
    except ValueError:
        return name
