"""Improv Wi-Fi over serial, version 1 (improv-wifi.com/serial): the device's side."""

from micropython import const

READY, PROVISIONING, PROVISIONED = 2, 3, 4  # states
NO_ERROR, INVALID, UNKNOWN_COMMAND, NOT_CONNECTED, OTHER_ERROR = 0, 1, 2, 3, 255

_HEADER = b"IMPROV"
_STATE = const(1)  # types of packets
_ERROR = const(2)
_COMMAND = const(3)
_RESULT = const(4)
_WIFI = const(1)  # commands
_CURRENT = const(2)
_DEVICE = const(3)
_NETWORKS = const(4)
_VERSION = const(6)  # places in a packet
_TYPE = const(7)
_LENGTH = const(8)
_DATA = const(9)
_GAP_MS = const(1000)  # a packet that stops for so long was none, or its sender is gone
_CTRL_C = const(3)


class Improv:
    """feed() it what comes; write(bytes) answers. owner: state(), device(), scan(self), wifi(self, ..)."""

    def __init__(self, write, owner):
        self._write = write
        self._owner = owner
        self._packet = bytearray()
        self._fed_ms = 0

    def feed(self, data, now_ms):
        """True when a Ctrl-C came that is no part of a packet: what follows it is not read."""
        if now_ms - self._fed_ms > _GAP_MS:
            self._packet = bytearray()
        self._fed_ms = now_ms
        for byte in data:
            packet = self._packet
            at = len(packet)
            # A letter is no version: the header begins anew, or was text.
            if byte != _HEADER[at] if at < _VERSION else at == _VERSION and 31 < byte < 127:
                if byte == _CTRL_C:
                    self._packet = bytearray()
                    return True
                self._packet = bytearray()
                if byte == _HEADER[0]:
                    self._packet.append(byte)
                continue
            packet.append(byte)
            if at >= _DATA and at == _DATA + packet[_LENGTH]:
                self._packet = bytearray()
                if packet[_VERSION] == 1 and packet[_TYPE] == _COMMAND:
                    self._command(packet)
        return False

    def _command(self, packet):
        command, data = packet[_DATA], packet[_DATA + 2 : -1]
        if sum(packet[:-1]) & 255 != packet[-1] or packet[_LENGTH] < 2 or packet[_DATA + 1] != len(data):
            self.error(INVALID)
            return
        settings = _settings(data) if command == _WIFI else None
        if not settings if command == _WIFI else data and command in (_CURRENT, _DEVICE, _NETWORKS):
            self.error(INVALID)
            return
        self.error(NO_ERROR)
        if command == _WIFI:
            if settings and self._owner.wifi(self, *settings):
                self.state(PROVISIONING)
            else:
                self.error(OTHER_ERROR)
        elif command == _CURRENT:
            state = self._owner.state()
            self.state(state)
            if state == PROVISIONED:
                self._result(_CURRENT, ())
        elif command == _DEVICE:
            self._result(_DEVICE, self._owner.device())
        elif command == _NETWORKS:
            if not self._owner.scan(self):
                self.error(OTHER_ERROR)
        else:
            self.error(UNKNOWN_COMMAND)

    def state(self, state):
        """Say it."""
        self._say(_STATE, bytes((state,)))

    def error(self, error):
        """Say it."""
        self._say(_ERROR, bytes((error,)))

    def tried(self, works):
        """How the settings that were sent have done."""
        if works:
            self.state(PROVISIONED)
            self._result(_WIFI, ())
        else:
            self.error(NOT_CONNECTED)
            self.state(self._owner.state())

    def found(self, networks):
        """[(ssid, dBm, open)] of the scan."""
        for ssid, level, is_open in networks:
            if isinstance(ssid, str):
                self._result(_NETWORKS, (ssid, str(level), "NO" if is_open else "YES"))
        self._result(_NETWORKS, ())

    def _result(self, command, texts):
        data = b"".join([bytes((len(raw),)) + raw for raw in [text.encode() for text in texts]])
        self._say(_RESULT, bytes((command, len(data))) + data)

    def _say(self, kind, data):
        packet = _HEADER + bytes((1, kind, len(data))) + data
        # On a line of its own: readers look for the header where a line begins.
        self._write(b"\n" + packet + bytes((sum(packet) & 255,)) + b"\n")


def _settings(data):
    # (ssid, password), None when the lengths or the text are wrong
    try:
        end = 1 + data[0]
        ssid, password = bytes(data[1:end]), bytes(data[end + 1 :])
        if not 0 < len(ssid) <= 32 or len(password) != data[end] or len(password) > 64:
            return None
        return ssid.decode(), password.decode()
    except (IndexError, ValueError):
        return None
