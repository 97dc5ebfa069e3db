"""The log: what a family is told, of what, in which order, page by page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_care import HOUR, MINUTE, MORNING_MS, CareHost, Home
from helpers_intake import Clock
from kanhu.care.rules.past import AWAY, HOME, Device
from kanhu.care.rules.values import Words
from kanhu.web.family import log as log_page
from kanhu.web.family import words_log
from kanhu.web.family.log import NEWEST, SHOWN, Log, cursor
from kanhu.web.family.sentences import (
    Cursor,
    Line,
    Thing,
    collapse,
    day_words,
    days,
    line,
    number,
    reading_words,
    thing_words,
)
from kanhu_protocol import kinds as k
from kanhu_protocol import names

WUHAN = ZoneInfo("Asia/Shanghai")
SYSTOLIC, DIASTOLIC, MEAN, PULSE, TEMPERATURE, OXYGEN = 150021, 150022, 150023, 149546, 150364, 150456


@pytest.fixture
async def care(tmp_path: Path) -> AsyncIterator[CareHost]:
    made = CareHost(tmp_path, Clock(MORNING_MS))
    yield made
    await made.stop()


async def started(care: CareHost) -> Home:
    """A home whose hub has begun to speak."""
    home = care.add_home()
    await care.watch.recall()
    await care.start(home)
    care.clock.now_ms += MINUTE
    return home


def told(care: CareHost, *homes: Home, before: Cursor = NEWEST) -> list[tuple[str, str]]:
    """English and Chinese of each line, the newest first."""
    page = Log(care.journal, care.registry).page([home.hub for home in homes], WUHAN, before)
    return [one.words for one in page.lines]


# Which kinds


def test_every_kind_is_told_or_is_said_not_to_be() -> None:
    told_of, not_told = set(words_log.TELLS), set(words_log.NOT_TOLD)
    assert told_of | not_told == set(names.KINDS)
    assert not told_of & not_told


def test_what_is_read_of_events_is_told_and_indexed() -> None:
    assert set(words_log.OF_EVENTS) <= set(words_log.TELLS)
    assert not set(words_log.OF_EVENTS) & {192, 193, 194, 195}  # as the index says


def test_every_sentence_is_there_in_both_languages_and_can_be_filled() -> None:
    for kind, words in words_log.TELLS.items():
        slots = [sorted(re.findall(r"{(\w*)}", text)) for text in words]
        assert slots[0] == slots[1], names.KINDS[kind]
        assert set(slots[0]) <= {"what", "span", "mode", "value", "name"}
        assert re.search("[一-鿿]", words.zh) or words.zh.startswith("{"), names.KINDS[kind]


def test_nothing_is_called_sent() -> None:
    # Only a person's answer is one: that something was passed on must not sound like it.
    for words in (*words_log.TELLS.values(), *words_log.TEXT.values()):
        assert not re.search(r"\bsent\b|发送", f"{words.en} {words.zh}", re.IGNORECASE)


# What is told of a home


async def test_a_call_and_what_became_of_it(care: CareHost) -> None:
    home = await started(care)
    care.registry.set_settings(home.hub, {"buttons": [[1, 4, None]], "places": {"1": ["卧室", "床头按钮"]}})
    await care.say(home, k.CALL, {k.DEVICE: 1})
    (alarm,) = care.asked(home)
    care.clock.now_ms += 40_000
    await care.alarms.accept(alarm.name, "op-secret")
    await care.alarms.dispatch(alarm.name, "op-secret")
    await care.alarms.on_scene(alarm.name, "op-secret")
    await care.alarms.close(alarm.name, "op-secret", "helped: 老人摔倒在厨房")
    assert told(care, home)[:5] == [
        ("The call is finished", "此次呼叫已处理完毕"),
        ("Somebody is there", "工作人员已到现场"),
        ("Somebody is on the way", "工作人员已出发"),
        ("An operator answered, 40 s later", "值守员已受理，40 秒后"),
        ("Emergency call: 床头按钮 (bedroom)", "紧急呼叫：床头按钮（卧室）"),
    ]
    page = Log(care.journal, care.registry).page([home.hub], WUHAN)
    assert "op-secret" not in repr(page)
    assert "厨房" not in repr(page)
    assert [one.tone for one in page.lines][:5] == ["plain", "plain", "plain", "plain", "alarm"]


async def test_a_question_to_the_elder_and_how_it_ends(care: CareHost) -> None:
    home = await started(care)
    why = Words("no movement since 21:40", "自 21:40 起无活动")
    await care.alarms.ask(home.hub, k.INACTIVITY, "inactivity/1", why, 60_000)
    (asked,) = care.asked(home)
    await care.say(home, k.PRE_ALARM_CANCELLED, {k.ALARM: [asked.boot, asked.seq]})
    await care.alarms.ask(home.hub, k.INACTIVITY, "inactivity/1", why, 60_000)
    (asked,) = care.asked(home)
    await care.alarms.withdraw(asked.name, "movement", "movement")
    await care.alarms.ask(home.hub, k.INACTIVITY, "inactivity/1", why, 60_000)
    (asked,) = care.asked(home)
    await care.alarms.raise_asked(asked.name)
    page = Log(care.journal, care.registry).page([home.hub], WUHAN)
    assert [one.words.zh for one in page.lines if "主机启动" not in one.words.zh] == [
        "报警：家中长时间无活动", "主机询问老人是否平安",
        "家中又有活动：无需担心", "主机询问老人是否平安",
        "家中按键确认：平安", "主机询问老人是否平安",
    ]  # fmt: skip
    assert page.lines[0].notes == (words_log.ASKED_IN_VAIN,)
    assert why in page.lines[1].notes


async def test_faults_modes_visits_readings_and_tests(care: CareHost) -> None:
    home = await started(care)
    await care.say(home, k.MAINS_LOST)
    await care.say(home, k.MAINS_BACK)
    await care.modes.set(home.hub, AWAY, care.clock.now_ms + HOUR, "family")
    care.clock.now_ms += MINUTE
    await care.modes.set(home.hub, HOME, None, "op1")
    care.clock.now_ms += MINUTE
    values = [[SYSTOLIC, 128, 0], [DIASTOLIC, 76, 0], [MEAN, 93, 0], [PULSE, 71, 0]]
    await care.say(home, k.VITALS, {k.DEVICE: 9, k.VALUES: values})
    care.clock.now_ms += MINUTE
    await care.say(home, k.TEST_PRESS, {k.DEVICE: 1, k.FLAGS: k.TEST})
    await care.say(home, k.HEARTBEAT)
    await care.moves(home)
    await care.say(home, k.DOOR_OPEN, {k.DEVICE: 4})
    said = [words[0] for words in told(care, home)]
    assert said == [
        "Test press, no call: call button 1",
        "Blood pressure 128/76 mmHg, pulse 71",
        "Back to every day",
        said[3],
        "The hub started",
    ]
    assert said[3].startswith("Away until ")


async def test_faults_are_read_from_the_book_of_faults(care: CareHost) -> None:
    from kanhu.care.faults import Faults

    faults = Faults(care.journal, lambda hub: None)
    care.intake.notes.append(faults.note)
    home = await started(care)
    await care.say(home, k.MAINS_LOST)
    care.clock.now_ms += MINUTE
    await care.say(home, k.MAINS_BACK)
    care.clock.now_ms += MINUTE
    await care.say(home, k.SENSOR_SILENT, {k.DEVICE: 2, k.SPAN_MS: 1000})
    care.clock.now_ms += MINUTE
    await faults.close(faults.open(home.hub)[0].id, "op1", "changed the battery")
    said = [words[1] for words in told(care, home)]
    assert said[0] == "服务人员已处理：传感器失联"
    assert said[1:4] == ["收不到信号：厨房人体感应", "主机恢复供电", "主机断电"]


async def test_the_daily_test_call_is_one_line_a_day(care: CareHost) -> None:
    home = await started(care)
    for _ in range(3):
        await care.prove(home)
        care.clock.now_ms += MINUTE
    care.clock.now_ms += 24 * HOUR
    await care.prove(home)
    assert [words[0] for words in told(care, home)] == [
        "Daily test call: it came through", "Daily test call: it came through", "The hub started"
    ]  # fmt: skip


async def test_a_mode_of_two_hubs_is_one_line(care: CareHost) -> None:
    first, second = await started(care), await started(care)
    for home in (first, second):
        await care.modes.set(home.hub, AWAY, care.clock.now_ms + HOUR, "family")
    assert sum("外出" in words[1] for words in told(care, first, second)) == 1


async def test_what_another_home_did_is_not_told(care: CareHost) -> None:
    mine, other = await started(care), await started(care)
    await care.say(other, k.CALL, {k.DEVICE: 1})
    await care.modes.set(other.hub, AWAY, care.clock.now_ms + HOUR, "op1")
    assert [words[0] for words in told(care, mine)] == ["The hub started"]


async def test_who_did_something_on_the_page_is_told_once(
    care: CareHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kanhu.web.audit import Audit

    monkeypatch.setitem(words_log.AUDIT, "looked into", Words("A look", "看过"))
    home = await started(care)
    audit = Audit(care.journal)
    await audit.record("family", "looked into", home.hub, "detail")
    await audit.record("family", "unheard of", home.hub)
    await audit.record("op1", "looked into", home.hub)
    assert told(care, home) == [("A look", "看过"), ("The hub started", "主机启动")]


# Page by page


async def test_pages_say_everything_once_and_in_order(care: CareHost) -> None:
    home = await started(care)
    for minute in range(3 * SHOWN):
        if minute % 5:  # some in the same millisecond
            care.clock.now_ms += MINUTE
        await care.say(home, k.TEST_PRESS, {k.DEVICE: 1 + minute % 7, k.FLAGS: k.TEST})
    log = Log(care.journal, care.registry)
    at, seen, pages = NEWEST, [], 0
    while True:
        page = log.page([home.hub], WUHAN, at)
        assert len(page.lines) <= SHOWN
        seen += page.lines
        pages += 1
        if page.older is None:
            break
        assert cursor(str(page.older)) == page.older
        at = page.older
    assert pages == 4
    assert len(seen) == 3 * SHOWN + 1
    assert [one.at_ms for one in seen] == sorted((one.at_ms for one in seen), reverse=True)


async def test_many_in_one_millisecond_are_all_told(care: CareHost) -> None:
    home = await started(care)
    for _ in range(SHOWN + 7):
        await care.say(home, k.TEST_PRESS, {k.DEVICE: 1, k.FLAGS: k.TEST})
    log = Log(care.journal, care.registry)
    first = log.page([home.hub], WUHAN)
    assert first.older is not None
    second = log.page([home.hub], WUHAN, first.older)
    assert len(first.lines) + len(second.lines) == SHOWN + 8


@pytest.mark.parametrize("text", ["", "x", "-1", "1e9", "1" * 30, "12-99999", "%00", "٣", "1-2-3", None])
def test_garbage_is_the_newest_page(text: str | None) -> None:
    assert cursor(text) == NEWEST


@given(st.text(max_size=40))
def test_any_before_is_taken(text: str) -> None:
    found = cursor(text)
    assert 0 <= found.at_ms <= NEWEST.at_ms


async def test_all_that_is_read_is_found_by_an_index(care: CareHost) -> None:
    for sql, values in (
        (log_page._EVENTS, ("h", 196, 1, 1)),
        (log_page._STEPS, ("h", 1, 1)),
        (log_page._OPENED, ("h", 1, 1)),
        (log_page._CLOSED, ("h", 1, 1)),
        (log_page._MODES, ("h", 1, 1)),
        (log_page._VISITS, ("h", 1, 1)),
        (log_page._AUDIT, ("h", 1, 1)),
    ):
        plan = [row[3] for row in care.journal.reader.rows(f"EXPLAIN QUERY PLAN {sql}", values)]
        assert all(step.startswith("SEARCH") for step in plan), (sql, plan)
        assert not any("TEMP B-TREE" in step for step in plan), (sql, plan)


# Sentences


@pytest.mark.parametrize(
    ("values", "zh"),
    [
        ([[SYSTOLIC, 128, 0], [DIASTOLIC, 76, 0]], "血压 128/76 mmHg"),
        ([[SYSTOLIC, 170, -1, 2], [DIASTOLIC, 101, -1, 2]], "血压 17/10.1 kPa"),
        ([[TEMPERATURE, 366, -1]], "体温 36.6°C"),
        ([[OXYGEN, 97, 0], [149530, 64, 0]], "血氧饱和度 97%，脉率 64"),
        ([[188736, 5830, -2]], "体重 58.3 kg"),
        ([[160188, 61, -1]], "血糖 6.1 mmol/L"),
        ([[188736, 1, 120]], "体重 1e120 kg"),
        ([[SYSTOLIC, 128, 0]], "收缩压 128 mmHg"),
        ([[4242, 7, 0]], "4242 7"),
    ],
)
def test_a_reading_is_written_as_people_write_it(values: list[list[int]], zh: str) -> None:
    assert reading_words(values).zh == zh


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-128, 127))
def test_any_number_is_short(mantissa: int, exponent: int) -> None:
    assert 0 < len(number(mantissa, exponent)) < 30


READING = st.tuples(st.integers(1, 2**32 - 1), st.integers(-(2**31), 2**31 - 1), st.integers(-128, 127))
WITH_UNIT = st.tuples(
    st.sampled_from(sorted(names.QUANTITIES)), st.integers(0, 999), st.just(0), st.integers(1, 255)
)


@given(st.lists(READING | WITH_UNIT, min_size=1, max_size=16))
def test_any_reading_can_be_said(values: list[tuple[int, ...]]) -> None:
    shown = line(
        Thing(1, 1, "h", k.VITALS, device=1, fields={k.VALUES: values}), Words("cuff", "血压计"), WUHAN, 2
    )
    assert all(shown.words)
    assert shown.notes == (Words("cuff", "血压计"),)


def test_sensors_are_called_as_the_family_does() -> None:
    assert thing_words(Device(3, "call", "卧室", "床头按钮")) == ("床头按钮 (bedroom)", "床头按钮（卧室）")
    assert thing_words(Device(3, "call", "卧室", "卧室床头")) == ("卧室床头", "卧室床头")
    assert thing_words(Device(3, "motion", "kitchen")) == ("kitchen motion", "厨房人体感应")
    assert thing_words(Device(7, "glucose")) == ("glucose meter 7", "血糖仪 7")
    assert thing_words(Device(7, "never heard of")) == ("sensor 7", "传感器 7")


def test_names_with_braces_and_tags_are_only_names() -> None:
    name = Words("{what} <b>{0}</b>", "{zh}<script>")
    shown = line(Thing(1, 1, "h", k.CALL, device=1), name, WUHAN, 2)
    assert shown.words == ("Emergency call: {what} <b>{0}</b>", "紧急呼叫：{zh}<script>")


def test_readings_within_minutes_are_one_line() -> None:
    things = [
        Thing(at, at, "h", k.VITALS, (1, at), 9, {k.VALUES: [[PULSE, 60, 0]]})
        for at in range(20 * MINUTE, 0, -5 * MINUTE)
    ]
    kept, taken = collapse(things, WUHAN, 10)
    assert (len(kept), taken) == (1, 4)
    assert kept[0].note == ("4 readings, the last of them", "共 4 次测量，此为最后一次")
    others = [Thing(1, 1, "h", k.VITALS, (1, 1), 8), *things]
    assert len(collapse(others, WUHAN, 10)[0]) == 2


def test_the_rest_of_a_run_stays_with_its_line() -> None:
    things = [Thing(at, at, "h", k.PATH_PROVEN, (1, at)) for at in range(5, 0, -1)]
    assert collapse(things, WUHAN, 1) == ([things[0]], 5)


def test_days_have_headings() -> None:
    today = date(2026, 11, 22)
    assert day_words(today, today) == ("Today, Sunday, 22 November", "今天 11月22日 星期日")
    assert day_words(date(2026, 11, 21), today).zh == "昨天 11月21日 星期六"
    assert day_words(date(2026, 11, 3), today) == ("Tuesday, 3 November", "11月3日 星期二")
    assert day_words(date(2025, 12, 31), today) == ("Wednesday, 31 December 2025", "2025年12月31日 星期三")


def test_a_day_is_the_homes() -> None:
    late, early = MORNING_MS - 6 * HOUR - 1, MORNING_MS - 6 * HOUR  # before and at midnight in Wuhan
    nothing = Words("", "")
    found = days([Line(late, nothing), Line(early, nothing)], WUHAN, MORNING_MS)
    assert [len(day.lines) for day in found] == [1, 1]
    assert found[0].title.en.startswith("Today")
    assert found[1].title.en.startswith("Yesterday")
