"""A town lives through an incident, for what is taken out of its journal: a call during a broker's restart,
and a power cut in the midst of it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from kanhu.install.firmware import source_dir
from kanhu.qa.incidents import programs
from kanhu.qa.incidents.extract import extract
from kanhu.qa.incidents.form import Incident
from kanhu.sim.city import City
from kanhu.sim.faults.plan import Step
from kanhu.sim.town import Home, Town
from kanhu.sim.world.house import House
from kanhu.sim.world.schedule import Session
from kanhu.sim.world.time import EPOCH_S
from kanhu.sim.world.world import Home as WorldHome

BIND_KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
FAMILY, STREET, PHONE = "Wang Xiulan 王秀兰", "Luoyu Road 1037, 5-302", "+86 27 8888 1234"
ROOM, CORRIDOR = "grandmother's room", "long corridor"
NAMED, WEARER = "the red pendant", "grandfather Li"
WIFI, WIFI_PASSWORD, BROKER = "kanhu-lab", "a password", "broker.lan"
DOOR_MAC = "A4:C1:38:77:66:55"
REACHED_S = 40.0  # generous: two cores are shared


class Lived(NamedTuple):
    """What became of it: where the journal is, of which hub, when (UTC ms), and what must be in no file."""

    data_dir: Path
    hub: str
    since_ms: int
    until_ms: int
    log: str
    secrets: list[bytes]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def console(home: Home) -> str:
    """The hub's log with the time of each line, as a serial recorder writes it."""
    ahead = time.time() - time.monotonic()
    return "".join(
        f"{datetime.fromtimestamp(at + ahead, UTC).isoformat(timespec='milliseconds')} {line}\n"
        for at, line in home.hub.lines()
    )


def quiet(town: Town, home: Home) -> None:
    town.bench.wait_indicator(home.hub, "well", REACHED_S)


def build(town: Town) -> Home:
    """A home with everything that must not leave it."""
    home = town.add_home(
        "north", buttons={"bed": 4, "bath": 5}, pirs={"hall": 13}, rooms={"bed": ROOM, "hall": CORRIDOR}
    )
    with closing(sqlite3.connect(town.registry.path, timeout=30)) as db:
        values = (FAMILY, STREET, json.dumps([PHONE]), home.home)
        db.execute("UPDATE homes SET name=?, address=?, phones=? WHERE id=?", values)
        db.commit()
    town.registry.add_sensor(home.hub_id, "door", DOOR_MAC, NAMED, ROOM, 600, bind_key=BIND_KEY)
    town.registry.add_sensor(home.hub_id, "blood_pressure", "F0:4B:48:00:99:01", "cuff", wearer=WEARER)
    town.add_sensor(home, "window", "window")
    town.wait_ready(REACHED_S)
    return home


def live(town: Town, city: City, home: Home) -> Lived:
    """A quiet call; then the broker goes, somebody presses, and the power goes before the broker is back."""
    city.close_after_s = 1.0
    quiet(town, home)
    since_ms = now_ms() - 1000
    town.bench.set_sensor("north/window", True)
    _call(town, city, home, "north/bed")
    time.sleep(2)
    town.bench.motion("north/hall", 2.0)
    time.sleep(3)
    town.broker.stop()
    time.sleep(1)
    seen = len(city.events("call"))
    town.bench.press("north/bath")
    home.hub.wait_log("lamp heard", REACHED_S, home.hub.log_position() - 200)
    time.sleep(5)
    town.bench.cut_power(home.hub)
    time.sleep(3)
    town.bench.power(home.hub)
    home.hub.wait_log("boot 2", REACHED_S)
    time.sleep(4)
    town.broker.start()
    _answer(town, city, home, seen)
    time.sleep(2)
    return Lived(town.daemon.data_dir, home.hub_id, since_ms, now_ms(), console(home), secrets(town, home))


def _call(town: Town, city: City, home: Home, button: str) -> None:
    seen = len(city.events("call"))
    town.bench.press(button)
    _answer(town, city, home, seen)


def _answer(town: Town, city: City, home: Home, seen: int) -> None:
    deadline = time.monotonic() + REACHED_S
    while len(city.events("call")) <= seen:
        assert time.monotonic() < deadline, "the call has not reached the city"
        time.sleep(0.05)
    time.sleep(2)  # a person reads it first
    city.accept_all()
    quiet(town, home)


def secrets(town: Town, home: Home) -> list[bytes]:
    """All that must not stand in an incident, in every form in which it might."""
    key = town.registry.key(home.hub_id)
    assert key is not None
    mac = bytes.fromhex(DOOR_MAC.replace(":", ""))
    window = next(one.address for one in town.registry.sensors(home.hub_id) if one.role == 4)
    password = town.registry.mqtt_password(home.hub_id)
    words = [
        FAMILY, "王秀兰", STREET, PHONE, ROOM, CORRIDOR, NAMED, WEARER, "cuff", WIFI, WIFI_PASSWORD, BROKER,
        password, home.hub_id, home.home, DOOR_MAC, "op-7", "visited", "127.0.0.1",
    ]  # fmt: skip
    found = [word.encode() for word in words]
    for data in (key[1], BIND_KEY, mac, window):
        found += [data, data.hex().encode(), data.hex().upper().encode(), data.hex(":").encode()]
    return found


def quick_record() -> Incident:
    """A record of the accelerated world: movement, a call that waits for four minutes, a power cut."""
    lines: list[tuple[float, str]] = []
    with Session(3, [House(knows_time=True)]) as session:
        world = session.world
        home = world.homes[0]
        told, world.platform._see_to = world.hub_did, lambda alarm: None  # type: ignore[method-assign]

        def heard(home: WorldHome, what: str, data: bytes) -> None:
            if what == "log":
                lines.append((home.hub.now_ms / 1000, data.decode()))
            told(home, what, data)

        world.hub_did = heard  # type: ignore[method-assign]
        session.wait(100)
        begin = world.loop.time()
        session.do(Step(0, "motion", {"hub": 0}))
        session.wait(5)
        session.do(Step(0, "press", {"hub": 0, "button": 1}))
        session.wait(240)

        async def now(act: Callable[..., object], *given: object) -> None:
            act(*given)

        session._run(now(world.lose_power, home, "cut"))
        session.wait(8)
        session._run(now(world.give_power, home, "cut"))
        session.wait(120)
        session._run(now(world.host.kill))
        end = world.loop.time()
        log = "".join(f"{_stamp(EPOCH_S + at)} {text}\n" for at, text in lines)
        span = int((EPOCH_S + begin) * 1000) - 1000, int((EPOCH_S + end) * 1000)
        return extract(world.host.data_dir, home.hub.hub_id, *span, log=log, installed=programs.sources())


def _stamp(utc_s: float) -> str:
    return datetime.fromtimestamp(utc_s, UTC).isoformat(timespec="milliseconds")


def patched(folder: Path, file: str, before: str, after: str) -> programs.Program:
    """The firmware with one change, from a copy of its sources."""
    copy = folder / f"patched-{len(list(folder.iterdir()))}"
    shutil.copytree(source_dir(), copy, ignore=shutil.ignore_patterns("__pycache__"))
    path = copy / file
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{file} has another text now: {before!r}"
    path.write_text(text.replace(before, after), encoding="utf-8")
    return programs.of_path(copy, [])


def never_again(folder: Path) -> programs.Program:
    """A firmware that says an alarm once and never again."""
    return patched(folder, "kanhu_hub/alarm.py", "if now >= alarm.due_ms and", "if False and")
