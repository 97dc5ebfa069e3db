"""The wired motion sensor: motion begins, is counted in batches, ends; and a stuck one is not motion."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kanhu_protocol import kinds as k

MINUTE = 60_000
WARM = 61_000


def move(at, held=2_000):
    return [[at, "level", 1], [at + held, "level", 0]]


def movements(done):
    return done.total(k.MOTION, k.COUNT) + done.total(k.MOTION_COUNT, k.COUNT)


def test_motion_then_still_after_ten_minutes(play):
    done = play("pir", move(WARM), WARM + 11 * MINUTE)
    assert done.kinds == [k.MOTION, k.STILL]
    assert done.events[0][2] == {k.DEVICE: 7}
    assert WARM <= done.events[0][0] <= WARM + 50
    ms, _, still = done.events[1]
    assert 600_000 <= still[k.SPAN_MS] < 602_000
    assert WARM + 2_000 + 600_000 <= ms < WARM + 2_000 + 603_000


def test_going_about_is_one_motion_and_counts_once_a_minute(play):
    steps = [s for i in range(30) for s in move(WARM + 10_000 * i)]
    done = play("pir", steps, WARM + 16 * MINUTE)
    assert done.kinds.count(k.MOTION) == 1
    assert movements(done) == 30
    counts = done.of(k.MOTION_COUNT)
    assert len(counts) == 5
    assert all(b[0] - a[0] >= MINUTE for a, b in pairwise(counts))
    assert all(MINUTE <= f[k.SPAN_MS] <= MINUTE + 2_000 for _, f in counts)
    assert done.kinds[-1] == k.STILL


def test_motion_again_only_after_a_minute_of_stillness(play):
    steps = move(WARM) + move(WARM + 50_000) + move(WARM + 120_000)
    done = play("pir", steps, WARM + 200_000)
    assert [ms // 1000 for ms, _ in done.of(k.MOTION)] == [WARM // 1000, (WARM + 120_000) // 1000]
    assert movements(done) == 3


def test_an_output_held_high_is_motion_that_goes_on(play):
    done = play("pir", move(WARM, 14 * MINUTE), WARM + 26 * MINUTE)
    assert done.kinds == [k.MOTION, k.STILL]
    assert done.events[1][0] >= WARM + 24 * MINUTE


def test_outputs_of_the_warm_up_are_no_movements(play):
    done = play("pir", move(5_000) + move(20_000) + move(WARM + 1_000), 4 * MINUTE)
    assert done.kinds == [k.MOTION]
    assert done.of(k.MOTION)[0][0] >= WARM + 1_000


def test_an_output_from_the_warm_up_on_is_no_movement_after_it(play):
    done = play("pir", move(5_000, 14 * MINUTE), 24 * MINUTE)
    assert done.kinds == []
    done = play("pir", move(5_000, 14 * MINUTE) + move(16 * MINUTE), 17 * MINUTE)
    assert done.kinds == [k.MOTION]


@pytest.mark.parametrize("warm_up_ms", [0, 60_000])
def test_an_unplugged_sensor_is_a_fault_and_never_movement_nor_stillness(play, warm_up_ms):
    done = play("pir", [], 60 * MINUTE, level=1, warm_up_ms=warm_up_ms)
    assert done.kinds == [k.CONTACT_STUCK]
    assert 15 * MINUTE <= done.events[0][0] <= 15 * MINUTE + 2_000
    plugged = [[60 * MINUTE, "level", 0], *move(61 * MINUTE)]
    done = play("pir", plugged, 72 * MINUTE, level=1, warm_up_ms=warm_up_ms)
    assert done.kinds == [k.CONTACT_STUCK, k.CONTACT_RELEASED, k.MOTION, k.STILL]


def test_unplugged_while_it_runs(play):
    done = play("pir", [*move(WARM), [WARM + 5 * MINUTE, "level", 1]], WARM + 60 * MINUTE)
    assert done.kinds == [k.MOTION, k.MOTION, k.CONTACT_STUCK]  # its edge is a movement like any other
    assert not done.of(k.STILL)


def test_a_module_that_is_warm_at_once(play):
    done = play("pir", move(500), 5_000, warm_up_ms=0)
    assert done.kinds == [k.MOTION]
    assert done.events[0][0] <= 600


def test_a_stuck_output_is_a_fault_and_no_motion(play):
    done = play("pir", move(WARM, 20 * MINUTE) + move(WARM + 40 * MINUTE), WARM + 52 * MINUTE)
    assert done.kinds == [k.MOTION, k.CONTACT_STUCK, k.CONTACT_RELEASED, k.STILL, k.MOTION, k.STILL]
    still = done.of(k.STILL)[0]
    assert still[0] >= WARM + 30 * MINUTE
    assert still[1][k.SPAN_MS] <= 10 * MINUTE + 2_000
    stuck, released = done.events[1], done.events[2]
    assert WARM + 15 * MINUTE <= stuck[0] <= WARM + 15 * MINUTE + 2_000
    assert 15 * MINUTE <= stuck[2][k.SPAN_MS] <= 15 * MINUTE + 2_000
    assert abs(released[2][k.SPAN_MS] - 20 * MINUTE) < 2_000


def test_nothing_moves_from_the_start(play):
    done = play("pir", [], 30 * MINUTE)
    assert done.kinds == [k.STILL]


def test_stillness_longer_than_the_ticks_can_say(play):
    day = 86_400_000
    done = play("pir", [*move(WARM), [WARM + 5_000, "leap", day, 14], *move(WARM + 9_000)], WARM + 20_000)
    assert done.kinds == [k.MOTION, k.STILL, k.MOTION]


@pytest.mark.parametrize("held", [1, 10, 19])
def test_a_spike_is_no_motion(play, held):
    assert play("pir", move(WARM, held), WARM + 20_000).kinds == []


def test_a_missed_edge_is_seen_within_a_second(play):
    done = play("pir", [[WARM, "silently", 1]], WARM + 5_000)
    assert done.kinds == [k.MOTION]
    assert done.events[0][0] <= WARM + 1_100


def test_flash_that_fails_and_a_full_heap_lose_and_double_nothing(play):
    steps = [[WARM - 1, "answer", False], *move(WARM), *move(WARM + 10_000), [WARM + 15_000, "raises", 2]]
    done = play("pir", steps, WARM + 3 * MINUTE)
    assert done.kinds == [k.MOTION, k.MOTION_COUNT]
    assert movements(done) == 2


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(100, 90_000), st.integers(100, 20_000)), max_size=12))
def test_every_movement_is_in_exactly_one_event(play, pattern):
    steps, at = [], WARM
    for low, high in pattern:
        at += low
        steps += move(at, high)
        at += high
    done = play("pir", steps, at + 2 * MINUTE)
    assert movements(done) == len(pattern)
    assert done.kinds.count(k.STILL) == 0
