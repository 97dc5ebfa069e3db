"""Images that an ESP32's ROM and boot loader start: which chip they are for, and whether they are whole.

Format: ESP-IDF's "Firmware Image Format": a header of 24 bytes, segments of (address, length, bytes), padding
to 16 bytes whose last is a checksum (0xEF XOR all segment bytes), then the SHA-256 of all before it."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from kanhu.errors import KanhuError

MAGIC = 0xE9
MAX_SEGMENTS = 16
HEADER = struct.Struct("<BBBBI4xH9xB")  # magic, segments, mode, size+speed, entry, chip, has digest
SEGMENT = struct.Struct("<II")
DIGEST_SIZE = 32
SIZE_BYTE = 3  # of the header: its high half is the flash size


@dataclass(frozen=True)
class Chip:
    """What differs between the chips here: names, the id in an image, where the ROM looks for one."""

    name: str
    family: str  # as ESP Web Tools names it
    image_id: int
    boot_offset: int  # bytes


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("esp32", "ESP32", 0, 0x1000),
        Chip("esp32c3", "ESP32-C3", 5, 0),
        Chip("esp32s3", "ESP32-S3", 9, 0),
        Chip("esp32c6", "ESP32-C6", 13, 0),
    )
}
FLASH_SIZES = {
    (1 << code) * 1024 * 1024: code for code in range(1, 8)
}  # bytes -> code in the header; 2 to 128 MB


class ImageError(KanhuError):
    """These bytes are no whole image for this chip: one sentence."""


def check(data: bytes, chip: Chip, what: str, *, exact: bool = True) -> int:
    """Bytes of the image at the start of data (exact: all of it), whole and for chip; ImageError."""
    if len(data) < HEADER.size or data[0] != MAGIC:
        raise ImageError(f"{what} is no image of an ESP32: its first byte is not 0xE9")
    _, segments, _, _, _, image_id, digest = HEADER.unpack_from(data)
    if image_id != chip.image_id:
        found = next(
            (one.family for one in CHIPS.values() if one.image_id == image_id), f"chip id {image_id}"
        )
        raise ImageError(f"{what} is for an {found}, not for an {chip.family}")
    if not 0 < segments <= MAX_SEGMENTS or digest != 1:
        raise ImageError(f"{what} has a damaged header")
    place, checksum = HEADER.size, 0xEF
    for _ in range(segments):
        if place + SEGMENT.size > len(data):
            raise ImageError(f"{what} is cut short")
        length = SEGMENT.unpack_from(data, place)[1]
        place += SEGMENT.size
        if place + length > len(data):
            raise ImageError(f"{what} is cut short")
        checksum ^= _xor(data[place : place + length])
        place += length
    end = (place | 15) + 1
    if end + DIGEST_SIZE > len(data):
        raise ImageError(f"{what} is cut short")
    if data[end - 1] != checksum:
        raise ImageError(f"{what} is damaged: its checksum is wrong")
    if data[end : end + DIGEST_SIZE] != hashlib.sha256(data[:end]).digest():
        raise ImageError(f"{what} is damaged: its digest is wrong")
    end += DIGEST_SIZE
    if exact and end != len(data):
        raise ImageError(f"{what} has {len(data) - end} bytes after its end")
    return end


def flash_size(data: bytes) -> int | None:
    """Bytes of flash that a boot loader's header names; None for a code not known."""
    return next((size for size, code in FLASH_SIZES.items() if code == data[3] >> 4), None)


def with_flash_size(data: bytes, size: int) -> bytes:
    """A whole boot loader whose header names this size: it refuses partitions beyond what its header says."""
    body = bytearray(data[:-DIGEST_SIZE])
    body[SIZE_BYTE] = FLASH_SIZES[size] << 4 | body[SIZE_BYTE] & 0x0F
    return bytes(body) + hashlib.sha256(body).digest()


def _xor(data: bytes) -> int:
    """All bytes of data, exclusive or."""
    length = 1 << max(len(data) - 1, 0).bit_length()
    value = int.from_bytes(data, "big")
    while length > 1:
        length //= 2
        value = (value >> (8 * length)) ^ (value & ((1 << (8 * length)) - 1))
    return value
