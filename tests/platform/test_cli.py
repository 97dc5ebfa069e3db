"""`kanhu platform`: one readable or JSON line per event, one line per answer, clear errors."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from helpers_broker import NatsBroker
from helpers_city import HUB, Daemon, Row, call, motion
from kanhu.cli import platform as cli
from kanhu.errors import KanhuError
from kanhu.platform.event import parse
from kanhu_protocol import kinds as k

# The command as a program of its own, whatever else `kanhu` can do; kanhu.cli.main treats errors the same way.
PROGRAM = """
import sys
import click, typer
from kanhu.cli.platform import app
from kanhu.errors import KanhuError
try:
    code = app(standalone_mode=False)
except KanhuError as error:
    print(f"kanhu: {error}", file=sys.stderr)
    code = 2
except click.ClickException as error:
    error.show(sys.stderr)
    code = error.exit_code
sys.exit(code or 0)
"""


async def run(*arguments: str, timeout: float = 30.0, **environment: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, *arguments,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "TZ": "Asia/Shanghai", "COLUMNS": "300", **environment},
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), timeout)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_watch_shows_lines(url: str, daemon: Daemon) -> None:
    daemon.put(call(7))
    code, out, err = await run("watch", "--broker", url, "--count", "1")
    assert (code, err) == (0, "")
    assert out == (f"09-21 22:13:20  home-17/{HUB}  P1 life  emergency call  device 3 · alarm {HUB}/1-7\n")
    assert not daemon.commands
    code, out, _ = await run("watch", "--count", "1", "--lang", "zh", KANHU_BROKER=url)
    assert code == 0
    assert "P1 生命  紧急呼叫  设备 3，报警" in out


async def test_watch_as_the_platform(url: str, daemon: Daemon, state: Path) -> None:
    daemon.put(call(1), *[motion(seq) for seq in range(2, 6)])
    options = ["watch", "--broker", url, "--ack", "--state", str(state), "--json"]
    code, out, _ = await run(*options, "--count", "3")
    assert code == 0
    first = [json.loads(line) for line in out.splitlines()]
    await asyncio.sleep(0.2)
    assert len(daemon.waiting) == 2
    code, out, _ = await run(*options, "--count", "2")
    second = [json.loads(line) for line in out.splitlines()]
    await daemon.drained()
    assert [event["id"] for event in first + second] == [f"1-{seq}" for seq in range(1, 6)]
    assert first[0]["data"]["alarm"] == f"{HUB}/1-1"
    assert first[0]["redelivered"] is False


async def test_watch_ends_quietly_on_ctrl_c(url: str, daemon: Daemon) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        "watch",
        "--broker",
        url,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        daemon.put(motion(1))
        await asyncio.wait_for(process.stdout.readline(), 20)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert b"Traceback" not in err
    assert process.returncode == 130


async def test_accept_close_ping(url: str, daemon: Daemon) -> None:
    alarm = f"{HUB}/1-7"
    assert await run("accept", alarm, "--operator", "op-7", "--broker", url) == (
        0,
        f"{alarm} accepted by op-7\n",
        "",
    )
    code, out, err = await run("accept", alarm, "--operator", "op-8", "--broker", url)
    assert (code, out) == (1, "")
    assert err == f"kanhu: Alarm {alarm} is already taken by op-7.\n"
    code, out, _ = await run("close", alarm, "--operator", "op-7", "--reason", "已上门", "--broker", url)
    assert (code, out) == (0, f"{alarm} closed by op-7\n")
    assert list(daemon.closed.values()) == ["已上门"]
    assert (await run("ping", HUB, "--broker", url))[:2] == (0, f"{HUB} is there\n")
    assert (await run("ping", "0000000000", "--broker", url))[0] == 1


async def test_bad_input_is_one_line(url: str, broker: NatsBroker, state: Path) -> None:
    state.write_text("not a database, but long enough to be read as one " * 100)
    cases = [
        (["accept", "1-7", "--operator", "op", "--broker", url], 1, "alarm"),
        (["accept", f"{HUB}/1-7", "--operator", "Wang Li", "--broker", url], 1, "operator"),
        (["ping", HUB, "--broker", url, "--timeout", "0.3"], 1, "no answer within 0.3 s"),
        (["ping", HUB, "--broker", "localhost:1883"], 2, "mqtt://"),
        (["ping", HUB, "--broker", "mqtt://127.0.0.1:1"], 2, "check that it runs"),
        (["ping", HUB, "--broker", "mqtts://127.0.0.1:1", "--ca", "/no/such/file"], 2, "/no/such/file"),
        (["watch", "--broker", "mqtt://127.0.0.1:1"], 2, "check that it runs"),
        (["watch", "--broker", url, "--ack", "--state", str(state)], 2, "not a database"),
    ]
    results = await asyncio.gather(*(run(*arguments) for arguments, _, _ in cases))
    for (arguments, expected, about), (code, out, err) in zip(cases, results, strict=True):
        assert (code, out) == (expected, ""), (arguments, err)
        assert about in err
        assert err.count("\n") == 1, err
        assert err.startswith("kanhu: ")


@pytest.mark.parametrize(
    "arguments",
    [["accept"], ["accept", "x"], ["close", "x", "--operator", "o"], ["watch", "--lang", "xx"], ["fly"]],
)
async def test_usage_errors(arguments: list[str]) -> None:
    code, out, err = await run(*arguments)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err


def test_a_terminal_is_not_steered_by_a_message() -> None:
    fields = {
        k.KIND: k.BOOT,
        k.UP_MS: 1,
        k.FIRMWARE: "1.0\x1b]0;owned\x07\x9b2J",
        k.RESET: 1,
        k.VERSIONS: [0, 0],
    }
    text = cli.line(parse(Row(1, HUB, 1, 0, fields).message()), "en").plain
    assert text.isprintable()
    assert "firmware 1.0?]0;owned??2J" in text


def test_every_option_is_documented() -> None:
    document = Path(__file__).parents[2].joinpath("docs/platform.md").read_text(encoding="utf-8")
    group = typer.main.get_group(cli.app)
    assert set(group.commands) == {"watch", "accept", "close", "ping"}
    for name in group.commands:
        assert f"kanhu platform {name}" in document
    assert issubclass(KanhuError, Exception)
