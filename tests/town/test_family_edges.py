"""The families' page where something is not as it should be: other homes, wrong PINs, monitors that refuse.

And a mode that is set there changes what is done. Real daemon, broker and hubs."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

import helpers_quick_care
from helpers_e2e import wait_for
from helpers_family_town import PIN, Phone, family_settings, label_of, phone
from kanhu.registry.families import Families
from kanhu.sim import flash
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town
from kanhu.web.family import words_entry as entry
from kanhu.web.family import words_home as at_home
from kanhu.web.family import words_monitors as monitors
from kanhu.web.family import words_readings as readings
from kanhu.web.family import words_sensors as sensors
from kanhu.web.family.words import COMMON

QUICK = str(Path(helpers_quick_care.__file__))  # minutes without movement take tenths of a second
ASK_S = 5
DAY: dict[str, Any] = {"day_minutes": 80, "awake_from": "00:00", "awake_until": "23:59"}  # 8 s


def enter(seat: Phone) -> None:
    """Past the PIN; the daemon sees what this test wrote into its registry within a second or so."""
    wait_for(lambda: seat.open() == 200, 10, "the daemon does not know the label")
    seat.heading(entry.TEXT["enter_title"])
    seat.page.get_by_label(seat.say(entry.TEXT["pin"])).fill(PIN)
    seat.tap(entry.TEXT["enter"])
    seat.heading(at_home.TEXT["home_title"])


def about(city: City, home: Home, name: str) -> list[Any]:
    """What the platform has of that name about a home."""
    return [one for one in city.events(name) if home.hub_id in (one.hub, one.data.get("subject"))]


@pytest.mark.timeout(240)
def test_away_until_tomorrow_keeps_the_inactivity_rule_quiet(
    browser: Browser, make_town: Callable[..., Town], make_city: Callable[..., City]
) -> None:
    settings, url = family_settings()
    town = make_town(daemon={"care": {"ask_s": ASK_S}, **settings})
    town.daemon.program = [QUICK]
    town.start()
    early_afternoon = f"Etc/GMT{datetime.now(UTC).hour - 13:+d}"
    homes = [
        town.add_home(name, pirs={"kitchen": 13}, rooms={"kitchen": "kitchen"}, time_zone=early_afternoon)
        for name in ("away", "here")
    ]
    away, here = homes
    for home in homes:
        town.registry.set_rule(home.home, "inactivity", DAY, "test")
        Families(town.registry).claim(home.home, PIN)
    city = make_city(town)
    town.wait_ready(40)
    with phone(browser, url, label_of(town, away)) as seat:
        enter(seat)
        seat.taps = 0
        seat.tap(at_home.TEXT["going_out"])
        seat.heading(at_home.TEXT["modes_title"])
        seat.tap(at_home.TEXT["modes_start"])
        seat.heading(at_home.TEXT["home_title"])
        assert seat.taps <= 6
        (mode,) = wait_for(lambda: about(city, away, "mode.set"), 20)
        assert mode.data["mode"] == "away"
        left_h = (datetime.fromisoformat(mode.data["due"]).timestamp() - time.time()) / 3600
        assert 12 < left_h < 36  # from early afternoon to some time tomorrow
        for home in (away, here):
            town.bench.motion(f"{home.name}/kitchen", 1)
            wait_for(lambda one=home: about(city, one, "motion"), 20)
        wait_for(
            lambda: about(city, here, "inactivity"), 60, "the rule says nothing where somebody is at home"
        )
        time.sleep(2.0)  # the other moved before that one
        assert not about(city, away, "pre_alarm")
        assert not about(city, away, "inactivity")
        # Ended on the page, and the rule goes on.
        seat.open()
        seat.tap(at_home.TEXT["end_mode"])
        wait_for(lambda: about(city, away, "pre_alarm"), 60, "nobody is asked once the mode is over")


def test_another_home_a_dead_link_and_a_wrong_pin_show_nothing(
    browser: Browser, make_town: Callable[..., Town]
) -> None:
    settings, url = family_settings()
    town = make_town(daemon=settings)
    town.start()
    registry = town.registry
    families = Families(registry)
    hubs = []
    for name in ("王秀兰", "赵铁柱"):
        home = registry.add_home("cn/42/01", name=name)
        hub, _ = registry.add_hub(home)
        registry.set_settings(hub, {"buttons": [[1, 4, None]], "places": {"1": ["hall", f"{name}-1"]}})
        families.claim(home, PIN)
        hubs.append(hub)
    mine, theirs = hubs
    _, elsewhere = [families.label(hub) for hub in hubs]
    with phone(browser, url, families.label(mine)) as seat:
        enter(seat)
        for parts in (("sensors", theirs, 1), ("test", theirs), ("add", theirs), ("sensors", mine, 99)):
            seat.open(*parts)
            seat.heading(COMMON["nothing_title"])
            assert "赵铁柱" not in seat.page.content()
            assert theirs not in seat.page.locator("main").inner_html()
        # The cookie of one home's phone opens no other.
        seat.token = elsewhere
        seat.open()
        seat.heading(entry.TEXT["enter_title"])
        assert "赵铁柱" not in seat.page.content()
        # A label that was renewed, and one that never was.
        seat.token = families.label(mine)
        families.renew(mine)
        wait_for(lambda: seat.open() == 404, 10, "the old link still opens")
        dead = seat.page.locator("main").inner_html()
        seat.token = "A" * 22
        seat.open("sensors")
        assert seat.page.locator("main").inner_html() == dead
        assert "王秀兰" not in seat.page.content()
        # Wrong PINs.
        seat.token = families.label(mine)
        wait_for(lambda: seat.open() == 200, 10, "the new link does not open")
        for left in (4, 3, 2, 1, 0):
            seat.page.get_by_label(seat.say(entry.TEXT["pin"])).fill("975310")
            seat.tap(entry.TEXT["enter"])
            if left:
                expect(seat.page.get_by_role("alert")).to_contain_text(str(left))
                assert seat.faults() == []
        expect(seat.page.get_by_label(seat.say(entry.TEXT["pin"]))).to_have_count(0)
        assert seat.faults() == []
        record = families.of(registry.hub(mine).home or "")
        assert record is not None
        registry.refresh()
        seat.open()
        expect(seat.page.get_by_label(seat.say(entry.TEXT["pin"]))).to_have_count(0)
        assert "王秀兰" not in seat.page.content()


@pytest.mark.timeout(240)
def test_a_cuff_that_refuses_says_what_to_do(
    browser: Browser, make_town: Callable[..., Town], make_city: Callable[..., City]
) -> None:
    settings, url = family_settings()
    town = make_town(daemon=settings)
    town.start()
    home = town.add_home("north", buttons={"button": 4})
    for label, manners in (("lost", {"pairs": "once"}), ("nan", {})):
        town.add_monitor(home, label, "blood_pressure", wearer="Wang Xiulan", **manners)
    Families(town.registry).claim(home.home, PIN)
    city = make_city(town)
    town.wait_ready(40)
    bench = town.bench

    def rests() -> None:
        wait_for(lambda: bench.indicator(home.hub).pattern in ("well", "fault"), 40, "the hub does not rest")

    with phone(browser, url, label_of(town, home), "en") as seat:
        enter(seat)
        bench.measure("north/nan", systolic="NaN", diastolic="NaN", mean="NaN", pulse="NaN", status=2)
        wait_for(lambda: about(city, home, "vitals.invalid"), 40)
        seat.open("readings")
        expect(seat.page.locator("main")).to_contain_text(monitors.STATUS["cuff_loose"].en)
        assert "2047" not in seat.page.content()
        assert seat.faults() == []

        bench.measure("north/lost", systolic=131, diastolic=84)
        wait_for(lambda: about(city, home, "vitals"), 40)
        bench.wait_monitor("north/lost", "asleep", timeout=40)
        bench.cut_power(home.hub)
        image = home.hub._flash_image
        flash.install(image, {**flash.read(image), "/data/devices.bonds": b""})
        bench.power(home.hub)
        rests()
        bench.measure("north/lost", systolic=135, diastolic=86)
        wait_for(lambda: about(city, home, "monitor.fault"), 60)
        seat.open("readings")
        expect(seat.page.locator("main")).to_contain_text(monitors.FAULTS["bond_lost"].en)
        assert seat.faults() == []
        seat.tap(COMMON["sensors"])
        card = seat.page.locator(".card.sensor.attention").filter(has_text="lost")
        expect(card).to_contain_text(monitors.FAULTS["bond_lost"].en)
        # What the words say is what helps.
        bench.wake("north/lost", pairing=True)
        wait_for(lambda: len(about(city, home, "vitals")) == 2, 60)
        seat.open("readings")
        expect(seat.page.locator("a.reading").first).to_contain_text("135/86")
        expect(seat.page.locator("main")).to_contain_text(readings.MENDED.en)
        seat.open("sensors")
        expect(seat.page.locator(".card.sensor.attention")).to_have_count(0)
        assert seat.say(sensors.STATE["well"]) in (seat.page.locator("main").text_content() or "")
