"""The desk's pages in a browser, over states that the test sets (helpers_desk_stage)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from helpers_browser import LAPTOP, WALL, Seat, chromium
from helpers_desk_stage import (
    ASKED,
    CALL,
    DISTRICTS,
    FALL,
    INCIDENT,
    MANY,
    MINE,
    OTHER,
    OTHERS,
    OVER,
    PERSON,
    RULE,
    SMOKE,
    WHY,
    Stage,
    alarm,
    all_sorts,
    members,
    now_ms,
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture
def sit(browser: Browser, stage: Stage) -> Iterator[Callable[..., Seat]]:
    """sit(path="/desk", ...): a window at the stage; a page with an error of its own fails the test."""
    seats: list[Seat] = []

    def take(path: str = "/desk", size: dict[str, int] | None = None) -> Seat:
        seat = Seat(browser, stage.url, size, locale="en-GB", timezone_id="Asia/Shanghai")
        seats.append(seat)
        seat.page.goto(path)
        if path in ("/desk", "/desk/wall"):
            expect(seat.page.locator("#clock")).to_have_text(re.compile(r"\d+:\d\d:\d\d"))
        return seat

    yield take
    problems = [problem for seat in seats for problem in seat.problems]
    for seat in seats:
        seat.close()
    assert problems == []


def row_of(page: Page, name: str) -> Locator:
    return page.locator(f'[data-alarm="{name}"]')


def row(seat: Seat, name: str) -> Locator:
    return row_of(seat.page, name)


# How it looks


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


# Taking an alarm


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


# The person


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


# A note, an incident's homes


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


# Never a stale list that looks fresh


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


# Sound, title, language


def test_a_waiting_call_sounds_until_muted_and_a_new_one_ends_the_mute(
    stage: Stage, sit: Callable[..., Seat]
) -> None:
    stage.show(alarm(CALL, 5))
    for _ in range(3):  # seldom the browser lets a window sound at once, for what was clicked in others
        desk = sit()
        page, sound = desk.page, desk.page.locator("#sound")
        expect(sound).to_have_attribute("data-state", re.compile("blocked|on"))
        if sound.get_attribute("data-state") == "blocked":
            break
    expect(sound).to_have_text("Sound is blocked: click to allow")  # no click or key yet on this page
    sound.click()
    expect(sound).to_have_attribute("data-playing", "waiting")
    page.keyboard.press("m")
    expect(sound).to_have_attribute("data-state", "muted")
    expect(sound).to_have_text(re.compile(r"Muted for [12]:\d\d: click to undo"))
    expect(sound).to_have_attribute("data-playing", "")
    stage.show(alarm(CALL, 65), alarm(SMOKE, 1, kind="smoke"))
    expect(sound).to_have_attribute("data-playing", "urgent")
    expect(page.locator("#announce")).to_have_text("New: Smoke, cn/42/01/06/03")
    stage.show(alarm(CALL, 65, state="accepted", **OTHERS))
    expect(sound).to_have_attribute("data-playing", "")


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


def test_the_language_is_the_operators_choice(stage: Stage, sit: Callable[..., Seat]) -> None:
    stage.show(*all_sorts())
    page = sit().page
    page.get_by_role("button", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.locator("#waiting")).to_contain_text(WHY["zh"])
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")


# The wall


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
