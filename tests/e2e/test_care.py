"""Homes where nobody moves: the elder is asked at the hub; who cancels is left alone, who does not gets help.

Of a home whose sensor is gone nobody can tell, and one with a visitor is not bothered. Real daemon, broker
and firmware; minutes of inactivity take tenths of a second (helpers_quick_care)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import helpers_quick_care
from helpers_e2e import wait_for
from kanhu.platform import Event
from kanhu.sim.city import City
from kanhu.sim.sensors import Sensor
from kanhu.sim.town import Home, Town

QUICK = str(Path(helpers_quick_care.__file__))
ASK_S = 12
CANCEL_PIN = 18
MINUTES = 120  # of a day without movement: 12 s here
DARK_MINUTES = 500  # 50 s: longer than it takes the hub to miss a sensor
SUPERVISION_S = 10  # a simulated sensor is heard every 20 s, and missed after three of these
DAY: dict[str, Any] = {"day_minutes": MINUTES, "awake_from": "00:00", "awake_until": "23:59"}


def early_afternoon() -> str:
    """A time zone where it is between 13:00 and 14:00 now, whenever the test runs."""
    return f"Etc/GMT{datetime.now(UTC).hour - 13:+d}"


def quick_town(make_town: Callable[..., Town], **daemon: Any) -> Town:
    town = make_town(daemon={"care": {"ask_s": ASK_S}, **daemon})
    town.daemon.program = [QUICK]
    return town


def add_home(town: Town, name: str, wired: bool = True) -> Home:
    home = town.add_home(
        name,
        buttons={"bedroom": 4},
        pirs={"kitchen": 13} if wired else {},
        rooms={"kitchen": "kitchen"} if wired else {},
        time_zone=early_afternoon(),
        config={"cancel": CANCEL_PIN},
    )
    town.registry.set_rule(home.home, "inactivity", DAY, "test")
    return home


def heard(city: City, home: Home, name: str, seconds: float = 15) -> Event:
    """The first event of that name that is about the home."""
    return city.wait(
        lambda event: event.name == name and home.hub_id in (event.hub, event.data.get("subject")), seconds
    )


def kanhu(town: Town, *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "kanhu", *words, "-c", str(town.daemon.config), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def status(town: Town, home: Home) -> dict[str, Any]:
    return kanhu(town, "home", "status", home.home)


def is_still(town: Town, home: Home, state: str, word: str) -> bool:
    found = status(town, home)
    return found["state"] == state and any(word in one["en"] for one in found["reasons"])


async def out_of_range(sensor: Sensor) -> None:
    sensor.stop()


def test_nobody_moves(make_town: Callable[..., Town], make_city: Callable[..., City]) -> None:
    town = quick_town(make_town)
    town.start()
    well, ill, visited = (add_home(town, name) for name in ("well", "ill", "visited"))
    dark = add_home(town, "dark", wired=False)
    town.registry.set_rule(dark.home, "inactivity", DAY | {"day_minutes": DARK_MINUTES}, "test")
    town.add_sensor(dark, "kitchen", "motion", room="kitchen", supervision_s=SUPERVISION_S)
    city = make_city(town)
    town.wait_ready(40)
    kanhu(town, "home", "mode", visited.home, "visitor", "--by", "family")
    assert heard(city, visited, "mode.set").data["mode"] == "visitor"
    for home in (dark, visited, well, ill):
        town.bench.motion(f"{home.name}/kitchen", 1)
        heard(city, home, "motion")
    town.bench.run(out_of_range(town.bench.sensors["dark/kitchen"][0]))

    moved = time.monotonic()

    # Two are asked; one says that all is well.
    town.bench.wait_indicator(well.hub, "asking", 40)
    town.bench.cancel(well.hub)
    heard(city, well, "pre_alarm.cancelled")
    asked = heard(city, ill, "pre_alarm")
    assert asked.data["rule"].startswith("inactivity/")
    assert "no movement since" in asked.data["explanation"]["en"]
    assert "无活动" in asked.data["explanation"]["zh"]
    assert city.events("inactivity") == []
    assert status(town, ill)["state"] == "attention"

    # The other does not answer: it is an alarm, at the platform and on the lamp.
    raised = heard(city, ill, "inactivity", ASK_S + 40)
    assert raised.alarm == asked.alarm
    city.accept_all()
    wait_for(lambda: city.events("alarm.accepted"), 15)
    town.bench.wait_indicator(ill.hub, "accepted", 15)

    # A sensor that is out of range says so, and of its home nobody can tell: it is neither well nor inactive.
    heard(city, dark, "sensor.silent", 3 * SUPERVISION_S + 20)
    wait_for(lambda: is_still(town, dark, "cannot_tell", "kitchen"), 30)
    wait_for(lambda: time.monotonic() > moved + DARK_MINUTES / 10 + 3, 60)
    assert is_still(town, dark, "cannot_tell", "kitchen")

    # Nobody else was bothered; who had cancelled was asked again only when as much time had gone by.
    for event in (*city.events("pre_alarm"), *city.events("inactivity")):
        assert event.data["subject"] in (well.hub_id, ill.hub_id)
    first, *more = [event for event in city.events("pre_alarm") if event.data["subject"] == well.hub_id]
    for event in more:
        assert event.time is not None
        assert first.time is not None
        assert (
            event.time - first.time
        ).total_seconds() >= MINUTES * helpers_quick_care.QUICK_MINUTE_MS / 1000
    assert first.alarm not in {event.alarm for event in city.events("inactivity")}
