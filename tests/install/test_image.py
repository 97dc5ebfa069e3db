"""Chip images: whole, for the right chip; real esptool and a real image are the oracles."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_firmware import for_chip, loaded, micropython_image, real_image
from kanhu.install import image
from kanhu.install.image import CHIPS, ImageError, check

ESP32 = CHIPS["esp32"]
REAL = real_image().read_bytes()
LOADER = REAL[: check(REAL, ESP32, "it", exact=False)]


def esptool(path: Path) -> str:
    words = [sys.executable, "-m", "esptool", "image-info", str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_a_real_image_by_its_own_length() -> None:
    app = REAL[0xF000:]
    assert check(app, ESP32, "it") == len(app)
    assert len(LOADER) == 23_264  # what follows is padding up to the partition table
    assert set(REAL[len(LOADER) : 0x7000]) == {0xFF}
    assert image.flash_size(LOADER) == 4 << 20


@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c3"])
def test_esptool_agrees_about_what_is_written(chip: str) -> None:
    made = loaded(chip)
    for name in ("bootloader",) if chip == "esp32c3" else ("bootloader", "micropython"):
        said = esptool(made.region(name).path)
        assert "(invalid" not in said
        assert re.search(r"Validation hash: [0-9a-f]{64} \(valid\)", said)
        assert re.search(r"Checksum: 0x[0-9a-f]{2} \(valid\)", said)
        chip_id = re.search(r"Chip ID: (\d+)", said)
        assert chip_id is not None
        assert int(chip_id[1]) == CHIPS[chip].image_id
    size = re.search(r"Flash size: (\d+)MB", esptool(made.region("bootloader").path))
    assert size is not None
    assert int(size[1]) << 20 == made.flash_size


def test_flash_size_is_set_and_nothing_else() -> None:
    for size in image.FLASH_SIZES:
        made = image.with_flash_size(LOADER, size)
        assert check(made, ESP32, "it") == len(LOADER)
        assert image.flash_size(made) == size
        assert [n for n in range(len(LOADER) - 32) if made[n] != LOADER[n]] in ([], [3])
    assert image.with_flash_size(LOADER, 4 << 20) == LOADER


def test_wrong_chip_is_named() -> None:
    with pytest.raises(ImageError, match=r"is for an ESP32-S3, not for an ESP32$"):
        check(for_chip(LOADER, "esp32s3"), ESP32, "it")
    foreign = bytearray(LOADER)
    foreign[12] = 99
    with pytest.raises(ImageError, match="chip id 99"):
        check(bytes(foreign), ESP32, "it")
    with pytest.raises(ImageError, match="not for an ESP32-S3"):
        check(LOADER, CHIPS["esp32s3"], "it")


@given(st.integers(0, len(LOADER) * 8 - 1))
def test_a_flipped_bit_is_found(place: int) -> None:
    broken = bytearray(LOADER)
    broken[place // 8] ^= 1 << place % 8
    with pytest.raises(ImageError):
        check(bytes(broken), ESP32, "it")


@given(st.integers(0, len(LOADER) - 1))
def test_a_cut_is_found(end: int) -> None:
    with pytest.raises(ImageError):
        check(LOADER[:end], ESP32, "it")


def test_bytes_behind_it() -> None:
    with pytest.raises(ImageError, match="3 bytes after its end"):
        check(LOADER + b"\xff\xff\xff", ESP32, "it")
    assert check(LOADER + b"\xff\xff\xff", ESP32, "it", exact=False) == len(LOADER)


def test_checksum_alone() -> None:
    """The digest is right, as a tool would leave it that only repairs that."""
    body = bytearray(LOADER[:-32])
    body[100] ^= 1
    with pytest.raises(ImageError, match="checksum"):
        check(bytes(body) + hashlib.sha256(body).digest(), ESP32, "it")


@given(st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    for noise in (data, b"\xe9" + data, LOADER[:24] + data):
        with pytest.raises(ImageError):
            check(noise, ESP32, "it")


def test_images_for_other_chips_are_as_real_ones() -> None:
    """The derived inputs of all other tests differ from the real image in chip, digest and place alone."""
    data = micropython_image("esp32s3").read_bytes()
    assert data[0x8000:0x8C00] == REAL[0x7000:0x7C00]
    assert check(data, CHIPS["esp32s3"], "it", exact=False) == len(LOADER)
    assert data[24 : len(LOADER) - 32] == LOADER[24:-32]
    assert data[0x10000 + 24 : -32] == REAL[0xF000 + 24 : -32]
