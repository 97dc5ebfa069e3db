"""AES-CCM with a 13-byte nonce (RFC 3610; RFC 9053 section 4.2: 8-byte tag) over cryptolib."""

from cryptolib import aes
from micropython import const

_ECB = const(1)
_CBC = const(2)
_BLOCK = const(16)
_ZERO = bytes(_BLOCK)


class Ccm:
    """One 16-byte key, tag bytes; seal and open take at most 65,535 bytes; ValueError on anything refused."""

    def __init__(self, key, tag=8):
        if len(key) != 16:
            raise ValueError("key")
        self._tag = tag
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
        mac[0] = (0x41 if aad else 1) | (self._tag - 2) << 2
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
        """Ciphertext followed by its tag."""
        size = len(plaintext)
        stream = self._keystream(nonce, size)
        out = bytearray(size + self._tag)
        for i in range(size):
            out[i] = plaintext[i] ^ stream[_BLOCK + i]
        mac = self._mac(nonce, plaintext, size, aad)
        for i in range(self._tag):
            out[size + i] = mac[i] ^ stream[i]
        return bytes(out)

    def open(self, nonce, ciphertext, aad):
        """The plaintext; ValueError unless the tag fits."""
        size = len(ciphertext) - self._tag
        if size < 0:
            raise ValueError("tag")
        stream = self._keystream(nonce, size)
        out = bytearray(size)
        for i in range(size):
            out[i] = ciphertext[i] ^ stream[_BLOCK + i]
        mac = self._mac(nonce, out, size, aad)
        differ = 0
        for i in range(self._tag):
            differ |= mac[i] ^ stream[i] ^ ciphertext[size + i]
        if differ:
            raise ValueError("tag")
        return bytes(out)
