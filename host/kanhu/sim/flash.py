"""Flash image of a simulated hub: a littlefs volume in a file, with an ESP32 data partition's geometry."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from littlefs import LittleFS, LittleFSError

from kanhu.install import filesystem
from kanhu.install.filesystem import files_on, unmounted

BLOCK = filesystem.BLOCK  # bytes; the erase block of an ESP32's flash
DEFAULT_SIZE = 2 * 1024 * 1024  # bytes; data partition of a 4 MB board
SOURCES = "/a"  # nothing but the firmware lives here


def install(image: Path, files: Mapping[str, bytes], size: int = DEFAULT_SIZE) -> None:
    """Put the firmware on the image (made if absent), take older firmware off, leave data. OSError: full."""
    if size % BLOCK:
        raise ValueError(f"flash size must be a multiple of {BLOCK} bytes")
    fresh = not image.exists()
    buffer = bytearray(b"\xff" * size) if fresh else bytearray(image.read_bytes())
    volume = _mount(buffer, make=fresh)
    old = files_on(volume)
    for path in old:
        if path not in files and (path.startswith(SOURCES + "/") or path in ("/boot.py", "/main.py")):
            volume.remove(path)
    for path, data in files.items():
        if old.get(path) == data:
            continue
        try:
            volume.makedirs(path.rsplit("/", 1)[0] or "/", exist_ok=True)
            with volume.open(path, "wb") as file:
                file.write(data)
        except LittleFSError as error:
            raise OSError(f"{path} does not fit on a flash of {len(buffer)} bytes: {error}") from None
    volume.unmount()
    scratch = image.with_suffix(".new")
    scratch.write_bytes(buffer)
    os.replace(scratch, image)


def read(image: Path, offset: int = 0, size: int | None = None) -> dict[str, bytes]:
    """Path -> bytes of every file on the image, or on that part of it; also of a running hub, as a power cut
    now would leave it."""
    for last in (False,) * 9 + (True,):
        try:
            with open(image, "rb") as file:
                file.seek(offset)
                return files_on(_mount(bytearray(file.read(-1 if size is None else size))))
        except (LittleFSError, OSError):
            if last:
                raise
            time.sleep(0.02)  # the copy straddled a write
    raise AssertionError


def _mount(buffer: bytearray, make: bool = False) -> LittleFS:
    volume = unmounted(buffer, len(buffer) // BLOCK)
    if make:
        volume.format()
    volume.mount()
    return volume
