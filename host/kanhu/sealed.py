"""Reading sealed events on the host's hot path: the common shape by position, all others by kanhu_protocol.

What the fast path takes, kanhu_protocol.seal would take with the same meaning; a test holds them together."""

from __future__ import annotations

from typing import NamedTuple

from kanhu.aead import TAG_BYTES, AesCcm
from kanhu_protocol import cbor, seal

MAX_PAYLOAD = 16_384  # bytes of one sequence; a hub sends at most 1,019 (contracts, sections 3 and 4)

# [h'A1010A', {4: ..: an array of three, protected {1: AES-CCM-16-64-128}, a map of two that begins with kid.
_PROTECTED = bytes((0xA1, 0x01, seal.AES_CCM_16_64_128))
_PREFIX = b"\x83\x43" + _PROTECTED + b"\xa2\x04"
_UP = bytes((seal.UP,))
_NO_COUNTER = bytes(4)


class Message(NamedTuple):
    """One sealed event, not yet opened, or why it cannot be (error is seal.SealError's word)."""

    raw: bytes
    generation: int
    boot: int
    seq: int
    nonce: bytes
    ciphertext: bytes
    error: str | None = None


def split(payload: bytes) -> tuple[list[Message], bool]:
    """The events of a CBOR sequence, and whether it breaks off in something that is no CBOR."""
    messages: list[Message] = []
    position, end = 0, len(payload)
    if not 0 < end <= MAX_PAYLOAD:
        return messages, True
    while position < end:
        fast = _fast(payload, position)
        if fast is None:
            try:
                _, stop = cbor.decode_at(payload, position)
            except cbor.CborError:
                return messages, True
            fast = _slow(payload[position:stop])
        messages.append(fast)
        position += len(fast.raw)
    return messages, False


def _fast(data: bytes, start: int) -> Message | None:
    position = start + len(_PREFIX)
    if data[start:position] != _PREFIX:
        return None
    try:
        if data[position] == 0x41:
            generation = data[position + 1]
            position += 2
        else:
            return None
        size = data[position + 1] - 0x40
        if data[position] != 0x06 or not 9 <= size <= 12:
            return None
        position += 2
        rest = data[position : position + size]
        position += size
        head = data[position]
        if 0x40 + TAG_BYTES < head < 0x58:
            length = head - 0x40
            position += 1
        elif head == 0x58:
            length = data[position + 1]
            position += 2
            if length < 24:
                return None
        else:
            return None
    except IndexError:
        return None
    stop = position + length
    if stop > len(data) or not generation or not rest[0] or rest[-4:] != _NO_COUNTER:
        return None
    return Message(
        data[start:stop],
        generation,
        int.from_bytes(rest[:-8], "big"),
        int.from_bytes(rest[-8:-4], "big"),
        _UP + rest.rjust(12, b"\0"),
        data[position:stop],
    )


def _slow(raw: bytes) -> Message:
    try:
        parsed = seal.parse(raw)
    except seal.SealError as error:
        return Message(raw, 0, 0, 0, b"", b"", str(error.args[0]))
    if parsed.c:  # an event's nonce has no counter
        return Message(raw, 0, 0, 0, b"", b"", "malformed")
    nonce = _UP + b"".join(number.to_bytes(4, "big") for number in (parsed.a, parsed.b, 0))
    ciphertext = cbor.loads(raw, seal.MAX_SEALED)[2]
    return Message(raw, parsed.generation, parsed.a, parsed.b, nonce, ciphertext)


class Opener:
    """One hub's keys by generation, ready for use."""

    __slots__ = ("_aad", "_aeads")

    def __init__(self, hub_id: str, keys: dict[int, bytes]) -> None:
        self._aeads = {generation: AesCcm(key) for generation, key in keys.items()}
        # Enc_structure of RFC 9052 section 5.3; the suite in the protected header is the only one there is.
        self._aad = b"\x83\x68Encrypt0" + cbor.dumps(_PROTECTED) + cbor.dumps(hub_id.encode())

    def open(self, message: Message) -> bytes:
        """The plaintext; SealError malformed, suite, unknown_key or forged."""
        if message.error is not None:
            raise seal.SealError(message.error)
        aead = self._aeads.get(message.generation)
        if aead is None:
            raise seal.SealError("unknown_key")
        try:
            return aead.open(message.nonce, message.ciphertext, self._aad)
        except ValueError:
            raise seal.SealError("forged") from None
