"""The far end of a PPP line: framing (RFC 1662), LCP (RFC 1661) and IPCP (RFC 1332), as far as needed."""

from __future__ import annotations

from collections.abc import Callable

LCP, IPCP, IP = 0xC021, 0x8021, 0x0021
REQUEST, ACK, NAK, REJECT, TERMINATE, TERMINATE_ACK, CODE_REJECT, PROTOCOL_REJECT = range(1, 9)
ECHO, ECHO_REPLY = 9, 10
KNOWN = {LCP: {1, 2, 3, 5, 7, 8}, IPCP: {3}}  # options that are agreed to; of LCP all that RFC 1661, 6 has
IP_ADDRESS = 3  # option of IPCP
MAX_PACKET = 1600  # bytes between two flags, unescaped
_FLAG, _ESCAPE = 0x7E, 0x7D
_GOOD_FCS = 0xF0B8  # over data and its own FCS


def fcs16(data: bytes) -> int:
    """Running FCS (RFC 1662, C.2), not yet complemented."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x8408 if value & 1 else 0)
    return value


def encode(protocol: int, packet: bytes) -> bytes:
    """One frame as on an asynchronous line, all control characters escaped."""
    raw = b"\xff\x03" + protocol.to_bytes(2, "big") + packet
    raw += (fcs16(raw) ^ 0xFFFF).to_bytes(2, "little")
    out = bytearray((_FLAG,))
    for byte in raw:
        if byte < 0x20 or byte in (_FLAG, _ESCAPE):
            out += bytes((_ESCAPE, byte ^ 0x20))
        else:
            out.append(byte)
    out.append(_FLAG)
    return bytes(out)


class Decoder:
    """Bytes of a line -> (protocol, packet); what is damaged is dropped and counted."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self._escaped = False
        self.damaged = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        found = []
        for byte in data:
            if byte == _FLAG:
                if self._raw:
                    one = self._whole(bytes(self._raw))
                    if one is None:
                        self.damaged += 1
                    else:
                        found.append(one)
                self._raw.clear()
                self._escaped = False
            elif byte == _ESCAPE:
                self._escaped = True
            elif len(self._raw) < MAX_PACKET:
                self._raw.append(byte ^ 0x20 if self._escaped else byte)
                self._escaped = False
        return found

    @staticmethod
    def _whole(raw: bytes) -> tuple[int, bytes] | None:
        if len(raw) < 6 or fcs16(raw) != _GOOD_FCS or raw[:2] != b"\xff\x03":
            return None
        return int.from_bytes(raw[2:4], "big"), raw[4:-2]


class FarEnd:
    """The network's side: agrees to what it knows, gives out an address, answers echoes.

    opened: LCP and IPCP are agreed on both ways; on_end: the other side has ended the line.
    """

    def __init__(self, send: Callable[[bytes], object], address: bytes, on_end: Callable[[], object]) -> None:
        self._send, self._address, self._on_end = send, address, on_end
        self._decoder = Decoder()
        self._agreed: dict[int, set[str]] = {LCP: set(), IPCP: set()}
        self._number = 0
        self.echoes = 0

    @property
    def opened(self) -> bool:
        return all(len(sides) == 2 for sides in self._agreed.values())

    @property
    def damaged(self) -> int:
        return self._decoder.damaged

    def feed(self, data: bytes) -> None:
        """What came over the line."""
        for protocol, packet in self._decoder.feed(data):
            if protocol in (LCP, IPCP) and len(packet) >= 4:
                code, number, size = packet[0], packet[1], int.from_bytes(packet[2:4], "big")
                self._take(protocol, code, number, packet[4:size])
            elif protocol != IP:
                self._number += 1
                self._say(LCP, PROTOCOL_REJECT, self._number, protocol.to_bytes(2, "big") + packet)

    def _say(self, protocol: int, code: int, number: int, body: bytes) -> None:
        head = bytes((code, number & 0xFF)) + (4 + len(body)).to_bytes(2, "big")
        self._send(encode(protocol, head + body))

    def _take(self, protocol: int, code: int, number: int, body: bytes) -> None:
        if code == REQUEST:
            self._requested(protocol, number, body)
        elif code == ACK:
            self._agreed[protocol].add("ours")
        elif code in (NAK, REJECT):
            self._ask(protocol, b"")  # without what is not wanted
        elif code == TERMINATE:
            self._say(protocol, TERMINATE_ACK, number, b"")
            self._on_end()
        elif code == ECHO and protocol == LCP:
            self.echoes += 1
            self._say(LCP, ECHO_REPLY, number, bytes(4) + body[4:])

    def _requested(self, protocol: int, number: int, body: bytes) -> None:
        if protocol == IPCP and len(self._agreed[LCP]) < 2:
            return  # RFC 1661, 3.4: not before LCP is opened
        refused, better = bytearray(), bytearray()
        for kind, value in _options(body):
            option = bytes((kind, 2 + len(value))) + value
            if kind not in KNOWN[protocol]:
                refused += option
            elif protocol == IPCP and value != self._address:
                better += bytes((IP_ADDRESS, 6)) + self._address
        if refused:
            self._say(protocol, REJECT, number, bytes(refused))
        elif better:
            self._say(protocol, NAK, number, bytes(better))
        else:
            self._say(protocol, ACK, number, body)
            self._agreed[protocol].add("theirs")
        if "ours" not in self._agreed[protocol]:
            self._ask(protocol, b"\x05\x06kanh" if protocol == LCP else b"")

    def _ask(self, protocol: int, options: bytes) -> None:
        self._number += 1
        self._say(protocol, REQUEST, self._number, options)


def _options(body: bytes) -> list[tuple[int, bytes]]:
    found = []
    while len(body) >= 2 and 2 <= body[1] <= len(body):
        found.append((body[0], body[2 : body[1]]))
        body = body[body[1] :]
    return found
