"""Partition tables of an ESP32's flash: rules, and the binary form at 0x8000.

Format: ESP-IDF's "Partition Tables": rows of 32 bytes (0xAA 0x50, type, subtype, offset, size, name, flags),
then one row 0xEB 0xEB with the MD5 of all rows before it, the rest 0xFF."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kanhu.errors import KanhuError

OFFSET = 0x8000  # bytes; where every boot loader here looks for the table
TABLE_SIZE = 0xC00  # bytes of a table: 95 rows and the MD5
FIRST = 0x9000  # bytes; below lie boot loader and table
SECTOR = 0x1000  # bytes erased at once
APP_ALIGN = 0x10000  # bytes; the chip maps flash by pages of 64 kB
APP, DATA = 0, 1
FACTORY, NVS, VFS = (APP, 0x00), (DATA, 0x02), (DATA, 0x81)  # MicroPython's own vfs has fat's subtype
# Subtypes that people know by name: ESP-IDF's gen_esp32part.py; 0x81 is also MicroPython's file system.
_SUBTYPES = {
    APP: {0x00: "factory", 0x20: "test", **{0x10 + n: f"ota_{n}" for n in range(16)}},
    DATA: {
        0x00: "ota", 0x01: "phy", 0x02: "nvs", 0x03: "coredump", 0x04: "nvs_keys", 0x05: "efuse",
        0x06: "undefined", 0x81: "fat", 0x82: "spiffs", 0x83: "littlefs",
    },
}  # fmt: skip

_ROW = struct.Struct("<2sBBII16sI")
_MAGIC = b"\xaa\x50"
_MD5 = b"\xeb\xeb" + b"\xff" * 14
_NAME = re.compile(r"[a-z][a-z0-9_]{0,14}", re.ASCII)


class PartitionError(KanhuError):
    """A partition table that no board can use: one sentence."""


@dataclass(frozen=True)
class Partition:
    """A stretch of flash; type and subtype as numbers, offset and size in bytes."""

    name: str
    type: int
    subtype: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """First byte behind it."""
        return self.offset + self.size


def kind_words(kind: int, subtype: int) -> dict[str, str]:
    """Type and subtype as ESP-IDF's tables of text have them; a number that has no name as 0x.."""
    names = _SUBTYPES.get(kind, {})
    return {
        "type": {APP: "app", DATA: "data"}.get(kind, f"{kind:#04x}"),
        "subtype": names.get(subtype, f"{subtype:#04x}"),
    }


def check(table: Sequence[Partition], flash_size: int) -> None:
    """PartitionError unless a hub can live on this table in this much flash (bytes)."""
    if len(table) > TABLE_SIZE // _ROW.size - 1:
        raise PartitionError(f"{len(table)} partitions do not fit in a table")
    seen: set[str] = set()
    for one in table:
        if not _NAME.fullmatch(one.name) or one.name in seen:
            raise PartitionError(f"{one.name[:20]!r} is no partition's name, or stands twice")
        seen.add(one.name)
        align = APP_ALIGN if one.type == APP else SECTOR
        if one.type not in (APP, DATA) or not 0 <= one.subtype <= 0xFF:
            raise PartitionError(f"partition {one.name} is of a type that is not known")
        if one.size <= 0 or one.size % SECTOR or one.offset % align:
            raise PartitionError(
                f"partition {one.name} at {one.offset:#x}, {one.size:#x} long, is unaligned: it must begin at"
                f" a multiple of {align:#x} and be a multiple of {SECTOR:#x} long"
            )
        if one.offset < FIRST:
            raise PartitionError(
                f"partition {one.name} at {one.offset:#x} lies on the boot loader or the table"
            )
        if one.end > flash_size:
            raise PartitionError(
                f"partition {one.name} ends at {one.end:#x}, past the flash's end at {flash_size:#x}"
            )
    ordered = sorted(table, key=lambda one: one.offset)
    for before, after in pairwise(ordered):
        if after.offset < before.end:
            raise PartitionError(f"partitions {before.name} and {after.name} overlap at {after.offset:#x}")
    for name, kind in (("nvs", NVS), ("factory", FACTORY), ("vfs", VFS)):
        if not any(one.name == name and (one.type, one.subtype) == kind for one in table):
            raise PartitionError(f"a hub needs a partition {name} of type {kind[0]}, subtype {kind[1]:#x}")


def encode(table: Sequence[Partition]) -> bytes:
    """The table as it stands in flash, 3,072 bytes."""
    rows = b"".join(
        _ROW.pack(_MAGIC, one.type, one.subtype, one.offset, one.size, one.name.encode(), 0) for one in table
    )
    return (rows + _MD5 + hashlib.md5(rows, usedforsecurity=False).digest()).ljust(TABLE_SIZE, b"\xff")


def decode(data: bytes) -> tuple[Partition, ...]:
    """The partitions of a table in flash whose MD5 is right; PartitionError."""
    found: list[Partition] = []
    for start in range(0, min(len(data), TABLE_SIZE) - _ROW.size + 1, _ROW.size):
        row = data[start : start + _ROW.size]
        if row[:16] == _MD5:
            if row[16:] == hashlib.md5(data[:start], usedforsecurity=False).digest():
                return tuple(found)
            break
        magic, kind, subtype, offset, size, name, _ = _ROW.unpack(row)
        if magic != _MAGIC:
            break
        found.append(Partition(name.rstrip(b"\0").decode("ascii", "replace"), kind, subtype, offset, size))
    raise PartitionError("no whole partition table: its MD5 is missing or wrong")
