"""The desk's and the wall's look in a browser, over states that the test sets (helpers_desk_stage)."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from fixtures_desk_pages import row, row_of
from helpers_browser import LAPTOP, WALL, Seat
from helpers_desk_stage import (
    ASKED,
    CALL,
    DISTRICTS,
    FALL,
    INCIDENT,
    MINE,
    OTHER,
    OVER,
    PERSON,
    RULE,
    SMOKE,
    WHY,
    Stage,
    alarm,
    all_sorts,
    members,
)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    stage: Stage, sit: Callable[..., Seat], language: str
) -> None:
    stage.language = language  # type: ignore[assignment]
    found: dict[str, list[str]] = {}
    gate = sit(f"/desk/login?error=wrong_password&language={language}")
    found["log-in"] = gate.axe()
    desk = sit()
    page = desk.page
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans" if language == "zh" else "en")
    expect(page.locator(".condition.well b")).to_have_text("118")
    found["empty"] = desk.axe()
    stage.members = members(12)
    stage.show(*all_sorts(), incidents=[INCIDENT])
    row(desk, FALL).locator(".open-alarm").click()
    expect(page.locator(".history li")).to_have_count(3)
    page.locator(".incident button").first.click()
    expect(page.locator(".members tbody tr")).to_have_count(12)
    found["alarms, panel and incident"] = desk.axe()
    assert page.evaluate("innerWidth") == LAPTOP["width"]
    assert not desk.scrolls_sideways()
    for key in "chen?" if language == "en" else "c":
        page.keyboard.press(key)
        expect(page.locator("dialog[open]")).to_be_visible()
        found[f"dialog {key}"] = desk.axe()
        page.keyboard.press("Escape")
    stage.show(*all_sorts(), districts=DISTRICTS)
    wall = sit("/desk/wall", WALL)
    expect(wall.page.locator(".district")).to_have_count(12)
    found["wall"] = wall.axe()
    size = wall.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert size == [WALL["width"], WALL["height"]]
    assert {place: problems for place, problems in found.items() if problems} == {}


def test_axe_would_find_something(sit: Callable[..., Seat]) -> None:
    desk = sit()
    desk.page.evaluate("document.querySelector('#help').style.color = '#24425a'")
    desk.page.evaluate("document.querySelector('#sound').replaceChildren()")
    found = " ".join(desk.axe())
    assert "color-contrast" in found
    assert "button-name" in found


def test_each_sort_of_alarm_stands_in_its_place(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(*all_sorts(), incidents=[INCIDENT])
    page = sit().page

    def names(group: str) -> list[str | None]:
        return [one.get_attribute("data-alarm") for one in page.locator(f"#{group} [data-alarm]").all()]

    expect(page.locator("#waiting [data-alarm]")).to_have_count(3)
    assert names("waiting") == [CALL, SMOKE, RULE]
    assert names("asking") == [ASKED]
    assert names("held") == [FALL, OTHER]
    assert names("closed") == [OVER]
    expect(page.locator("#incidents .rows > li")).to_have_count(1)
    expect(page.locator("#incidents")).to_contain_text("19873 homes · 512 not back · Wuhan · since")
    expect(row_of(page, SMOKE)).to_contain_text("Zhongbei Road · No mains power in many homes of Wuhan")
    expect(page.locator("#held")).to_contain_text("with Zhang Wei")
    expect(page.locator("#closed")).to_contain_text("closed by op2: Other: 水壶响")
    expect(page.locator("#waiting")).to_contain_text("asked up to: street")
    expect(page.locator("#waiting")).to_contain_text(WHY["en"])
    expect(page.locator(f'#asking [data-alarm="{ASKED}"]')).to_contain_text("until raised")


def test_seconds_count_by_the_servers_clock(stage: Stage, sit: Callable[..., Seat]) -> None:
    desk = sit("/desk/login")
    desk.context.add_init_script("const now = Date.now; Date.now = () => now() - 3_600_000;")
    stage.show(alarm(CALL, 57))
    desk.page.goto("/desk")
    age = row(desk, CALL).locator(".age")
    expect(age).to_have_text(re.compile(r"0:5[7-9]|1:0\d"))
    before = age.text_content()
    expect(age).not_to_have_text(before or "")
    expect(row(desk, CALL)).to_contain_text("over 60 s")


def test_what_came_from_homes_is_text_and_never_markup(stage: Stage, sit: Callable[..., Seat]) -> None:
    bad = '<img src=x onerror="document.title=1"><b>x</b>'
    words = {"en": bad, "zh": bad}
    stage.person = (
        200,
        PERSON | {"name": bad, "address": bad, "phones": ["javascript:alert(1)"], "last_movement": words},
    )
    stage.show(alarm(CALL, 5, state="accepted", explanation=words, region=bad, **MINE))
    desk = sit()
    row(desk, CALL).locator(".open-alarm").click()
    expect(desk.page.locator(".person")).to_contain_text(bad)
    assert desk.page.locator("main img, main b b, .why b").count() == 0
    assert desk.page.locator(".tel").get_attribute("href") == "tel:1"


def test_more_alarms_than_fit_are_counted_and_said(stage: Stage, sit: Callable[..., Seat]) -> None:
    many = [alarm(f"aaaaaaaaaa/1-{n}", 900 - n) for n in range(300)]
    crowd = [
        {"region": "cn/42/01/06/03", "alarms": 1000, "unanswered": 1000, "oldest_s": 900, "cannot_tell": 0}
    ]
    stage.show(*many, alarms_more=700, districts=crowd)
    desk = sit()
    expect(desk.page.locator("#waiting [data-alarm]")).to_have_count(100)
    expect(desk.page.locator("#waiting .none")).to_have_text("and 900 more, newer than these")
    expect(desk.page).to_have_title(re.compile(r"^\(1000\) 15:\d\d "))
    expect(desk.page.locator("#icon")).to_have_attribute("href", "/desk/static/icons/more.svg")


def test_the_language_is_the_operators_choice(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(*all_sorts())
    page = sit().page
    page.get_by_role("button", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.locator("#waiting")).to_contain_text(WHY["zh"])
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_the_wall_shows_need_first_and_nothing_personal(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(*all_sorts(), districts=DISTRICTS)
    page = sit("/desk/wall", WALL).page
    expect(page.locator("#unanswered .big")).to_have_text("3")
    expect(page.locator("#oldest .big")).to_have_text(re.compile(r"3:1\d"))
    expect(page.locator("#answered-60")).to_contain_text("95.6 %")
    expect(page.locator("#answered-60")).to_contain_text("field: 97.5 %")
    expect(page.locator("#answered-60 .below")).to_have_text("below the field")
    expect(page.locator("#answered-180 .above")).to_have_text("at the field's level")
    expect(page.locator(".district").nth(0)).to_contain_text("Wuchang")
    expect(page.locator(".district").nth(1)).to_contain_text("cn/42/01/09")
    expect(page.locator("#others")).to_have_text("4 more, nothing unanswered")
    text = page.locator("body").inner_text()
    assert "h7k2m9q4tw" not in text
    assert "No movement" not in text


def test_without_calls_the_wall_claims_no_figure(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(figures={"today": 0, "answered_60": None, "answered_180": None, "median_s": None})
    page = sit("/desk/wall", WALL).page
    expect(page.locator("#answered-60 .big")).to_have_text("–")
    expect(page.locator("#answered-60")).to_contain_text("no alarms yet")
    expect(page.locator("#oldest")).to_contain_text("nobody waits")
    expect(page.locator(".need.some")).to_have_count(0)
