"""NVS of a simulated hub; values reach its store at commit, all of them or none."""

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


class NvsPartition:
    """Namespaces of i32 and blob values. What a process set and did not commit is lost when it ends."""

    def __init__(self, stored: dict[str, dict[str, Value]]) -> None:
        self.stored = stored
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
        pending = {**self._pending, space: {**self._pending.get(space, {}), key: value}}
        self._room({name: self._view(name, pending) for name in (*self.stored, *pending)})
        self._pending = pending

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
        self._save()

    def forget_uncommitted(self) -> None:
        self._pending.clear()

    def _room(self, values: dict[str, dict[str, Value]]) -> None:
        """NvsError if there is no room for them."""
        raise NotImplementedError

    def _save(self) -> None:
        raise NotImplementedError

    def _view(
        self, space: str, pending: dict[str, dict[str, Value | None]] | None = None
    ) -> dict[str, Value]:
        changed = (self._pending if pending is None else pending).get(space, {})
        merged: dict[str, Value | None] = {**self.stored.get(space, {}), **changed}
        return {key: value for key, value in merged.items() if value is not None}

    def _check(self, key: str) -> None:
        if len(key) > MAX_NAME:
            raise NvsError(*KEY_TOO_LONG)
        if not key:
            raise NvsError(*INVALID_NAME)


class Nvs(NvsPartition):
    """Kept in a file of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(cbor2.loads(path.read_bytes()) if path.exists() else {})

    def _room(self, values: dict[str, dict[str, Value]]) -> None:
        if sum(_entries(value) for space in values.values() for value in space.values()) > ENTRIES:
            raise NvsError(*NOT_ENOUGH_SPACE)

    def _save(self) -> None:
        scratch = self.path.with_suffix(".nvs-new")
        scratch.write_bytes(cbor2.dumps(self.stored))
        os.replace(scratch, self.path)


def _entries(value: Value) -> int:
    return 1 if isinstance(value, int) else 2 + -(-len(value) // ENTRY)  # a blob: index, header, chunks
