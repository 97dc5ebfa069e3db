"""What the stimulus reads: changes of lamp and buzzer at this computer's time, and the pattern they make."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kanhu.install.firmware import source_dir
from kanhu.qa.stimulus_clock import Clock, NoClock, Trips
from kanhu.sim.lamp import Indication, Lamp, load_table

NEWER = 50  # edges that may have come since the board was asked how many there were


@dataclass(frozen=True)
class Edge:
    """A change of lamp or buzzer; at: monotonic s, give or take error."""

    line: str
    level: int
    ticks_us: int
    at: float
    error: float = 0.0


class Sight:
    """Fed by the reading thread and by round trips; asked by any thread."""

    def __init__(self) -> None:
        self.unheard = 0  # edges that the board told while nobody listened
        self._lock = threading.RLock()
        self._trips = Trips()
        self._edges: list[Edge] = []
        self._early: list[tuple[str, int, int, float]] = []  # edges from before the first round trip
        self._told: int | None = None  # number of the newest edge
        self._levels: dict[str, int] = {}
        self._lamp = Lamp(load_table(source_dir() / "kanhu_hub" / "indicator.py"))

    def edges(self, after: int) -> list[Edge]:
        """All but the first `after`."""
        with self._lock:
            return self._edges[after:]

    def indication(self) -> Indication:
        """What lamp and buzzer show now."""
        with self._lock:
            return self._lamp.read(time.monotonic())

    def dark(self) -> None:
        """What they showed before says nothing any more."""
        with self._lock:
            self._lamp.dark()
            if self._levels:
                self._show(time.monotonic())

    def clock(self) -> Clock:
        """What is known of the board's clock; NoClock."""
        with self._lock:
            return self._trips.clock()

    def when(self, ticks_us: int) -> tuple[float, float]:
        """(monotonic s, error bound in s) of its ticks_us of the last 8 min; NoClock."""
        with self._lock:
            return self._at(ticks_us, time.monotonic())

    def trip(self, sent: float, ticks_us: int, received: float) -> None:
        """A round trip was made."""
        with self._lock:
            self._trips.add(sent, ticks_us, received)
            early, self._early = self._early, []
            for edge in early:
                self._note(*edge)

    def new_clock(self) -> None:
        """The port was opened: round trips of before are not to be trusted."""
        with self._lock:
            self._trips = Trips()

    def new_run(self) -> None:
        """The board has started anew."""
        with self._lock:
            self._trips = Trips()
            self._early.clear()
            self._told = 0
            self._lamp.dark()

    def baseline(self, seen: int, levels: Mapping[str, int]) -> None:
        """The board says how many edges it has told, and how its inputs stand."""
        with self._lock:
            told = seen if self._told is None else self._told
            if self._early or 0 < told - seen <= NEWER:
                return
            self.unheard += max(0, seen - told)
            self._told = seen
            if self._levels != levels:
                self._levels = dict(levels)
                self._show(time.monotonic())

    def edge(self, value: Any, now: float) -> bool:
        """An event; False: others before it were not heard. ValueError: it is none."""
        try:
            line, level, ticks_us, number = value
        except TypeError:
            raise ValueError(str(value)) from None
        with self._lock:
            missed = 0 if self._told is None else max(0, number - self._told - 1)
            self.unheard += missed
            self._told = number
            self._note(line, level, ticks_us, now)
        return not missed

    def _note(self, line: str, level: int, ticks_us: int, now: float) -> None:
        try:
            at, error = self._at(ticks_us, now)
        except NoClock:
            self._early.append((line, level, ticks_us, now))
            return
        self._edges.append(Edge(line, level, ticks_us, at, error))
        self._levels[line] = level
        self._show(at)

    def _at(self, ticks_us: int, now: float) -> tuple[float, float]:
        ticks_s = self._trips.unwrap(ticks_us, now)
        return self._trips.clock(ticks_s).when(ticks_s)

    def _show(self, at: float) -> None:
        self._lamp.change(at, bool(self._levels.get("lamp")), bool(self._levels.get("buzzer")))
