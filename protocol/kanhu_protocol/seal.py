"""Sealing: COSE_Encrypt0 (RFC 9052 section 5.2) with AES-CCM-16-64-128 (RFC 9053 section 4.2), untagged.

[protected {1: suite}, unprotected {4: kid, 6: Partial IV}, ciphertext]; external AAD = hub_id (ASCII).
Nonce (13 bytes) = direction(1) || a(4) || b(4) || c(4), where up is (boot, seq, 0) and down is
(boot, epoch, counter). Context IV = direction || 12 zero bytes; Partial IV = the rest without leading
zeros. The AEAD is an argument with seal(nonce, plaintext, aad) and open(nonce, ciphertext, aad) -> bytes,
the latter raising ValueError on a bad tag."""

from . import cbor

AES_CCM_16_64_128 = 10  # IANA COSE algorithm; the one place where suites are named
SUITES = {AES_CCM_16_64_128: 8}  # suite: tag bytes

UP = 1
DOWN = 2
MAX_SEALED = 512  # bytes of an event
MAX_DOWN = 1019  # bytes of a down message: a device table with keys; the body of a serial frame


class SealError(ValueError):
    """args[0] is one word: malformed, suite, forged, range or size."""


def _aad(protected, hub_id):
    return b"\x83\x68Encrypt0" + cbor.dumps(protected) + cbor.dumps(hub_id.encode())


def _rest(direction, a, b, c):
    if not (0 < a < 0x100000000 and 0 <= b < 0x100000000 and 0 <= c < 0x100000000):
        raise SealError("range")
    if direction != DOWN and (direction != UP or c):
        raise SealError("range")
    return a.to_bytes(4, "big") + b.to_bytes(4, "big") + c.to_bytes(4, "big")


def _kid(generation):
    if not 0 < generation < 0x10000:
        raise SealError("range")
    return bytes((generation,)) if generation < 256 else generation.to_bytes(2, "big")


def seal(aead, generation, hub_id, direction, a, b, c, plaintext, suite=AES_CCM_16_64_128):
    """Seal plaintext under nonce (direction, a, b, c) and key generation 1..65535; returns bytes."""
    rest = _rest(direction, a, b, c)
    kid = _kid(generation)
    if suite not in SUITES:
        raise SealError("suite")
    max_size = MAX_DOWN if direction == DOWN else MAX_SEALED
    if len(plaintext) > max_size:
        raise SealError("size")
    protected = cbor.dumps({1: suite})
    ciphertext = aead.seal(bytes((direction,)) + rest, plaintext, _aad(protected, hub_id))
    sealed = cbor.dumps([protected, {4: kid, 6: rest.lstrip(b"\0")}, ciphertext])
    if len(sealed) > max_size:
        raise SealError("size")
    return sealed


class Sealed:
    """A parsed, not yet opened message: generation, a, b, c (see the module) and its ciphertext."""

    def __init__(self, generation, rest, protected, ciphertext):
        self.generation = generation
        self.a = int.from_bytes(rest[0:4], "big")
        self.b = int.from_bytes(rest[4:8], "big")
        self.c = int.from_bytes(rest[8:12], "big")
        self._rest = rest
        self._protected = protected
        self._ciphertext = ciphertext

    def open(self, aead, hub_id, direction):
        """Returns the plaintext; SealError("forged") unless sealed by this key for this hub and way."""
        if direction == UP and self.c:
            raise SealError("malformed")
        try:
            return aead.open(
                bytes((direction,)) + self._rest, self._ciphertext, _aad(self._protected, hub_id)
            )
        except ValueError:
            raise SealError("forged")


def parse(data, max_size=MAX_SEALED):
    """Parse one sealed message (bytes) into a Sealed; SealError when it has another shape."""
    if len(data) > max_size:
        raise SealError("size")
    try:
        message = cbor.loads(data, max_size, 2)
        protected, unprotected, ciphertext = message
        header = cbor.loads(protected, 16, 1)
        kid, rest = unprotected[4], unprotected[6]
        suite = header[1]
        well_formed = (
            isinstance(message, list)
            and isinstance(header, dict)
            and isinstance(unprotected, dict)
            and len(header) == 1
            and len(unprotected) == 2
            and isinstance(protected, bytes)
            and isinstance(kid, bytes)
            and isinstance(rest, bytes)
            and isinstance(ciphertext, bytes)
            and 0 < len(kid) <= 2
            and 9 <= len(rest) <= 12
            and rest[0]
            and kid[0]
        )
    except (ValueError, TypeError, KeyError, IndexError):
        raise SealError("malformed")
    if not well_formed:
        raise SealError("malformed")
    if suite not in SUITES or len(ciphertext) < SUITES[suite]:
        raise SealError("suite")
    rest = bytes(12 - len(rest)) + rest
    return Sealed(int.from_bytes(kid, "big"), rest, protected, ciphertext)
