"""`kanhu update`: sentences that say what is wrong and what to do, with a daemon that runs and without."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from helpers_cli import Done, Kanhu
from helpers_updates import KEY, Lab, Taker, archive, write_release
from kanhu import requests
from kanhu.cli.update_shown import _picture
from kanhu.install import signing
from kanhu.updates.requests import handler
from kanhu.updates.values import Rollout, Settings, Unit
from kanhu.updates.words import FAILED, WHY

OpenLab = Callable[[], Awaitable[Lab]]


def refused(done: Done, *words: str) -> None:
    """One line, exit 2, these words."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("kanhu: ")]
    assert done.returncode == 2, done
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture
async def served(open_lab: OpenLab) -> Any:
    """A lab that answers requests."""
    lab = await open_lab()
    answering = requests.route({"update": handler(lab.updates)})
    lab.tasks.append(asyncio.ensure_future(requests.watch(lab.updates.releases.folder.parent, answering)))
    return lab


async def aside(work: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(work)


async def test_add_and_list(open_lab: OpenLab, data: Path, tmp_path: Path, kanhu: Kanhu) -> None:
    await open_lab()  # makes the journal, and has added 0.2.0
    path, trust = write_release(tmp_path / "new", "0.3.0")

    def add(source: Path, key: Path = trust) -> Done:
        return kanhu("update", "add", source, "--trust", key, "--data-dir", data)

    done = add(path)
    assert done.returncode == 0, done.stderr
    assert "release 0.3.0 (" in done.stdout
    assert "kanhu update start 0.3.0" in done.stdout
    assert add(path).returncode == 0, "the same again is well"
    found = json.loads(kanhu("update", "list", "--data-dir", data, "--json").stdout)
    assert [one["version"] for one in found] == ["0.3.0", "0.2.0"]
    assert {one["key"] for one in found} == {signing.public_bytes(KEY).hex()}
    assert "0.3.0" in kanhu("update", "list", "--data-dir", data).stdout
    for mode in (
        (data / "releases").stat().st_mode,
        *(one.stat().st_mode for one in (data / "releases").iterdir()),
    ):
        assert not mode & 0o077

    bundle = tmp_path / "bundle"
    bundle.mkdir()
    refused(add(bundle), "application.kfw", "No such file", "folder of a bundle")
    (bundle / "application.kfw").write_bytes(archive("0.4.0"))
    assert add(bundle).returncode == 0

    flipped = bytearray(path.read_bytes())
    flipped[-1] ^= 1
    bad = tmp_path / "bad.kfw"
    bad.write_bytes(flipped)
    refused(add(bad), "bad.kfw", "was changed or cut")
    bad.write_bytes(b"\x89PNG" + bytes(100))
    refused(add(bad), "no application archive")
    bad.write_bytes(archive("0.3.0", size=4000))
    refused(add(bad), "another release 0.3.0 is here already", "a version of its own")
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(signing.public_pem(Ed25519PrivateKey.generate().public_key()))
    refused(add(path, stranger), "not signed by a key that is trusted here")
    refused(add(path, tmp_path / "none.pem"), "none.pem")
    refused(add(tmp_path / "none.kfw"), "none.kfw", "No such file")
    with bad.open("wb") as file:
        file.truncate(1 << 22)
    refused(add(bad), "far too large")


async def test_wrong_words(served: Lab, data: Path, takers: list[Taker], kanhu: Kanhu) -> None:
    def start(*words: object) -> Done:
        return kanhu("update", "start", *words, "--data-dir", data)

    def run() -> None:
        refused(start("0.2.0"), "say which hubs", "--all")
        refused(start("0.2.0", "--all", "--hub", takers[0].hub_id), "--all is all hubs")
        refused(start("0.2.0", "--hub", "0000000000"), "0000000000")
        refused(start("0.2.0", "--home", "0000000000"), "0000000000")
        refused(start("0.2.0", "--region", "cn/43"), "nobody to update", "cn/43")
        refused(
            start("0.9.0", "--all"), "no release '0.9.0' is kept here (there is 0.2.0)", "kanhu update add"
        )
        refused(start("0.2.0", "--all", "--canary", "none"), "'none' is no share", "5%")
        refused(start("0.2.0", "--all", "--soak", "long"), "--soak long", "30m")
        refused(start("0.2.0", "--all", "--soak", "31d"), "at most 30d")
        refused(start("0.2.0", "--all", "--pause-at", "0"), "--pause-at 0")
        refused(start("0.2.0", "--all", "--at-once", "0"), "--at-once 0: 1 to 200")
        refused(start("0.2.0", "--all", "--pause-min", "0"), "--pause-min 0")
        for order in ("pause", "resume", "cancel"):
            refused(kanhu("update", order, "--data-dir", data), "there is no rollout")
        refused(kanhu("update", "status", "--data-dir", data), "there is no rollout", "kanhu update start")
        refused(kanhu("update", "watch", "--data-dir", data), "there is no rollout")

    await aside(run)
    assert served.updates.engine is None, "nothing has begun"


async def test_one_hub_is_one_hub(served: Lab, data: Path, takers: list[Taker], kanhu: Kanhu) -> None:
    def run() -> Done:
        return kanhu("update", "start", "0.2.0", "--hub", takers[0].hub_id, "--data-dir", data)

    assert "0.2.0 to 1 hub, 1 of them first" in (await aside(run)).stdout


async def test_from_start_to_end(served: Lab, data: Path, takers: list[Taker], kanhu: Kanhu) -> None:
    def run() -> Done:
        begun = kanhu(
            "update", "start", "0.2.0", "--region", "cn/42", "--canary", "20%", "--soak", "0s",
            "--by", "op-a", "--data-dir", data,
        )  # fmt: skip
        assert begun.returncode == 0, begun.stderr
        assert "rollout 1: 0.2.0 to 5 hubs, 1 of them first. See it: kanhu update watch" in begun.stdout
        refused(
            kanhu("update", "start", "0.2.0", "--all", "--data-dir", data),
            "rollout 1",
            "is not over",
            "cancel",
        )
        return kanhu("update", "watch", "--data-dir", data)

    watched = await aside(run)
    assert watched.returncode == 0, watched
    lines = [line for line in watched.stdout.splitlines() if line.startswith("rollout 1 ")]
    assert len(lines) >= 2
    assert "is over" in lines[-1]
    assert "5 done" in lines[-1]
    shown = json.loads(kanhu("update", "status", "--json", "--data-dir", data).stdout.splitlines()[-1])
    assert shown["counts"] == {"done": 5}
    assert shown["started_by"] == "op-a"
    assert len(shown["hubs"]) == 5
    table = kanhu("update", "status", "1", "--hubs", "--data-dir", data).stdout
    assert all(one.hub_id in table for one in takers)
    refused(kanhu("update", "status", "7", "--data-dir", data), "there is no rollout 7")
    again = await aside(lambda: kanhu("update", "start", "0.2.0", "--all", "--data-dir", data))
    refused(again, "nobody to update: 0.2.0 is not newer than what runs on all 5 hubs")


async def test_paused_it_says_which_and_why_and_what_to_do(
    served: Lab, data: Path, takers: list[Taker], kanhu: Kanhu
) -> None:
    for one in takers:
        one.good = False

    def run() -> Done:
        words = ("update", "start", "0.2.0", "--all", "--canary", "2", "--soak", "1h", "--data-dir", data)
        assert kanhu(*words).returncode == 0
        return kanhu("update", "watch", "--data-dir", data)

    watched = await aside(run)
    assert watched.returncode == 1, watched
    last = watched.stdout.splitlines()[-1]
    failed = [hub for hub, state in served.states().items() if state == "failed"]
    assert "is paused: " in last
    assert all(hub in last for hub in failed)
    assert "the release did not start three times" in last
    assert "kanhu update cancel" in last
    assert "kanhu update resume" in last

    def settle() -> None:
        refused(kanhu("update", "pause", "--data-dir", data), "rollout 1 of 0.2.0 is paused")
        assert "goes on" in kanhu("update", "resume", "--data-dir", data).stdout
        assert "is cancelled" in kanhu("update", "cancel", "--data-dir", data).stdout
        refused(kanhu("update", "resume", "--data-dir", data), "rollout 1 of 0.2.0 is cancelled")
        assert "was cancelled" in kanhu("update", "status", "--data-dir", data).stdout

    await aside(settle)


async def test_without_a_daemon(
    open_lab: OpenLab, data: Path, tmp_path: Path, kanhu: Kanhu, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = await open_lab()
    await lab.close()
    monkeypatch.setattr(requests, "ANSWER_S", 0.2)
    done = kanhu("update", "start", "0.2.0", "--all", "--data-dir", data)
    refused(done, "no daemon answers in", "is it running? Nothing was done")
    refused(kanhu("update", "list", "--data-dir", tmp_path / "nowhere"), "no journal in")
    assert "0.2.0" in kanhu("update", "list", "--data-dir", data).stdout


def test_a_terminal_shows_bars_failures_and_who_tries_it() -> None:
    settings = Settings(canary=2, pause_percent=5.0)
    rollout = Rollout(3, "ab" * 32, "0.2.0", 2048, 1000, settings, "running", "", 0, "op-a")
    units = [
        Unit("0000000001", 0, "done", 0, canary=True),
        Unit("0000000002", 1, "failed", 0, "not_proven", canary=True),
        Unit("0000000003", 2, "fetching", 0, taken=True, received=500),
        Unit("0000000004", 3, "trying", 0),
    ]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(_picture(rollout, units))
    text = console.export_text()
    for words in (
        "1 of 2",
        "2 of 4",
        "500 of 1000",
        "failed: 50.0 % (pauses at 5 %)",
        "trying it: 0000000004",
    ):
        assert words in text, text


def test_every_reason_has_words() -> None:
    assert set(FAILED.values()) <= set(WHY)
