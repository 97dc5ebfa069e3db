"""A home where nobody moves: the elder is asked at the hub; who cancels is left alone, who does not gets
help. Real daemon, broker and firmware; minutes of inactivity take tenths of a second (helpers_quick_care)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import helpers_quick_care
from helpers_e2e import wait_for
from kanhu.platform import Event
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town

QUICK = str(Path(helpers_quick_care.__file__))
ASK_S = 12
CANCEL_PIN = 18
MINUTES = 120  # of a day without movement: 12 s here
DAY: dict[str, Any] = {"day_minutes": MINUTES, "awake_from": "00:00", "awake_until": "23:59"}


def early_afternoon() -> str:
    """A time zone where it is between 13:00 and 14:00 now, whenever the test runs."""
    return f"Etc/GMT{datetime.now(UTC).hour - 13:+d}"


def quick_town(make_town: Callable[..., Town], **daemon: Any) -> Town:
    town = make_town(daemon={"care": {"ask_s": ASK_S}, **daemon})
    town.daemon.program = [QUICK]
    return town


def add_home(town: Town, name: str) -> Home:
    home = town.add_home(
        name,
        buttons={"bedroom": 4},
        pirs={"kitchen": 13},
        rooms={"kitchen": "kitchen"},
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


def status(town: Town, home: Home) -> dict[str, Any]:
    command = [sys.executable, "-m", "kanhu", "home", "status", home.home, "-c", str(town.daemon.config)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_nobody_moves(make_town: Callable[..., Town], make_city: Callable[..., City]) -> None:
    town = quick_town(make_town)
    town.start()
    well, ill = add_home(town, "well"), add_home(town, "ill")
    city = make_city(town)
    for home in (well, ill):
        town.bench.wait_indicator(home.hub, "well", 20)
        town.bench.motion(f"{home.name}/kitchen", 1)
    for home in (well, ill):
        heard(city, home, "motion")

    # Both are asked; one says that all is well.
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

    # Nothing was raised in the home of the other.
    assert [event.data["subject"] for event in city.events("inactivity")] == [ill.hub_id]
