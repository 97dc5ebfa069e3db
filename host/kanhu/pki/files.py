"""Certificates and secrets on disk."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography import x509

from kanhu.errors import KanhuError


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
