"""`kanhu run` as an administrator meets it: clear refusals, a graceful end, true status, a full disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import helpers_disk
from helpers_e2e import Metrics, Observer, account, identities, open_down, wait_for
from kanhu import config as configuration
from kanhu import ledger
from kanhu.broker import free_port
from kanhu.sim.city import City
from kanhu.sim.daemon import to_toml
from kanhu.sim.town import Home, Town
from kanhu_protocol import kinds as k

FULL_DISK = "8m"


def kanhu(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """One command, ended by itself."""
    return subprocess.run(
        [sys.executable, "-m", "kanhu", *words], capture_output=True, text=True, timeout=30, **more
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended with exit 2 and one line for a person, which says these words."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("kanhu: ")]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0], lines[0]


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """refused(), and nothing else was said."""
    refused(done, *words)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not done.stdout


def config(folder: Path, text: str = "", **settings: Any) -> Path:
    """A config file; text instead of settings when given."""
    path = folder / "kanhu.toml"
    broker = {"mqtt": {"host": "127.0.0.1", "port": free_port()}}
    whole = {
        "data_dir": "data",
        "metrics": {"enabled": False},
        "hubs": broker,
        "platform": broker,
        **settings,
    }
    path.write_text(text or to_toml(whole), encoding="utf-8")
    return path


# Refusals


def test_a_missing_config(tmp_path: Path) -> None:
    one_line(kanhu("run", "-c", str(tmp_path / "none.toml")), "none.toml", "No such file", "example")


BAD: dict[str, tuple[str, tuple[str, ...]]] = {
    "not TOML": ("data_dir = ", ("not TOML", "Invalid value")),
    "not text": ("data_dir = '\udcff'", ("not TOML",)),
    "empty": ("# nothing", ("data_dir", "required")),
    "unknown key": ('data_dir = "d"\ndatadir = "e"', ("datadir", "no such key")),
    "unknown table": ('data_dir = "d"\n[huds]\nx = 1', ("huds", "no such key")),
    "wrong type": ('data_dir = "d"\n[hubs]\nheartbeat_s = "often"', ("hubs.heartbeat_s", "integer")),
    "out of range": ('data_dir = "d"\n[hubs.mqtt]\nport = 70000', ("hubs.mqtt.port", "65535")),
    "two at once": ('data_dir = 7\n[log]\nlevel = "loud"', ("data_dir", "log.level")),
    "no way in": ('data_dir = "d"', ("no way in", "hubs.mqtt")),
    "no password": (
        'data_dir = "d"\n[hubs.mqtt]\npassword_file = "/nowhere/password"\n[metrics]\nenabled = false',
        ("/nowhere/password", "No such file"),
    ),
}


BAD |= {
    "NUL in a path": ('data_dir = "a\\u0000b"\n[broker]\nenabled = true', ("data_dir", "NUL")),
    "NUL in the password's path": (
        'data_dir = "d"\n[hubs.mqtt]\npassword_file = "a\\u0000b"',
        ("hubs.mqtt.password_file", "NUL"),
    ),
    "a port without a name": ('data_dir = "d"\n[hubs]\nserial = [""]', ("hubs.serial", "names no port")),
    "a port twice": (
        'data_dir = "d"\n[hubs]\nserial = ["/dev/ttyUSB0", "/dev/ttyUSB0"]',
        ("hubs.serial", "/dev/ttyUSB0", "twice"),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_config(tmp_path: Path, case: str) -> None:
    text, words = BAD[case]
    path = tmp_path / "kanhu.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    one_line(kanhu("run", "-c", str(path)), *words)


def test_a_password_that_is_no_text(tmp_path: Path) -> None:
    """The file is looked for beside the TOML file, wherever the command runs."""
    (tmp_path / "password").write_bytes(b"\xff\xfe")
    path = config(
        tmp_path, hubs={"mqtt": {"password_file": "password", "username": "u", "port": free_port()}}
    )
    one_line(kanhu("run", "-c", str(path), cwd="/"), str(tmp_path / "password"), "not UTF-8")
    (tmp_path / "password").write_bytes("密码\n".encode())
    broker = configuration.load(path).hubs.mqtt
    assert broker is not None
    assert broker.password() == "密码"


@pytest.mark.parametrize("seconds", ["nan", "-5", "inf"])
def test_a_demo_of_an_impossible_length(seconds: str) -> None:
    one_line(kanhu("demo", "--seconds", seconds, "--json"), "--seconds", "0 or more")


def test_the_metrics_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        path = config(tmp_path, metrics={"enabled": True, "port": port})
        refused(kanhu("run", "-c", str(path)), "metrics.port", str(port), "choose another")


@pytest.mark.parametrize("where", ["a file", "below a file", "/proc/kanhu"])
def test_a_data_dir_that_cannot_be(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("here I stand")
    data_dir = {"a file": "file", "below a file": "file/data"}.get(where, where)
    refused(kanhu("run", "-c", str(config(tmp_path, data_dir=data_dir))), "data_dir")


def test_a_data_dir_that_may_not_be_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    path = config(tmp_path)
    as_user: list[str] = []
    if os.geteuid() == 0:  # root reads everything, unless these two capabilities are taken away
        as_user = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        if shutil.which(as_user[0]) is None:
            pytest.skip("not on this platform: root reads everything, and there is no setpriv")
    data.chmod(0)
    try:
        for words in (["run", "-c", str(path)], ["status", "-c", str(path)], ["ledger", "-d", str(data)]):
            command = [*as_user, sys.executable, "-m", "kanhu", *words]
            refused(subprocess.run(command, capture_output=True, text=True, timeout=30), str(data))
    finally:
        data.chmod(0o700)


def test_a_journal_that_is_none(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "journal.db").write_bytes(b"this is no database" * 1000)
    refused(kanhu("run", "-c", str(config(tmp_path))), "journal.db")
    assert (data / "journal.db").read_bytes() == b"this is no database" * 1000
    for command in ("status", "ledger"):
        one_line(kanhu(command, "-d", str(data)), "journal.db")


def test_a_journal_with_a_damaged_page(tmp_path: Path) -> None:
    path = config(tmp_path)
    data = tmp_path / "data"
    with subprocess.Popen(
        [sys.executable, "-m", "kanhu", "run", "-c", str(path)], stderr=subprocess.PIPE
    ) as run:
        assert run.stderr is not None
        while b"running" not in run.stderr.readline():
            assert run.poll() is None
        run.terminate()
        assert run.wait(15) == 0
    assert kanhu("status", "-c", str(path)).returncode == 0
    journal = data / "journal.db"
    whole = journal.read_bytes()
    db = sqlite3.connect(journal)
    (size,) = db.execute("PRAGMA page_size").fetchone()
    (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name='meta'").fetchone()
    db.close()
    damaged = whole[: (page - 1) * size] + b"\xa5" * size + whole[page * size :]
    journal.write_bytes(damaged)
    for words in (["status", "-d", str(data)], ["ledger", "-d", str(data)]):
        one_line(kanhu(*words), "journal.db: damaged on its disk", "restore a copy", "docs/operate.md")
    refused(kanhu("run", "-c", str(path)), "journal.db: damaged on its disk", "restore a copy")
    assert journal.read_bytes() == damaged
    journal.write_bytes(whole)
    assert kanhu("status", "-c", str(path)).returncode == 0


def test_status_without_a_registry(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    db = sqlite3.connect(journal)
    db.execute("CREATE TABLE t (n)")
    db.close()
    for words in (["status", "-d"], ["ledger", "-d"]):
        refused(kanhu(*words, str(tmp_path)), "journal.db")
    assert not (tmp_path / "registry.db").exists()


def test_a_second_daemon_on_one_journal(town: Town) -> None:
    done = kanhu("run", "-c", str(town.daemon.config))
    refused(done, "another kanhu daemon", str(town.daemon.pid), "stop it first")
    assert town.daemon.running


def test_status_and_ledger_without_a_journal(tmp_path: Path) -> None:
    for command in ("status", "ledger"):
        one_line(kanhu(command, "-d", str(tmp_path)), "no journal", "kanhu run")
        one_line(kanhu(command, "-c", str(tmp_path / "none.toml")), "none.toml")


# A run


@pytest.fixture
def home(town: Town) -> Home:
    made = town.add_home("north", buttons={"bedroom": 4})
    town.bench.wait_indicator(made.hub, "well", 15)
    return made


def status(town: Town) -> dict[str, Any]:
    done = kanhu("status", "-c", str(town.daemon.config), "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def books(town: Town) -> dict[str, Any]:
    """What `kanhu ledger --json` says; it must say that it balances."""
    done = kanhu("ledger", "-c", str(town.daemon.config), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = dict(json.loads(done.stdout))
    assert found["balanced"] is True
    return found


def test_status_and_ledger_tell_the_truth(town: Town, home: Home, city: City) -> None:
    other = town.registry.add_hub(town.registry.add_home())[0]
    (said,) = [hub for hub in status(town)["hubs"] if hub["hub_id"] == home.hub_id]
    assert (said["state"], said["boot"], said["lost"]) == ("heard", 1, 0)
    assert {hub["hub_id"]: hub["state"] for hub in status(town)["hubs"]}[other] == "never heard"
    assert status(town)["running"] is True
    assert status(town)["alarms"] == []

    town.bench.press("north/bedroom")
    call = city.wait(lambda event: event.name == "call")
    (alarm,) = status(town)["alarms"]
    assert (alarm["name"], alarm["kind"], alarm["state"]) == (call.alarm, "call", "open")
    text = kanhu("status", "-c", str(town.daemon.config), env={**os.environ, "COLUMNS": "200"}).stdout
    assert "running" in text
    assert "nobody has answered" in text
    city.accept_all()
    town.bench.wait_indicator(home.hub, "accepted", 10)
    assert books(town)["hubs"][home.hub_id]["lost"] == 0

    town.daemon.kill()
    after = status(town)
    assert after["running"] is False
    assert {hub["state"] for hub in after["hubs"]} == {"cannot tell", "never heard"}
    found = books(town)["hubs"]
    assert found == ledger.recompute(town.daemon.data_dir / "journal.db")
    assert found[home.hub_id]["stored"] >= 3


def test_a_hub_fallen_silent_is_said_to_be(make_town: Callable[..., Town]) -> None:
    town = make_town(daemon={"hubs": {"missed_heartbeats": 1}})
    town.start()
    home = town.add_home("north", buttons={"bedroom": 4})
    town.bench.wait_indicator(home.hub, "well", 15)
    town.bench.cut_power(home.hub)
    wait_for(lambda: [hub["state"] for hub in status(town)["hubs"]] == ["silent"], 15)
    town.bench.power(home.hub)
    wait_for(lambda: [hub["state"] for hub in status(town)["hubs"]] == ["heard"], 15)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_it_ends_gracefully_in_the_middle_of_work(
    town: Town, home: Home, city: City, number: signal.Signals
) -> None:
    with Observer(town.broker.port, "kanhu/1/hubs/+/up/#", "kanhu/1/hubs/+/down") as wire:
        town.bench.press("north/bedroom")
        wait_for(lambda: wire.on("/up/p1"), 10, "no call on the wire")
        assert town.daemon.pid is not None
        begin = time.monotonic()
        os.kill(town.daemon.pid, number)
        assert town.daemon.wait() == 0
        assert time.monotonic() - begin < 8
        log = town.daemon.log()
        assert '"stopped"' in log
        assert "Traceback" not in log
        # What was receipted is on disk.
        stored = {
            (row[0], seq)
            for one in wire.on("/down")
            for row in open_down(town, home.hub_id, one.payload).get(k.SINGLE, ())
            for seq in row[1:]
        }
        sent = {pair for one in wire.heard if "/up/" in one.topic for pair in identities(one.payload)}
    assert stored <= sent
    books(town)
    town.daemon.start()
    city.close_after_s = 10  # long enough to read the lamp on a busy machine
    call = city.wait(lambda event: event.name == "call", 20)
    city.accept_all()
    town.bench.wait_indicator(home.hub, "accepted", 20)
    account(town, city, home, sent)
    assert [event.alarm for event in city.events("call")] == [call.alarm]


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A town's folder whose daemon keeps its data on a disk of 8 MB."""
    folder = tmp_path / "small"
    data = folder / "daemon" / "data"
    data.mkdir(parents=True, mode=0o700)
    with helpers_disk.small_disk(data, FULL_DISK):
        yield folder


def write_until_full(filler: Path) -> None:
    with filler.open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass


def test_a_full_disk(small_disk: Path, make_city: Callable[..., City]) -> None:
    with Town(small_disk, daemon={"metrics": {"enabled": True, "port": 0}}) as town:
        town.start()
        home = town.add_home("north", buttons={"bedroom": 4})
        city = make_city(town)
        town.bench.wait_indicator(home.hub, "well", 15)
        metrics = Metrics(town)
        filler = town.daemon.data_dir / "filler"

        def fill() -> bool:
            write_until_full(filler)
            return metrics.read()[("kanhu_journal_healthy",)] == 0

        # The journal may have room left in its own pages: fill until an event does not fit.
        wait_for(fill, 40, "the disk is not full for the journal")
        with Observer(town.broker.port, "kanhu/1/hubs/+/down", "kanhu/1/events/#") as wire:
            town.bench.press("north/bedroom")
            town.bench.wait_indicator(home.hub, "heard", 5)
            end = time.monotonic() + 4
            while time.monotonic() < end:
                assert town.bench.indicator(home.hub).pattern not in ("stored", "delivered")
                time.sleep(0.05)
            told = [open_down(town, home.hub_id, one.payload)[k.TYPE] for one in wire.on("/down")]
            assert k.STORED not in told
            assert k.DELIVERED not in told
            assert not wire.on("/events/p1")
            assert metrics.read()[("kanhu_journal_healthy",)] == 0
            assert metrics.read()[("kanhu_events_not_saved_total",)] >= 1
        books(town)
        assert "Traceback" not in town.daemon.log()
        filler.unlink()
        city.wait(lambda event: event.name == "call", 40)
        wait_for(lambda: metrics.read()[("kanhu_journal_healthy",)] == 1, 10)
        city.accept_all()
        town.bench.wait_indicator(home.hub, "accepted", 20)
        account(town, city, home, [])
        assert len(city.events("call")) == 1


def test_a_disk_that_is_full_at_the_start(small_disk: Path) -> None:
    path = config(small_disk / "daemon")
    filler = small_disk / "daemon" / "data" / "filler"
    write_until_full(filler)
    refused(kanhu("run", "-c", str(path)), "No space left on device", "make room")
    filler.unlink()
    with subprocess.Popen(
        [sys.executable, "-m", "kanhu", "run", "-c", str(path)], stderr=subprocess.PIPE
    ) as run:
        assert run.stderr is not None
        while b"running" not in run.stderr.readline():
            assert run.poll() is None
        run.terminate()
        assert run.wait(15) == 0
