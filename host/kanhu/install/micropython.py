"""MicroPython's image for a board: fetched once, checked always, taken apart."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2

from kanhu.errors import KanhuError
from kanhu.install import image, partitions
from kanhu.install.boards import Board
from kanhu.install.cache import cached
from kanhu.install.firmware import cache_dir
from kanhu.install.partitions import Partition

IMAGE_MAX = 16 * 1024 * 1024  # bytes
TIMEOUT_S = 30  # without a byte
CHUNK = 65_536  # bytes

# MicroPython's banner, as it lies in every image of it.
_BANNER = re.compile(rb"MicroPython (v\d+\.\d+\.\d+[0-9A-Za-z.+-]*) on \d{4}-")

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all when the server says


class MicroPythonError(KanhuError):
    """The image cannot be had or used: one sentence that says what to do."""


@dataclass(frozen=True)
class MicroPython:
    """An image taken apart."""

    version: str
    sha256: str  # of the file it came in
    bootloader: bytes
    app: bytes


def obtain(board: Board, file: Path | None, sha256: str | None, progress: Progress) -> bytes:
    """The image out of a file, the cache or the net, its hash checked; MicroPythonError."""
    expected = (sha256 or board.micropython.sha256 or "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", expected):
        if sha256:
            raise MicroPythonError("--sha256 must be 64 hexadecimal digits")
        raise MicroPythonError(
            f"no image of MicroPython for {board.name} is known by its hash: download the .bin from"
            f" {board.micropython.page or 'https://micropython.org/download/'} and give it as"
            " --micropython FILE, with the SHA-256 that you got another way (a second machine or network)"
            " as --sha256 HEX"
        )
    if file is not None:
        try:
            data = file.read_bytes()
        except OSError as error:
            raise MicroPythonError(f"{file}: {error.strerror}") from None
        return _checked(data, expected, str(file))
    if board.micropython.url is None or expected != board.micropython.sha256:
        raise MicroPythonError(
            f"nothing says where to fetch this image for {board.name}: give it as --micropython FILE"
        )
    return _cached(board.micropython.url, expected, progress)


def take_apart(data: bytes, board: Board) -> MicroPython:
    """Boot loader and application out of a combined image, whole and for this chip; MicroPythonError."""
    start = board.chip.boot_offset  # where in flash the combined image's first byte belongs
    try:
        size = image.check(data, board.chip, "the boot loader in the MicroPython image", exact=False)
        table = partitions.decode(data[partitions.OFFSET - start :])
        app = _factory(table)
        found = data[app.offset - start : app.end - start]
        length = image.check(found, board.chip, "the application in the MicroPython image", exact=False)
    except (image.ImageError, partitions.PartitionError) as error:
        raise MicroPythonError(f"this MicroPython image cannot be used for {board.name}: {error}") from None
    own = next(one for one in board.partitions if one.name == "factory")
    if length > own.size:
        raise MicroPythonError(
            f"MicroPython, {length} bytes, is larger than {board.name}'s factory partition"
        )
    loader = image.with_flash_size(data[:size], board.flash_size)
    version = _version(found[:length])
    wanted = board.micropython.version
    sha256 = hashlib.sha256(data).hexdigest()
    if wanted is not None and sha256 == board.micropython.sha256 and version != wanted:
        raise MicroPythonError(f"{board.name}'s file says MicroPython {wanted}, but its image is {version}")
    return MicroPython(version, sha256, loader, found[:length])


def _factory(table: tuple[Partition, ...]) -> Partition:
    found = next((one for one in table if (one.type, one.subtype) == partitions.FACTORY), None)
    if found is None:
        raise MicroPythonError(
            "this MicroPython image has no factory partition (an OTA variant): take the plain one"
        )
    return found


def _version(app: bytes) -> str:
    match = _BANNER.search(app)
    if match is None:
        raise MicroPythonError("this image is whole, but it is not MicroPython")
    return match[1].decode()


def _cached(url: str, expected: str, progress: Progress) -> bytes:
    folder = cache_dir().parent / "micropython"
    return cached(
        folder / f"{expected}.bin",
        lambda data: hashlib.sha256(data).hexdigest() == expected,
        lambda: _checked(_fetch(url, progress), expected, url),
    )


def _fetch(url: str, progress: Progress) -> bytes:
    cure = "; or download it elsewhere and give it as --micropython FILE"
    try:
        with httpx2.stream("GET", url, follow_redirects=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code != 200:
                raise MicroPythonError(f"{url}: the server answers {answer.status_code}{cure}")
            length = answer.headers.get("content-length", "")
            total = int(length) if length.isdecimal() else None
            data = bytearray()
            for chunk in answer.iter_bytes(CHUNK):
                data += chunk
                if len(data) > IMAGE_MAX:
                    raise MicroPythonError(f"{url}: more than {IMAGE_MAX} bytes: that is no image{cure}")
                progress(len(data), total)
            return bytes(data)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise MicroPythonError(f"{url}: {str(error) or type(error).__name__}{cure}") from None


def _checked(data: bytes, expected: str, where: str) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise MicroPythonError(
            f"{where}: its SHA-256 is {found}, not {expected}: damaged, changed or another version; not used"
        )
    return data
