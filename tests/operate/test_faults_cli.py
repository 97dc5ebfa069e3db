"""`kanhu faults`: beside a daemon that runs, and without one."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers_cli import Kanhu
from helpers_intake import Clock, Host, HubVoice
from helpers_mqtt import until
from kanhu import config, requests
from kanhu.broker import free_port
from kanhu.care.faults import Faults
from kanhu.daemon import Daemon
from kanhu.errors import DataError
from kanhu.journal.identity import new_id
from kanhu.journal.journal import utc_now_ms
from kanhu.registry import Registry
from kanhu_protocol import kinds as k

HUBS = 24


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A journal with a storm of HUBS hubs without mains, and one tamper of the first."""
    folder = tmp_path / "data"
    with closing(Registry.open(folder)) as registry:
        home = registry.add_home("cn/42/01")
        voices = [HubVoice(*registry.add_hub(home, new_id())) for _ in range(HUBS)]
    host = Host(folder, *voices, clock=Clock(utc_now_ms()))
    faults = Faults(host.journal, lambda hub: "cn/42/01")
    host.intake.notes.append(faults.note)
    for voice in voices:
        assert await host.intake.receive(voice.hub_id, voice.say(k.MAINS_LOST), "mqtt")
    assert await host.intake.receive(voices[0].hub_id, voices[0].say(k.TAMPER, {k.DEVICE: 3}), "mqtt")
    await host.journal.close()
    return folder


def listed(kanhu: Kanhu, data: Path, *more: str) -> list[dict[str, Any]]:
    done = kanhu("faults", "list", "--data-dir", data, "--json", *more)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])  # a daemon here logs too
    return found


async def test_an_incident_is_one_line(data: Path, kanhu: Kanhu) -> None:
    incident, tamper = listed(kanhu, data)
    assert (incident["id"], incident["hub"], incident["device"]) == (
        "incident 1",
        "24 of 24 hubs",
        "cn/42/01",
    )
    assert (tamper["fault"], tamper["device"], tamper["overdue"]) == ("tamper", "3", False)
    assert len(listed(kanhu, data, "--members")) == 1 + HUBS + 1
    assert len(listed(kanhu, data, "--hub", tamper["hub"])) == 2
    table = kanhu("faults", "list", "--data-dir", data)
    assert "24 of 24 hubs" in table.stdout
    nowhere = kanhu("faults", "list", "--data-dir", data / "nowhere")
    assert nowhere.returncode == 2


async def test_without_a_daemon_it_is_done_here(data: Path, kanhu: Kanhu) -> None:
    def run() -> None:
        fault = listed(kanhu, data)[1]["id"]
        done = kanhu("faults", "assign", fault, "op-a", "--hours", "2", "--by", "op-b", "--data-dir", data)
        assert done.returncode == 0, done.stderr
        assert "is op-a's until" in done.stdout
        assert listed(kanhu, data)[1]["owner"] == "op-a"
        wrong = kanhu("faults", "close", 99, "--reason", "x", "--data-dir", data)
        assert wrong.returncode == 2
        assert "no fault 99 is known here" in wrong.stderr
        wrong = kanhu("faults", "assign", fault, "op-a", "--hours", "0", "--data-dir", data)
        assert "above 0" in wrong.stderr
        done = kanhu("faults", "close", fault, "--reason", "cover put back", "--data-dir", data)
        assert done.returncode == 0, done.stderr
        done = kanhu("faults", "close", 1, "--incident", "--reason", "the grid", "--data-dir", data)
        assert done.returncode == 0, done.stderr
        assert len(listed(kanhu, data)) == HUBS

    await asyncio.to_thread(run)


async def test_a_running_daemon_is_asked(data: Path, kanhu: Kanhu) -> None:
    settings = {
        "data_dir": str(data), "metrics": {"enabled": False},
        "broker": {"enabled": True, "port": free_port()},
    }  # fmt: skip
    daemon, stop = Daemon(config.parse(settings, "test")), asyncio.Event()
    task = asyncio.create_task(daemon.run(stop))
    await until(lambda: daemon.uplink.connected)

    def run() -> None:
        fault = listed(kanhu, data)[1]["id"]
        done = kanhu("faults", "assign", fault, "op-a", "--data-dir", data)
        assert done.returncode == 0, done.stderr
        refused = kanhu("faults", "close", 99, "--reason", "x", "--data-dir", data)
        assert "no fault 99 is known here" in refused.stderr
        done = kanhu("faults", "close", 1, "--incident", "--reason", "the grid", "--data-dir", data)
        assert done.returncode == 0, done.stderr
        assert len(listed(kanhu, data)) == HUBS + 1
        with pytest.raises(DataError, match="another version"):
            requests.ask(data, {"do": "faults.paint"})
        (data / "requests" / "broken.ask").write_text("{")

    await asyncio.to_thread(run)
    assert daemon.faults.incidents() == []
    assert daemon.faults.open()[-1].owner == daemon.faults.get(HUBS + 1).owner == "op-a"  # type: ignore[union-attr]
    await until(lambda: list((data / "requests").iterdir()) == [])
    stop.set()
    await task


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "ANSWER_S", 0.2)
    with pytest.raises(DataError, match="no daemon answers"):
        requests.ask(tmp_path, {"do": "nothing"})
    assert list((tmp_path / "requests").iterdir()) == []


async def test_a_request_that_was_taken_may_have_been_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(request: dict[str, object]) -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(requests, "ANSWER_S", 2.0)
    watching = asyncio.ensure_future(requests.watch(tmp_path, never))
    with pytest.raises(DataError, match="look whether it was done"):
        await asyncio.to_thread(requests.ask, tmp_path, {"do": "nothing"})
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def test_nobody_may_ask_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="as the daemon's user"):
        requests.ask(tmp_path / "nowhere", {"do": "nothing"})
