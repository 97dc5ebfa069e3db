"""The demo as a newcomer runs it: unattended with its account, and in a terminal with its keys."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from kanhu_protocol import names

KANHU = str(Path(sys.executable).with_name("kanhu"))
FAULTS = {"hub_power_cut", "broker_kill", "daemon_kill"}


@pytest.mark.timeout(180)
def test_unattended_the_last_line_is_the_account() -> None:
    done = subprocess.run(
        [KANHU, "demo", "--seconds", "18", "--json"], capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["lost"] == result["duplicates"] == 0
    assert result["presses"] >= 10
    assert all(result["events_by_class"][name] for name in ("P1", "P2", "P3", "P4", "P5"))
    assert set(result["faults"]) == FAULTS
    assert all(result["faults"].values())
    assert result["desk"].endswith("/desk")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/f/[\w-]{22}", result["family"])
    assert result["ledger"]["balanced"]
    assert result["ledger"]["announced"] == result["ledger"]["delivered"] > result["presses"]
    assert result["press_to_delivered"]["n"] == result["presses"]
    for stage in ("stored", "accepted_lamp"):
        assert 0 < result[f"press_to_{stage}"]["n"] <= result["presses"]
        assert 0 < result[f"press_to_{stage}"]["p50_ms"] <= result[f"press_to_{stage}"]["p99_ms"]


class Terminal:
    """kanhu demo in a pseudo-terminal of 40 x 140."""

    def __init__(self) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", LINES="40", COLUMNS="140")
            os.execv(KANHU, [KANHU, "demo"])  # noqa: S606  # a terminal needs a fork
        self.text = ""

    def read(self, seconds: float = 0.1) -> None:
        if select.select([self.fd], [], [], seconds)[0]:
            with contextlib.suppress(OSError):
                raw = os.read(self.fd, 65536).decode("utf-8", "replace")
                self.text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw)

    def wait(self, text: str, seconds: float = 20.0) -> None:
        begin, end = len(self.text), time.monotonic() + seconds
        while text not in self.text[begin:]:
            assert time.monotonic() < end, f"{text!r} was not shown; last: {self.text[-3000:]}"
            self.read()

    def key(self, key: str) -> None:
        os.write(self.fd, key.encode())

    def end(self, seconds: float = 30.0) -> int:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        raise AssertionError(f"the demo did not end; last: {self.text[-2000:]}")


def log_in(url: str, password: str) -> None:
    """Through the page's own form, as a browser does it."""
    form = urllib.parse.urlencode({"operator": "demo", "password": password}).encode()
    origin = {"Origin": url.removesuffix("/desk")}
    asked = urllib.request.Request(url + "/login", form, origin)  # noqa: S310  # the demo's own
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(asked, timeout=20) as page:
        assert page.url == url
        assert b"<main" in page.read()


def claim(terminal: Terminal, link: str) -> None:
    """A family's first visit, from its link to the page where it chooses a PIN."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def read(path: str = "", form: dict[str, str] | None = None) -> str:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        with opener.open(link + path, data, timeout=20) as page:
            return str(page.read().decode())

    key = re.search(r'name="key" value="([^"]+)"', read())
    assert key
    read("/claim", {"key": key[1]})
    terminal.wait(names.LAMP["proving"][0], 20)
    time.sleep(0.5)  # as long as it takes a person to see it: what comes with the lamp's change is a call
    terminal.key("h")
    end = time.monotonic() + 20
    while 'action="' + urllib.parse.urlsplit(link).path + '/pin"' not in read("/claim"):
        assert time.monotonic() < end, "the press on the hub does not claim it"
        terminal.read(0.3)


@pytest.mark.timeout(180)
def test_in_a_terminal_a_call_is_answered_by_a_key() -> None:
    terminal = Terminal()
    try:
        terminal.wait("no call waits", 60)
        terminal.wait("q quit")  # the end of a picture
        found = re.search(r"http://127\.0\.0\.1:\d+/desk", terminal.text)
        assert found, "the desk's address is shown"
        password = re.search(r"operator demo, password ([0-9a-f-]{14})", terminal.text)
        assert password
        log_in(found[0], password[1])
        family = re.search(r"http://127\.0\.0\.1:\d+/f/[\w-]{22}", terminal.text)
        assert family, "the families' page's address is shown"
        claim(terminal, family[0])
        time.sleep(1.0)  # the finger is off the button again
        terminal.key("c")
        terminal.wait("nobody has answered")
        terminal.key("a")
        terminal.wait("has taken")
        terminal.wait("a person has your call")
        terminal.key("m")
        terminal.wait("systolic")
        terminal.key("d")
        terminal.wait("daemon kill x1")
        terminal.wait("daemon: back", 30)
        terminal.key("q")
    finally:
        status = terminal.end()
    assert status == 0
    assert "2 presses, 0 lost, 0 doubled" in terminal.text


@pytest.mark.timeout(120)
def test_a_closed_terminal_leaves_nothing_running() -> None:
    terminal = Terminal()
    try:
        terminal.wait("no call waits", 40)
        started = children(terminal.pid)
        assert len(started) >= 4, "broker, daemon and two hubs"
        os.kill(terminal.pid, signal.SIGHUP)
    finally:
        status = terminal.end()
    assert status == 128 + signal.SIGHUP
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def test_a_wrong_option_is_one_line() -> None:
    done = subprocess.run([KANHU, "demo", "--fast"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "--fast" in done.stderr
