"""The engine of a rollout against a city of hubs: whatever happens, in whatever order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_fleet import MINUTE, NEW, SIZE, City, Hub, disturb, drawn
from kanhu.updates.engine import AGAIN_MS, ASKS, STALL_MS, TRY_MS
from kanhu.updates.values import (
    ASKED,
    DONE,
    ENDED,
    FAILED,
    FETCHING,
    OVER,
    PAUSED,
    POSTPONED,
    RUNNING,
    SKIPPED,
    TRYING,
    WAITING,
    Settings,
)

SEEDS = st.integers(0, 2**32)
DAY = 24 * 60  # minutes


def states(city: City) -> dict[str, str]:
    return {name: unit.state for name, unit in city.engine.units.items()}


def run(city: City, chance: random.Random, minutes: int) -> None:
    for _ in range(minutes):
        city.minute(chance)
        if city.engine.is_over or city.engine.rollout.state == PAUSED:
            break


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 14))
def test_a_good_release_reaches_all_whatever_happens_meanwhile(seed: int, hubs: int) -> None:
    chance = random.Random(seed)
    city = drawn(chance, hubs)
    for _ in range(60):
        city.minute(chance)
        if chance.random() < 0.4:
            disturb(city, chance)
    for _ in range(20):  # failures of hubs whose power went at the wrong moment may pause it
        city.settle()
        if city.engine.rollout.state == PAUSED:
            city.resume()
        run(city, chance, DAY)
        if city.engine.is_over:
            break
    assert city.engine.rollout.state == ENDED
    assert set(states(city).values()) <= OVER
    assert all(hub.firmware == NEW for name, hub in city.hubs.items() if states(city)[name] == DONE)
    assert max(map(city.asks.count, city.asks), default=0) <= 60


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(2, 14), st.booleans())
def test_a_bad_release_stops_itself_at_the_canary(seed: int, hubs: int, dead: bool) -> None:
    chance = random.Random(seed)
    city = drawn(chance, hubs, bad=0.0 if dead else 1.0, dead=1.0 if dead else 0.0)
    for _ in range(DAY):
        city.minute(chance)
        if chance.random() < 0.02:
            city.kill()
        if city.engine.rollout.state == PAUSED:
            break
    assert city.engine.rollout.state == PAUSED
    for _ in range(30):
        city.minute(chance)
    tried = [hub for hub in city.hubs.values() if hub.tried]
    assert 1 <= len(tried) <= city.settings.canary
    assert len(set(city.asks)) <= city.settings.canary, "others were asked"
    assert "failed" in city.engine.rollout.why
    city.resume()
    run(city, chance, DAY)
    assert len([hub for hub in city.hubs.values() if hub.tried]) <= 2 * city.settings.canary


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(4, 14))
def test_a_release_that_fails_here_and_there_never_runs_away(seed: int, hubs: int) -> None:
    chance = random.Random(seed)
    city = drawn(chance, hubs, bad=0.3, dead=0.1)
    for _ in range(120):
        city.minute(chance)
        if chance.random() < 0.3:
            disturb(city, chance)
    # City.check() has looked at each step.
    assert set(states(city).values()) <= {*OVER, WAITING, POSTPONED, ASKED, FETCHING, TRYING}


def one(**more: object) -> City:
    return City([Hub("hub00")], Settings(soak_ms=0, **more))  # type: ignore[arg-type]


def fetched(city: City) -> None:
    """Its one hub has been asked and has taken it."""
    city.tick()
    city.keep([city.engine.taken("hub00", city.number, city.now) or pytest.fail("not asked")])


def test_an_open_alarm_postpones_and_its_end_lets_it_go_on() -> None:
    city = one()
    hub = city.hubs["hub00"]
    hub.alarm = True
    for _ in range(3):
        city.tick()
    assert states(city) == {"hub00": POSTPONED}
    assert city.asks == []
    assert city.engine.units["hub00"].why == "alarm"
    hub.alarm = False
    city.tick()
    assert states(city) == {"hub00": ASKED}
    hub.alarm = True  # before the hub has heard of it: it is said no more
    city.tick()
    assert states(city) == {"hub00": POSTPONED}
    assert city.commands == {}


def test_an_alarm_that_only_the_hub_knows_of_is_asked_again_later() -> None:
    city = one()
    city.tick()
    city.keep([city.engine.refused("hub00", city.number, 5, city.now)])  # type: ignore[list-item]
    city.tick()
    assert states(city) == {"hub00": POSTPONED}
    city.now += AGAIN_MS
    city.tick()
    assert states(city) == {"hub00": ASKED}
    assert len(city.asks) == 2


def test_what_hubs_refuse() -> None:
    for detail, state, why in ((8, SKIPPED, "already"), (1, SKIPPED, "takes_none"), (3, FAILED, "refused")):
        city = one()
        city.tick()
        assert city.engine.refused("hub00", city.number + 1, detail, city.now) is None, "another command's"
        unit = city.engine.refused("hub00", city.number, detail, city.now)
        assert unit is not None
        assert (unit.state, unit.why) == (state, why)


def test_a_hub_without_a_key_is_skipped_and_a_changed_archive_is_a_failure() -> None:
    city = one()
    fetched(city)
    unit = city.engine.failed("hub00", NEW, 1, city.now)
    assert unit is not None
    assert (unit.state, unit.why) == (SKIPPED, "no_key")
    city = one()
    fetched(city)
    city.engine.progress("hub00", NEW, SIZE, SIZE, city.now)
    unit = city.engine.failed("hub00", NEW, 1, city.now)
    assert unit is not None
    assert (unit.state, unit.why) == (FAILED, "not_signed")


def test_a_hub_that_stops_fetching_is_asked_anew_and_given_up_in_the_end() -> None:
    city = one()
    for _ in range(ASKS):
        fetched(city)
        city.engine.progress("hub00", NEW, 900, SIZE, city.now)
        city.engine.progress(
            "hub00", NEW, 900, SIZE, city.now + STALL_MS - 1
        )  # the same again is no progress
        city.now += STALL_MS
        city.tick()
    assert states(city) == {"hub00": FAILED}
    assert city.engine.units["hub00"].why == "stalled"
    assert len(city.asks) == ASKS


def test_a_hub_that_begins_to_fetch_over_and_over_is_given_up() -> None:
    city = one()
    for _ in range(ASKS):
        fetched(city)
        for n in range(2 * STALL_MS // 60_000):
            city.engine.progress("hub00", NEW, 900 * (n % 3), SIZE, city.now)
            city.now += 60_000
            city.tick()
            if states(city) != {"hub00": FETCHING}:
                break
    assert city.engine.units["hub00"].why == "stalled"
    assert len(city.asks) == ASKS


def test_a_trial_without_an_end_has_failed_and_a_late_proof_puts_that_right() -> None:
    city = one()
    fetched(city)
    city.engine.booted("hub00", NEW, (2, 1), city.now)
    assert states(city) == {"hub00": TRYING}
    city.now += TRY_MS
    city.tick()
    assert city.engine.units["hub00"].why == "no_end"
    assert city.engine.rollout.state == PAUSED
    assert city.engine.rollout.why == "1 of 1 failed"
    city.engine.done("hub00", NEW, city.now)
    assert states(city) == {"hub00": DONE}


def test_the_hubs_own_reason_stands_in_place_of_ours() -> None:
    city = one()
    fetched(city)
    city.engine.booted("hub00", NEW, (2, 1), city.now)
    city.engine.booted("hub00", "0.1.0", (1, 1), city.now)
    assert city.engine.units["hub00"].why == "went_back"
    city.engine.failed("hub00", NEW, 6, city.now)
    assert city.engine.units["hub00"].why == "not_proven"


def test_a_hub_falls_silent_with_the_release_while_it_is_watched() -> None:
    for soak_ms, state in ((60 * MINUTE, FAILED), (0, DONE)):
        city = City([Hub("hub00")], Settings(soak_ms=soak_ms))
        fetched(city)
        city.engine.done("hub00", NEW, city.now)
        city.order(city.engine.silent("hub00", city.now + MINUTE))
        assert states(city) == {"hub00": state}


def test_the_canary_must_be_heard_after_its_time_before_it_counts() -> None:
    city = City([Hub("hub00"), Hub("hub01")], Settings(soak_ms=10 * MINUTE))
    fetched(city)
    city.engine.done("hub00", NEW, city.now)
    city._life["hub00"] = city.now
    city.now += 10 * MINUTE
    city.tick()
    assert city.engine.rollout.passed_ms is None
    city._life["hub00"] = city.now
    city.tick()
    assert city.engine.rollout.passed_ms == city.now
    assert states(city) == {"hub00": DONE, "hub01": ASKED}


def test_cancelled_hubs_that_fetch_give_it_up_and_the_rest_hears_nothing() -> None:
    city = City([Hub(f"hub{n:02d}") for n in range(4)], Settings(canary=3, at_once=2))
    city.tick()
    city.keep([city.engine.taken("hub00", 1, city.now)])  # type: ignore[list-item]
    turn = city.engine.cancel(city.now)
    assert turn.give_up == ["hub00"]
    assert turn.withdraw == [("hub01", 2)]
    city.order(turn)
    city.tick()
    assert city.asks == ["hub00", "hub01"]
    assert not city.engine.may_fetch("hub00")


def test_who_is_revoked_or_there_already_is_passed_over() -> None:
    city = City([Hub("hub00"), Hub("hub01", firmware=NEW), Hub("hub02")], Settings(soak_ms=0))
    city.revoked.add("hub00")
    city.tick()
    assert states(city) == {"hub00": SKIPPED, "hub01": SKIPPED, "hub02": ASKED}
    assert city.engine.rollout.state == RUNNING
