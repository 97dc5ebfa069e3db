"""NVS partition of a simulated hub, kept in a file; values reach the file at commit, all of them or none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import cbor2

Value = int | bytes
T = TypeVar("T", int, bytes)

NOT_FOUND = (-0x1102, "ESP_ERR_NVS_NOT_FOUND")
TYPE_MISMATCH = (-0x1103, "ESP_ERR_NVS_TYPE_MISMATCH")
NOT_ENOUGH_SPACE = (-0x1105, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")
INVALID_NAME = (-0x1106, "ESP_ERR_NVS_INVALID_NAME")
KEY_TOO_LONG = (-0x1109, "ESP_ERR_NVS_KEY_TOO_LONG")

MAX_NAME = 15  # characters of a key or namespace (ESP-IDF NVS_KEY_NAME_MAX_SIZE less the end mark)
ENTRIES = 5 * 126  # 24 kB partition: 6 pages of 126 entries, one kept free for compaction
ENTRY = 32  # bytes


class NvsError(Exception):
    """An ESP-IDF error: args are its number, negative, and its name."""


class Nvs:
    """Namespaces of i32 and blob values. What a process set and did not commit is lost when it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stored: dict[str, dict[str, Value]] = cbor2.loads(path.read_bytes()) if path.exists() else {}
        self._pending: dict[str, dict[str, Value | None]] = {}

    def open(self, space: str) -> None:
        if not 0 < len(space) <= MAX_NAME:
            raise NvsError(*INVALID_NAME)

    def get(self, space: str, key: str, kind: type[T]) -> T:
        self._check(key)
        value = self._view(space).get(key)
        if value is None:
            raise NvsError(*NOT_FOUND)
        if not isinstance(value, kind):
            raise NvsError(*TYPE_MISMATCH)
        return value

    def set(self, space: str, key: str, value: Value) -> None:
        self._check(key)
        used = sum(_entries(v) for name in {*self.stored, space} for v in self._view(name).values())
        if used + _entries(value) > ENTRIES:
            raise NvsError(*NOT_ENOUGH_SPACE)
        self._pending.setdefault(space, {})[key] = value

    def erase(self, space: str, key: str) -> None:
        self._check(key)
        if key not in self._view(space):
            raise NvsError(*NOT_FOUND)
        self._pending.setdefault(space, {})[key] = None

    def commit(self, space: str) -> None:
        if space not in self._pending:
            return
        self.stored[space] = self._view(space)
        del self._pending[space]
        scratch = self.path.with_suffix(".nvs-new")
        scratch.write_bytes(cbor2.dumps(self.stored))
        os.replace(scratch, self.path)

    def forget_uncommitted(self) -> None:
        self._pending.clear()

    def _view(self, space: str) -> dict[str, Value]:
        merged: dict[str, Value | None] = {**self.stored.get(space, {}), **self._pending.get(space, {})}
        return {key: value for key, value in merged.items() if value is not None}

    def _check(self, key: str) -> None:
        if len(key) > MAX_NAME:
            raise NvsError(*KEY_TOO_LONG)
        if not key:
            raise NvsError(*INVALID_NAME)


def _entries(value: Value) -> int:
    return 1 if isinstance(value, int) else 2 + -(-len(value) // ENTRY)  # a blob: index, header, chunks
