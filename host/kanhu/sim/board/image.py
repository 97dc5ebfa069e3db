"""What a chip finds in its flash: bootloader, partition table, application; checked as at a boot."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from mmap import mmap

TABLE_AT, TABLE_SIZE = 0x8000, 0xC00  # bytes; ESP-IDF's default place
ENTRY = 32  # bytes
ENTRY_MAGIC, DIGEST_MAGIC = b"\xaa\x50", b"\xeb\xeb"
APP, DATA = 0, 1  # types of a partition
FACTORY, OTA_0, NVS = 0x00, 0x10, 0x02  # subtypes
IMAGE_MAGIC = 0xE9
CHECKSUM_SEED = 0xEF
HEADER = 24  # bytes of an image's header
MAX_SEGMENTS = 16


@dataclass(frozen=True)
class Chip:
    """One kind of chip; words as its ROM and its bootloader say them."""

    name: str
    image_id: int  # in the header of an image
    bootloader_at: int
    rom: str
    from_flash: str
    from_uart: str
    power_on: str


_S3_C3 = ("boot:0x8 (SPI_FAST_FLASH_BOOT)", "boot:0x0 (DOWNLOAD(USB/UART0))", "rst:0x1 (POWERON)")
CHIPS = {
    "esp32": Chip(
        "esp32",
        0,
        0x1000,
        "ets Jul 29 2019 12:21:46\r\n",
        "boot:0x13 (SPI_FAST_FLASH_BOOT)",
        "boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))",
        "rst:0x1 (POWERON_RESET)",
    ),
    "esp32s3": Chip("esp32s3", 9, 0, "ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021", *_S3_C3),
    "esp32c3": Chip("esp32c3", 5, 0, "ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021", *_S3_C3),
}
RESETS = {
    "reset": "rst:0xc (RTC_SW_CPU_RST)",
    "watchdog": "rst:0x7 (TG0WDT_SYS_RST)",
}  # else as after power on


class NoImage(Exception):
    """Nothing to boot; args[0] is what the chip says of it."""


@dataclass(frozen=True)
class Layout:
    """Where the parts are that a running application uses: (offset, size) in bytes; size 0: there is none."""

    nvs: tuple[int, int]
    vfs: tuple[int, int]


def check(flash: bytes | mmap, chip: Chip) -> Layout:
    """NoImage: the chip would not boot this flash."""
    try:
        check_image(flash[chip.bootloader_at : TABLE_AT], chip)
    except NoImage:
        word = struct.unpack_from("<I", flash, chip.bootloader_at)[0]
        raise NoImage(f"invalid header: {word:#010x}") from None
    partitions = read_table(flash[TABLE_AT : TABLE_AT + TABLE_SIZE], len(flash))
    apps = {subtype: where for kind, subtype, _, where in partitions if kind == APP}
    if not {FACTORY, OTA_0} & set(apps):
        raise NoImage("E (60) boot: No bootable app partitions in the partition table")
    offset, size = apps[FACTORY] if FACTORY in apps else apps[OTA_0]
    try:
        check_image(flash[offset : offset + size], chip)
    except NoImage as error:
        said = f"E (90) esp_image: image at {offset:#x} {error}"
        raise NoImage(f"{said}\r\nE (95) boot: Factory app partition is not bootable") from None
    return Layout(
        next((where for kind, subtype, _, where in partitions if (kind, subtype) == (DATA, NVS)), (0, 0)),
        next((where for kind, _, name, where in partitions if (kind, name) == (DATA, "vfs")), (0, 0)),
    )


def read_table(table: bytes, flash_size: int) -> list[tuple[int, int, str, tuple[int, int]]]:
    """(type, subtype, name, (offset, size)) of each partition."""
    found = []
    for at in range(0, len(table), ENTRY):
        entry = table[at : at + ENTRY]
        if entry[:2] == DIGEST_MAGIC:
            if hashlib.md5(table[:at]).digest() != entry[16:]:  # noqa: S324  the format's own checksum
                raise NoImage("E (58) flash_parts: calculated md5 is not the stored one")
            continue
        if entry[:2] != ENTRY_MAGIC:
            if entry != b"\xff" * ENTRY:
                raise NoImage(f"E (58) flash_parts: partition {at // ENTRY} invalid magic number")
            break
        kind, subtype, offset, size, name = struct.unpack_from("<BBII16s", entry, 2)
        if offset + size > flash_size:
            where = f"partition {at // ENTRY} invalid - offset {offset:#x} size {size:#x}"
            raise NoImage(f"E (58) flash_parts: {where} exceeds flash chip size {flash_size:#x}")
        found.append((kind, subtype, name.split(b"\0")[0].decode(errors="replace"), (offset, size)))
    if not found:
        raise NoImage("E (58) boot: Failed to verify partition table")
    return found


def check_image(data: bytes, chip: Chip) -> int:
    """Length of the image at the start of data; NoImage says what is wrong with it."""
    if len(data) < HEADER or data[0] != IMAGE_MAGIC:
        raise NoImage("has invalid magic byte")
    segments, image_id, hashed = data[1], struct.unpack_from("<H", data, 12)[0], data[23]
    if image_id != chip.image_id:
        raise NoImage(f"has chip ID {image_id}, expected {chip.image_id}")
    if not 0 < segments <= MAX_SEGMENTS:
        raise NoImage(f"has {segments} segments")
    at = HEADER
    checksum = CHECKSUM_SEED
    for _ in range(segments):
        size = struct.unpack_from("<I", data, at + 4)[0] if at + 8 <= len(data) else len(data)
        at += 8
        if at + size > len(data):
            raise NoImage("ends before its last segment")
        checksum ^= _xor(data[at : at + size])
        at += size
    at += 15 - at % 16
    end = at + 1 + 32 * bool(hashed)
    if end > len(data):
        raise NoImage("ends before its checksum")
    if data[at] != checksum:
        raise NoImage(f"has checksum {data[at]:#x}, computed {checksum:#x}")
    if hashed and hashlib.sha256(data[: at + 1]).digest() != data[at + 1 : end]:
        raise NoImage("has a hash that does not match its content")
    return end


def _xor(data: bytes) -> int:
    """All bytes, one XORed with the other."""
    width = 1 << max(len(data) - 1, 0).bit_length()
    value = int.from_bytes(data, "little")
    while width > 1:
        width //= 2
        value = value >> 8 * width ^ value & (1 << 8 * width) - 1
    return value
