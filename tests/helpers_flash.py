"""A board for tests of what happens around esptool: it is what was written to it, without a process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from helpers_firmware import loaded
from kanhu.install.bundle import Bundle
from kanhu.install.flash import console, esptool, judge, troubles
from kanhu.install.flash.console import Start
from kanhu.install.flash.esptool import Chip, Part
from kanhu.install.flash.judge import Expected
from kanhu.install.flash.plan import Plan, Result
from kanhu.install.flash.ports import Port
from kanhu.install.flash.work import Work
from kanhu.registry import Registry
from kanhu.sim.board.nvs import parse

Step = Callable[["FakeBoard", str], None]  # called with the step that begins; raises what goes wrong


class FakeBoard:
    """One board at a port: what esptool and its console would find."""

    def __init__(self, url: str, chip: str = "esp32", mac: str = "240ac4000001", flash_mb: int = 4) -> None:
        self.port = Port(url)
        self.chip = Chip(chip, mac, flash_mb << 20)
        self.nvs: dict[str, Any] = {}
        self.bundle: Expected | None = None
        self.held: dict[str, Any] = {"urgent": 0, "events": []}
        self.changes: dict[str, Any] = {}  # of the self-test's facts
        self.bauds: list[int] = []
        self.steps: list[str] = []
        self.before: Step = lambda board, step: None
        self.slow: set[str] = set()  # steps that take for ever

    async def begin(self, step: str) -> None:
        self.steps.append(step)
        self.before(self, step)
        await asyncio.sleep(60 if step in self.slow else 0)

    def facts(self) -> dict[str, Any]:
        assert self.bundle is not None
        return {
            "hub": self.nvs["hub_id"].decode(), "generation": self.nvs["generation"],
            "key": judge.fingerprint(self.nvs["key"]), "boot": 1, "firmware": self.bundle.version,
            "slot": "/a", "held": self.held, "mac": self.chip.mac, "trees": dict(self.bundle.trees),
            "flash_free": 1 << 20, "heap_free": 100_000, "radio": True, "wifi": True, "pins": {"4": True},
            "clock_ms": 50, **self.changes,
        }  # fmt: skip

    def write(self, parts: Sequence[Part]) -> None:
        for part in parts:
            if part.name == "nvs":
                self.nvs = parse(Path(part.path).read_bytes()).values["kanhu"]
        self.bundle = EXPECTED[self.chip.chip]


class FakeConsole:
    """Stands for console.Console."""

    def __init__(self, board: FakeBoard) -> None:
        self.board = board

    def ask(self, call: str) -> dict[str, Any]:
        self.board.steps.append(call.partition("(")[0])
        self.board.before(self.board, call.partition("(")[0])
        return {} if call.startswith("passed") else self.board.facts()

    def reset(self) -> bool:
        return True

    def close(self) -> None:
        pass


EXPECTED: dict[str, Expected] = {}


def plan(data_dir: Path, chips: Sequence[str] = ("esp32",), **options: Any) -> Plan:
    """A plan with the tests' own bundles."""
    return Plan({chip: _known(chip) for chip in chips}, data_dir, **{"return_s": 0.2, **options})


@cache
def _known(chip: str) -> tuple[Bundle, Expected]:
    made = loaded(chip)
    EXPECTED[chip] = Expected.of(made)
    return made, EXPECTED[chip]


def install(monkeypatch: pytest.MonkeyPatch, boards: Sequence[FakeBoard]) -> None:
    """These boards are plugged in, and nothing else."""
    at = {board.port.url: board for board in boards}

    async def identify(port: str) -> Chip:
        await at[port].begin("identify")
        return at[port].chip

    async def write(
        port: str, chip: str, parts: Sequence[Part], baud: int, progress: Any, keep: Sequence[int] = ()
    ) -> dict[str, str]:
        at[port].bauds.append(baud)
        await at[port].begin("write")
        progress("micropython", 0.5)
        at[port].write(parts)
        return {part.name: "written" for part in parts}

    async def verify(
        port: str, chip: str, parts: Sequence[Part], baud: int, keep: Sequence[int] = (), after: str = ""
    ) -> list[str]:
        await at[port].begin("verify")
        return [] if at[port].bundle else [part.name for part in parts]

    async def read(port: str, chip: str, offset: int, size: int, path: str) -> None:
        await at[port].begin("read")
        Path(path).write_bytes(b"\xaa\x50" if at[port].bundle else b"\xff\xff")

    async def restart(port: str) -> None:
        at[port].steps.append("restart")

    def opened(port: Port, mac: str, stop: Any, note: Any) -> tuple[FakeConsole, Start]:
        board = at[port.url]
        board.steps.append("start")
        board.before(board, "start")
        if "start" in board.slow:
            stop.wait(60)
            raise console.Stopped
        if board.bundle is None:
            return FakeConsole(board), Start(loops=9, empty=True)
        return FakeConsole(board), Start(board.nvs["hub_id"].decode(), 1)

    for name, what in (
        ("identify", identify), ("write", write), ("verify", verify), ("read", read), ("restart", restart)
    ):  # fmt: skip
        monkeypatch.setattr(esptool, name, what)
    monkeypatch.setattr(console, "opened", opened)


def fails(step: str, times: int, again: bool = True) -> Step:
    """Trouble the first times that a step begins."""
    left = [times]

    def before(board: FakeBoard, now: str) -> None:
        if now == step and left[0]:
            left[0] -= 1
            raise troubles.Trouble(f"{step} went wrong", again)

    return before


async def flash(board: FakeBoard, registry: Registry, wanted: Plan) -> Result:
    """All of the work on one board."""
    return await Work(board.port, wanted, registry).run()
