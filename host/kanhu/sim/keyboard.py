"""Single keys from the terminal of a person at the desk."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def keyboard() -> Iterator[Callable[[float], str]]:
    """A function that waits up to so many seconds for a key; on a terminal no Enter is needed."""
    source = sys.stdin
    before = termios.tcgetattr(source) if source.isatty() else None
    open_ = True

    def key(timeout: float) -> str:
        nonlocal open_
        if not open_:
            time.sleep(timeout)
            return ""
        if not select.select([source], [], [], timeout)[0]:
            return ""
        data = os.read(source.fileno(), 1).decode(errors="replace")
        open_ = bool(data)
        return data

    if before:
        tty.setcbreak(source)
    try:
        yield key
    finally:
        if before:
            termios.tcsetattr(source, termios.TCSADRAIN, before)
