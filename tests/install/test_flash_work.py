"""One board's way, and that of many: what is written, refused, tried again, broken off, reported."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from helpers_flash import FakeBoard, fails, install, plan
from kanhu.install.bundle import load
from kanhu.install.flash import report, session
from kanhu.install.flash.plan import Plan, Result
from kanhu.install.flash.ports import Port
from kanhu.install.flash.session import Journal, SessionError
from kanhu.install.flash.work import BAUDS, Work
from kanhu.journal.schema import MIGRATIONS
from kanhu.registry import Registry, RegistryError
from kanhu.registry.boards import Boards

STEPS = ("identify", "read", "write", "verify", "start")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry.open(tmp_path)
    yield made
    made.close()


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    made = FakeBoard("one")
    install(monkeypatch, [made])
    return made


async def flash(board: FakeBoard, registry: Registry, wanted: Plan) -> Result:
    return await Work(board.port, wanted, registry).run()


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


async def test_one_board_at_two_ports(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = [FakeBoard("uart"), FakeBoard("usb")]
    install(monkeypatch, boards)
    results = await everything(boards, registry, tmp_path)
    assert sorted(result.state for result in results) == ["passed", "refused"]
    assert len(Boards(registry).all()) == 1


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


async def test_a_mistake_of_ours_ends_one_board_only(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = [FakeBoard(f"port{n}", mac=f"240ac400000{n}") for n in range(3)]
    install(monkeypatch, boards)

    def broken(one: FakeBoard, step: str) -> None:
        if step == "verify":
            raise ZeroDivisionError

    boards[1].before = broken
    results = await everything(boards, registry, tmp_path)
    assert [result.state for result in results] == ["passed", "failed", "passed"]
    assert "please report this" in results[1].sentence


async def everything(
    boards: list[FakeBoard], registry: Registry, folder: Path, **options: Any
) -> list[Result]:
    journal = Journal(folder / session.FILE)
    wanted = plan(folder, **options)
    return await session.run(
        [board.port for board in boards], wanted, registry, journal, 8, lambda works: None, lambda work: None
    )


@pytest.mark.parametrize("step", STEPS)
async def test_broken_off_at_every_step(
    step: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = [FakeBoard(f"port{n}", mac=f"240ac400000{n}") for n in range(2)]
    install(monkeypatch, boards)
    boards[1].slow = {step}
    task = asyncio.create_task(everything(boards, registry, tmp_path))
    async with asyncio.timeout(20):
        while step not in boards[1].steps or "passed" not in boards[0].steps:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await task
    rows = {row.mac: row for row in Boards(registry).all()}
    assert rows[boards[0].chip.mac].state == "trusted"
    half = rows.get(boards[1].chip.mac)
    assert half is None or (half.state == "aborted" and registry.keys(half.hub) == {})
    kept = Journal.read(tmp_path)
    assert kept.boards[boards[0].chip.mac]["state"] == "passed"
    assert kept.passed() == {boards[0].chip.mac}

    boards[1].slow = set()
    boards[0].steps = []
    results = await everything(boards, registry, tmp_path, passed=kept.passed())
    assert [result.state for result in results] == ["unchanged", "passed"]
    assert boards[0].steps == ["identify", "restart"]
    if half:
        assert results[1].hub == half.hub
        assert registry.keys(half.hub) == {half.generation + 1: boards[1].nvs["key"]}


async def test_boards_of_a_session_that_are_not_there(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = [FakeBoard(f"port{n}", mac=f"240ac400000{n}") for n in range(3)]
    install(monkeypatch, boards)
    boards[1].before = fails("verify", 99)
    await everything(boards, registry, tmp_path)
    kept = Journal.read(tmp_path)
    results = await everything(boards[:1], registry, tmp_path)
    (missing,) = kept.missing(results)
    assert (missing.mac, missing.state, missing.good) == (boards[1].chip.mac, "missing", False)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": 9, "bundles": {}, "boards": {}}', '{"format": 1, "bundles": 5}']
)
def test_a_session_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="no session to continue"):
        Journal.read(tmp_path)
    (tmp_path / session.FILE).write_text(text)
    with pytest.raises(SessionError, match="without --resume"):
        Journal.read(tmp_path)


async def test_reports(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boards = [
        FakeBoard("one"),
        FakeBoard("two", "esp32c3", "240ac4000002"),
        FakeBoard("three", mac="240ac4000003"),
    ]
    install(monkeypatch, boards)
    boards[2].before = fails("identify", 9, again=False)
    wanted = plan(tmp_path)
    results = await everything(boards, registry, tmp_path)
    paths = report.write(tmp_path / "report", results, wanted, 12.5)
    assert [path.name for path in paths] == ["flash.json", "flash.csv", "flash.xml"]
    found = json.loads(paths[0].read_text())
    assert found["summary"] == {"failed": 1, "passed": 1, "refused": 1}
    assert [row["state"] for row in found["boards"]] == ["passed", "refused", "failed"]
    assert found["bundles"][0]["digest"] == wanted.bundles["esp32"][0].digest
    rows = list(csv.DictReader(io.StringIO(paths[1].read_text())))
    assert [(row["port"], row["state"]) for row in rows] == [
        ("one", "passed"),
        ("two", "refused"),
        ("three", "failed"),
    ]
    suite = ElementTree.fromstring(paths[2].read_text())  # noqa: S314  # our own
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "2", "0")
    assert [case.get("name") for case in suite.iter("testcase")] == ["240ac4000001", "240ac4000002", "three"]
    assert [failure.get("type") for failure in suite.iter("failure")] == ["refused", "failed"]
    secret = [board.nvs[name] for board in boards[:1] for name in ("key", "commission")]
    secret += [registry.mqtt_password(results[0].hub).encode()]
    for path in (*paths, tmp_path / session.FILE):
        for one in secret:
            assert one.hex().encode() not in path.read_bytes()
            assert one not in path.read_bytes()
    (one,) = report.write(tmp_path / "only.csv", results, wanted, 1)
    assert one.read_text().startswith("port,")
    with pytest.raises(report.ReportError, match="ends in"):
        report.kind_of(tmp_path / "report.pdf")


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


async def test_a_board_that_was_only_looked_at_runs_again_after_ctrl_c(
    board: FakeBoard, registry: Registry, tmp_path: Path
) -> None:
    await flash(board, registry, plan(tmp_path))
    board.slow, board.steps = {"verify"}, []
    task = asyncio.create_task(flash(board, registry, plan(tmp_path)))
    async with asyncio.timeout(10):
        while "verify" not in board.steps:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert board.steps == ["identify", "verify", "restart"]


async def test_a_full_disk_is_one_boards_failure(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = [FakeBoard(f"port{n}", mac=f"240ac400000{n}") for n in range(2)]
    install(monkeypatch, boards)
    boards[1].before = fails("write", 99)

    def full(self: Boards, mac: str) -> None:
        raise RegistryError("database or disk is full; nothing was changed")

    monkeypatch.setattr(Boards, "aborted", full)
    results = await everything(boards, registry, tmp_path)
    assert [result.state for result in results] == ["passed", "failed"]
    assert results[1].sentence.endswith("disk is full; nothing was changed")


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
