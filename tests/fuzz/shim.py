"""What the firmware's modules need of MicroPython where CPython reads them: const, cryptolib, sleep_ms."""

from __future__ import annotations

import asyncio
import sys
import types
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class _Aes:
    def __init__(self, key: bytes, mode: int, iv: bytes | None = None) -> None:
        chosen = modes.ECB() if mode == 1 else modes.CBC(iv or bytes(16))
        self._encryptor = Cipher(algorithms.AES(key), chosen).encryptor()

    def encrypt(self, data: Any, out: Any = None) -> bytes:
        result = self._encryptor.update(bytes(data))
        if out is not None:
            out[:] = result
        return result


async def _sleep_ms(_: int) -> None:
    await asyncio.sleep(0)


def install() -> None:
    """Make micropython and cryptolib importable; a wait in milliseconds is one turn of the loop."""
    board: Any = types.ModuleType("micropython")
    board.const = lambda value: value
    sys.modules.setdefault("micropython", board)
    crypto: Any = types.ModuleType("cryptolib")
    crypto.aes = _Aes
    sys.modules.setdefault("cryptolib", crypto)
    loop: Any = asyncio
    loop.sleep_ms = _sleep_ms
