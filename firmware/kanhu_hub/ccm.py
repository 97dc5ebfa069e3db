"""AES-CCM with a 13-byte nonce and an 8-byte tag (RFC 3610; RFC 9053 section 4.2) over cryptolib."""

from cryptolib import aes
from micropython import const

_ECB = const(1)
_CBC = const(2)
_TAG = const(8)
_BLOCK = const(16)
_ZERO = bytes(_BLOCK)


class Ccm:
    """One 16-byte key; seal and open work on at most 65,535 bytes; ValueError on anything refused."""

    def __init__(self, key):
        if len(key) != 16:
            raise ValueError("key")
        self._key = bytes(key)
        self._ecb = aes(self._key, _ECB)

    def _keystream(self, nonce, size):
        # Counter blocks (RFC 3610 section 2.3), encrypted in place; block 0 covers the tag.
        if len(nonce) != 13 or size > 0xFFFF:
            raise ValueError("size")
        blocks = 1 + (size + 15) // _BLOCK
        stream = bytearray(blocks * _BLOCK)
        for block in range(blocks):
            start = block * _BLOCK
            stream[start] = 1  # two bytes of length field
            stream[start + 1 : start + 14] = nonce
            stream[start + 14] = block >> 8
            stream[start + 15] = block & 255
        self._ecb.encrypt(stream, stream)
        return stream

    def _mac(self, nonce, plain, size, aad):
        # CBC-MAC over B_0, the associated data and the message, each padded with zeros (section 2.2).
        if len(aad) >= 0xFF00:
            raise ValueError("size")
        aad_end = _BLOCK + ((2 + len(aad) + 15) & ~15 if aad else 0)
        mac = bytearray(aad_end + ((size + 15) & ~15))
        mac[0] = 0x59 if aad else 0x19
        mac[1:14] = nonce
        mac[14] = size >> 8
        mac[15] = size & 255
        if aad:
            mac[16] = len(aad) >> 8
            mac[17] = len(aad) & 255
            mac[18 : 18 + len(aad)] = aad
        mac[aad_end : aad_end + size] = plain
        aes(self._key, _CBC, _ZERO).encrypt(mac, mac)
        return mac[-_BLOCK:]

    def seal(self, nonce, plaintext, aad):
        """Ciphertext followed by its 8-byte tag."""
        size = len(plaintext)
        stream = self._keystream(nonce, size)
        out = bytearray(size + _TAG)
        for i in range(size):
            out[i] = plaintext[i] ^ stream[_BLOCK + i]
        mac = self._mac(nonce, plaintext, size, aad)
        for i in range(_TAG):
            out[size + i] = mac[i] ^ stream[i]
        return bytes(out)

    def open(self, nonce, ciphertext, aad):
        """The plaintext; ValueError unless the tag fits."""
        size = len(ciphertext) - _TAG
        if size < 0:
            raise ValueError("tag")
        stream = self._keystream(nonce, size)
        out = bytearray(size)
        for i in range(size):
            out[i] = ciphertext[i] ^ stream[_BLOCK + i]
        mac = self._mac(nonce, out, size, aad)
        differ = 0
        for i in range(_TAG):
            differ |= mac[i] ^ stream[i] ^ ciphertext[size + i]
        if differ:
            raise ValueError("tag")
        return bytes(out)
