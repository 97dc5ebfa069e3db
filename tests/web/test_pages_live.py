"""Never a stale list that looks fresh; title and mute, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from fixtures_desk_pages import row
from helpers_browser import WALL, Seat
from helpers_desk_stage import CALL, INCIDENT, Stage, alarm, all_sorts


def test_a_lost_connection_is_said_at_once_and_comes_back(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(alarm(CALL), incidents=[INCIDENT])
    desk, wall = sit(), sit("/desk/wall", WALL)
    expect(desk.page.locator(".condition.well")).to_be_visible()
    desk.page.locator(".open-incident").click()
    expect(desk.page.locator(".tools")).to_contain_text("None, as of")
    stage.cut()
    desk.page.get_by_role("button", name="Look again").click()
    expect(desk.page.locator(".members .problem")).to_contain_text("the server does not answer")
    for seat in (desk, wall):
        expect(seat.page.locator("#loss")).to_have_text(
            re.compile(r"^Not connected since \d+:\d\d:\d\d: this list may be old\.")
        )
        expect(seat.page.locator(".condition.well")).to_have_count(0)
        expect(seat.page.locator(".condition.cannot_tell b")).to_have_text("131")
        expect(seat.page).to_have_title(re.compile("^✕ "))
    assert desk.axe() == []
    assert wall.axe() == []
    row(desk, CALL).locator(".accept").click()
    expect(desk.page.locator("#notice")).to_contain_text("Not known whether it was done")
    stage.back()
    for seat in (desk, wall):
        expect(seat.page.locator("#loss")).to_be_hidden()
        expect(seat.page.locator(".condition.well b")).to_have_text("118")
    expect(desk.page.locator("#notice")).to_have_text("Connected again. The list is fresh.")
    expect(desk.page.locator(".members .problem")).to_have_text("")


def test_a_stream_that_says_nothing_counts_as_lost(stage: Stage, sit: Callable[..., Seat]) -> None:
    desk = sit("/desk/login")
    desk.page.clock.install()
    desk.page.goto("/desk")
    expect(desk.page.locator(".condition.well")).to_be_visible()
    stage.silent = True
    desk.page.clock.run_for(14_000)
    expect(desk.page.locator("#loss")).to_be_hidden()
    desk.page.clock.run_for(3_000)
    expect(desk.page.locator("#loss")).to_be_visible()
    stage.silent = False
    desk.page.clock.run_for(3_000)
    expect(desk.page.locator("#loss")).to_be_hidden()


def test_when_the_log_in_has_ended_the_page_asks_for_it(stage: Stage, sit: Callable[..., Seat]) -> None:
    desk = sit()
    stage.signed_in = False
    stage.cut()
    stage.back()
    desk.page.wait_for_url(re.compile(r"/desk/login\?error=session_over&next=%2Fdesk$"))
    expect(desk.page.get_by_role("alert")).to_have_text("Your session has ended. Sign in again.")


def test_a_mute_ends_by_itself(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(alarm(CALL, 5))
    desk = sit("/desk/login")
    desk.page.clock.install()
    desk.page.goto("/desk")
    expect(row(desk, CALL)).to_be_visible()
    desk.page.locator("#sound").click()
    desk.page.keyboard.press("m")
    expect(desk.page.locator("#sound")).to_have_attribute("data-state", "muted")
    stage.ping_every_s = 0.2
    desk.page.clock.run_for(121_000)
    expect(desk.page.locator("#sound")).to_have_attribute("data-state", "on")


def test_title_and_icon_say_how_many_wait_and_how_long(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(*all_sorts())
    page = sit().page
    expect(page).to_have_title(re.compile(r"^\(3\) 3:1\d Call desk · Kanhu$"))
    expect(page.locator("#icon")).to_have_attribute("href", "/desk/static/icons/3.svg")
    stage.show()
    expect(page).to_have_title("Call desk · Kanhu")
    expect(page.locator("#icon")).to_have_attribute("href", "/desk/static/icons/0.svg")
