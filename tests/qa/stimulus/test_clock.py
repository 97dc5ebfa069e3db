"""The stimulus's clock: the error bound holds, whatever the way, the drift and the wrap."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kanhu.qa.stimulus_clock import DRIFT_MAX, KEPT, PERIOD_US, NoClock, Trips


class Board:
    """A board whose clock starts anywhere and runs at a rate of its own."""

    def __init__(self, start_us: int, rate: float, seed: int) -> None:
        self.start_us, self.rate = start_us, rate
        self.random = random.Random(seed)

    def ticks_us(self, now: float) -> int:
        return (self.start_us + int(now * 1e6 * self.rate)) % PERIOD_US

    def trip(self, trips: Trips, now: float) -> float:
        """A round trip with ways of any length, each way its own; when it came back."""
        there, back = (self.random.choice((0.0002, 0.004, 0.05, 0.6)) * self.random.random() for _ in "12")
        trips.add(now, self.ticks_us(now + there), now + there + back)
        return now + there + back


@settings(max_examples=200)
@given(
    st.integers(0, PERIOD_US - 1),
    st.floats(-0.7 * DRIFT_MAX, 0.7 * DRIFT_MAX),
    st.integers(0, 1 << 30),
    st.lists(st.floats(0.1, 700), min_size=1, max_size=3 * KEPT),
)
def test_the_bound_holds(start_us: int, drift: float, seed: int, pauses: list[float]) -> None:
    board, trips, now = Board(start_us, 1 + drift, seed), Trips(), 0.0
    for pause in pauses:
        now = board.trip(trips, now)
        for moment in (now, max(0.0, now - 3), now + pause / 2):
            at = trips.unwrap(board.ticks_us(moment), moment)
            told, error = trips.clock(at).when(at)
            assert abs(told - moment) <= error + 2e-6, (told - moment, error)
        now += pause


def test_it_gets_better_with_time_and_stays_so() -> None:
    board, trips, now = Board(PERIOD_US - 5_000_000, 1 + 40e-6, 7), Trips(), 0.0
    errors = []
    for _ in range(400):
        now = board.trip(trips, now) + 5.0
        clock = trips.clock()
        errors.append(clock.error)
    assert min(errors[-KEPT:]) < 0.003
    assert clock.drift == pytest.approx(-40e-6, abs=20e-6)
    assert clock.drift_error < DRIFT_MAX / 4
    assert len(trips._trips) == KEPT


def test_the_wrap_is_seen_through_even_after_a_long_silence() -> None:
    board, trips = Board(PERIOD_US - 1_000_000, 1.0, 1), Trips()
    board.trip(trips, 0.0)
    for now in (0.5, 2.0, 500.0, 1000.0, 3000.0):
        at = trips.unwrap(board.ticks_us(now), now + 0.01)
        told, error = trips.clock(at).when(at)
        assert abs(told - now) <= error + 2e-6
    board.trip(trips, 5000.0)
    at = trips.unwrap(board.ticks_us(4999.0), 5000.0)
    assert trips.clock(at).when(at)[0] == pytest.approx(4999.0, abs=1.0)


def test_without_a_round_trip_there_is_no_clock() -> None:
    trips = Trips()
    for asked in (trips.clock, lambda: trips.unwrap(1, 1.0)):
        with pytest.raises(NoClock):
            asked()
