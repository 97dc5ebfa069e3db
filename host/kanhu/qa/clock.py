"""The fixture `clock`: the stimulus' ticks as this computer's monotonic time, with a bound on the error."""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol


class Moment(NamedTuple):
    """at: monotonic s; error: s that it may be off, to either side."""

    at: float
    error: float


class Ticking(Protocol):
    """What is needed of a stimulus (kanhu.qa.stimulus)."""

    def when(self, ticks_us: int) -> tuple[float, float]: ...
    def ping(self) -> float: ...
    def ask(self, do: str) -> object: ...


class StimulusTime:
    """Asks the stimulus whenever it is asked itself: what is known of a clock grows old."""

    def __init__(self, stimulus: Ticking) -> None:
        self._stimulus = stimulus

    def at(self, ticks_us: int) -> Moment:
        """The moment of its ticks, of the last minutes; StimulusError."""
        self._stimulus.ping()
        return Moment(*self._stimulus.when(ticks_us))

    @property
    def error(self) -> float:
        """s by which a moment like the present one may be off; StimulusError."""
        ticks = self._stimulus.ask("ping")
        now = time.monotonic()
        at, error = self._stimulus.when(int(str(ticks)))
        return max(error, at - now)
