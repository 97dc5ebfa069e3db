"""MQTT 3.1.1 packets of a running connection: publishing, and all that a server sends. Part of mqtt.py."""

# Packet types (section 2.2.1) that Decoder.feed returns.
CONNACK = 2
PUBLISH = 3
PUBACK = 4
SUBACK = 9
UNSUBACK = 11
PINGRESP = 13
OVERSIZE = 16  # not on the wire: a PUBLISH above the bound, skipped; it still wants its PUBACK

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"

RETAIN = 1  # flags of a PUBLISH (section 3.3.1); QoS is (flags >> 1) & 3
DUP = 8

SUBSCRIBE_REFUSED = 0x80  # SUBACK return code (section 3.9.3)
MAX_REMAINING = 268435455  # bytes after the fixed header (section 2.2.3)


class MqttError(ValueError):
    """Malformed or not allowed: close the connection. args[0] is one word."""


def _length(size: int) -> bytes:
    if size < 128:
        return bytes((size,))
    if size > MAX_REMAINING:
        raise MqttError("size")
    out = bytearray()
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    out.append(size)
    return bytes(out)


def _field(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    size = len(raw)
    if size > 65535:
        raise MqttError("size")
    return bytes((size >> 8, size & 255)) + raw


def _topic(value: str) -> bytes:
    if not value or "\0" in value:
        raise MqttError("topic")
    return _field(value)


def _id(packet_id: int) -> bytes:
    if not 0 < packet_id < 65536:
        raise MqttError("id")
    return bytes((packet_id >> 8, packet_id & 255))


def publish(
    topic: str, payload: bytes, qos: int = 0, packet_id: int = 0, retain: bool = False, dup: bool = False
) -> bytes:
    """PUBLISH; packet_id 1..65535 with QoS 1."""
    if "+" in topic or "#" in topic:
        raise MqttError("topic")
    body = _topic(topic)
    flags = 0x30
    if qos:
        flags = 0x32
        body += _id(packet_id)
        if dup:
            flags |= DUP
    if retain:
        flags |= RETAIN
    return bytes((flags,)) + _length(len(body) + len(payload)) + body + payload


def puback(packet_id: int) -> bytes:
    """PUBACK."""
    return b"\x40\2" + _id(packet_id)


class Decoder:
    """Incremental decoder of what a server sends; holds at most max_packet bytes between two feeds."""

    def __init__(self, max_packet: int = 1280):
        self._max = max_packet
        self._held = bytearray()
        self._need = 0  # bytes at which the held packet can be looked at again
        self._skip = 0  # bytes still to drop of an oversize PUBLISH
        self._skipped = (0, 0, 0, "", b"")

    def feed(self, data: bytes) -> list[tuple[int, int, int, str, bytes]]:
        """Decode a chunk: [(type, packet id, flags, topic, payload)]; raises MqttError.

        CONNACK puts its return code in the place of the packet id and session present in flags; SUBACK its
        return codes in payload. OVERSIZE is a whole PUBLISH above the bound, without topic and payload.
        """
        packets: list[tuple[int, int, int, str, bytes]] = []
        at = 0
        held = self._held
        while True:
            if self._skip:
                at = self._drop(data, at, packets)
                if at == len(data):
                    return packets
            elif held:
                upto = at + self._need - len(held)
                held += data[at:upto]
                if upto > len(data):
                    return packets
                at = upto
                if self._scan(bytes(held), 0, packets):
                    held = self._held = bytearray()
            else:
                at = self._scan(data, at, packets)
                if not self._skip:
                    self._held = bytearray(data[at:])
                    return packets

    def _drop(self, data: bytes, at: int, packets: list[tuple[int, int, int, str, bytes]]) -> int:
        take = min(self._skip, len(data) - at)
        self._skip -= take
        if not self._skip:
            packets.append(self._skipped)
        return at + take

    def _scan(self, data: bytes, at: int, packets: list[tuple[int, int, int, str, bytes]]) -> int:
        # Decodes whole packets; returns where the first incomplete one begins, sets _need or _skip.
        end = len(data)
        while at + 1 < end:
            head = data[at]
            size = data[at + 1]
            body = at + 2
            if size > 127:
                size &= 127
                shift = 7
                while True:
                    if shift > 21:
                        raise MqttError("size")
                    if body >= end:
                        self._need = end - at + 1
                        return at
                    byte = data[body]
                    body += 1
                    size |= (byte & 127) << shift
                    if byte < 128:
                        break
                    shift += 7
            stop = body + size
            if stop - at > self._max:
                return self._oversize(data, at, body, stop)
            if stop > end:
                self._need = stop - at
                return at
            if head >> 4 == PUBLISH:
                flags = head & 15
                text = body + 2
                if text > stop:
                    raise MqttError("publish")
                after = text + (data[body] << 8 | data[body + 1])
                packet_id = 0
                start = after
                if flags & 6:
                    start += 2
                if start > stop or flags & 4 or flags & 10 == DUP:
                    raise MqttError("publish")
                if flags & 6:
                    packet_id = data[after] << 8 | data[after + 1]
                    if not packet_id:
                        raise MqttError("publish")
                try:
                    topic = str(data[text:after], "utf-8")
                except UnicodeError:
                    raise MqttError("topic")
                if not topic or "\0" in topic or "+" in topic or "#" in topic:
                    raise MqttError("topic")
                packets.append((PUBLISH, packet_id, flags, topic, data[start:stop]))
            elif head == 0x40 and size == 2:
                packet_id = data[body] << 8 | data[body + 1]
                if not packet_id:
                    raise MqttError("id")
                packets.append((PUBACK, packet_id, 0, "", b""))
            else:
                packets.append(_other(head, data[body:stop]))
            at = stop
        self._need = 2
        return at

    def _oversize(self, data: bytes, at: int, body: int, stop: int) -> int:
        # Closing would not help: a persistent session gets the same PUBLISH again.
        head = data[at]
        if head & 0xF4 != 0x30:
            raise MqttError("size")
        need = body + 2
        packet_id = 0
        if need <= len(data):
            need += data[body] << 8 | data[body + 1]
            if head & 2:
                need += 2
                if need <= len(data):
                    packet_id = data[need - 2] << 8 | data[need - 1]
        if need - at > self._max or need > stop:
            raise MqttError("size")
        if need > len(data):
            self._need = need - at
            return at
        if head & 2 and not packet_id:
            raise MqttError("publish")
        self._skip = stop - need
        self._skipped = (OVERSIZE, packet_id, head & 15, "", b"")
        return need


def _other(head: int, body: bytes) -> tuple[int, int, int, str, bytes]:
    size = len(body)
    if head == 0x20 and size == 2:
        session, code = body
        if session < 2 and code < 6 and not (session and code):
            return CONNACK, code, session, "", b""
    elif head == 0xD0 and not size:
        return PINGRESP, 0, 0, "", b""
    elif (head == 0x90 and size > 2) or (head == 0xB0 and size == 2):
        packet_id = body[0] << 8 | body[1]
        codes = body[2:]
        for code in codes:
            if code > 2 and code != SUBSCRIBE_REFUSED:
                packet_id = 0
        if packet_id:
            return head >> 4, packet_id, 0, "", codes
    raise MqttError("packet")
