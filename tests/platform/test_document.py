"""The command lines and the program of docs/platform.md, run exactly as they are written there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from helpers_broker import Broker, Mosquitto, NatsBroker
from helpers_city import HUB, Daemon, call, motion
from kanhu.uplink.identity import Identity

DOCUMENT = Path(__file__).parents[2].joinpath("docs/platform.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(?:sh |)(\w[\w-]*)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL))
pytestmark = pytest.mark.skipif(
    shutil.which("mosquitto_rr") is None, reason="mosquitto-clients is not installed"
)


@pytest.fixture(params=["nats", "mosquitto"])
async def city(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Daemon]:
    """The daemon's side on a broker; tests use put, waiting, accepted, closed, refused, drained."""
    kind: type[Broker] = NatsBroker
    if request.param == "mosquitto":
        if not Mosquitto.installed():
            pytest.skip("mosquitto is not installed")
        kind = Mosquitto
    with kind(tmp_path / "broker") as broker:
        async with Daemon(broker.port, retry_s=0.5) as daemon:
            yield daemon


async def start(block: str, folder: Path, city: Daemon) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "sh", "-c", BLOCKS[block],
        cwd=folder, env={**os.environ, "BROKER": "127.0.0.1", "PORT": str(city.port)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


async def end(process: asyncio.subprocess.Process) -> None:
    """End a pipeline: the whole process group that start() made."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGTERM)
    await process.communicate()


async def run(block: str, folder: Path, city: Daemon) -> str:
    process = await start(block, folder, city)
    try:
        out, err = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            await end(process)
    assert process.returncode == 0, err.decode()
    return out.decode()


def test_all_marked_lines_are_there() -> None:
    marked = set(re.findall(r"^```sh (\S+)$", DOCUMENT, re.MULTILINE))
    assert marked == {"follow", "follow-and-acknowledge", "acknowledge", "accept", "close"}


async def test_follow_loses_nothing_while_away(city: Daemon, tmp_path: Path) -> None:
    seen: set[str] = set()

    async def follow(*wanted: str) -> None:
        process = await start("follow", tmp_path, city)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(20):
                while not seen.issuperset(wanted):
                    seen.add(json.loads(await process.stdout.readline())["id"])
        finally:
            await end(process)

    city.put(call(1), motion(2))
    await follow("1-1", "1-2")
    city.put(motion(3))
    await follow("1-3")
    assert seen == {"1-1", "1-2", "1-3"}
    assert len(city.waiting) == 3


async def test_acknowledge_one(city: Daemon, tmp_path: Path) -> None:
    row = call(7)._replace(boot=12)
    assert row.identity == Identity(HUB, 12, 7)
    city.put(row, motion(8))
    await run("acknowledge", tmp_path, city)
    async with asyncio.timeout(10):
        while row.identity in city.waiting:
            await asyncio.sleep(0.01)
    assert len(city.waiting) == 1
    assert not city.refused


async def test_follow_acknowledge_accept_and_close_with_no_code(city: Daemon, tmp_path: Path) -> None:
    following = await start("follow-and-acknowledge", tmp_path, city)
    try:
        city.put(*[motion(seq) for seq in range(20)], call(20), motion(21))
        await city.drained()
        city.put(call(22))
        await city.drained()
    finally:
        await end(following)
    kept = {json.loads(line)["id"] for line in (tmp_path / "events.jsonl").read_text().splitlines()}
    assert kept == {f"1-{seq}" for seq in range(23)}

    assert json.loads(await run("accept", tmp_path, city)) == {"id": "1", "ok": True}
    assert city.accepted == {Identity(HUB, 1, 22): "op-7"}
    assert json.loads(await run("close", tmp_path, city)) == {"id": "2", "ok": True}
    assert city.closed == {Identity(HUB, 1, 22): "visited"}
    assert not city.refused


async def test_the_program(city: Daemon, tmp_path: Path) -> None:
    (tmp_path / "follow.py").write_text(BLOCKS["python"], encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "follow.py", f"mqtt://127.0.0.1:{city.port}",
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        city.put(motion(1), call(2))
        async with asyncio.timeout(30):
            while not city.accepted:
                await asyncio.sleep(0.02)
        await city.drained()
    finally:
        if process.returncode is None:
            process.terminate()
        out, err = await process.communicate()
    assert out.count(b"\n") == 2, err.decode()
    assert city.accepted == {Identity(HUB, 1, 2): "op-7"}
