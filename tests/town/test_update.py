"""A release on its way through a town: real firmware, a real daemon, `kanhu update` as a person types it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers_e2e import account
from helpers_firmware import public_key, test_key
from kanhu.install import signing
from kanhu.install.firmware import build_files, compile_module, source_dir, source_version
from kanhu.install.release import make_archive
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town
from kanhu.updates import book
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

VERSION = "0.9.0"
CRASHES = b"raise RuntimeError('this release does not start')\n"
LOOK_S = 0.3
MINUTES = 180.0  # s of real time that a busy computer may need for any one step


def until(condition: Callable[[], Any]) -> Any:
    """The condition's value once it is true: seconds matter little here, and the computer is busy."""
    end = time.monotonic() + MINUTES
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {MINUTES:.0f} s"
        time.sleep(LOOK_S)
    return value


def these_sources(folder: Path) -> dict[str, bytes]:
    """What a board gets of these very sources under another version."""
    source = folder / "firmware"
    shutil.copytree(source_dir(), source, ignore=shutil.ignore_patterns("__pycache__"))
    app = source / "kanhu_hub" / "app.py"
    text = app.read_text(encoding="utf-8").replace(f'"{source_version()}"', f'"{VERSION}"')
    app.write_text(text, encoding="utf-8")
    return build_files(source)


def release(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A signed archive, and beside it the key that it is believed by."""
    path = folder / "application.kfw"
    path.write_bytes(make_archive(files, test_key(), VERSION))
    (folder / "trust.pem").write_bytes(signing.public_pem(test_key().public_key()))
    return path


class Street:
    """Homes of a town that take releases, and the command."""

    def __init__(self, town: Town, names: tuple[str, ...]) -> None:
        self.town = town
        self.homes: dict[str, Home] = {
            name: town.add_home(name, buttons={"button": 4}, release=public_key()) for name in names
        }

    def update(self, *words: object) -> subprocess.CompletedProcess[str]:
        """kanhu update .., ended by itself."""
        command = [
            sys.executable,
            "-m",
            "kanhu",
            "update",
            *map(str, words),
            "--data-dir",
            str(self.town.daemon.data_dir),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=MINUTES)

    def well(self, *words: object) -> str:
        """What a command says that succeeds."""
        done = self.update(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def add(self, path: Path) -> None:
        self.well("add", path, "--trust", path.with_name("trust.pem"))

    def states(self) -> dict[str, str]:
        """Name of a home -> state of its hub."""
        by_hub = {unit.hub: unit.state for unit in book.read(self.town.daemon.data_dir / "journal.db")[1]}
        return {name: by_hub[home.hub_id] for name, home in self.homes.items()}

    def events(self, home: Home, kind: int) -> list[dict[int, Any]]:
        """What its hub has said of a kind, in order."""
        journal = f"file:{self.town.daemon.data_dir / 'journal.db'}?mode=ro"
        with closing(sqlite3.connect(journal, uri=True)) as db:
            sql = "SELECT plain FROM events WHERE hub=? AND kind=? ORDER BY boot, seq"
            return [cbor.loads(plain) for (plain,) in db.execute(sql, (home.hub_id, kind))]

    def runs(self, home: Home) -> str:
        """The version its hub said at its newest start."""
        return str(self.events(home, k.BOOT)[-1][k.FIRMWARE])


@pytest.fixture
def street(make_town: Callable[..., Town]) -> Callable[..., Street]:
    def make(*names: str) -> Street:
        # Silent is who says nothing for 90 s: restarting takes a busy computer's hub a while.
        town = make_town(heartbeat_s=5, daemon={"hubs": {"missed_heartbeats": 15}})
        made = Street(town, names)
        town.start()
        return made

    return make


@pytest.mark.timeout(600)
def test_a_release_goes_round_whatever_happens_meanwhile(
    street: Callable[..., Street], make_city: Callable[..., City], tmp_path: Path
) -> None:
    """The canary first, then the rest; a hub loses its power and the daemon is killed in the middle; where
    somebody has called, nothing is asked until that is closed; nothing is lost, and the release stays."""
    homes = street("north", "south", "east")
    town, north = homes.town, homes.homes["north"]
    city = make_city(town)
    town.wait_ready(MINUTES)
    town.bench.press("north/button")
    call = city.wait(lambda event: event.name == "call", MINUTES)
    homes.add(release(tmp_path, these_sources(tmp_path)))
    said = homes.well("start", VERSION, "--all", "--canary", 1, "--soak", "2s", "--at-once", 2)
    assert f"{VERSION} to 3 hubs, 1 of them first" in said

    def fetching() -> str:
        return next((name for name, home in homes.homes.items() if homes.events(home, k.UPDATE_PROGRESS)), "")

    first = homes.homes[until(fetching)]
    assert first is not north
    until(lambda: len(homes.events(first, k.UPDATE_PROGRESS)) >= 4)
    town.daemon.kill()
    town.bench.cut_power(first.hub)
    had = len(first.hub.flash_files()["/update/archive"])
    town.daemon.start()
    town.bench.power(first.hub)
    until(lambda: homes.states()[first.name] == "done")
    offsets = [event[k.OFFSET] for event in homes.events(first, k.UPDATE_PROGRESS)]
    assert had > 0
    assert offsets.count(0) == 1, "it began anew"
    assert len(offsets) <= len(set(offsets)) + 4, "it said the same again and again"
    (last,) = [home for home in homes.homes.values() if home not in (first, north)]
    until(lambda: homes.states()[last.name] == "done")
    done = {
        name: homes.events(home, k.UPDATE_DONE)[0] for name, home in homes.homes.items() if home is not north
    }
    assert {event[k.FIRMWARE] for event in done.values()} == {VERSION}
    asked = homes.events(last, k.COMMAND_DONE)[-1]
    assert asked[k.UTC_MS] > done[first.name][k.UTC_MS] + 2000, "asked before the canary had run well"

    assert homes.states()["north"] == "postponed"
    assert homes.events(north, k.UPDATE_PROGRESS) == []
    assert call.alarm is not None
    city.accept_all()  # and closes it when the elder has been visited
    watched = homes.update("watch")
    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert "is over" in watched.stdout.splitlines()[-1]
    assert set(homes.states().values()) == {"done"}
    shown = homes.well("status", "--hubs")
    assert all(home.hub_id in shown for home in homes.homes.values())
    for home in homes.homes.values():
        town.bench.cut_power(home.hub)
        town.bench.power(home.hub)
    # The boot after that: the release that stays.
    until(lambda: all(homes.events(home, k.BOOT)[-1].get(k.SLOT) == [2, 2] for home in homes.homes.values()))
    assert {homes.runs(home) for home in homes.homes.values()} == {VERSION}
    town.bench.press("south/button")
    city.wait(lambda event: event.name == "call" and event.hub == homes.homes["south"].hub_id, MINUTES)
    for home in homes.homes.values():
        ids = [event.id for event in city.events("call") if event.hub == home.hub_id]
        calls = [(int(boot), int(seq)) for boot, _, seq in (one.partition("-") for one in ids)]
        assert len(calls) == (home.name != "east")
        account(town, city, home, calls)


@pytest.mark.timeout(600)
def test_a_bad_release_stops_itself_at_the_canary(
    street: Callable[..., Street], make_city: Callable[..., City], tmp_path: Path
) -> None:
    """It does not start: the hub goes back by itself and still calls; the other is never asked."""
    homes = street("north", "south")
    town = homes.town
    city = make_city(town)
    town.wait_ready(MINUTES)
    homes.add(release(tmp_path, {"/a/kanhu_hub/app.mpy": compile_module("kanhu_hub/app.py", CRASHES)}))
    homes.well("start", VERSION, "--all", "--canary", 1, "--soak", "2s")
    watched = homes.update("watch")
    assert watched.returncode == 1, watched.stdout + watched.stderr
    last = watched.stdout.splitlines()[-1]
    assert "is paused: 1 of 1 failed" in last
    assert "the release did not start three times" in last
    states = homes.states()
    assert sorted(states.values()) == ["failed", "waiting"]
    (spared,) = [homes.homes[name] for name, state in states.items() if state == "waiting"]
    assert homes.events(spared, k.UPDATE_PROGRESS) == []
    (struck,) = [home for home in homes.homes.values() if home is not spared]
    assert homes.runs(struck) == source_version()
    assert [event[k.DETAIL] for event in homes.events(struck, k.UPDATE_FAILED)] == [5]
    town.bench.press(f"{struck.name}/button")
    city.wait(lambda event: event.name == "call" and event.hub == struck.hub_id, MINUTES)
