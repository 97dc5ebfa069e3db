"""Many boards of one session: one's trouble is its own, what was broken off goes on, reports."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from helpers_flash import FakeBoard, fails, flash, install, plan
from kanhu.install.flash import report, session
from kanhu.install.flash.plan import Result
from kanhu.install.flash.session import Journal, SessionError
from kanhu.registry import Registry, RegistryError
from kanhu.registry.boards import Boards

STEPS = ("identify", "read", "write", "verify", "start")


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


async def test_one_board_at_two_ports(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = [FakeBoard("uart"), FakeBoard("usb")]
    install(monkeypatch, boards)
    results = await everything(boards, registry, tmp_path)
    assert sorted(result.state for result in results) == ["passed", "refused"]
    assert len(Boards(registry).all()) == 1


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
