"""Ed25519 keys that sign what runs on hubs, and the one way to sign and to check."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kanhu.errors import KanhuError
from kanhu.pki.files import write_private

SIGNATURE_SIZE = 64  # bytes; RFC 8032
KEY_SIZE = 32  # bytes of a public key; RFC 8032
BUNDLE = b"kanhu bundle 1\n"  # what a signature of each kind begins with, so that none passes for another
APPLICATION = b"kanhu application 1\n"


class SigningError(KanhuError):
    """A signing key cannot be made, read or used; says what to do."""


def generate(path: Path) -> bytes:
    """Write a new private key (PEM, mode 0600) and PATH.pub; the public key's 32 bytes; SigningError."""
    public = public_path(path)
    for one in (path, public):
        if one.exists():
            raise SigningError(f"{one} exists: a signing key is never written over; name another file")
    key = Ed25519PrivateKey.generate()
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, private_pem)
        public.write_bytes(public_pem(key.public_key()))
    except OSError as error:
        raise SigningError(f"{error.filename or path}: {error.strerror}") from None
    return public_bytes(key)


def public_path(path: Path) -> Path:
    """Where generate() puts the public half of a private key."""
    return path.with_name(path.name.removesuffix(".pem") + ".pub.pem")


def public_pem(key: Ed25519PublicKey) -> bytes:
    """A public key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_private(path: Path) -> Ed25519PrivateKey:
    """The private key of a PEM file that nobody else may read; SigningError."""
    data = _read(path)
    try:
        key = serialization.load_pem_private_key(data, None)
    except TypeError:
        raise SigningError(f"{path}: a key with a passphrase cannot be used; take it off first") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError(f"{path}: no private key in PEM format; kanhu firmware keygen makes one") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(f"{path}: not an Ed25519 key; kanhu firmware keygen makes one")
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SigningError(f"{path}: others may read this private key; chmod 600 {path}")
    return key


def load_public(path: Path) -> bytes:
    """The 32 bytes of the public key in a PEM file; SigningError."""
    data = _read(path)
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        hint = " (this is a private key: give its .pub.pem)" if b"PRIVATE KEY" in data else ""
        raise SigningError(f"{path}: no public key in PEM format{hint}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SigningError(f"{path}: not an Ed25519 key")
    return key.public_bytes_raw()


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of a private key's public half."""
    return key.public_key().public_bytes_raw()


def fingerprint(public: bytes) -> str:
    """A public key for people to compare: 64 hex digits."""
    return public.hex()


def sign(key: Ed25519PrivateKey, context: bytes, data: bytes) -> bytes:
    """64 bytes over context and data."""
    return key.sign(context + data)


def signer(trusted: Sequence[bytes], context: bytes, data: bytes, signature: bytes) -> bytes | None:
    """The trusted public key that signed data in this context; None when none did."""
    for public in trusted:
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, context + data)
            return public
        except (InvalidSignature, ValueError):
            continue
    return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningError(
            f"{path}: {error.strerror}; name the file of a key: its .pub.pem to trust it, its .pem to sign"
        ) from None
