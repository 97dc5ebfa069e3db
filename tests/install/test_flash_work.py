"""One board's way: what is written, tried again, and found by the self-test."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from helpers_flash import FakeBoard, fails, flash, plan
from kanhu.install.bundle import load
from kanhu.install.flash import report
from kanhu.install.flash.ports import Port
from kanhu.install.flash.work import BAUDS
from kanhu.registry import Registry
from kanhu.registry.boards import Boards


async def test_a_bare_board_becomes_a_hub(board: FakeBoard, registry: Registry, tmp_path: Path) -> None:
    result = await flash(board, registry, plan(tmp_path))
    assert (result.state, result.attempts, result.baud) == ("passed", 1, BAUDS[0])
    assert registry.keys(result.hub) == {1: board.nvs["key"]}
    assert board.nvs["hub_id"] == result.hub.encode()
    assert len(board.nvs["commission"]) == 16
    assert "boot" not in board.nvs
    assert set(result.regions) == {"bootloader", "partitions", "nvs", "micropython", "vfs"}
    assert board.steps == ["identify", "read", "write", "verify", "start", "run", "passed"]


async def test_the_second_time_changes_nothing(board: FakeBoard, registry: Registry, tmp_path: Path) -> None:
    first = await flash(board, registry, plan(tmp_path))
    key, board.steps = board.nvs["key"], []
    second = await flash(board, registry, plan(tmp_path))
    assert (second.state, second.hub, second.generation) == ("unchanged", first.hub, 1)
    assert board.nvs["key"] == key
    assert "write" not in board.steps
    assert "nvs" not in second.regions  # it lives, and so does the file system
    assert "vfs" not in second.regions


@pytest.mark.parametrize(
    "change", [{"key": "0" * 16}, {"firmware": "0.0.1"}, {"trees": {}}, {"radio": "failed"}]
)
async def test_what_is_not_as_it_was_is_written_anew(
    board: FakeBoard, registry: Registry, tmp_path: Path, change: dict[str, Any]
) -> None:
    first = await flash(board, registry, plan(tmp_path))
    board.changes = change
    write = board.write

    def mended(parts: Any) -> None:
        board.changes = {}
        write(parts)

    board.write = mended  # type: ignore[method-assign]
    second = await flash(board, registry, plan(tmp_path))
    assert (second.state, second.hub, second.generation) == ("passed", first.hub, 2)
    assert board.nvs["boot"] == 10_000
    assert sorted(registry.keys(first.hub)) == [1, 2]


async def test_slower_and_slower(board: FakeBoard, registry: Registry, tmp_path: Path) -> None:
    board.before = fails("write", 2)
    result = await flash(board, registry, plan(tmp_path))
    assert (result.state, result.attempts, result.baud) == ("passed", 3, BAUDS[2])
    assert board.bauds == list(BAUDS)


@pytest.mark.parametrize("step", ["identify", "read", "run"])
async def test_what_stumbles_once(
    step: str, board: FakeBoard, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kanhu.install.flash.work.POLL_S", 0.01)
    board.before = fails(step, 1)
    result = await flash(board, registry, plan(tmp_path))
    assert (result.state, result.attempts) == ("passed", 1)


async def test_a_board_that_cannot_be_written(board: FakeBoard, registry: Registry, tmp_path: Path) -> None:
    board.before = fails("write", 99)
    result = await flash(board, registry, plan(tmp_path))
    assert (result.state, result.sentence) == ("failed", "write went wrong")
    assert board.bauds == [*BAUDS, BAUDS[-1]]
    row = Boards(registry).of(board.chip.mac)
    assert row is not None
    assert row.state == "aborted"
    assert registry.keys(row.hub) == {}
    assert board.steps[-1] == "restart"


async def test_a_board_that_stays_away(board: FakeBoard, registry: Registry, tmp_path: Path) -> None:
    def gone(one: FakeBoard, step: str) -> None:
        if step == "write":
            one.before = fails("identify", 99)
            fails("write", 1)(one, step)

    board.before = gone
    result = await flash(board, registry, plan(tmp_path))
    assert result.state == "failed"
    assert "plug it in again" in result.sentence


async def test_another_board_at_the_same_port(board: FakeBoard, registry: Registry, tmp_path: Path) -> None:
    def swapped(one: FakeBoard, step: str) -> None:
        if step == "write":
            one.chip = type(one.chip)("esp32", "240ac4ffffff", 4 << 20)
            fails("write", 1)(one, step)

    board.before = swapped
    result = await flash(board, registry, plan(tmp_path))
    assert (result.state, result.mac) == ("failed", "240ac4000001")
    assert "another board was plugged in (240ac4ffffff)" in result.sentence
    assert len(Boards(registry).all()) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hub": "0000000000"}, "runs as hub 0000000000"),
        ({"generation": 7}, "another key"),
        ({"firmware": "9.9.9"}, "version 9.9.9"),
        ({"trees": {"/a": "", "/safe": "", "/boot.py": "", "/main.py": ""}}, "/safe on it is not"),
        ({"wifi": False}, "Wi-Fi does not come on"),
        ({"pins": {"4": "failed: ValueError()", "13": True}}, "pin 4 of its wiring"),
        ({"clock_ms": 0}, "clock does not run"),
        ({"heap_free": 9}, "bytes of memory"),
        ({"flash_free": 9}, "bytes of flash"),
        ({"mac": "240ac4000009"}, "the chip says it is 240ac4000009"),
    ],
)
async def test_a_self_test_that_finds_something(
    board: FakeBoard, registry: Registry, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    board.changes = change
    result = await flash(board, registry, plan(tmp_path))
    assert result.state == "failed"
    assert words in result.sentence
    assert registry.keys(result.hub) == {}


async def test_a_bundle_that_changes_after_it_was_checked(
    board: FakeBoard, registry: Registry, tmp_path: Path
) -> None:
    wanted = plan(tmp_path)
    made, expected = wanted.bundles["esp32"]
    folder = tmp_path / "bundle"
    shutil.copytree(made.folder, folder)
    moved = load(folder, [made.signer])
    wanted.bundles["esp32"] = moved, expected
    path = moved.region("micropython").path
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    result = await flash(board, registry, wanted)
    assert result.state == "failed"
    assert "is not what was signed" in result.sentence
    assert "write" not in board.steps


async def test_what_a_hostile_board_says(board: FakeBoard, registry: Registry, tmp_path: Path) -> None:
    board.port = Port("one", serial="=1+1\x1b[2J")
    await flash(board, registry, plan(tmp_path))
    board.changes = {"firmware": "\x1b]0;mine\x07\x00"}
    board.before = lambda one, step: one.changes.update(hub="[/red]\x1b[2J") if step == "write" else None
    result = await flash(board, registry, plan(tmp_path))
    assert "it runs as hub [/red]?[2J instead of" in result.sentence
    paths = report.write(tmp_path / "report", [result], plan(tmp_path), 1)
    assert next(csv.DictReader(io.StringIO(paths[1].read_text())))["serial"] == "'=1+1?[2J"
    ElementTree.fromstring(paths[2].read_text())  # noqa: S314  # our own
    assert not any("\x1b" in path.read_text() for path in paths)
