"""Serial and BLE framing: HDLC-like (RFC 1662 section 4), text between frames is the hub's log.

On the wire: 0x7E, escaped(type byte + body + CRC-32 little-endian of both), 0x7E. 0x7D escapes; the next
byte is XORed with 0x20. All control characters (below 0x20, and 0x7F) are escaped, so a Ctrl-C never
appears inside a frame and the REPL on the same wire stays usable."""

import binascii

HELLO = 1  # body: CBOR {0: protocol version, 1: hub_id, 2: boot}
UP = 2  # body: CBOR sequence of sealed events
DOWN = 3  # body: one sealed down message
COMMISSION_DOWN = 4  # host to hub: a map of docs/commissioning.md, sealed with the commissioning key
COMMISSION_UP = 5  # hub to host: the same
MAX_FRAME = 1024  # bytes of type + body + CRC, before escaping

_FLAG = 0x7E
_ESCAPE = 0x7D

# Where the decoder is: in text; after a flag that belongs to no frame yet; after a flag that closed a good
# frame and may open the next one as well (its sender may share it, or the wire may have lost one).
_TEXT = 0
_OPENED = 1
_CLOSED = 2


class FrameError(ValueError):
    """args[0] is one word: size or type."""


def encode(kind, body):
    """Frame one body (at most 1,019 bytes) of a type 0..255; returns the bytes for the wire."""
    if not 0 <= kind < 256:
        raise FrameError("type")
    if len(body) > MAX_FRAME - 5:
        raise FrameError("size")
    raw = bytes((kind,)) + bytes(body)
    raw += binascii.crc32(raw).to_bytes(4, "little")
    out = bytearray(b"\x7e")
    for byte in raw:
        if byte < 0x20 or 0x7D <= byte <= 0x7F:
            out.append(_ESCAPE)
            byte ^= 0x20
        out.append(byte)
    out.append(_FLAG)
    return bytes(out)


class Decoder:
    """Streaming decoder: feed(bytes) returns [(type, body)]; every byte that is part of no frame goes, in
    order, to on_text(bytes). It holds back at most 2 * max_frame bytes, and text only from a flag on until
    a control character or the next flag shows what it was."""

    def __init__(self, on_text=None, max_frame=MAX_FRAME):
        self._buf = bytearray(2 * max_frame)  # as on the wire: escaped, so that text stays what it was
        self._len = 0
        self._state = _TEXT
        self._max = max_frame
        self._damaged = False  # something was counted since the last good frame
        self._on_text = on_text
        self.bad_crc = 0
        self.too_long = 0
        self.broken = 0  # a raw control character, too few bytes, a dangling escape, a flag without its pair

    def feed(self, data):
        frames = []
        buf = self._buf
        text_from = 0
        for index in range(len(data)):
            byte = data[index]
            if byte == _FLAG:
                if self._state == _TEXT:
                    self._text(data, text_from, index)
                    self._state = _OPENED
                else:
                    frame = self._finish()
                    if frame:
                        frames.append(frame)
                        self._len = 0
                        self._state = _CLOSED
                    else:
                        self._spill()
                        self._state = _OPENED
            elif self._state == _TEXT:
                continue
            else:
                # A control character never stands inside a frame: it was log text, or the frame was cut.
                control = byte < 0x20 or byte == 0x7F
                if control or self._len == len(buf):
                    if self._state == _OPENED:
                        self._damaged = True
                        if control:
                            self.broken += 1
                        else:
                            self.too_long += 1
                    self._spill()
                    self._state = _TEXT
                    text_from = index
                else:
                    buf[self._len] = byte
                    self._len += 1
        if self._state == _TEXT:
            self._text(data, text_from, len(data))
        return frames

    def _text(self, data, start, stop):
        if start < stop and self._on_text:
            self._on_text(bytes(data[start:stop]))

    def _spill(self):
        if self._on_text:
            if self._state == _OPENED:
                self._on_text(b"~")
            if self._len:
                self._on_text(bytes(memoryview(self._buf)[: self._len]))
        self._len = 0

    def _finish(self):
        raw = memoryview(self._buf)[: self._len]
        if not self._len:
            # A lone flag: it closed a frame whose own first flag was lost. One damage counts once.
            if self._state == _OPENED and not self._damaged:
                self.broken += 1
                self._damaged = True
            return None
        body = bytearray(self._len)
        size = 0
        escaped = False
        for byte in raw:
            if byte == _ESCAPE and not escaped:
                escaped = True
                continue
            if escaped:
                byte ^= 0x20
                escaped = False
            body[size] = byte
            size += 1
        if size > self._max:
            self.too_long += 1
        elif escaped or size < 5:
            self.broken += 1
        else:
            view = memoryview(body)[: size - 4]
            if binascii.crc32(view) == int.from_bytes(body[size - 4 : size], "little"):
                self._damaged = False
                return body[0], bytes(view[1:])
            self.bad_crc += 1
        self._damaged = True
        return None
