"""What a command asks of a running daemon by a file."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from kanhu import requests
from kanhu.ending import end


async def test_what_was_asked_long_ago_is_not_done(tmp_path: Path) -> None:
    folder = tmp_path / requests.FOLDER
    folder.mkdir()
    for token, age_s in (("a-old", requests.ANSWER_S + 5), ("b-new", 0.0)):
        path = folder / f"{token}.ask"
        path.write_text(json.dumps({"do": token}), encoding="utf-8")
        os.utime(path, (time.time() - age_s,) * 2)
    done: list[Any] = []

    async def handle(request: dict[str, Any]) -> dict[str, Any]:
        done.append(request["do"])
        return {}

    watching = asyncio.ensure_future(requests.watch(tmp_path, handle))
    async with asyncio.timeout(20):
        while not (folder / "b-new.answer").exists():
            await asyncio.sleep(0.02)
    await end([watching])
    assert done == ["b-new"]
    assert not (folder / "a-old.ask").exists()


async def test_one_who_takes_an_answer_away_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / requests.FOLDER
    folder.mkdir()
    for name in ("a.ask", "b.answer", "c.ask"):
        (folder / name).write_text("{}", encoding="utf-8")

    async def handle(request: dict[str, Any]) -> dict[str, Any]:
        (folder / "b.answer").unlink(missing_ok=True)
        return {}

    monkeypatch.setattr(requests, "ANSWER_S", 600.0)  # it must not come to that
    watching = asyncio.ensure_future(requests.watch(tmp_path, handle))
    async with asyncio.timeout(20):
        while not (folder / "c.answer").exists():
            await asyncio.sleep(0.02)
    await end([watching])


async def test_an_interrupted_command_leaves_nothing_to_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(requests.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        requests.ask(tmp_path, {"do": "faults.close_fault"})
    assert not list((tmp_path / requests.FOLDER).iterdir())
