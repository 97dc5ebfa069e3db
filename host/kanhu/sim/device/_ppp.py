# machine.UART wired to what the bench has there, and network.PPP over it: real LCP and IPCP, so that a hub
# is connected only when the line is in data mode and the other end agrees. IP itself goes by the bench.
import os
import select

import _bench
from _bench import unix_time

_LCP = 0xC021
_IPCP = 0x8021
_ours = {}  # number of the UART -> file of what is wired to it; opened here, before "/" is the hub's flash
for _number, _path in _bench.state.get("uarts", {}).items():
    _ours[int(_number)] = open(_path, "r+b")  # noqa: SIM115  open as long as the hub runs

_links = []  # PPP objects that are active


class UART:
    IRQ_RXIDLE = 4096
    IRQ_RX = 1
    IRQ_BREAK = 2

    def __init__(self, id, baudrate=115200, tx=None, rx=None, rxbuf=256, txbuf=256, timeout=0, **kwargs):
        if id not in (0, 1, 2):
            raise ValueError(f"UART({id}) does not exist")
        for pin in (tx, rx):
            if pin is not None and not 0 <= pin <= 48:
                raise ValueError("invalid pin")
        self._file = _ours.get(id)
        self._poller = select.poll()
        self._handler = None
        if self._file:
            self._poller.register(self._file, select.POLLIN)

    def any(self):
        return 1 if self._file and self._poller.poll(0) else 0

    def read(self, n=-1):
        found = b""
        while self.any() and (n < 0 or len(found) < n):
            data = self._file.read(1)
            if not data:
                break
            found += data
        return found or None

    def write(self, data):
        if self._file:
            self._file.write(data)
        return len(data)

    def irq(self, handler=None, trigger=0, hard=False):
        self._handler = handler

    def deinit(self):
        self._handler = None


def _fcs(data):
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x8408 if value & 1 else 0)
    return value


class PPP:
    SEC_NONE = AUTH_NONE = 0
    SEC_PAP = AUTH_PAP = 1
    SEC_CHAP = AUTH_CHAP = 2

    def __init__(self, stream):
        self._stream = stream
        self._active = False
        self._reset()

    def _reset(self):
        self._raw = b""
        self._escaped = False
        self._acked = {_LCP: [False, False], _IPCP: [False, False]}  # ours by them, theirs by us
        self._address = bytes(4)
        self._number = 0
        self._asked_us = None

    def active(self, on=None):
        if on is None:
            return self._active
        if on and not self._active:
            _links.append(self)
        elif not on and self._active:
            if self._asked_us is not None:
                self._say(_LCP, 5, b"")  # Terminate-Request
            _links.remove(self)
        self._active = bool(on)
        self._reset()
        return self._active

    def connect(self, security=0, user=None, key=None, **kwargs):
        if not self._active:
            raise OSError("must be active")
        self._stream.irq(self.poll, UART.IRQ_RXIDLE)
        self._ask(_LCP)

    def disconnect(self):
        self.active(False)

    def isconnected(self):
        _poll_all()
        return all(self._acked[_LCP]) and all(self._acked[_IPCP])

    def status(self):
        return None

    def ifconfig(self, config=None):
        _poll_all()
        address = ".".join(str(byte) for byte in self._address)
        return (address, "255.255.255.255", "10.64.64.64", "10.64.64.64")

    def ipconfig(self, param):
        return {"addr4": self.ifconfig()[:2]}[param]

    def config(self, *args, **kwargs):
        return self._stream

    def poll(self, *args):
        if not self._active or self._asked_us is None:
            return
        for byte in self._stream.read() or b"":
            if byte == 0x7E:
                if len(self._raw) > 7 and _fcs(self._raw) == 0xF0B8:
                    self._take(int.from_bytes(self._raw[2:4], "big"), self._raw[4:-2])
                self._raw = b""
            elif byte == 0x7D:
                self._escaped = True
            else:
                self._raw = (self._raw + bytes((byte ^ 0x20 if self._escaped else byte,)))[-1600:]
                self._escaped = False
        if unix_time.ticks_us() - self._asked_us > 3000000 // _bench.SPEED:  # RFC 1661: restart timer
            for protocol in (_LCP, _IPCP):
                if not self._acked[protocol][0]:
                    self._ask(protocol)
                    break

    def _say(self, protocol, code, body, number=None):
        if number is None:
            self._number = number = self._number + 1 & 255
        packet = bytes((code, number)) + (4 + len(body)).to_bytes(2, "big") + body
        raw = b"\xff\x03" + protocol.to_bytes(2, "big") + packet
        raw += (_fcs(raw) ^ 0xFFFF).to_bytes(2, "little")
        out = b"\x7e"
        for byte in raw:
            out += bytes((0x7D, byte ^ 0x20)) if byte < 32 or byte in (0x7D, 0x7E) else bytes((byte,))
        self._stream.write(out + b"\x7e")

    def _ask(self, protocol):
        self._asked_us = unix_time.ticks_us()
        if protocol == _LCP:
            self._say(_LCP, 1, b"\x05\x06" + os.urandom(4))
        else:
            self._say(_IPCP, 1, b"\x03\x06" + self._address)

    def _take(self, protocol, packet):
        if protocol not in self._acked or len(packet) < 4:
            return
        code, number = packet[0], packet[1]
        body = packet[4 : int.from_bytes(packet[2:4], "big")]
        if code == 1:  # Configure-Request: whatever they want
            self._say(protocol, 2, body, number)
            self._acked[protocol][1] = True
        elif code == 2:
            self._acked[protocol][0] = True
            if protocol == _LCP:
                self._ask(_IPCP)
        elif code == 3 and protocol == _IPCP and body[:2] == b"\x03\x06":  # Nak, with the address to have
            self._address = body[2:6]
            self._ask(_IPCP)
        elif code == 5:
            self._say(protocol, 6, b"", number)
            self._reset()
        elif code == 9:
            self._say(protocol, 10, bytes(4) + body[4:], number)


def _poll_all():
    for link in _links:
        link.poll()


def connected():
    return any(link.isconnected() for link in _links)
