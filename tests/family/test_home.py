"""The first page: one sentence that is never better than what is known, alarms and who has answered them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from itertools import product
from zoneinfo import ZoneInfo

import pytest

from helpers_family import Place
from kanhu.care import Alarm
from kanhu.care.condition import STATES, Condition, Reason
from kanhu.care.rules.past import AWAY, HOSPITAL, VISITOR, Mode
from kanhu.care.rules.values import Words
from kanhu.web.family import words_home
from kanhu.web.family.home import REASONS, answer_words, told
from kanhu_protocol import kinds as k

WUHAN = ZoneInfo("Asia/Shanghai")
NOW = 1_790_000_000_000  # 2026-09-21 22:13 in Wuhan
MINUTE = 60_000
CALL = Alarm("7m3k0xq2fz", 1, 7, k.CALL, 1, k.OPEN, NOW - MINUTE)
WHY = Reason(Words("the hub is not heard", "主机失联"), NOW - 2 * MINUTE)
RANK = {"well": 0, "cannot_tell": 1, "attention": 1}


@pytest.mark.parametrize(
    ("state", "saves", "mode"), list(product(STATES, (True, False), (None, AWAY, VISITOR)))
)
def test_it_never_says_better_than_is_known(state: str, saves: bool, mode: int | None) -> None:
    held = None if mode is None else Mode(mode, NOW - MINUTE, NOW + MINUTE)
    condition = Condition(state, (WHY,), NOW)  # type: ignore[arg-type]
    found = told(condition, [], held, saves)
    assert RANK[found.state] >= RANK[state]
    assert (found.sentence == words_home.SENTENCES["well"]) == (state == "well" and saves)
    if not saves:
        assert found.reasons[0].words == words_home.UNSAVED
        assert found.state != "well"
    if state == "cannot_tell":
        assert found.state == "cannot_tell"
        assert WHY in found.reasons


def test_an_alarm_is_attention_whatever_else_is_said() -> None:
    for state in STATES:
        found = told(Condition(state, (), NOW), [CALL], None, True)
        assert (found.state, found.sentence) == ("attention", words_home.SENTENCES["alarm"])
    asked = replace(CALL, state=k.PRE)
    assert told(Condition("well", (), NOW), [asked], None, True).sentence == words_home.SENTENCES["asking"]
    assert (
        told(Condition("well", (), NOW), [asked, CALL], None, True).sentence == words_home.SENTENCES["alarm"]
    )


def test_what_has_words_of_its_own_is_not_said_twice() -> None:
    mode = Mode(HOSPITAL, NOW - 3 * MINUTE, NOW + MINUTE)
    reasons = (
        Reason(Words("call: open", "呼叫"), CALL.opened_ms),
        Reason(Words("away", "外出"), mode.from_ms),
        WHY,
    )
    assert told(Condition("attention", reasons, NOW), [CALL], mode, True).reasons == (WHY,)
    away = told(Condition("cannot_tell", (reasons[1],), NOW), [], mode, True)
    assert (away.state, away.sentence) == ("cannot_tell", words_home.SENTENCES["hospital"])
    both = told(Condition("cannot_tell", reasons[1:], NOW), [], mode, True)
    assert both.sentence == words_home.SENTENCES["cannot_tell"]


def test_reasons_are_few() -> None:
    many = Condition("attention", tuple(Reason(Words(str(n), str(n))) for n in range(40)), NOW)
    assert len(told(many, [], None, True).reasons) == REASONS


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "尚无人受理。"),
        ({"delivered_ms": NOW}, "尚无人受理。"),  # at the platform: no person has it
        ({"state": k.ACCEPTED, "accepted_ms": NOW - 80_000}, "已有人受理：值守员，22:12。"),
        ({"state": k.DISPATCHED, "dispatched_ms": NOW}, "工作人员已出发，22:13。"),
        ({"state": k.ON_SCENE, "on_scene_ms": NOW}, "工作人员已到现场，22:13。"),
        ({"state": k.PRE, "asked_until_ms": NOW + 5 * MINUTE}, "若无人回应，22:18 转为报警。"),
        ({"state": k.PRE, "asked_until_ms": NOW - 1}, "无人回应，即将转为报警。"),
        ({"state": k.PRE}, "无人回应，即将转为报警。"),
    ],
)
def test_whether_a_person_has_answered(more: dict[str, int], said: str) -> None:
    words = answer_words(replace(CALL, **more), NOW, WUHAN)  # type: ignore[arg-type]
    assert words.zh == said
    assert "sent" not in words.en.split()


# Served


async def read_back(place: Place) -> None:
    """The watch has read what is known of the home."""
    async with asyncio.timeout(20):
        while any("still being read" in one.words.en for one in place.watch.condition(place.home).reasons):
            await asyncio.sleep(0.05)


async def lived_in(place: Place) -> None:
    """A home that is well: its hub speaks, and the way of its calls is proven."""
    await read_back(place)
    await place.start_hub()
    now = {k.UTC_MS: place.clock.now_ms, k.CLOCK: 1}
    await place.say(k.TEST_CALL, {**now, k.FLAGS: k.TEST})
    await place.say(k.PATH_PROVEN, {**now, k.SPAN_MS: 800})
    await place.watch.look()


async def test_a_home_that_is_well_and_one_that_is_not_heard(place: Place) -> None:
    client = await place.let_in()
    page = (await client.get(place.path())).text
    assert 'class="state cannot_tell"' in page
    assert "从未" in page
    await lived_in(place)
    page = (await client.get(place.path())).text
    assert 'class="state well"' in page
    assert "一切平安" in page
    assert "已验证" in page
    assert "刚刚" in page
    place.clock.now_ms += 40 * MINUTE
    page = (await client.get(place.path(), params={"language": "en"})).text
    assert 'class="state cannot_tell"' in page
    assert "All is well" not in page
    assert "The hub is not heard" in page
    assert "40 min ago" in page


async def test_a_call_comes_first_until_a_person_has_closed_it(place: Place) -> None:
    client = await place.let_in()
    await lived_in(place)
    await place.say(k.CALL, {k.DEVICE: 1})
    page = (await client.get(place.path())).text
    assert "紧急呼叫：门厅呼叫按钮" in page
    assert "尚无人受理" in page
    assert 'class="state attention"' in page
    assert page.index("有报警") < page.index("紧急呼叫") < page.index("主机最近联系")
    (alarm,) = place.alarms.live()
    await place.alarms.accept(alarm.name, "op-secret")
    page = (await client.get(place.path())).text
    assert "已有人受理" in page
    assert "op-secret" not in page
    await place.alarms.close(alarm.name, "op-secret", "helped")
    await place.watch.look()
    page = (await client.get(place.path())).text
    assert "紧急呼叫" not in page
    assert 'class="state well"' in page


async def test_the_page_renews_itself(place: Place) -> None:
    client = await place.let_in()
    await lived_in(place)
    said: list[str] = []
    async with client.stream("GET", place.path("live")) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        async for line in stream.aiter_lines():
            if not line.startswith("data: {"):
                continue
            said.append(json.loads(line[6:])["state"])
            if len(said) == 1:
                assert "一切平安" in said[0]
                await place.say(k.CALL, {k.DEVICE: 1})
            elif "尚无人受理" in said[-1]:
                (alarm,) = place.alarms.live()
                await place.alarms.accept(alarm.name, "op1")
            elif "已有人受理" in said[-1]:
                break


async def test_a_journal_that_cannot_be_written_is_shown(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await place.let_in()
    await lived_in(place)
    monkeypatch.setattr(type(place.journal), "healthy", False)
    page = (await client.get(place.path())).text
    assert "无法保存" in page
    assert "一切平安" not in page


async def test_names_are_text(place: Place) -> None:
    place.registry.set_settings(
        place.hub, {"buttons": [[1, 4, None]], "places": {"1": ["", "<script>alert(1)</script>{{7*7}}{0}"]}}
    )
    client = await place.let_in()
    await place.say(k.CALL, {k.DEVICE: 1})
    for path in (place.path(), place.path("log")):
        page = (await client.get(path)).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}{0}" in page


async def test_a_home_without_a_button_offers_no_test(place: Place) -> None:
    client = await place.let_in()
    assert place.path("sensors", place.hub, 1, "test") in (await client.get(place.path())).text
    place.registry.set_settings(place.hub, {"buttons": [], "pirs": []})
    assert "/test" not in (await client.get(place.path())).text


async def test_more_leads_on(place: Place) -> None:
    client = await place.let_in()
    page = (await client.get(place.path("more"))).text
    for name in ("log", "modes", "data", "settings"):
        assert f'href="{place.path(name)}"' in page


async def test_the_log_is_a_page(place: Place) -> None:
    client = await place.let_in()
    await place.start_hub()
    for _ in range(60):
        await place.say(k.TEST_PRESS, {k.DEVICE: 1, k.FLAGS: k.TEST})
    page = (await client.get(place.path("log"))).text
    assert page.count("<li class") == 50
    assert "22:13" in page  # on the home's clock
    assert "?before=" in page
    older = page.partition("?before=")[2].partition('"')[0]
    page = (await client.get(place.path("log"), params={"before": older})).text
    assert page.count("<li class") == 11
    assert "主机启动" in page
    for before in ("x", "-1", "9" * 40, "<b>", "0", "\x00"):
        assert (await client.get(place.path("log"), params={"before": before})).status_code == 200
    assert "没有更早的记录" in (await client.get(place.path("log"), params={"before": "0"})).text


async def test_who_is_not_let_in_sees_nothing(place: Place) -> None:
    await lived_in(place)
    stranger = place.phone(follow_redirects=True)
    for path in ("", "more", "modes", "log", "live"):
        answer = await stranger.get(place.path(*[path] if path else []))
        assert answer.headers["content-type"].startswith("text/html")
        for word in ("一切平安", "主机启动", "王秀兰", "外出"):
            assert word not in answer.text
