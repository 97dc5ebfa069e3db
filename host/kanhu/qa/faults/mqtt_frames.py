"""MQTT control packets in a stream of bytes, told apart while they pass (MQTT 3.1.1, section 2)."""

from __future__ import annotations

PUBACK = 4
LONGEST_HEAD = 5  # bytes: kind and flags, then at most four of the remaining length


class FrameFilter:
    """What is left of a stream without the packets that are to be swallowed; nothing is held back but, while
    there is something to swallow, a packet's head."""

    def __init__(self) -> None:
        self.swallowed = 0
        self.unreadable = False  # not MQTT, or behind TLS: from there on everything passes
        self._head = bytearray()
        self._passed = 0  # bytes of the head that went on already
        self._rest = 0  # bytes of the packet under way that are still to come
        self._dropping = False

    def feed(self, data: bytes, swallow: int | None) -> bytes:
        """The bytes that pass; packets of the kind `swallow` that begin here do not."""
        passed = bytearray()
        position = 0
        while position < len(data):
            if self.unreadable:
                return bytes(passed + data[position:])
            if self._rest:
                part = data[position : position + self._rest]
                position += len(part)
                self._rest -= len(part)
                if not self._dropping:
                    passed += part
            else:
                self._head.append(data[position])
                position += 1
                passed += self._told(swallow)
        return bytes(passed)

    def _told(self, swallow: int | None) -> bytes:
        """What of the head may go on, now that it is a byte longer."""
        head = self._head
        if len(head) == 1:
            self.unreadable = head[0] >> 4 in (0, 15)
            whole = False
        else:
            whole = head[-1] < 0x80
            self.unreadable = len(head) == LONGEST_HEAD and not whole
        if whole:
            self._rest = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[1:]))
            self._dropping = head[0] >> 4 == swallow and not self._passed
            self.swallowed += self._dropping
        if not (whole or self.unreadable) and swallow is not None:
            return b""
        on = b"" if whole and self._dropping else bytes(head[self._passed :])
        self._passed = len(head)
        if whole:
            head.clear()
            self._passed = 0
        return on
