"""The hub's file system as it is flashed: a littlefs volume that MicroPython's VfsLfs2 mounts.

Same files, same bytes: littlefs stamps no times, and files are written in order of their paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from littlefs import LittleFS, LittleFSError
from littlefs.context import UserContext

from kanhu.errors import KanhuError

BLOCK = 4096  # bytes erased at once, as esp32.Partition counts blocks
UNIT = 32  # bytes read or programmed at once; VfsLfs2's default
MARGIN = 8  # blocks beyond what files and folders need, for littlefs to copy metadata to
TRIES = 20


class FilesystemError(KanhuError):
    """The files do not fit, or these bytes are no file system: one sentence."""


def make(files: Mapping[str, bytes], size: int) -> bytes:
    """The beginning of a volume for a partition of so many bytes, free behind it; FilesystemError.

    The volume is made small and grown, so that flashing writes little. Every block that littlefs has given
    out is in the image, written or not: else the empty half of a pair might be an older volume's, and win."""
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    blocks = sum(-(-len(data) // BLOCK) for data in files.values()) + 2 * len(folders) + MARGIN
    for _ in range(TRIES):
        if blocks > size // BLOCK:
            break
        image = _try(files, blocks, size // BLOCK)
        if image is not None:
            return image
        blocks += max(1, blocks // 10)
    total = sum(map(len, files.values()))
    raise FilesystemError(f"{len(files)} files of {total} bytes do not fit in a partition of {size} bytes")


def read(image: bytes, size: int) -> dict[str, bytes]:
    """Path -> bytes of every file on a volume; FilesystemError."""
    buffer = bytearray(image.ljust(size, b"\xff"))
    try:
        volume = unmounted(buffer, size // BLOCK)
        volume.mount()
        return files_on(volume)
    except (LittleFSError, OSError, UnicodeDecodeError) as error:
        raise FilesystemError(f"no file system that can be mounted: {error}") from None


def files_on(volume: LittleFS) -> dict[str, bytes]:
    """Path -> bytes of every file on a mounted volume; LittleFSError."""
    files = {}
    for folder, _, names in volume.walk("/"):
        for name in names:
            path = f"{folder.rstrip('/')}/{name}"
            with volume.open(path, "rb") as file:
                files[path] = file.read()
    return files


def unmounted(buffer: bytearray, blocks: int) -> LittleFS:
    """A volume of so many blocks in a buffer, as VfsLfs2 has it."""
    context = UserContext(len(buffer))
    context.buffer = buffer
    return LittleFS(
        context=context, block_size=BLOCK, block_count=blocks, read_size=UNIT, prog_size=UNIT, mount=False
    )


def _try(files: Mapping[str, bytes], blocks: int, whole: int) -> bytes | None:
    buffer = bytearray(b"\xff" * (whole * BLOCK))
    volume = unmounted(buffer, blocks)
    try:
        volume.format()
        volume.mount()
        for path in sorted(files):
            volume.makedirs(path.rpartition("/")[0] or "/", exist_ok=True)
            with volume.open(path, "wb") as file:
                file.write(files[path])
        if whole > blocks:
            volume.fs_grow(whole)
        volume.unmount()
    except LittleFSError as error:
        if error.code == LittleFSError.Error.LFS_ERR_NOSPC:
            return None
        raise FilesystemError(f"littlefs: {error}") from None
    if buffer[blocks * BLOCK :].strip(b"\xff"):
        return None  # growing wrote behind: with more room it does not
    return bytes(buffer[: blocks * BLOCK])
