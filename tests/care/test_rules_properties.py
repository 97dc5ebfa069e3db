"""What must hold of every rule in every home: silence of sensors is never silence of people."""

from __future__ import annotations

import random
import re
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers_rules import BEGAN, BLINDING, MINUTE, MOTION, facts, faults, home, known, moments
from kanhu.care.rules import RULES
from kanhu.care.rules.past import AWAY, HOSPITAL, HUB_LIMIT_MS, SLEEP, VISITOR, Mode, Past, Plan, Visit
from kanhu.care.rules.values import Rule, Verdict

ON_MOVEMENT = ("inactivity", "overstay", "no_return", "rhythm")
PLANS = (Plan(127, 540, 660, "home help"), Plan(31, 1380, 60, "night round"))
small = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def settings_of(rule: Rule[Any], tight: bool) -> Any:
    """As they come, or so tight that much is raised."""
    if not tight:
        more = {"limits": {"systolic": {"low": 90, "high": 180}}} if rule.name == "vitals" else {}
        return rule.settings.model_validate(more)
    tight_ones: dict[str, dict[str, object]] = {
        "inactivity": {"day_minutes": 90, "grace_minutes": 0, "out_hours": 1},
        "overstay": {"bathroom_minutes": 20, "bedroom_minutes": 60},
        "no_return": {"by": "18:00", "grace_minutes": 5, "night_minutes": 10},
        "door_open": {"minutes": 5},
        "missed_visit": {"grace_minutes": 0, "early_minutes": 0},
        "vitals": {
            "limits": {"systolic": {"high": 150}, "oxygen": {"low": 92}, "7": {"low": 100}},
            "confirm": True,
        },
        "rhythm": {"late_minutes": 0},
        "blind_spots": {"proven_hours": 12},
    }
    return rule.settings.model_validate(tight_ones[rule.name])


def look(past: Past, now_ms: int, tight: bool = False) -> dict[str, Verdict]:
    """What every rule says."""
    return {name: rule.evaluate(past, settings_of(rule, tight), now_ms) for name, rule in RULES.items()}


def states(past: Past, now_ms: int, tight: bool = False) -> dict[str, object]:
    """State of every rule, and of what it has found since when."""
    return {name: (one.state, one.since_ms) for name, one in look(past, now_ms, tight).items()}


def full(all_facts: list[Any], hub_limit_ms: int = HUB_LIMIT_MS) -> Past:
    past = home(all_facts, plans=PLANS, hub_limit_ms=hub_limit_ms)
    for day in range(1, 40):  # weeks of getting up between 07:00 and 08:00
        past.day(739_685 - day, 0b1111 << 28 + day % 4)
    return past


@small
@given(facts(), moments, st.sets(st.sampled_from(MOTION)), st.sampled_from(BLINDING), st.booleans())
def test_blind_sensors_never_say_quiet_or_raise(
    all_facts: list[Any], now_ms: int, silent: set[int], why: str, tight: bool
) -> None:
    past = full(known(all_facts, now_ms))
    for device in MOTION:
        past.fault(device, "silent" if device in silent else why, now_ms)
    found = look(past, now_ms, tight)
    assert {found[name].state for name in ON_MOVEMENT} <= {"cannot_tell", "off"}


@small
@given(facts(), moments, st.booleans())
def test_a_hub_that_is_not_heard_says_nothing(all_facts: list[Any], now_ms: int, tight: bool) -> None:
    past = full(known(all_facts, now_ms))
    later = now_ms + past.hub_limit_ms
    assert {one.state for one in look(past, later, tight).values()} <= {"cannot_tell", "off"}


@settings(small, max_examples=60)
@given(facts(), moments, st.lists(faults, min_size=1, max_size=2), st.booleans())
def test_a_further_fault_never_gives_an_answer(
    all_facts: list[Any], now_ms: int, more: list[list[Any]], tight: bool
) -> None:
    before = look(full(known(all_facts, now_ms)), now_ms, tight)
    added = [one for each in more for one in each if not _ends_another(one, all_facts)]
    after = look(full(known([*all_facts, *added], now_ms)), now_ms, tight)
    for name, one in before.items():
        if one.state == "cannot_tell":
            assert after[name].state not in ("quiet", "raise"), (name, one, after[name])


def _ends_another(fact: Any, all_facts: list[Any]) -> bool:
    return fact[0] == "mended" and any(one[0] == "fault" and one[1:3] == fact[1:3] for one in all_facts)


@small
@given(facts(), moments, st.sampled_from(MOTION), st.booleans())
def test_who_moves_now_is_not_inactive(all_facts: list[Any], now_ms: int, device: int, tight: bool) -> None:
    past = full([*known(all_facts, now_ms), ("moved", device, now_ms)])
    assert look(past, now_ms, tight)["inactivity"].state != "raise"


@small
@given(facts(), moments, st.sampled_from([AWAY, HOSPITAL]))
def test_nobody_home_raises_nothing(all_facts: list[Any], now_ms: int, mode: int) -> None:
    past = full([*known(all_facts, now_ms - 1), ("mode", Mode(mode, now_ms, now_ms + 60 * MINUTE))])
    found = look(past, now_ms + 30 * MINUTE, tight=True)
    assert {found[name].state for name in (*ON_MOVEMENT, "missed_visit")} == {"off"}


@small
@given(facts(), moments, st.booleans())
def test_a_visitor_is_somebody(all_facts: list[Any], now_ms: int, checked_in: bool) -> None:
    there: Any = ("visit", Visit("zhao", now_ms, None))
    if not checked_in:
        there = ("mode", Mode(VISITOR, now_ms, now_ms + 300 * MINUTE))
    past = full([*known(all_facts, now_ms - 1), there])
    found = look(past, now_ms + 239 * MINUTE, tight=True)
    assert {found[name].state for name in ("inactivity", "overstay", "rhythm")} == {"off"}


@small
@given(facts(), moments)
def test_asleep_by_day(all_facts: list[Any], now_ms: int) -> None:
    past = full([*known(all_facts, now_ms - 1), ("mode", Mode(SLEEP, now_ms, now_ms + 300 * MINUTE))])
    found = look(past, now_ms + 200 * MINUTE, tight=True)
    assert {found[name].state for name in ("inactivity", "rhythm")} == {"off"}


@settings(small, max_examples=80)
@given(facts(), moments, st.floats(0, 1, exclude_max=True), st.booleans(), st.booleans())
def test_nothing_changes_before_next(
    all_facts: list[Any], now_ms: int, share: float, tight: bool, patient: bool
) -> None:
    # A hub that may be silent for long, so that it is not always the first whose word runs out.
    past = full(known(all_facts, now_ms), HUB_LIMIT_MS * 1000 if patient else HUB_LIMIT_MS)
    for name, one in look(past, now_ms, tight).items():
        assert one.next_ms > now_ms
        for later in {now_ms + int((one.next_ms - now_ms) * share), one.next_ms - 1}:
            again = RULES[name].evaluate(past, settings_of(RULES[name], tight), later)
            assert again.state == one.state, (name, one, again)
            if one.state == "raise":
                assert again.since_ms == one.since_ms


@small
@given(facts(), moments, st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_filling_does_not_matter(
    all_facts: list[Any], now_ms: int, chance: random.Random, tight: bool
) -> None:
    shuffled = list(all_facts)
    chance.shuffle(shuffled)
    assert look(full(all_facts), now_ms, tight) == look(full(shuffled), now_ms, tight)


@small
@given(facts(), moments, st.booleans())
def test_what_comes_later_is_not_seen(all_facts: list[Any], now_ms: int, tight: bool) -> None:
    assert states(full(all_facts), now_ms, tight) == states(full(known(all_facts, now_ms)), now_ms, tight)


@small
@given(facts(), moments, st.integers(0, 5000))
def test_forgetting_what_is_old_changes_nothing(all_facts: list[Any], now_ms: int, more: int) -> None:
    past = full(all_facts)
    before = states(past, now_ms, tight=True)
    past.forget_before(now_ms - (4 * 24 * 60 + more) * MINUTE)
    assert states(past, now_ms, tight=True) == before


@small
@given(facts(), moments, st.booleans())
def test_every_verdict_has_words(all_facts: list[Any], now_ms: int, tight: bool) -> None:
    for name, one in look(full(known(all_facts, now_ms)), now_ms, tight).items():
        assert one.rule == RULES[name].id
        for text in one.words:
            assert text.strip(), name
            assert not re.search(r"[{}]|None|\bnan\b|^[;；]|[;；:：]\s*$", text), text
        assert re.search("[\u4e00-\u9fff]", one.words.zh), one.words.zh
        assert not re.search("[\u4e00-\u9fff]", one.words.en.replace("卫生间", "")), one.words.en
        assert all(seen.at_ms <= now_ms for seen in one.evidence)
        if one.state in ("raise", "hint"):
            assert one.since_ms is not None
            assert BEGAN - 60 * 24 * 60 * MINUTE <= one.since_ms <= now_ms
            assert one.evidence


def test_the_homes_above_come_to_every_state() -> None:
    """Otherwise the properties would hold of nothing."""
    seen: dict[str, set[str]] = {name: set() for name in RULES}

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(facts(), moments, st.booleans())
    def collect(all_facts: list[Any], now_ms: int, tight: bool) -> None:
        for name, one in look(full(known(all_facts, now_ms)), now_ms, tight).items():
            seen[name].add(one.state)

    collect()
    for name, states_seen in seen.items():
        wanted = {"quiet", "cannot_tell", "hint" if name in ("rhythm", "blind_spots") else "raise"}
        assert wanted <= states_seen, name
