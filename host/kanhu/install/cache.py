"""What was fetched once stays in the cache, and is believed only while it is whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def cached(path: Path, whole: Callable[[bytes], bool], fetch: Callable[[], bytes]) -> bytes:
    """The file's bytes if they are whole, else fetched, and kept in it where that is possible."""
    try:
        data = path.read_bytes()
        if whole(data):
            return data
    except OSError:
        pass  # not there yet, or not readable: fetched again
    data = fetch()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as scratch:
            scratch.write(data)
        os.replace(scratch.name, path)
    except OSError:
        pass  # an unwritable cache costs time only
    return data
