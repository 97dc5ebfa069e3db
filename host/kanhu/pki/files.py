"""Certificates and secrets on disk."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kanhu.errors import KanhuError

HUB_MAX = 1024  # bytes of one NVS value (contracts, section 6)


class PkiError(KanhuError):
    """A certificate or key cannot be made, read or found; says what to do."""


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that never had more rights than mode; what stood there is replaced."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def load_certificates(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file, at least one; PkiError."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise PkiError(f"{path}: {error.strerror}") from None
    except ValueError:
        found = []
    if not found:
        raise PkiError(f"{path}: holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
    return found


def for_hubs(path: Path) -> bytes:
    """The certificates of a bundle as a hub's NVS holds them: DER, one after the other; PkiError."""
    ders = [one.public_bytes(serialization.Encoding.DER) for one in load_certificates(path)]
    whole = b"".join(ders)
    # A length of two bytes is what the hub's reader knows; NVS holds no more than this of one value.
    if len(whole) > HUB_MAX or any(der[1] != 0x82 for der in ders):
        raise PkiError(
            f"{path}: {len(whole)} bytes in DER, and a hub takes {HUB_MAX}: two CAs of kanhu pki fit, but "
            "no chain of intermediate or RSA certificates"
        )
    return whole
