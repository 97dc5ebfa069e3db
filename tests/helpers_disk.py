"""A disk that is really small: a tmpfs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """folder, with a tmpfs of this size (as mount takes it) on it."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        why = done.stderr.strip()
        if os.geteuid() or "permission denied" in why.lower():
            pytest.skip(f"not on this platform: this user may not mount a tmpfs ({why})")
        raise OSError(why)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
