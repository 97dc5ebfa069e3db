"""A morning without movement, from the silence to the corrected rule, with an operator at a real browser."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

import helpers_quick_care
from helpers_desk_town import desk_settings, log_in
from helpers_e2e import wait_for
from kanhu.sim.city import City
from kanhu.sim.town import Town

MINUTES = 30  # of the day without movement: 3 s here (helpers_quick_care)
ASK_S = 6
LEVELS_S = [1.0, 2.0, 3.0]  # street, district, city
SAID = [
    "pre_alarm", "inactivity", "alarm.escalated", "alarm.escalated", "alarm.escalated", "alarm.accepted",
    "alarm.dispatched", "alarm.on_scene", "alarm.closed", "alarm.corrected",
]  # fmt: skip


def early_afternoon() -> str:
    """A time zone where it is between 13:00 and 14:00 now, whenever the test runs."""
    return f"Etc/GMT{datetime.now(UTC).hour - 13:+d}"


def test_from_silence_to_a_person_at_the_desk(
    browser: Browser, make_town: Callable[..., Town], make_city: Callable[..., City]
) -> None:
    settings, url = desk_settings()
    care = {"ask_s": ASK_S, "escalation": {"p2": LEVELS_S}}
    town = make_town(daemon={"care": care, **settings})
    town.daemon.program = [str(Path(helpers_quick_care.__file__))]
    town.start()
    home = town.add_home(
        "north", buttons={"bedroom": 4}, pirs={"kitchen": 13}, rooms={"kitchen": "kitchen"},
        time_zone=early_afternoon(), config={"cancel": 18},
    )  # fmt: skip
    awake: dict[str, Any] = {"day_minutes": MINUTES, "awake_from": "00:00", "awake_until": "23:59"}
    town.registry.set_rule(home.home, "inactivity", awake, "test")
    city = make_city(town)
    with log_in(browser, town, url, "wei", "cn/42", "supervisor") as seat:
        page = seat.page
        row = page.locator(f'[data-alarm^="{home.hub_id}/"]')
        town.wait_ready(40)
        town.bench.motion("north/kitchen", 1)

        # The elder is asked: at the hub, and on the desk apart from what waits, without a name.
        town.bench.wait_indicator(home.hub, "asking", 40)
        asked = page.locator(f'#asking [data-alarm^="{home.hub_id}/"]').first
        expect(asked).to_contain_text("until raised")
        name = asked.get_attribute("data-alarm") or ""
        assert page.request.get(f"/desk/api/alarms/{name}/person").status == 409

        # Nobody cancels: it waits for a person, says why, and goes up level by level.
        alarm = page.locator(f'#waiting [data-alarm="{name}"]')
        expect(alarm).to_contain_text("No movement", timeout=60_000)
        expect(alarm).to_contain_text(re.compile("no movement since", re.IGNORECASE))
        expect(alarm).to_contain_text("asked up to: city", timeout=30_000)

        # Taken by keyboard; the lamp follows each step.
        page.keyboard.press("a")
        town.bench.wait_indicator(home.hub, "accepted", 20)
        expect(page.locator(".why-raised")).to_contain_text("no movement since")
        page.keyboard.press("d")
        town.bench.wait_indicator(home.hub, "coming", 20)
        page.keyboard.press("s")
        expect(page.locator("#panel .state")).to_contain_text("help is there")
        page.keyboard.press("c")
        page.get_by_label("Nothing was wrong").check()
        page.keyboard.press("Enter")
        expect(page.locator(f'#closed [data-alarm="{name}"]')).to_contain_text("Nothing was wrong")

        # A correction changes what is kept of the rule.
        assert outcomes(town) == ["found", "raised", "closed"]
        row.and_(page.locator(f'[data-alarm="{name}"]')).locator(".open-alarm").click()
        page.keyboard.press("r")
        page.get_by_label("Was away").check()
        page.keyboard.press("Enter")
        wait_for(lambda: outcomes(town)[-1] == "corrected", 10, "the rule's record has no correction")

    # All of it was said to the city, in this order, about this alarm.
    city.wait(lambda event: event.name == "alarm.corrected", 20)
    said = [
        event.name
        for event in city.events()
        if name in (event.alarm, f"{home.hub_id}/{event.id}", f"{event.data.get('subject')}/{event.id}")
        and event.name in SAID
    ]
    assert said == SAID


def outcomes(town: Town) -> list[str]:
    """What is kept of the inactivity rule's first alarm."""
    with closing(sqlite3.connect(f"file:{town.daemon.data_dir / 'journal.db'}?mode=ro", uri=True)) as db:
        rows = db.execute(
            "SELECT outcome FROM rule_record WHERE (boot, seq) IN "
            "(SELECT boot, seq FROM rule_record ORDER BY id LIMIT 1) ORDER BY id"
        )
        return [outcome for (outcome,) in rows]
