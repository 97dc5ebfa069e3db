"""The families' page on a phone, over a real daemon, broker and hub: a home is set up and looked after."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, expect

from helpers_e2e import wait_for
from helpers_family_town import PIN, Phone, family_settings, label_of, phone
from kanhu.care.rules.values import Words
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town
from kanhu.web.family import words_entry as entry
from kanhu.web.family import words_home as at_home
from kanhu.web.family import words_readings as readings
from kanhu.web.family import words_sensors as sensors
from kanhu.web.family.words import COMMON

MOST_TAPS = 6
NAME, ADDRESS = "Wang Xiulan", "3-2-1"
PENDANT, WALKER, CUFF = "A4:C1:38:77:00:01", "A4:C1:38:77:00:02", "F0:4B:48:77:00:03"
YESTERDAY = {"systolic": 151, "diastolic": 93, "pulse": 71}
TODAY = {"systolic": 128, "diastolic": 79, "pulse": 66}
EYES_S = 1.0  # until a person has seen what the lamp says, and the last copies of a press are over


def town_with_page(make_town: Callable[..., Town]) -> tuple[Town, str]:
    """A running town, and the URL of its page."""
    settings, url = family_settings()
    town = make_town(daemon=settings)
    town.start()
    return town, url


def describe(town: Town, home: Home) -> None:
    """Somebody lives there."""
    with town.registry._change() as db:
        db.execute("UPDATE homes SET name=?, address=? WHERE id=?", (NAME, ADDRESS, home.home))


def shows(seat: Phone, words: Words) -> None:
    """Wait until the page says so."""
    expect(seat.page.locator("main")).to_contain_text(seat.say(words))


def claim(seat: Phone, town: Town, home: Home, button: str) -> None:
    """From the label's link to the page where all is well or not."""
    seat.open()
    seat.heading(entry.TEXT["claim_title"])
    for secret in (NAME, ADDRESS, home.home, home.hub_id, button):
        assert secret not in seat.page.content()
    check(seat)
    seat.tap(entry.TEXT["claim_begin"])
    town.bench.wait_indicator(home.hub, "proving", 40)
    shows(seat, entry.TEXT["claim_press"])
    check(seat)
    time.sleep(EYES_S)
    town.bench.press(button)
    seat.heading(entry.TEXT["choose_title"])
    check(seat)
    seat.page.get_by_label(seat.say(entry.TEXT["new_pin"])).fill(PIN)
    seat.tap(entry.TEXT["set_pin"])
    seat.heading(at_home.TEXT["home_title"])


def check(seat: Phone) -> None:
    """What a phone can see is as it should be; only where scripts run can it be measured."""
    if seat.scripts:
        assert seat.faults() == []


def add(
    seat: Phone, town: Town, home: Home, role: str, name: str, wake: Callable[[], object],
    prove: Callable[[], object],
) -> int:  # fmt: skip
    """From the home page to a sensor that is proven; how many taps it took."""
    seat.open()
    seat.taps = 0
    seat.tap(at_home.TEXT["add_sensor"])
    town.bench.wait_indicator(home.hub, "pairing", 40)
    shows(seat, sensors.TEXT["listening"])
    wake()
    card = seat.page.get_by_role("link", name=re.compile(re.escape(seat.say(sensors.ROLE[role]))))
    expect(card).to_be_visible()
    check(seat)
    seat.tap(card)
    seat.page.get_by_label(seat.say(sensors.TEXT["name"]), exact=True).fill(name)
    if role == "blood_pressure":
        expect(seat.page.get_by_role("checkbox", name=NAME)).to_be_checked()  # nobody else lives there
    else:
        seat.tap(seat.page.get_by_text(seat.say(sensors.ROOM["bedroom"]), exact=True))
    check(seat)
    seat.tap(sensors.TEXT["save_test"])
    seat.heading(sensors.TEXT["testing"])
    prove()
    shows(seat, sensors.TEXT["test_done"])
    expect(seat.page.locator(".receipts .good")).to_have_count(4)
    check(seat)
    return seat.taps


def set_up_and_live(seat: Phone, town: Town, city: City, home: Home) -> None:
    """Everything a family does on its page, beginning with a hub that nobody has claimed."""
    bench = town.bench

    def of(name: str) -> list[object]:
        return [one for one in city.events(name) if home.hub_id in (one.hub, one.data.get("subject"))]

    claim(seat, town, home, f"{home.name}/button")
    check(seat)
    assert not of("call")

    # A button. Before it is paired nothing that it says counts.
    bench.add_sensor("pendant", "button", PENDANT)
    bench.add_sensor("walker", "motion", WALKER)
    cuff = bench.monitor("blood_pressure", CUFF, name="cuff", clock_offset_s=8 * 3600)
    bench.press("pendant")
    time.sleep(EYES_S)

    def prove_button() -> None:
        bench.wait_indicator(home.hub, "proving", 40)
        shows(seat, sensors.TEXT["no_call"])
        time.sleep(EYES_S)
        bench.press("pendant")

    def prove_walker() -> None:
        shows(seat, sensors.ready("motion"))
        bench.motion("walker", 2)

    zone = ZoneInfo(home.time_zone)
    yesterday = (datetime.now(zone) - timedelta(days=1)).replace(hour=9, minute=41, tzinfo=None)
    taps = add(seat, town, home, "call", "Pendant", lambda: bench.press("pendant"), prove_button)
    assert taps <= MOST_TAPS
    taps = add(seat, town, home, "motion", "Bedside", lambda: bench.motion("walker", 1), prove_walker)
    assert taps <= MOST_TAPS
    bench.run(cuff.measure(**YESTERDAY, at=yesterday))  # nobody collects it yet
    # What it had stored is collected, and proves it.
    taps = add(seat, town, home, "blood_pressure", "Cuff", lambda: bench.wake("cuff"), lambda: None)
    assert taps <= MOST_TAPS
    wait_for(lambda: of("vitals"), 30)
    bench.wait_monitor("cuff", "asleep", timeout=60)
    bench.measure("cuff", **TODAY)
    wait_for(lambda: len(of("vitals")) == 2, 40, "today's measurement does not come")
    assert [one.data["flags"] for one in of("test.press")] == [["test"]] * 2
    assert not of("call")

    # The walk.
    seat.open()
    seat.tap(COMMON["sensors"])
    expect(seat.page.locator(".card.sensor")).to_have_count(6)
    check(seat)
    seat.tap(sensors.TEXT["walk_test"])
    seat.heading(sensors.TEXT["walk"])
    check(seat)
    seat.tap(sensors.TEXT["walk_begin"])
    expect(seat.page.locator(".dot")).to_have_count(3)
    expect(seat.page.locator(".dot.lit")).to_have_count(0)
    bench.motion(f"{home.name}/kitchen", 2)
    expect(seat.page.locator(".dot.lit")).to_have_count(1)
    bench.motion(f"{home.name}/hall", 2)
    expect(seat.page.locator(".dot.lit")).to_have_count(2)
    shows(seat, sensors.TEXT["walk_not_seen"])  # where somebody moved just before, it takes two minutes
    check(seat)
    seat.tap(sensors.TEXT["walk_done"])
    seat.heading(sensors.TEXT["sensors"])

    # The hub's own button, with every receipt.
    seat.open()
    seat.tap(at_home.TEXT["test_button"])
    bench.wait_indicator(home.hub, "proving", 40)
    time.sleep(EYES_S)
    bench.press(f"{home.name}/button")
    shows(seat, sensors.TEXT["test_done"])
    expect(seat.page.locator(".receipts .good")).to_have_count(4)

    # Yesterday's blood pressure.
    seat.open()
    seat.taps = 0
    seat.tap(COMMON["readings"])
    seat.heading(readings.TEXT["title"])
    check(seat)
    seat.tap(seat.page.locator("a.reading").filter(has_text=seat.say(readings.WHATS["blood_pressure"].words)))
    seat.heading(readings.WHATS["blood_pressure"].words)
    check(seat)
    shown = seat.page.locator("main")
    if "151" not in (shown.text_content() or ""):
        seat.tap(readings.TEXT["day"])
        seat.tap(readings.TEXT["earlier"])
    seat.tap(seat.page.get_by_text(seat.say(readings.TEXT["as_numbers"])))
    expect(shown).to_contain_text(re.compile(r"09:41|9:41"))
    expect(shown).to_contain_text(re.compile(r"151\s*/\s*93"))
    assert seat.taps <= MOST_TAPS
    check(seat)

    # Away until tomorrow.
    seat.open()
    seat.taps = 0
    seat.tap(at_home.TEXT["going_out"])
    seat.heading(at_home.TEXT["modes_title"])
    check(seat)
    seat.tap(at_home.TEXT["modes_start"])
    expect(seat.page.locator("main")).to_contain_text(seat.say(at_home.MODES[2]))
    assert seat.taps <= MOST_TAPS
    away = city.wait(lambda event: event.name == "mode.set" and event.data.get("subject") == home.hub_id)
    assert away.data["mode"] == "away"
    check(seat)

    # A press is a call, and the page says who has heard it.
    seat.open()
    bench.press("pendant")
    shows(seat, at_home.SENTENCES["alarm"])
    check(seat)
    city.close_after_s = 600
    city.accept_all()
    expect(seat.page.locator(".alarm.answered")).to_be_visible()
    for page in ("log", "more", "data", "settings", "sensors"):
        seat.open(page)
        check(seat)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("language", "scripts"),
    [("zh", True), ("en", True), ("en", False)],
    ids=["zh", "en", "en, no scripts: pages reload themselves"],
)
def test_a_family_sets_its_home_up_and_looks_after_it(
    browser: Browser,
    make_town: Callable[..., Town],
    make_city: Callable[..., City],
    language: str,
    scripts: bool,
) -> None:
    town, url = town_with_page(make_town)
    home = town.add_home(
        "north",
        buttons={"button": 4},
        pirs={"hall": 5, "kitchen": 13},
        rooms={"button": "hall", "hall": "hall", "kitchen": "kitchen"},
    )
    describe(town, home)
    city = make_city(town)
    town.wait_ready(40)
    with phone(browser, url, label_of(town, home), language, java_script_enabled=scripts) as seat:
        set_up_and_live(seat, town, city, home)
