"""Ports of simulated boards on this computer need no waits: pyserial and esptool look for answers sooner."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import serial.rfc2217

from kanhu.sim.board import HASTE, hasty

PATH = "PYTHONPATH"
SOONER = 50  # times


class _Time:
    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(seconds / SOONER)


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """So in this process and in every program that it starts (kanhu.sim.board.hasty), until it ends."""
    client: Any = serial.rfc2217
    before, path = client.time, os.environ.get(PATH)
    client.time = _Time()
    if str(HASTE) not in (path or "").split(os.pathsep):
        os.environ[PATH] = hasty()[PATH]
    try:
        yield
    finally:
        client.time = before
        if path is None:
            os.environ.pop(PATH, None)
        else:
            os.environ[PATH] = path
