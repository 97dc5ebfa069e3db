"""The command lines of docs/platform.md, exactly as they stand there, on a real daemon and a real hub."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_e2e import wait_for
from kanhu import ledger
from kanhu.sim.town import Home, Town

DOCUMENT = Path(__file__).parents[2].joinpath("docs/platform.md").read_text(encoding="utf-8")
LINES = dict(re.findall(r"^```sh (\S+)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL))
pytestmark = pytest.mark.skipif(
    shutil.which("mosquitto_rr") is None, reason="mosquitto-clients is not installed"
)


class Shell:
    """Runs blocks of the document by their marks, in one folder, against one broker."""

    def __init__(self, folder: Path, town: Town) -> None:
        self.folder = folder
        self.following: list[subprocess.Popen[str]] = []
        self._environment = {**os.environ, "BROKER": town.broker.host, "PORT": str(town.broker.port)}

    def start(self, mark: str) -> subprocess.Popen[str]:
        """A block that goes on; ended with the test."""
        process = subprocess.Popen(
            ["sh", "-c", LINES[mark]], cwd=self.folder, env=self._environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.following.append(process)
        return process

    def run(self, mark: str, **replace: str) -> str:
        """A block that ends; its output. replace: values for its variables."""
        block = LINES[mark]
        for name, value in replace.items():
            block, count = re.subn(rf"\b{name}=\S+", f"{name}={value}", block)
            assert count == 1
        done = subprocess.run(
            ["sh", "-c", block], cwd=self.folder, env=self._environment, text=True, timeout=30,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    def lines(self) -> list[dict[str, object]]:
        """What `follow-and-acknowledge` has written so far."""
        file = self.folder / "events.jsonl"
        whole = [line for line in file.read_text().split("\n")[:-1] if line] if file.exists() else []
        return [json.loads(line) for line in whole]


@pytest.fixture
def shell(tmp_path: Path, town: Town) -> Iterator[Shell]:
    shell = Shell(tmp_path, town)
    yield shell
    for process in shell.following:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=10)


@pytest.fixture
def home(town: Town) -> Home:
    made = town.add_home("north", buttons={"bedroom": 4})
    town.bench.wait_indicator(made.hub, "well", 15)
    return made


def test_follow_acknowledge_accept_and_close_with_no_code(town: Town, home: Home, shell: Shell) -> None:
    shell.start("follow-and-acknowledge")
    wait_for(shell.lines, 15, "nothing follows")
    town.bench.press("north/bedroom")
    wait_for(lambda: any(one["type"] == "org.kanhu.call.v1" for one in shell.lines()), 10, "no call")
    town.bench.wait_indicator(home.hub, "delivered", 5)
    assert json.loads(shell.run("accept")) == {"id": "1", "ok": True}
    town.bench.wait_indicator(home.hub, "accepted", 5)
    wait_for(lambda: any(one["type"] == "org.kanhu.alarm.accepted.v1" for one in shell.lines()), 10)
    assert json.loads(shell.run("close")) == {"id": "2", "ok": True}
    town.bench.wait_indicator(home.hub, "well", 10)
    town.bench.cut_power(home.hub)
    journal = town.daemon.data_dir / "journal.db"
    wait_for(lambda: ledger.recompute(journal)[home.hub_id]["queued"] == 0, 15, "not all is acknowledged")
    ids = [(one["source"], one["id"]) for one in shell.lines()]
    sums = ledger.recompute(journal)
    assert len(set(ids)) == sum(one["stored"] for one in sums.values())


def test_follow_alone_shows_and_leaves_the_elder_waiting(town: Town, home: Home, shell: Shell) -> None:
    following = shell.start("follow")
    assert following.stdout is not None
    town.bench.press("north/bedroom")
    while (event := json.loads(following.stdout.readline()))["type"] != "org.kanhu.call.v1":
        pass
    town.bench.wait_indicator(home.hub, "stored", 5)
    boot, _, seq = event["id"].partition("-")
    assert event["data"]["alarm"] == f"{home.hub_id}/{boot}-{seq}"
    shell.run("acknowledge", SOURCE=event["source"], ID=event["id"])
    town.bench.wait_indicator(home.hub, "delivered", 5)
