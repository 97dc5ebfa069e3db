"""Taking an alarm, closing it and handing it over, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from fixtures_desk_pages import row
from helpers_browser import Seat
from helpers_desk_stage import CALL, MINE, OTHERS, OVER, RULE, SMOKE, Stage, alarm, all_sorts


@pytest.mark.parametrize("key", ["Enter", "a", "A"])
def test_one_key_accepts_the_first_and_opens_it(stage: Stage, sit: Callable[..., Seat], key: str) -> None:
    stage.show(*all_sorts()[:3])
    desk = sit()
    expect(row(desk, RULE)).to_be_visible()
    desk.page.keyboard.press(key)
    expect(desk.page.locator("#panel h2")).to_be_focused()
    expect(desk.page.locator("#notice")).to_contain_text("It is yours: Emergency call.")
    expect(desk.page.locator(".person")).to_contain_text("王秀兰")
    assert stage.asked == [(CALL, "accept", {}), (CALL, "person", {})]


def test_arrows_choose_another_and_enter_on_it_accepts_that_one(
    stage: Stage, sit: Callable[..., Seat]
) -> None:
    stage.show(*all_sorts()[:3])
    desk = sit()
    expect(row(desk, RULE)).to_be_visible()
    for _ in range(2):
        desk.page.keyboard.press("ArrowDown")
    expect(row(desk, SMOKE).locator(".accept")).to_be_focused()
    desk.page.keyboard.press("Enter")
    expect(desk.page.locator("#panel h2")).to_have_text("Smoke")
    assert stage.asked[0] == (SMOKE, "accept", {})


def test_who_is_second_sees_at_once_who_was_first(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.answers["accept"] = (409, {"error": "it is with op2", "code": "taken", **OTHERS})
    stage.show(*all_sorts()[:1])
    desk = sit()
    row(desk, CALL).locator(".accept").click()
    expect(desk.page.locator("#notice")).to_have_text("Zhang Wei has it already.")
    expect(desk.page.locator("#held")).to_contain_text("with Zhang Wei")
    expect(desk.page.locator("#waiting [data-alarm]")).to_have_count(0)
    expect(desk.page.locator("#panel")).to_be_hidden()


def test_a_refusal_is_said_in_the_operators_language(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.language = "zh"
    stage.answers["accept"] = (409, {"error": "alarm is closed", "code": "state", "accepted_by": None})
    stage.show(*all_sorts()[:1])
    desk = sit()
    row(desk, CALL).locator(".accept").click()
    expect(desk.page.locator("#notice")).to_have_text("未完成：报警当前状态不允许此操作")


def test_letters_can_be_switched_off_and_stay_so(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(*all_sorts()[:1])
    desk = sit()
    desk.page.keyboard.press("?")
    desk.page.get_by_label("Single letters work as shortcuts").uncheck()
    desk.page.keyboard.press("Escape")
    desk.page.reload()
    expect(row(desk, CALL)).to_be_visible()
    desk.page.keyboard.press("a")
    desk.page.wait_for_timeout(300)
    assert stage.asked == []
    desk.page.keyboard.press("Enter")
    expect(desk.page.locator("#panel")).to_be_visible()


def test_a_supervisor_can_correct_and_an_operator_cannot(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(*all_sorts())
    desk = sit()
    row(desk, OVER).locator(".open-alarm").click()
    expect(desk.page.locator('[data-do="correct"]')).to_have_count(0)
    stage.me = stage.me | {"role": "supervisor"}
    stage.answers["correct"] = (200, {"state": "closed", "reason": "was_away", **OTHERS, "mine": False})
    stage.show(*all_sorts())
    desk.page.reload()
    row(desk, OVER).locator(".open-alarm").click()
    desk.page.keyboard.press("r")
    desk.page.get_by_label("Was away").check()
    desk.page.locator("dialog button.main").click()
    expect(desk.page.locator("#notice")).to_have_text("Done: Correct.")
    assert stage.asked == [(OVER, "correct", {"reason": "was_away"})]


def test_closing_needs_a_reason_and_words_for_other(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.answers["close"] = (200, {"state": "closed", "reason": "other: 水壶响"})
    stage.show(alarm(CALL, 70, state="on_scene", **MINE))
    desk = sit()
    page = desk.page
    row(desk, CALL).locator(".open-alarm").click()
    page.keyboard.press("c")
    ok, problem = page.locator("dialog button.main"), page.locator("dialog .problem")
    ok.click()
    expect(problem).to_have_text("Choose a reason first.")
    page.get_by_label("Other").check()
    ok.click()
    expect(problem).to_have_text("Say it in your words.")
    page.get_by_label("In your words").fill("水" * 300)
    ok.click()
    expect(problem).to_have_text("Too long: shorten it.")
    assert [one for one in stage.asked if one[1] == "close"] == []
    page.get_by_label("In your words").fill("水壶响")
    page.keyboard.press("Enter")
    expect(page.locator("#panel")).to_be_hidden()
    assert (CALL, "close", {"reason": "other: 水壶响"}) in stage.asked


def test_handing_over_and_the_homes_mode(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.answers["hand_over"] = (200, {**OTHERS, "mine": False})
    stage.show(alarm(CALL, 70, state="accepted", **MINE))
    desk = sit()
    page = desk.page
    row(desk, CALL).locator(".open-alarm").click()
    page.keyboard.press("e")
    page.get_by_label("From now on").select_option("hospital")
    page.get_by_label(re.compile("Until")).fill("2020-01-01T10:00")
    page.locator("dialog button.main").click()
    expect(page.locator("dialog .problem")).to_have_text("Choose a moment to come.")
    page.get_by_label(re.compile("Until")).fill("")
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_be_hidden()
    page.keyboard.press("h")
    expect(page.locator("#to option")).to_have_count(2)  # nobody, and the other operator
    page.get_by_label("Operator who takes it").select_option("op2")
    page.locator("dialog button.main").click()
    expect(page.locator("#notice")).to_have_text("Handed to op2.")
    assert ("h7k2m9q4tw", "mode", {"mode": "hospital"}) in stage.asked
    assert (CALL, "hand_over", {"to": "op2"}) in stage.asked
