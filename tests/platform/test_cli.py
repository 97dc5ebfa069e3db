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
from typer.testing import CliRunner

from helpers_city import HUB, Daemon, Row, call, motion
from kanhu.cli import platform as cli
from kanhu.platform.event import parse
from kanhu_protocol import kinds as k

# Runs `kanhu platform ...` once for each list of arguments, so that the imports are paid for once.
PROGRAM = """
import contextlib, io, json, sys
from kanhu.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["kanhu", "platform", *arguments]
    code, out, err = None, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


async def runs(*arguments: list[str], **environment: str) -> list[tuple[int, str, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, json.dumps(arguments),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "TZ": "Asia/Shanghai", **environment},
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return [tuple(json.loads(line)) for line in out.splitlines()]


async def test_watch_shows_lines(url: str, daemon: Daemon) -> None:
    daemon.put(call(7))
    english, chinese = await runs(
        ["watch", "--broker", url, "--count", "1"],
        ["watch", "--count", "1", "--lang", "zh"],
        KANHU_BROKER=url,
    )
    line = f"09-21 22:13:20  home-17/{HUB}  P1 life  emergency call  device 3 · alarm {HUB}/1-7\n"
    assert english == (0, line, "")
    assert chinese[0] == 0
    assert "P1 生命  紧急呼叫  设备 3，报警" in chinese[1]
    assert not daemon.commands


async def test_watch_as_the_platform(url: str, daemon: Daemon, state: Path) -> None:
    daemon.put(call(1), *[motion(seq) for seq in range(2, 6)])
    options = ["watch", "--broker", url, "--ack", "--state", str(state), "--json", "--count"]
    first, second = await runs([*options, "3"], [*options, "2"])
    await daemon.drained()
    assert (first[0], second[0]) == (0, 0)
    events = [json.loads(line) for line in (first[1] + second[1]).splitlines()]
    assert [event["id"] for event in events] == [f"1-{seq}" for seq in range(1, 6)]
    assert events[0]["data"]["alarm"] == f"{HUB}/1-1"
    assert events[0]["redelivered"] is False


# A test run that a shell has put into the background ignores Ctrl-C, and so would its children.
AT_A_TERMINAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from kanhu.cli import main
main()
"""


async def test_watch_ends_quietly_on_ctrl_c(url: str, daemon: Daemon) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AT_A_TERMINAL, "platform", "watch", "--broker", url,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
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
    accepted, refused, closed, there, unknown = await runs(
        ["accept", alarm, "--operator", "op-7"],
        ["accept", alarm, "--operator", "op-8"],
        ["close", alarm, "--operator", "op-7", "--reason", "已上门"],
        ["ping", HUB],
        ["ping", "0000000000"],
        KANHU_BROKER=url,
    )
    assert accepted == (0, f"{alarm} accepted by op-7\n", "")
    assert refused == (1, "", f"kanhu: Alarm {alarm} is already taken by op-7.\n")
    assert closed == (0, f"{alarm} closed by op-7\n", "")
    assert list(daemon.closed.values()) == ["已上门"]
    assert there == (0, f"{HUB} is there\n", "")
    assert unknown[0] == 1


async def test_bad_input_is_one_line(url: str, state: Path) -> None:
    state.write_text("not a database, but long enough to be read as one " * 100)
    cases = [
        (["accept", "1-7", "--operator", "op", "--broker", "mqtt://127.0.0.1:1"], 2, "alarm"),
        (["accept", f"{HUB}/1-7", "--operator", "Wang Li", "--broker", url], 2, "operator"),
        (["ping", HUB, "--broker", url, "--timeout", "0.3"], 1, "no answer within 0.3 s"),
        (["ping", HUB, "--broker", "localhost:1883"], 2, "mqtt://"),
        (["ping", HUB, "--broker", "mqtt://127.0.0.1:1"], 2, "check that it runs"),
        (["ping", HUB, "--broker", "mqtts://127.0.0.1:1", "--ca", "/no/such/file"], 2, "/no/such/file"),
        (["watch", "--broker", "mqtt://127.0.0.1:1"], 2, "check that it runs"),
        (["watch", "--broker", url, "--ack", "--state", str(state)], 2, "not a database"),
    ]
    results = await runs(*(arguments for arguments, _, _ in cases))
    for (arguments, expected, about), (code, out, err) in zip(cases, results, strict=True):
        assert (code, out) == (expected, ""), (arguments, err)
        assert about in err
        assert err.count("\n") == 1, err
        assert err.startswith("kanhu: ")


@pytest.mark.parametrize(
    "arguments",
    [["accept"], ["accept", "x"], ["close", "x", "--operator", "o"], ["watch", "--lang", "xx"], ["fly"]],
)
def test_usage_errors(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


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
    assert set(group.commands) == {
        "watch", "accept", "dispatch", "on-scene", "hand-over", "close", "correct", "ping"
    }  # fmt: skip
    for name in group.commands:
        assert f"kanhu platform {name}" in document
