"""NVS partition in ESP-IDF's own format (pages of version 2): read, and written as its generator would."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kanhu.sim.nvs import NOT_ENOUGH_SPACE, NvsError, NvsPartition, Value

PAGE, ENTRY, FIRST, PER_PAGE = 4096, 32, 64, 126  # bytes, bytes, offset of entry 0, entries
ACTIVE, FULL, FREEING = 0xFFFFFFFE, 0xFFFFFFFC, 0xFFFFFFF8  # states of a page
VERSION = 0xFE
WRITTEN = 0b10  # state of an entry
I32, STRING, BLOB_OLD, BLOB_DATA, BLOB_INDEX, NAMESPACE = 0x14, 0x21, 0x41, 0x42, 0x48, 0x01
VARIABLE = (STRING, BLOB_OLD, BLOB_DATA)
ANY_CHUNK = 0xFF
SECOND_VERSION = 0x80  # chunks of a blob that replaced another are numbered from there


@dataclass
class Partition:
    """What stands in it: {namespace: {key: value}}, and beside that what MicroPython cannot read."""

    values: dict[str, dict[str, Value]] = field(default_factory=dict)
    others: dict[str, dict[str, tuple[int, bytes]]] = field(default_factory=dict)  # type, bytes


def parse(data: bytes) -> Partition:
    """What a chip would find; as there, pages and entries whose checksums are wrong do not count."""
    found: dict[tuple[int, str, int, int], tuple[int, bytes]] = {}  # the newest of a key comes last
    pages = [data[at : at + PAGE] for at in range(0, len(data), PAGE)]
    for page in sorted((p for p in pages if _is_page(p)), key=lambda p: struct.unpack_from("<I", p, 4)):
        for entry, content in _entries(page):
            space, kind, _, chunk = entry[:4]
            key = entry[8:24].split(b"\0")[0].decode(errors="replace")
            found[space, key, kind if kind in (BLOB_DATA, BLOB_INDEX) else 0, chunk] = kind, content
    names = {c[0]: key for (space, key, _, _), (kind, c) in found.items() if space == 0 and kind == NAMESPACE}
    partition = Partition()
    for (space, key, _, _), (kind, content) in found.items():
        if space not in names or kind == BLOB_DATA:
            continue
        values = partition.values.setdefault(names[space], {})
        if kind == I32:
            values[key] = struct.unpack_from("<i", content)[0]
        elif kind == BLOB_OLD:
            values[key] = content
        elif kind == BLOB_INDEX:
            size, count, start = struct.unpack_from("<IBB", content)
            chunks = [found.get((space, key, BLOB_DATA, start + n)) for n in range(count)]
            blob = b"".join(chunk[1] for chunk in chunks if chunk)
            if len(blob) == size and all(chunks):
                values[key] = blob
        else:
            partition.others.setdefault(names[space], {})[key] = kind, content
    return partition


def build(
    values: Mapping[str, Mapping[str, Value]],
    size: int,
    others: Mapping[str, Mapping[str, tuple[int, bytes]]] | None = None,
) -> bytes:
    """The partition with these values; NvsError: they do not fit, one page having to stay free."""
    others = others or {}
    writer = _Writer(size // PAGE - 1)
    for index, name in enumerate(dict.fromkeys((*values, *others)), 1):
        writer.single(0, NAMESPACE, name, bytes((index,)))
        for key, value in values.get(name, {}).items():
            if isinstance(value, int):
                writer.single(index, I32, key, struct.pack("<i", value))
            else:
                writer.blob(index, key, value)
        for key, (kind, content) in others.get(name, {}).items():
            if kind in VARIABLE:
                writer.variable(index, kind, key, content)
            else:
                writer.single(index, kind, key, content)
    return writer.image().ljust(size, b"\xff")


def _crc(data: bytes | bytearray) -> int:
    return zlib.crc32(data, 0xFFFFFFFF)


def _is_page(page: bytes) -> bool:
    state, _, version, crc = struct.unpack_from("<IIB19xI", page)
    return state in (ACTIVE, FULL, FREEING) and version == VERSION and crc == _crc(page[4:28])


def _entries(page: bytes) -> list[tuple[bytes, bytes]]:
    """Each entry, and its 8 bytes or what follows it."""
    found = []
    number = 0
    while number < PER_PAGE:
        state = page[32 + number // 4] >> (number % 4 * 2) & 3
        at = FIRST + number * ENTRY
        entry = page[at : at + ENTRY]
        number += 1
        if state != WRITTEN or struct.unpack_from("<I", entry, 4)[0] != _crc(entry[:4] + entry[8:]):
            continue
        content = entry[24:]
        if entry[1] in VARIABLE:
            number += max(entry[2], 1) - 1
            size, crc = struct.unpack_from("<H2xI", entry, 24)
            content = page[at + ENTRY : at + ENTRY + size]
            if crc != _crc(content):
                continue
        found.append((entry, content))
    return found


class _Writer:
    def __init__(self, pages: int) -> None:
        self._room = pages
        self._pages: list[bytearray] = []
        self._used = PER_PAGE
        self._need(1)

    def image(self) -> bytes:
        return b"".join(self._pages)

    def single(self, space: int, kind: int, key: str, content: bytes) -> None:
        self._need(1)
        self._put(_entry(space, kind, 1, ANY_CHUNK, key, content), b"")

    def variable(self, space: int, kind: int, key: str, content: bytes, chunk: int = ANY_CHUNK) -> None:
        span = 1 + -(-len(content) // ENTRY)
        self._need(span)
        about = struct.pack("<HHI", len(content), 0xFFFF, _crc(content))
        self._put(_entry(space, kind, span, chunk, key, about), content)

    def blob(self, space: int, key: str, value: bytes) -> None:
        """In chunks that fill the pages, then its index."""
        left, chunks = value, 0
        self._need(2)
        while True:
            room = (PER_PAGE - self._used - 1) * ENTRY
            part, left = left[:room], left[room:]
            self.variable(space, BLOB_DATA, key, part, chunks)
            chunks += 1
            if not left:
                break
            self._new_page()
        self.single(space, BLOB_INDEX, key, struct.pack("<IBBH", len(value), chunks, 0, 0xFFFF))

    def _need(self, entries: int) -> None:
        if self._used + entries > PER_PAGE:
            self._new_page()

    def _new_page(self) -> None:
        if len(self._pages) == self._room:
            raise NvsError(*NOT_ENOUGH_SPACE)
        if self._pages:
            struct.pack_into("<I", self._pages[-1], 0, FULL)
        page = bytearray(b"\xff" * PAGE)
        struct.pack_into("<IIB", page, 0, ACTIVE, len(self._pages), VERSION)
        struct.pack_into("<I", page, 28, _crc(page[4:28]))
        self._pages.append(page)
        self._used = 0

    def _put(self, entry: bytes, content: bytes) -> None:
        page = self._pages[-1]
        at = FIRST + self._used * ENTRY
        page[at : at + ENTRY + len(content)] = entry + content
        for number in range(self._used, self._used + entry[2]):
            page[32 + number // 4] &= ~(1 << number % 4 * 2)
        self._used += entry[2]


def _entry(space: int, kind: int, span: int, chunk: int, key: str, content: bytes) -> bytes:
    head = bytes((space, kind, span, chunk))
    rest = key.encode().ljust(16, b"\0") + content.ljust(8, b"\xff")
    return head + struct.pack("<I", _crc(head + rest)) + rest


class ChipNvs(NvsPartition):
    """The NVS partition of a chip image."""

    def __init__(self, image: Path, offset: int, size: int) -> None:
        self._image, self._offset, self._size = image, offset, size
        with open(image, "rb") as file:
            file.seek(offset)
            found = parse(file.read(size))
        self._others = found.others
        super().__init__(found.values)

    def _room(self, values: dict[str, dict[str, Value]]) -> None:
        build(values, self._size, self._others)

    def _save(self) -> None:
        with open(self._image, "r+b", buffering=0) as file:
            file.seek(self._offset)
            file.write(build(self.stored, self._size, self._others))
