"""Boards that are left alone: what does not fit, what is newer, what holds events or is somebody else's."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from helpers_flash import FakeBoard, fails, flash, install, plan
from kanhu.journal.schema import MIGRATIONS
from kanhu.registry import Registry
from kanhu.registry.boards import Boards


async def test_what_does_not_fit(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boards = [FakeBoard("c3", "esp32c3"), FakeBoard("small", "esp32s3", "240ac4000002", 4)]
    install(monkeypatch, boards)
    wanted = plan(tmp_path, ["esp32", "esp32s3"])
    wrong, small = [await flash(board, registry, wanted) for board in boards]
    assert wrong.state == small.state == "refused"
    assert "ESP32-C3" in wrong.sentence
    assert "ESP32, ESP32-S3" in wrong.sentence
    assert "4 MB, and esp32-s3 needs 8 MB" in small.sentence
    assert Boards(registry).all() == []
    assert [board.steps for board in boards] == [["identify", "restart"]] * 2


async def test_another_board_than_the_one_that_was_named_is_left_alone(
    board: FakeBoard, registry: Registry, tmp_path: Path
) -> None:
    result = await flash(board, registry, plan(tmp_path, erase_data=True, mac="240ac40000ff"))
    assert (result.state, board.steps) == ("refused", ["identify", "restart"])
    assert "this is board 240ac4000001, and 240ac40000ff was to be written" in result.sentence
    assert (await flash(board, registry, plan(tmp_path, mac=board.chip.mac))).state == "passed"


async def test_a_newer_board_is_left_alone(board: FakeBoard, registry: Registry, tmp_path: Path) -> None:
    await flash(board, registry, plan(tmp_path))
    board.changes = {"firmware": "7.0.0"}
    key = board.nvs["key"]
    result = await flash(board, registry, plan(tmp_path))
    assert result.state == "refused"
    assert "7.0.0, which is newer" in result.sentence
    assert board.nvs["key"] == key
    row = Boards(registry).of(board.chip.mac)
    assert row is not None
    assert row.state == "trusted"
    board.before = lambda one, step: one.changes.clear() if step == "write" else None
    assert (await flash(board, registry, plan(tmp_path, allow_older=True))).state == "passed"


async def test_events_that_nobody_has(board: FakeBoard, registry: Registry, tmp_path: Path) -> None:
    first = await flash(board, registry, plan(tmp_path))
    board.changes = {"firmware": "0.0.1"}  # so that it wants writing
    board.held = {"urgent": 0, "events": [[1, 0, 4]]}
    board.before = lambda one, step: one.changes.clear() if step == "write" else None
    assert (await flash(board, registry, plan(tmp_path))).state == "passed"  # never in service, and our start

    home = registry.hub(first.hub).home
    with registry._change() as db:
        db.execute("UPDATE homes SET region='cn/42' WHERE id=?", (home,))
    board.changes, board.held = {"firmware": "0.0.1"}, {"urgent": 1, "events": [[0, 3, 7], [1, 0, 4]]}
    result = await flash(board, registry, plan(tmp_path))
    assert result.state == "refused"
    assert "holds 5 events" in result.sentence
    assert "no journal here" in result.sentence

    journal = sqlite3.connect(tmp_path / "journal.db")
    for statements in MIGRATIONS:
        journal.executescript(statements)
    columns = "hub, boot, seq, class, kind, plain, received_ms, link"
    row = f"INSERT INTO events ({columns}) VALUES (?,?,?,5,1,x'',0,'')"  # fixed names
    journal.executemany(row, [(first.hub, 0, seq) for seq in (3, 4)])
    journal.execute("INSERT INTO losses VALUES (?,0,5,6,1,NULL)", (first.hub,))
    journal.commit()
    result = await flash(board, registry, plan(tmp_path))
    assert "holds 1 events that no host here has" in result.sentence
    assert (await flash(board, registry, plan(tmp_path, erase_data=True))).state == "passed"
    board.changes = {"firmware": "0.0.1"}
    journal.execute(row, (first.hub, 0, 7))
    journal.commit()
    journal.close()
    assert (await flash(board, registry, plan(tmp_path))).state == "passed"


async def test_a_hub_that_is_not_ours(board: FakeBoard, registry: Registry, tmp_path: Path) -> None:
    elsewhere = Registry.open(tmp_path / "elsewhere")
    theirs = await flash(board, elsewhere, plan(tmp_path / "elsewhere"))
    elsewhere.close()
    board.held = {"urgent": 0, "events": [[9, 0, 0]]}
    result = await flash(board, registry, plan(tmp_path))
    assert result.state == "refused"
    assert theirs.hub in result.sentence
    board.held = {"urgent": 0, "events": [[1, 0, 3]]}  # of the start that asked
    result = await flash(board, registry, plan(tmp_path))
    assert result.state == "passed"
    assert result.hub != theirs.hub


async def test_a_look_writes_nothing(board: FakeBoard, registry: Registry, tmp_path: Path) -> None:
    result = await flash(board, registry, plan(tmp_path, dry_run=True))
    assert result.state == "planned"
    assert "write" not in board.steps
    assert Boards(registry).all() == []


async def test_a_port_that_somebody_has_open(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = tmp_path / "port"
    port.touch()
    board = FakeBoard(str(port))
    install(monkeypatch, [board])
    holds = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", holds, str(port), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    await other.stdout.readline()
    result = await flash(board, registry, plan(tmp_path))
    other.kill()
    await other.wait()
    assert result.state == "failed"
    assert f"(process {other.pid}) has it open" in result.sentence
    assert board.steps == []


async def test_a_hub_in_service_whose_flashing_was_broken_off(
    board: FakeBoard, registry: Registry, tmp_path: Path
) -> None:
    first = await flash(board, registry, plan(tmp_path))
    with registry._change() as db:
        db.execute("UPDATE homes SET region='cn/42'")
    old = dict(registry.keys(first.hub))

    # Before anything of it was written it still is what it was, and what it holds counts.
    board.changes = {"firmware": "0.0.1"}
    board.before = fails("write", 99)
    assert (await flash(board, registry, plan(tmp_path))).state == "failed"
    assert board.steps[-1] == "restart"
    assert registry.keys(first.hub) == old
    board.before, board.held = lambda one, step: None, {"urgent": 1, "events": [[3, 0, 1]]}
    assert "holds 2 events" in (await flash(board, registry, plan(tmp_path))).sentence

    # After that it seals with a key that nobody has: it can be flashed again, and only then is it heard.
    board.held = {"urgent": 0, "events": []}
    board.before = lambda one, step: one.changes.update(radio="failed") if step == "write" else None
    wrong = (await flash(board, registry, plan(tmp_path))).sentence
    assert "radio does not come on" in wrong
    assert wrong.endswith(f"hub {first.hub} may not be heard before it has been flashed again")
    assert registry.keys(first.hub) == old
    board.before, board.changes = lambda one, step: None, {}
    board.held = {"urgent": 0, "events": [[20_000, 0, 4], [20_001, 0, 4]]}
    again = await flash(board, registry, plan(tmp_path))
    assert (again.state, again.hub) == ("passed", first.hub)
    assert registry.keys(first.hub) == {**old, again.generation: board.nvs["key"]}


async def test_a_hub_that_says_who_it_is_and_nothing_more(
    board: FakeBoard, registry: Registry, tmp_path: Path
) -> None:
    elsewhere = Registry.open(tmp_path / "elsewhere")
    theirs = await flash(board, elsewhere, plan(tmp_path / "elsewhere"))
    elsewhere.close()
    board.before, key = fails("look", 99), board.nvs["key"]
    result = await flash(board, registry, plan(tmp_path))
    assert (result.state, board.nvs["key"]) == ("refused", key)
    assert f"hub {theirs.hub} on it does not tell what it still holds" in result.sentence
