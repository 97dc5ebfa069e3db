"""The stimulus's clock against this computer's: its ticks_us, which wrap, as monotonic s with an error."""

from __future__ import annotations

from dataclasses import dataclass

PERIOD_US = 1 << 30  # time.ticks_us() of an ESP32 begins again at 0 after 17.9 min
DRIFT_MAX = 200e-6  # s/s that two free-running clocks differ at most: a crystal's 50, a slewed host's 150
DRIFT_FLOOR = 5e-6  # s/s that a crystal's rate moves with its temperature
KEPT = 64  # round trips remembered


class NoClock(ValueError):
    """No round trip has been made yet."""


@dataclass(frozen=True)
class Trip:
    """One round trip: at ticks_s of the stimulus it was mid here, give or take half; all in s."""

    ticks_s: float
    mid: float
    half: float


@dataclass(frozen=True)
class Clock:
    """What was known of the stimulus's clock at one moment: at its ticks_s it was `at` (monotonic s) here,
    give or take error (s); since then this computer's clock gains drift (s/s), give or take drift_error."""

    ticks_s: float
    at: float
    error: float
    drift: float
    drift_error: float

    def when(self, ticks_s: float) -> tuple[float, float]:
        """(monotonic s, error bound in s) of a moment in its unwrapped ticks, in s."""
        since = ticks_s - self.ticks_s
        return self.at + since * (1 + self.drift), self.error + abs(since) * self.drift_error

    @property
    def offset(self) -> float:
        """Monotonic s at which its ticks were 0, were there no drift."""
        return self.at - self.ticks_s


class Trips:
    """The round trips since the board's start, and what follows from them. One thread at a time."""

    def __init__(self) -> None:
        self._trips: list[Trip] = []
        self._last: Trip | None = None

    def add(self, sent: float, ticks_us: int, received: float) -> None:
        """It answered ticks_us to what went out at sent and came back at received, monotonic s."""
        mid = (sent + received) / 2
        before = self._last
        ticks_s = ticks_us / 1e6 if before is None else _near(ticks_us, before.ticks_s + mid - before.mid)
        self._last = Trip(ticks_s, mid, (received - sent) / 2)
        self._trips.append(self._last)
        if len(self._trips) > KEPT:
            # The best of the older half stay: they tell the drift.
            self._trips.remove(max(self._trips[: KEPT // 2], key=lambda trip: trip.half))

    def unwrap(self, ticks_us: int, heard: float) -> float:
        """Its ticks in s, unwrapped, of something that was heard at that monotonic s; NoClock."""
        if self._last is None:
            raise NoClock
        return _near(ticks_us, self._last.ticks_s + heard - self._last.mid)

    def clock(self, ticks_s: float | None = None) -> Clock:
        """What tells best when ticks_s was (default: the newest trip); NoClock."""
        if self._last is None:
            raise NoClock
        moment = self._last.ticks_s if ticks_s is None else ticks_s
        drift, doubt = self._drift()
        best = min(self._trips, key=lambda trip: trip.half + abs(moment - trip.ticks_s) * doubt)
        return Clock(best.ticks_s, best.mid, best.half, drift, doubt)

    def _drift(self) -> tuple[float, float]:
        """Rate by which this computer's clock is faster, and what that may be off; s/s."""
        found = (0.0, DRIFT_MAX)
        early = min(self._trips[: KEPT // 2], key=lambda trip: trip.half)
        for late in self._trips:
            span = late.ticks_s - early.ticks_s
            if span <= 0:
                continue
            doubt = (early.half + late.half) / span + DRIFT_FLOOR
            if doubt < found[1]:
                found = ((late.mid - early.mid) / span - 1, doubt)
        return found


def _near(ticks_us: int, expected_s: float) -> float:
    """The moment with these ticks that is nearest to the expected one, s."""
    rounds = round((expected_s * 1e6 - ticks_us) / PERIOD_US)
    return (ticks_us + rounds * PERIOD_US) / 1e6
