"""Simulated boards: a chip with ROM loader, flash and reset lines, that boots what is in the flash."""

from __future__ import annotations

import os
from pathlib import Path

from .board import Board, BoardError

HASTE = Path(__file__).parent / "haste"  # on PYTHONPATH: programs that open rfc2217:// ports wait less

__all__ = ["HASTE", "Board", "BoardError", "hasty"]


def hasty() -> dict[str, str]:
    """This environment, for an esptool or mpremote that talks to a simulated board."""
    paths = [str(HASTE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
