"""What `--no-flash` needs of the run before: who the boards are, their keys, and the port they call."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kanhu.pki.files import write_private
from kanhu.qa.hub import Hub
from kanhu.qa.rig import RigTrouble

NOTE, REGISTRY = "bench.json", "registry.db"


def state_dir() -> Path:
    """Under $XDG_STATE_HOME, else ~/.local/state."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "kanhu" / "qa"


class Kept:
    """Of one bench.toml; the folder is this user's alone, for it holds hubs' keys."""

    def __init__(self, bench_file: Path) -> None:
        self._file = bench_file
        name = hashlib.sha256(str(bench_file.resolve()).encode()).hexdigest()[:16]
        self._folder = state_dir() / name
        self._note: dict[str, Any] | None = None

    @property
    def proxy_port(self) -> int:
        """Where the hubs look for their broker; RigTrouble."""
        return int(self._read()["proxy_port"])

    def mac(self, hub: str) -> str:
        """Of a hub by its name in bench.toml; RigTrouble."""
        found = self._read()["macs"].get(hub)
        if not isinstance(found, str):
            raise RigTrouble(f"{hub} of {self._file} was never flashed: leave --no-flash out once")
        return found

    def last_mac(self, hub: str) -> str:
        """Of the board that the run before wrote under this name; "" where nothing is known."""
        with contextlib.suppress(RigTrouble):
            return self.mac(hub)
        return ""

    def restore(self, data_dir: Path) -> None:
        """The registry of the run before, for this one's daemon; RigTrouble."""
        self._read()
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy(self._folder / REGISTRY, data_dir / REGISTRY)

    def save(self, data_dir: Path, proxy_port: int, hubs: Sequence[Hub]) -> None:
        """For the next run."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy(data_dir / REGISTRY, self._folder / REGISTRY)
        note = {"proxy_port": proxy_port, "macs": {hub.name: hub.mac for hub in hubs}}
        write_private(self._folder / NOTE, json.dumps(note).encode())

    def _read(self) -> dict[str, Any]:
        if self._note is None:
            try:
                self._note = dict(json.loads((self._folder / NOTE).read_text(encoding="utf-8")))
            except (OSError, ValueError):
                raise RigTrouble(
                    f"nothing is known of a run with {self._file} before: leave --no-flash out once"
                ) from None
        return self._note


def _copy(source: Path, target: Path) -> None:
    fresh = target.with_name(f".{target.name}.new")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL, 0o600))
    with (
        contextlib.closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as old,
        contextlib.closing(sqlite3.connect(fresh)) as new,
    ):
        old.backup(new)
    fresh.replace(target)
