"""What is known of a home: any order of filling, nothing of later, bounded memory."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_rules import DAY, DOOR, HOUR, KITCHEN, MINUTE, at, beats, home
from kanhu.care.rules.past import (
    AWAY,
    BRIEF_MS,
    DAYS_KEPT,
    HOME,
    HUB_LIMIT_MS,
    SLEEP,
    VISITOR,
    Fault,
    Mode,
    Reading,
    Visit,
)
from kanhu.care.rules.spans import Spans

NOON = at(10, "12:00")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=40), st.integers(1, 40), st.integers(0, 320))
def test_spans_are_what_a_walk_through_all_moments_finds(moments: list[int], gap: int, now: int) -> None:
    spans = Spans(gap)
    for one in moments:
        spans.add(one)
    seen = sorted(one for one in moments if one <= now)
    expected = None
    if seen:
        first = seen[-1]
        for one in reversed(seen):
            if first - one >= gap:
                break
            first = one
        later = any(one > now and one - seen[-1] < gap for one in moments)
        expected = (first, now if later else seen[-1])
    assert spans.last(now) == expected


def test_a_device_that_is_heard_speaks_for_the_hub() -> None:
    past = home([("moved", KITCHEN, NOON)])
    assert past.last_heard(0, NOON) == NOON
    assert past.hub_since(NOON + HUB_LIMIT_MS - 1) == NOON
    assert past.hub_since(NOON + HUB_LIMIT_MS) is None
    assert past.last_heard(KITCHEN, NOON - 1) is None


def test_a_hub_that_tells_later_what_it_kept_was_never_gone() -> None:
    past = home([*beats(NOON, NOON + HOUR), *beats(NOON + 5 * HOUR, NOON + 6 * HOUR)])
    assert past.hub_since(NOON + 6 * HOUR) == NOON + 5 * HOUR
    for fact in beats(NOON + HOUR, NOON + 5 * HOUR):
        past.heard(*fact[1:])
    assert past.hub_since(NOON + 6 * HOUR) == NOON


def test_a_restart_is_an_outage_when_the_hub_was_off_for_long() -> None:
    past = home([*beats(NOON, NOON + HOUR), ("booted", NOON + HOUR + 5 * MINUTE)])
    assert past.last_outage(NOON + 2 * HOUR) is None
    past.booted(NOON + 2 * HOUR)
    past.booted(NOON + 2 * HOUR + MINUTE)
    assert past.last_outage(NOON + 3 * HOUR) == NOON + 2 * HOUR
    past.heard(0, NOON + 2 * HOUR - BRIEF_MS)
    assert past.last_outage(NOON + 3 * HOUR) == NOON + 2 * HOUR
    # It tells later that it had been on.
    for fact in beats(NOON + HOUR, NOON + 2 * HOUR):
        past.heard(*fact[1:])
    assert past.last_outage(NOON + 3 * HOUR) is None


def test_a_fault_stands_until_it_is_mended_whatever_is_told_first() -> None:
    told = [
        ("mended", 1, "silent", NOON + HOUR),
        ("fault", 1, "silent", NOON),
        ("fault", 1, "silent", NOON + 1),
    ]
    past = home(told)
    assert past.faults(1, NOON - 1) == []
    assert past.faults(1, NOON + HOUR - 1) == [Fault("silent", NOON, None)]
    assert past.faults(1, NOON + HOUR) == []
    assert past.faults_between(1, NOON - HOUR, NOON + DAY) == [Fault("silent", NOON, NOON + HOUR)]
    assert past.faults_between(1, NOON + HOUR, NOON + DAY) == []


def test_a_mode_ends_the_one_before_and_then_itself() -> None:
    away, visitor = Mode(AWAY, NOON, NOON + DAY), Mode(VISITOR, NOON + HOUR, NOON + 2 * HOUR)
    for order in ([away, visitor], [visitor, away]):
        past = home([("mode", one) for one in order])
        assert past.mode_at(NOON - 1) is None
        assert past.mode_at(NOON) == away  # nothing is known yet of what ends it
        assert past.mode_at(NOON + HOUR) == visitor
        assert past.mode_at(NOON + 2 * HOUR) is None
        past.forget_before(NOON + 10 * DAY)
        assert past.mode_at(NOON + 3 * HOUR) is None


def test_home_ends_away() -> None:
    past = home([("mode", Mode(AWAY, NOON, NOON + DAY)), ("mode", Mode(HOME, NOON + HOUR, NOON + DAY))])
    assert past.mode_at(NOON + 2 * HOUR) is None
    assert past.modes(0, NOON + 2 * HOUR)[0] == Mode(AWAY, NOON, NOON + HOUR)


def test_a_visit_is_closed_by_its_end_and_not_opened_again() -> None:
    past = home([("visit", Visit("li", NOON, NOON + HOUR)), ("visit", Visit("li", NOON, None))])
    assert list(past.visits(NOON, NOON + MINUTE)) == [Visit("li", NOON, None)]
    assert list(past.visits(NOON, NOON + HOUR)) == [Visit("li", NOON, NOON + HOUR)]
    assert list(past.visits(NOON + 2 * HOUR, NOON + DAY)) == []


def test_a_door_is_open_since_it_was_opened_however_often_that_is_said() -> None:
    past = home([("door", DOOR, NOON + 2, True), ("door", DOOR, NOON, True), ("door", DOOR, NOON - 5, False)])
    assert past.is_open(DOOR, NOON + 3) == (True, NOON)
    assert past.is_open(DOOR, NOON - 1) == (False, NOON - 5)
    assert past.is_open(DOOR, NOON - 6) is None
    assert past.turns(DOOR, NOON, NOON + 9) == [(NOON, True), (NOON + 2, True)]
    past.forget_before(NOON + HOUR)
    assert past.is_open(DOOR, NOON + HOUR) == (True, NOON)


def test_days_are_the_home_s_own() -> None:
    zone = ZoneInfo("Europe/Berlin")
    # The clock goes on from 02:00 to 03:00 on 29 March 2026.
    past = home(
        [("moved", KITCHEN, at(29, "03:20", zone)), ("moved", KITCHEN, at(28, "23:50", zone))], zone=zone
    )
    assert past.days(at(29, "23:59", zone)) == {past_day(28): 1 << 95}
    assert past.days(at(30, "00:00", zone)) == {past_day(28): 1 << 95, past_day(29): 1 << 13}


def past_day(day: int) -> int:
    from datetime import date

    return date(2026, 3, day).toordinal()


def test_memory_is_bounded_and_what_stands_is_kept() -> None:
    past = home([])
    for day in range(-90, 0):
        for hour in range(24):
            past.moved(KITCHEN, NOON + day * DAY + hour * HOUR)
            past.reading(Reading(NOON + day * DAY + hour * HOUR, 5, 7, 1.0))
    past.fault(1, "silent", NOON - 80 * DAY)
    past.fault(2, "silent", NOON - 80 * DAY)
    past.mended(2, "silent", NOON - 79 * DAY)
    past.forget_before(NOON - DAY)
    assert past.movement_before(KITCHEN, NOON) == NOON - HOUR
    assert len(past.movements(KITCHEN, 0, NOON)) == 25
    assert len(past.readings(0, NOON)) == 24
    assert len(past.days(NOON + DAY)) == DAYS_KEPT
    assert past.faults(1, NOON) == [Fault("silent", NOON - 80 * DAY, None)]
    assert past.faults_between(2, 0, NOON) == []


def test_the_same_said_twice_is_once() -> None:
    facts = [("moved", KITCHEN, NOON), ("door", DOOR, NOON, True), ("reading", Reading(NOON, 5, 7, 1.0))] * 2
    facts += [("mode", Mode(SLEEP, NOON, NOON + HOUR))] * 2
    past = home(facts)
    assert past.movements(KITCHEN, 0, NOON) == [NOON]
    assert past.turns(DOOR, 0, NOON) == [(NOON, True)]
    assert len(past.readings(0, NOON)) == 1
    assert len(past.modes(0, NOON)) == 1
