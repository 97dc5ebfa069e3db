"""The person of an alarm, the note, and an incident's homes, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Route, expect

from fixtures_desk_pages import row
from helpers_browser import Seat
from helpers_desk_stage import (
    ASKED,
    CALL,
    INCIDENT,
    MANY,
    MINE,
    OTHER,
    OTHERS,
    PERSON,
    SMOKE,
    Stage,
    alarm,
    all_sorts,
    members,
    now_ms,
)


def test_a_person_is_shown_on_demand_and_gone_with_the_alarm(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(alarm(CALL))
    desk = sit()
    page = desk.page
    expect(row(desk, CALL)).to_be_visible()
    page.keyboard.press("o")
    expect(page.locator("#show-person")).to_be_visible()
    assert stage.asked == []
    page.keyboard.press("p")
    expect(page.locator(".person")).to_contain_text("王秀兰")
    expect(page.locator(".person .tel").first).to_have_attribute("href", "tel:+862788880000")
    expect(page.locator(".person .mark")).to_contain_text("床头按钮")
    expect(page.locator(".history li").nth(1)).to_contain_text("asked more widely · street")
    expect(page.locator(".history li").nth(2)).to_contain_text("accepted · op1")
    assert stage.asked == [(CALL, "person", {})]
    over = alarm(CALL, state="closed", closed_ms=now_ms(), reason="helped", **OTHERS)
    stage.show(over)
    expect(page.locator("#panel")).to_contain_text("Helped, all is well again")
    assert "王秀兰" not in page.content()
    stage.show()
    expect(page.locator("#panel")).to_be_hidden()


def test_a_person_that_cannot_be_shown_is_asked_for_once_and_again_on_demand(
    stage: Stage, sit: Callable[..., Seat]
) -> None:
    stage.person = (503, {"error": "the disk is full", "code": "not_saved"})
    mine = alarm(CALL, 9, state="accepted", **MINE)
    stage.show(mine)
    desk = sit()
    row(desk, CALL).locator(".open-alarm").click()
    problem = "Not available: the journal cannot be written to at this moment; try again"
    expect(desk.page.locator(".person .problem")).to_have_text(problem)
    for presses in (2, 3):
        stage.show({**mine, "presses": presses})
        expect(row(desk, CALL)).to_contain_text(f"pressed {presses} times")
    assert stage.asked == [(CALL, "person", {})]
    stage.person = (200, PERSON)
    desk.page.locator("#show-person").click()
    expect(desk.page.locator(".person")).to_contain_text("王秀兰")


def test_a_late_answer_about_a_person_is_not_shown_for_another(
    stage: Stage, sit: Callable[..., Seat]
) -> None:
    stage.show(alarm(CALL, 9), alarm(SMOKE, 5, kind="smoke"))
    desk = sit()
    page = desk.page
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(f"**/{CALL}/person", hold)
    row(desk, CALL).locator(".open-alarm").click()
    page.keyboard.press("p")
    expect(page.locator(".person")).to_contain_text("Fetching")
    row(desk, SMOKE).locator(".open-alarm").click()
    held[0].fulfill(json=PERSON)
    page.wait_for_timeout(300)
    expect(page.locator("#panel h2")).to_have_text("Smoke")
    assert "王秀兰" not in page.content()


def test_while_the_elder_is_asked_no_person_is_shown(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(*all_sorts())
    desk = sit()
    row(desk, ASKED).locator(".open-alarm").click()
    expect(desk.page.locator(".person")).to_have_text("Shown once it is an alarm.")
    desk.page.keyboard.press("p")
    desk.page.wait_for_timeout(300)
    assert stage.asked == []


def test_a_note_is_written_by_who_has_the_alarm_and_shown_with_the_person(
    stage: Stage, sit: Callable[..., Seat]
) -> None:
    stage.person = (200, PERSON | {"note": None})
    stage.show(alarm(CALL, 70, state="accepted", **MINE), alarm(OTHER, 90, state="accepted", **OTHERS))
    desk = sit()
    page = desk.page
    row(desk, OTHER).locator(".open-alarm").click()
    page.keyboard.press("p")
    expect(page.locator(".notes")).to_have_text("none given")  # another's alarm: to be read only
    row(desk, CALL).locator(".open-alarm").click()
    expect(page.locator(".notes .write")).to_be_visible()
    page.keyboard.press("n")
    words, done = page.get_by_label("What whoever helps has to know"), page.locator("dialog button.main")
    words.fill("x" * 301)
    done.click()
    expect(page.locator("dialog .problem")).to_have_text("Too long: 300 characters at most.")
    words.fill("key at\n  the neighbour's ")
    done.click()
    expect(page.locator(".note")).to_have_text("key at the neighbour's")
    expect(page.locator(".notes .write")).to_be_focused()
    page.keyboard.press("n")
    expect(words).to_have_value("key at the neighbour's")
    words.fill("")
    done.click()
    expect(page.locator(".notes")).to_contain_text("none given")
    said = [body for name, what, body in stage.asked if (name, what) == (CALL, "note")]
    assert said == [{"text": "key at the neighbour's"}, {"text": ""}]
    stage.show(alarm(CALL, 70, state="closed", closed_ms=now_ms(), reason="helped", **MINE))
    expect(page.locator(".notes")).to_have_count(0)


def test_an_incident_opens_by_key_and_its_homes_come_in_pages(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.members, stage.page = members(25), 10
    stage.show(alarm(CALL, 5, incident=MANY), incidents=[INCIDENT])
    page = sit().page
    rows, shown = page.locator(".members tbody tr"), page.locator(".tools [role=status]")
    expect(page.locator("[data-incident]")).to_be_visible()
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("o")
    expect(rows).to_have_count(10)
    expect(page.locator(".incident button").first).to_have_attribute("aria-expanded", "true")
    expect(rows.first).to_contain_text(re.compile("h000000000.*b000000000.*Zhongbei Road.*not back"))
    expect(rows.nth(1)).not_to_contain_text("not back")
    following, before = (page.get_by_role("button", name=name) for name in ("Next page", "Page before"))
    expect(before).to_be_disabled()
    for first, last in ((11, 20), (21, 25)):
        following.click()
        expect(shown).to_contain_text(f"{first} to {last}, as of")
    expect(following).to_be_disabled()
    expect(page.get_by_role("button", name="Look again")).to_be_focused()
    before.click()
    expect(shown).to_contain_text("11 to 20, as of")
    page.get_by_label("Only those not back").check()
    expect(rows).to_have_count(7)
    asked = len(stage.asked)
    stage.show(alarm(CALL, 5), incidents=[INCIDENT | {"standing": 3}])  # news alone ask for no homes again
    expect(page.locator("#incidents")).to_contain_text("3 not back")
    expect(rows).to_have_count(7)
    assert len(stage.asked) == asked
    stage.answers["members"] = (503, {"error": "no", "code": "not_saved"})
    page.get_by_role("button", name="Look again").click()
    expect(page.locator(".members .problem")).to_contain_text("Not to be seen: the journal cannot be written")
    page.locator(".incident button").first.click()
    expect(rows).to_have_count(0)
    stage.show(alarm(CALL, 5), incidents=[INCIDENT | {"closed_ms": now_ms()}])
    expect(page.locator("#incidents")).to_be_hidden()
    expect(page.locator("#alarms")).to_be_focused()


def test_an_alarm_says_that_it_is_not_only_here(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(alarm(CALL, 5))
    desk = sit()
    row(desk, CALL).locator(".open-alarm").click()
    expect(desk.page.locator(".shared")).to_be_hidden()
    stage.show(alarm(CALL, 5, incident=MANY))
    expect(desk.page.locator(".shared")).to_have_text("Not only here: No mains power in many homes of Wuhan")
