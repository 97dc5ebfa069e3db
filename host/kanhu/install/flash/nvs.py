"""A board's NVS partition, which holds its key: built in memory, and never on a disk that keeps it."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kanhu.errors import KanhuError

NAMESPACE = "kanhu"
PAGE = 4096  # bytes


def image(size: int, values: Mapping[str, int | bytes]) -> bytes:
    """The partition of `size` bytes with the namespace kanhu in it; KanhuError when it does not fit."""
    # Its own program wants files; nothing else of the package is imported elsewhere.
    from esp_idf_nvs_partition_gen import nvs_partition_gen as generator

    out = io.BytesIO()
    try:
        # One page stays free, for the chip to move entries through.
        with generator.nvs_open(out, size - PAGE, generator.Page.VERSION2) as nvs:
            generator.write_entry(nvs, NAMESPACE, "namespace", "", "")
            for key, value in values.items():
                if isinstance(value, int):
                    generator.write_entry(nvs, key, "data", "i32", str(value))
                else:
                    generator.write_entry(nvs, key, "data", "hex2bin", value.hex())
    except generator.InsufficientSizeError:
        raise KanhuError(f"what a hub needs to know does not fit into {size} bytes of NVS") from None
    made = out.getvalue()
    if len(made) != size:
        raise KanhuError(
            f"NVS came out with {len(made)} bytes instead of {size}: another generator is installed"
        )
    return made


@contextmanager
def secret_file(data: bytes, platform: str = sys.platform) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A path under which a program that we start can read data, and the descriptors it must inherit.

    On Linux it is in memory; elsewhere a file of mode 0600, overwritten and removed at the end."""
    if platform.startswith("linux"):
        handle = os.memfd_create("kanhu", os.MFD_CLOEXEC)
        try:
            os.write(handle, data)
            yield f"/proc/self/fd/{handle}", (handle,)
        finally:
            os.close(handle)
        return
    handle, name = tempfile.mkstemp(prefix="kanhu-", suffix=".bin")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        yield name, ()
    finally:
        wipe(Path(name), len(data))


def wipe(path: Path, size: int) -> None:
    """Overwrite a file with zeros and remove it."""
    try:
        with path.open("r+b") as file:
            file.write(bytes(size))
            file.flush()
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)
