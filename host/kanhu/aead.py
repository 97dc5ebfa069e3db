"""AES-CCM-16-64-128 (RFC 9053 section 4.2) over `cryptography`, as kanhu_protocol.seal wants it."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

KEY_BYTES = 16
NONCE_BYTES = 13
TAG_BYTES = 8


class AesCcm:
    """One hub's 16-byte key; ValueError for a key, nonce or length the suite does not have."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"an AES-CCM-16-64-128 key has {KEY_BYTES} bytes, not {len(key)}")
        self._ccm = AESCCM(key, tag_length=TAG_BYTES)

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Ciphertext followed by its 8-byte tag."""
        return self._ccm.encrypt(_checked(nonce), plaintext, aad)

    def open(self, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """The plaintext; ValueError unless the tag fits."""
        try:
            return self._ccm.decrypt(_checked(nonce), ciphertext, aad)
        except InvalidTag:
            raise ValueError("the tag does not fit") from None


def _checked(nonce: bytes) -> bytes:
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"an AES-CCM-16-64-128 nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
    return nonce
