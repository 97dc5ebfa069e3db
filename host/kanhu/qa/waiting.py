"""Waiting for what must come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.05


def wait_for(look: Callable[[], T | None], timeout: float, why: Callable[[], str]) -> T:
    """What look gives once it gives something; TimeoutError with why()."""
    end = time.monotonic() + timeout
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > end:
            raise TimeoutError(why())
        time.sleep(POLL_S)
