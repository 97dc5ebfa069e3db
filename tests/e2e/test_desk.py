"""The call desk in real browsers, over a real daemon, broker and simulated hubs."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from helpers_browser import Seat
from helpers_desk_town import desk_settings, log_in
from helpers_e2e import wait_for
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town
from kanhu.web import audit

ON_THE_DESK_S = 2.0  # from the press to the operator's screen
PERSONS = ("accepted", "handed_over", "on_scene", "closed", "corrected")
TOGETHER_MS = 60  # between two operators' clicks


@pytest.fixture
def desk(make_town: Callable[..., Town]) -> tuple[Town, str]:
    """A running town and the URL of its desk."""
    settings, url = desk_settings()
    town = make_town(daemon=settings)
    town.start()
    return town, url


@pytest.fixture
def town(desk: tuple[Town, str]) -> Town:
    return desk[0]


@pytest.fixture
def sit(browser: Browser, desk: tuple[Town, str]) -> Iterator[Callable[..., Seat]]:
    """sit(operator, region, name, role): a new operator, logged in through the page."""
    with ExitStack() as seats:
        yield lambda operator, region, name="", role="operator": seats.enter_context(
            log_in(browser, *desk, operator, region, role, name)
        )


def row(seat: Seat, home: Home) -> Locator:
    return seat.page.locator(f'[data-alarm^="{home.hub_id}/"]')


def owner(seat: Seat, home: Home) -> str:
    """Who has the home's newest alarm, as this page says it; "" while nobody has."""
    text = seat.page.locator(f'#held [data-alarm^="{home.hub_id}/"]').first
    found = re.search(r"with (you|\w+)", text.text_content() or "") if text.count() else None
    return found[1] if found else ""


def journal(town: Town, question: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(f"file:{town.daemon.data_dir / 'journal.db'}?mode=ro", uri=True)) as db:
        return db.execute(question, values).fetchall()


def describe(town: Town, home: Home, name: str, phone: str) -> None:
    with town.registry._change() as db:
        where = town.registry.hub(home.hub_id).home
        db.execute("UPDATE homes SET name=?, phones=? WHERE id=?", (name, f'["{phone}"]', where))


def test_a_press_is_seen_taken_answered_and_closed_and_only_in_its_own_street(
    town: Town, sit: Callable[..., Seat], make_city: Callable[..., City]
) -> None:
    first, second = (town.add_home(name, buttons={"bedroom": 4}) for name in ("north", "south"))
    describe(town, first, "王秀兰", "+86 27 8888 0000")
    describe(town, second, "赵铁柱", "+86 27 8888 1111")
    city = make_city(town)
    town.wait_ready()
    mine, theirs = sit("lina", "cn/42/01/06/01", "Li Na"), sit("zhang", "cn/42/01/06/02")
    page = mine.page
    # From the press to the screen, by this test's clock.
    began = time.monotonic()
    town.bench.press("north/bedroom")
    row(mine, first).wait_for(timeout=10_000)
    took_s = time.monotonic() - began
    assert took_s < ON_THE_DESK_S
    town.bench.press("south/bedroom")
    row(theirs, second).wait_for(timeout=10_000)
    # Each sees its own street: no other home, no count of it, not by asking for it by name either.
    expect(page.locator("[data-alarm]")).to_have_count(1)
    expect(theirs.page.locator("[data-alarm]")).to_have_count(1)
    assert second.hub_id not in page.content()
    name = row(theirs, second).get_attribute("data-alarm")
    answer = page.request.get(f"/desk/api/alarms/{name}/person")
    assert answer.status == 404
    # Taken, by keyboard alone.
    page.keyboard.press("Enter")
    town.bench.wait_indicator(first.hub, "accepted", 10)
    expect(page.locator(".person")).to_contain_text("王秀兰")
    expect(page.locator(".person .tel")).to_have_attribute("href", "tel:+862788880000")
    assert mine.axe() == []
    page.keyboard.press("d")
    town.bench.wait_indicator(first.hub, "coming", 10)
    expect(page.locator("#panel .state")).to_contain_text("help is sent")
    page.keyboard.press("c")
    page.get_by_label("Helped, all is well again").check()
    page.get_by_label("In your words").fill("tea was made")
    page.keyboard.press("Enter")
    town.bench.wait_indicator(first.hub, "well", 10)
    expect(page.locator("#closed")).to_contain_text("Helped, all is well again: tea was made")
    assert "王秀兰" not in page.content()
    # The city heard who did what; the audit has who looked, and nothing of it was changed.
    closed = city.wait(lambda event: event.name == "alarm.closed")
    assert (closed.data["operator"], closed.data["reason"]) == ("lina", "helped: tea was made")
    assert {event.name for event in city.events()} >= {"alarm.accepted", "alarm.dispatched", "alarm.closed"}
    looks = journal(town, "SELECT operator, hub FROM audit WHERE what='person'")
    assert looks == [("lina", first.hub_id)]
    assert audit.verify(town.daemon.data_dir / "journal.db").broken == ()


def test_handed_over_to_a_supervisor_who_sets_the_mode_closes_and_corrects(
    town: Town, sit: Callable[..., Seat], make_city: Callable[..., City]
) -> None:
    home = town.add_home("north", buttons={"bedroom": 4})
    city = make_city(town)
    town.wait_ready()
    first, second = sit("lina", "cn/42/01/06/01", "Li Na"), sit("wei", "cn/42", "Zhang Wei", "supervisor")
    town.bench.press("north/bedroom")
    row(first, home).locator(".accept").click()
    expect(second.page.locator("#held")).to_contain_text("with Li Na")
    first.page.keyboard.press("h")
    first.page.get_by_label("Operator who takes it").select_option(label="Zhang Wei (wei)")
    first.page.locator("dialog button.main").click()
    expect(first.page.locator("#held")).to_contain_text("with Zhang Wei")
    expect(first.page.locator("#panel")).to_be_hidden()
    page = second.page
    expect(page.locator("#held")).to_contain_text("with you")
    row(second, home).locator(".open-alarm").click()
    expect(page.locator(".history li").last).to_contain_text("handed over")
    page.keyboard.press("s")
    expect(page.locator("#panel .state")).to_contain_text("help is there")
    page.keyboard.press("e")
    page.get_by_label("From now on").select_option("away")
    page.locator("dialog button.main").click()
    expect(page.locator("#notice")).to_have_text("Done: Home's mode.")
    page.keyboard.press("c")
    page.get_by_label("Nothing was wrong").check()
    page.keyboard.press("Enter")
    row(second, home).locator(".open-alarm").click()
    page.keyboard.press("r")
    page.get_by_label("Was away").check()
    page.keyboard.press("Enter")
    expect(page.locator("#closed")).to_contain_text("Was away")
    corrected = city.wait(lambda event: event.name == "alarm.corrected")
    assert (corrected.data["operator"], corrected.data["reason"]) == ("wei", "was_away")
    districts = page.request.get("/desk/api/state").json()["districts"]
    assert [one["region"] for one in districts] == ["cn/42/01/06"]  # and no row for what is above it
    city.wait(lambda event: event.name == "mode.set" and event.data["mode"] == "away")
    steps = [what for (what,) in journal(town, "SELECT what FROM alarm_history ORDER BY id")]
    assert [one for one in steps if one in PERSONS] == list(PERSONS)


def click_in(seat: Seat, home: Home, ms: int) -> None:
    """Click Accept in so many ms, and come back at once."""
    seat.page.evaluate(
        """([hub, ms]) => setTimeout(() => {
            document.querySelector(`[data-alarm^="${hub}/"] .accept`).click();
        }, ms)""",
        [home.hub_id, ms],
    )


def test_two_accept_together_and_the_daemon_dies_between_one_has_it_and_both_see_who(
    town: Town, sit: Callable[..., Seat]
) -> None:
    homes = [town.add_home(name, buttons={"bedroom": 4}) for name in ("north", "south")]
    town.wait_ready()
    seats = [sit("lina", "cn/42/01"), sit("zhang", "cn/42/01")]
    # Together: one is told that it is theirs, the other who has it.
    town.bench.press("north/bedroom")
    for seat in seats:
        row(seat, homes[0]).wait_for()
    click_in(seats[0], homes[0], TOGETHER_MS)
    click_in(seats[1], homes[0], TOGETHER_MS)
    for seat in seats:
        expect(seat.page.locator("#notice")).to_have_text(re.compile("It is yours|has it already"))
    told = sorted((seat.page.locator("#notice").text_content() or "")[:7] for seat in seats)
    assert told[0] == "It is y"
    assert told[1] in ("lina ha", "zhang h")
    wait_for(
        lambda: sorted(owner(seat, homes[0]) for seat in seats)[1] == "you", 10, "nobody sees it as theirs"
    )
    # Together, and the daemon is killed meanwhile.
    town.bench.press("south/bedroom")
    for seat in seats:
        row(seat, homes[1]).wait_for()
    click_in(seats[0], homes[1], 0)
    click_in(seats[1], homes[1], TOGETHER_MS)
    town.daemon.kill()
    for seat in seats:
        expect(seat.page.locator("#loss")).to_contain_text("Not connected since")
        expect(seat.page.locator(".condition.well")).to_have_count(0)
    town.daemon.start()
    for seat in seats:
        expect(seat.page.locator("#loss")).to_be_hidden(timeout=30_000)
        expect(seat.page.locator("#link-state")).to_have_text("Connected")
        row(seat, homes[1]).wait_for()
    kept = journal(town, "SELECT accepted_by FROM alarms WHERE hub=?", homes[1].hub_id)
    if kept == [(None,)]:  # killed before either was on disk: it still waits for both, and nothing is lost
        for seat in seats:
            expect(row(seat, homes[1]).locator(".accept")).to_be_visible()
        row(seats[1], homes[1]).locator(".accept").click()
    wait_for(lambda: all(owner(seat, homes[1]) for seat in seats), 15, "not both see who has it")
    (by,) = journal(town, "SELECT accepted_by FROM alarms WHERE hub=?", homes[1].hub_id)[0]
    other = next(at for at, name in enumerate(("lina", "zhang")) if name != by)
    assert owner(seats[1 - other], homes[1]) == "you"
    assert owner(seats[other], homes[1]) == by
    steps = journal(town, "SELECT hub, count(*) FROM alarm_history WHERE what='accepted' GROUP BY hub")
    assert sorted(steps) == sorted((home.hub_id, 1) for home in homes)
    for home in homes:
        town.bench.wait_indicator(home.hub, "accepted", 30)
