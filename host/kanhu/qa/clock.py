"""Ticks of another board as this computer's monotonic time, with a bound on the error."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

from kanhu.errors import KanhuError

DRIFT = 100e-6  # between two crystals: 10 to 30 parts in a million each, more when one of them is warm
KEPT = 64  # round trips


class ClockTrouble(KanhuError):
    """Ticks that fit no round trip: the board has started anew, or nobody has asked it yet."""


class Trip(NamedTuple):
    """One round trip: asked and answered in monotonic s, ticks in us, read by the board in between."""

    asked: float
    ticks_us: int
    answered: float


class Moment(NamedTuple):
    """at: monotonic s; error: s that it may be off, to either side."""

    at: float
    error: float


class Clock:
    """add() round trips, then at(ticks). Ticks are in us and do not wrap; any thread may ask."""

    def __init__(self) -> None:
        self._trips: deque[Trip] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def add(self, asked: float, ticks_us: int, answered: float) -> None:
        """The board's ticks were this at a moment between asked and answered."""
        if answered < asked:
            raise ValueError("answered before it was asked")
        with self._lock:
            self._trips.append(Trip(asked, ticks_us, answered))

    def restart(self) -> None:
        """The board's ticks have begun anew: what was known of them says nothing any more."""
        with self._lock:
            self._trips.clear()

    @property
    def trips(self) -> list[Trip]:
        """What it knows, oldest first."""
        with self._lock:
            return list(self._trips)

    @property
    def error(self) -> float:
        """s by which a moment at the newest round trip may be off; ClockTrouble."""
        trips = self.trips
        return self.at(trips[-1].ticks_us if trips else 0).error

    def at(self, ticks_us: int) -> Moment:
        """The moment of these ticks: the middle of what every round trip allows; ClockTrouble."""
        low, high = float("-inf"), float("inf")
        for trip in self.trips:
            since = (ticks_us - trip.ticks_us) / 1e6
            drift = abs(since) * DRIFT
            low = max(low, trip.asked + since - drift)
            high = min(high, trip.answered + since + drift)
        if high == float("inf"):
            raise ClockTrouble("the stimulus' clock is not known: no round trip was made")
        if low > high:
            raise ClockTrouble(
                f"the stimulus' clock jumped or drifts by more than {DRIFT * 1e6:.0f} in a million:"
                " it has started anew, or its board is damaged"
            )
        return Moment((low + high) / 2, (high - low) / 2)
