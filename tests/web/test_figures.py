"""Today's figures: what counts as answered in time, and when a day begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_intake import Clock
from kanhu.care import Alarm, Alarms
from kanhu.care.rules.values import Words
from kanhu.journal import Journal
from kanhu.journal.commands import Commands
from kanhu.web.figures import Call, Today, figures, midnight_ms
from kanhu_protocol import kinds as k

ZONE = ZoneInfo("Asia/Shanghai")
NOON = int(datetime(2026, 9, 21, 12, tzinfo=ZONE).timestamp() * 1000)
NOBODY = Alarm("7m3k0xq2fz", 1, 0, k.CALL, 1, k.OPEN, NOON, raised_ms=NOON)


def call(age_s: float, took_s: float | None) -> Call:
    raised = NOON - int(age_s * 1000)
    return Call("hub", raised, None if took_s is None else raised + int(took_s * 1000))


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], (0, None, None, None)),
        ([call(30, None)], (1, None, None, None)),  # still in time: nothing can be said of it yet
        ([call(61, None)], (1, 0.0, None, None)),
        ([call(181, None)], (1, 0.0, 0.0, None)),
        ([call(600, 60)], (1, 100.0, 100.0, 60.0)),
        ([call(600, 60.001)], (1, 0.0, 100.0, 60.0)),
        ([call(600, 10), call(600, 100), call(600, 200), call(5, None)], (4, 33.3, 66.7, 100.0)),
    ],
)
def test_a_call_counts_when_it_is_answered_or_late(calls: list[Call], expected: tuple[object, ...]) -> None:
    assert tuple(figures(calls, NOON)) == expected


@given(st.lists(st.tuples(st.integers(0, 7200), st.none() | st.integers(0, 7200)), max_size=20))
def test_shares_are_those_of_a_plain_count(rows: list[tuple[int, int | None]]) -> None:
    calls = [call(age, took) for age, took in rows if took is None or took <= age]
    found = figures(calls, NOON)
    for share, limit in ((found.answered_60, 60_000), (found.answered_180, 180_000)):
        good = sum(c.answered_ms is not None and c.answered_ms - c.raised_ms <= limit for c in calls)
        bad = sum((c.answered_ms or NOON) - c.raised_ms > limit for c in calls)
        assert share == (round(100 * good / (good + bad), 1) if good + bad else None)


def test_a_day_begins_at_midnight_of_the_zone_also_when_clocks_change() -> None:
    assert midnight_ms(NOON, ZONE) == NOON - 12 * 3_600_000
    berlin = ZoneInfo("Europe/Berlin")
    noon = int(datetime(2026, 10, 25, 12, tzinfo=berlin).timestamp() * 1000)
    assert noon - midnight_ms(noon, berlin) == 13 * 3_600_000


def test_the_first_answer_counts_and_yesterday_is_over() -> None:
    clock = Clock(NOON)
    today = Today(ZONE, clock)
    today.note(NOBODY)
    today.note(replace(NOBODY, state=k.ACCEPTED, accepted_ms=NOON + 20_000))
    today.note(NOBODY)  # reopened: the next answer changes nothing of the first
    today.note(replace(NOBODY, seq=1, kind=k.INACTIVITY))  # not of the life class
    today.note(
        replace(NOBODY, seq=2, kind=k.FALL, state=k.CLOSED, raised_ms=None, closed_ms=NOON)
    )  # asked only
    today.note(replace(NOBODY, hub="2b8dr5w9tn", state=k.CLOSED, closed_ms=NOON + 90_000))
    clock.now_ms = NOON + 200_000
    where = {"7m3k0xq2fz": "cn/42", "2b8dr5w9tn": "cn/43"}
    found = today.by_region(where.get)
    assert {region: one.today for region, one in found.items()} == {"": 2, "cn": 2, "cn/42": 1, "cn/43": 1}
    assert tuple(found["cn"]) == (2, 50.0, 100.0, 55.0)
    today.forget("2b8dr5w9tn")
    assert today.by_region(where.get)["cn"].today == 1
    clock.now_ms = NOON + 86_400_000
    assert today.by_region(where.get) == {}


async def test_a_restart_finds_todays_calls_in_the_journal(tmp_path: Path) -> None:
    clock = Clock(NOON - 86_400_000)
    journal = Journal.open(tmp_path, clock)
    alarms = Alarms(journal, Commands(journal))
    await alarms.raise_("7m3k0xq2fz", k.CALL, None, Words("a", "b"))
    clock.now_ms = NOON
    name = await alarms.raise_("7m3k0xq2fz", k.CALL, None, Words("a", "b"))
    clock.now_ms += 30_000
    await alarms.accept(name, "li")
    await alarms.raise_("7m3k0xq2fz", k.INACTIVITY, None, Words("a", "b"))
    today = Today(ZONE, clock)
    await today.load(journal.path)
    assert tuple(today.by_region(lambda hub: None)[""]) == (1, 100.0, 100.0, 30.0)
    await journal.close()
