"""The fixture `clock` asks the stimulus anew each time, and passes on how far off it may be."""

from __future__ import annotations

import time

from kanhu.qa.clock import StimulusTime


class Stimulus:
    """A board whose ticks began at begun and whose answers take as long as they take."""

    def __init__(self, begun: float, error: float) -> None:
        self.begun, self.error, self.pings = begun, error, 0

    def ticks(self) -> int:
        return int((time.monotonic() - self.begun) * 1e6)

    def when(self, ticks_us: int) -> tuple[float, float]:
        return self.begun + ticks_us / 1e6, self.error

    def ping(self) -> float:
        self.pings += 1
        return 0.0

    def ask(self, do: str) -> object:
        assert do == "ping"
        return self.ticks()


def test_a_moment_and_its_error() -> None:
    board = Stimulus(time.monotonic() - 100, 0.002)
    clock = StimulusTime(board)
    moment = clock.at(board.ticks())
    assert abs(moment.at - time.monotonic()) < 1
    assert moment.error == 0.002
    assert board.pings == 1
    assert clock.error >= 0.002
