"""Serial and BLE framing: HDLC-like (RFC 1662 section 4), text between frames is the hub's log.

On the wire: 0x7E, escaped(type byte + body + CRC-32 little-endian of both), 0x7E. 0x7D escapes; the next
byte is XORed with 0x20. All control characters (below 0x20, and 0x7F) are escaped, so a Ctrl-C never
appears inside a frame and the REPL on the same wire stays usable."""

import binascii

HELLO = 1  # body: CBOR {0: protocol version, 1: hub_id, 2: boot}
UP = 2  # body: CBOR sequence of sealed events
DOWN = 3  # body: one sealed down message
MAX_FRAME = 1024  # bytes of type + body + CRC, before escaping

_FLAG = 0x7E
_ESCAPE = 0x7D


class FrameError(ValueError):
    """args[0] is one word: size."""


def encode(kind, body):
    """Frame one body (at most 1,019 bytes) of a type; returns the bytes for the wire."""
    raw = bytes((kind,)) + bytes(body)
    raw += binascii.crc32(raw).to_bytes(4, "little")
    if len(raw) > MAX_FRAME:
        raise FrameError("size")
    out = bytearray(b"\x7e")
    for byte in raw:
        if byte < 0x20 or 0x7D <= byte <= 0x7F:
            out.append(_ESCAPE)
            byte ^= 0x20
        out.append(byte)
    out.append(_FLAG)
    return bytes(out)


class Decoder:
    """Streaming decoder: feed(bytes) returns [(type, body)]; text outside frames goes to on_text(bytes)."""

    def __init__(self, on_text=None, max_frame=MAX_FRAME):
        self._buf = bytearray(max_frame)
        self._len = 0
        self._in_frame = False
        self._escaped = False
        self._overrun = False
        self._on_text = on_text
        self.bad_crc = 0
        self.too_long = 0
        self.broken = 0  # a raw control character or a dangling escape inside a frame

    def feed(self, data):
        frames = []
        text_from = -1
        buf = self._buf
        for index in range(len(data)):
            byte = data[index]
            if byte == _FLAG:
                if text_from >= 0:
                    self._text(data, text_from, index)
                    text_from = -1
                if self._in_frame and (self._len or self._overrun):
                    frame = self._finish()
                    # A flag that closed a good frame also may open the next one; one that ended noise
                    # (log text taken for a frame) opens it for certain. Both continue in the frame
                    # state; text after a good frame is told apart by its first raw control character.
                    if frame:
                        frames.append(frame)
                        self._in_frame = False
                    self._reset()
                else:
                    self._in_frame = True
                    self._reset()
            elif not self._in_frame:
                if text_from < 0:
                    text_from = index
            elif byte < 0x20 or byte == 0x7F:
                # Never inside a frame: what came since the flag was log text or a cut frame.
                self.broken += 1
                self._spill(byte)
            elif self._overrun:
                pass
            elif byte == _ESCAPE and not self._escaped:
                self._escaped = True
            elif self._len >= len(buf):
                self._overrun = True
            else:
                if self._escaped:
                    byte ^= 0x20
                    self._escaped = False
                buf[self._len] = byte
                self._len += 1
        if text_from >= 0:
            self._text(data, text_from, len(data))
        return frames

    def _text(self, data, start, stop):
        if self._on_text:
            self._on_text(bytes(data[start:stop]))

    def _spill(self, byte):
        if self._on_text:
            self._on_text(bytes(self._buf[: self._len]) + bytes((byte,)))
        self._in_frame = False
        self._reset()

    def _reset(self):
        self._len = 0
        self._escaped = False
        self._overrun = False

    def _finish(self):
        size = self._len
        if self._overrun:
            self.too_long += 1
            return None
        if self._escaped or size < 5:
            self.broken += 1
            return None
        body = memoryview(self._buf)[: size - 4]
        if binascii.crc32(body) != int.from_bytes(self._buf[size - 4 : size], "little"):
            self.bad_crc += 1
            return None
        return self._buf[0], bytes(body[1:])
