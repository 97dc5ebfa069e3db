"""`python -m kanhu.sim.faults.shifted FILE ARGUMENT..`: the kanhu command on a computer whose clock is wrong.

FILE holds the seconds by which it is wrong, one little-endian double, and may change at any moment."""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path

_OFFSET = struct.Struct("<d")
_real = time.time_ns


def set_offset(file: Path, seconds: float) -> None:
    """Whoever runs on this file's clock is wrong by so much from now on."""
    with file.open("r+b" if file.exists() else "wb") as there:
        there.write(_OFFSET.pack(seconds))


def shift(file: Path) -> None:
    """From here on this process reads the file's clock."""
    with file.open("rb") as source:
        seen = mmap.mmap(source.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)

    def time_ns() -> int:
        return _real() + int(_OFFSET.unpack_from(seen)[0] * 1e9)

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


if __name__ == "__main__":
    shift(Path(sys.argv.pop(1)))
    from kanhu.cli import main

    main()
