"""Reads lamp and buzzer back into the name of the pattern they show, as a person would."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kanhu_protocol import names

STEP = 0.1  # s per character of a pattern
JITTER = 0.09  # s by which a step may come late on a busy machine; steps count from the last change
DRIFT = 0.03  # of a run of steps: a hub that sleeps between steps is slower than its pattern
JOINED = 0.02  # s within which a change of lamp and of buzzer are one
WINDOW = 24  # changes looked back at

Table = Mapping[str, tuple[str, str, str, str]]  # name -> lamp, buzzer, English, Chinese
Look = tuple[bool, bool]  # lamp lit, buzzer sounding


@dataclass(frozen=True)
class Indication:
    """What the elder sees: pattern is None while dark or not (yet) clear; since is monotonic s."""

    pattern: str | None
    english: str
    chinese: str
    since: float | None


@dataclass(frozen=True)
class _Reading:
    name: str
    since: float
    error: float  # mean s by which the changes were off
    step: int  # where in the pattern the last change was
    last: float  # when that change was, monotonic s


def load_table(source: bytes | str | Path) -> dict[str, tuple[str, str, str, str]]:
    """PATTERNS of an indicator.py, by running it, with the words for each."""
    if isinstance(source, Path):
        source = source.read_bytes()
    namespace: dict[str, Any] = {"__name__": "indicator"}
    exec(compile(source, "indicator.py", "exec"), namespace)  # noqa: S102  our own firmware
    steps = namespace["STEPS"]
    return {
        name: (lamp.ljust(steps, "."), buzzer.ljust(steps, "."), *names.LAMP.get(name, (name, "")))
        for name, (lamp, buzzer) in namespace["PATTERNS"].items()
    }


class Lamp:
    """Changes of the lamp's and the buzzer's pin -> Indication. One thread feeds and asks."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._looks = {name: _looks(row[0], row[1]) for name, row in table.items()}
        self._times: list[float] = []
        self._states: list[Look] = []
        self._last: _Reading | None = None
        self._broken = False  # something unknown was shown since

    def change(self, when: float, lamp: bool, buzzer: bool) -> None:
        """The pins show this from when (monotonic s) on."""
        look = (lamp, buzzer)
        if self._times and when - self._times[-1] >= JOINED:
            self._decide(when)  # keeps up with what was shown before this change
        if self._times and when - self._times[-1] < JOINED:
            self._states[-1] = look
            if len(self._states) > 1 and self._states[-2] == look:
                del self._times[-1], self._states[-1]
        elif not self._states or self._states[-1] != look:
            self._times.append(when)
            self._states.append(look)
        del self._times[: -2 * WINDOW], self._states[: -2 * WINDOW]

    def dark(self) -> None:
        """The hub has lost power or restarts: what it showed before says nothing any more."""
        self._times.clear()
        self._states.clear()
        self._last = None

    def read(self, now: float) -> Indication:
        """The pattern that explains the pins for the longest time up to now."""
        reading = self._decide(now)
        if reading is None:
            return Indication(None, "", "", None)
        _, _, english, chinese = self._table[reading.name]
        return Indication(reading.name, english, chinese, reading.since)

    def _decide(self, now: float) -> _Reading | None:
        readings = [r for name in self._looks for r in self._explain(name, now)]
        if not readings:
            self._broken = True
            return None
        first = min(r.since for r in readings)
        rivals = sorted((r for r in readings if r.since <= first + JITTER), key=lambda r: r.error)
        best = rivals[0]
        if any(r.name != best.name and r.error < 2 * best.error + JOINED for r in rivals):
            return None  # two patterns begin alike: the next change will tell
        own = [r for r in readings if r.name == best.name]
        if self._last and self._last.name != best.name:
            best = self._after(self._last, best, own)
        elif self._last and not self._broken:
            best = self._continue(self._last, best, own)
        self._last, self._broken = best, False
        return best

    def _continue(self, old: _Reading, best: _Reading, readings: list[_Reading]) -> _Reading:
        """The same pattern's earlier start, if it still explains everything or has only left the window."""
        for reading in readings:
            if abs(reading.since - old.since) <= JITTER:
                return replace(reading, since=old.since)
        period = len(self._looks[best.name]) * STEP
        if self._window() and best.since <= self._times[self._window()] + period:
            return replace(best, since=old.since)
        return best

    def _after(self, old: _Reading, best: _Reading, readings: list[_Reading]) -> _Reading:
        """The latest start that leaves nothing unexplained: where both agree, the old one was shown."""
        until = self._end_of(old)
        looks = self._looks[best.name]
        if _run(looks, 0) == len(looks):  # constant: may start at any time
            return replace(best, since=max(best.since, until))
        return max((r for r in readings if r.since <= until + JITTER), key=lambda r: r.since, default=best)

    def _end_of(self, old: _Reading) -> float:
        """When the pins first did what the old pattern does not."""
        looks, step, when = self._looks[old.name], old.step, old.last
        for index in range(bisect.bisect_right(self._times, old.last), len(self._times)):
            run = _run(looks, step)
            expected = when + run * STEP
            if run == len(looks) or abs(self._times[index] - expected) > JITTER:
                return self._times[index] if run == len(looks) else min(self._times[index], expected)
            step = (step + run) % len(looks)
            if self._states[index] != looks[step]:
                return self._times[index]
            when = self._times[index]
        return when + _run(looks, step) * STEP

    def _window(self) -> int:
        return max(0, len(self._times) - WINDOW)

    def _explain(self, name: str, now: float) -> list[_Reading]:
        """Every start from which this pattern explains all changes until now."""
        looks = self._looks[name]
        head = _run(looks, 0)  # steps until the first change; the whole length if there is none
        found = []
        for index in range(self._window(), len(self._times)):
            # The start was visible...
            if self._states[index] == looks[0]:
                found += self._follow(name, self._times[index], index, 0, now)
            # ... or it was not, and this is the pattern's first change.
            if head < len(looks) and index > 0 and self._states[index] == looks[head]:
                begin = self._times[index] - head * STEP
                if self._states[index - 1] == looks[0] and begin >= self._times[index - 1] - JITTER:
                    found += self._follow(name, begin, index, head, now)
        return found

    def _follow(self, name: str, since: float, index: int, step: int, now: float) -> list[_Reading]:
        """A reading if the pattern, at step when change index happens, explains the rest; else none."""
        looks = self._looks[name]
        error = 0.0
        changes = 1
        while True:
            run = _run(looks, step)
            constant = run == len(looks)
            tolerance = JITTER + DRIFT * run * STEP
            if index + 1 == len(self._times):
                late = 0.0 if constant else max(now - self._times[index] - run * STEP, 0.0)
                if late > tolerance:
                    return []
                return [_Reading(name, since, (error + late) / changes, step, self._times[index])]
            if constant:
                return []
            miss = abs(self._times[index + 1] - self._times[index] - run * STEP)
            step = (step + run) % len(looks)
            index += 1
            changes += 1
            if miss > tolerance or self._states[index] != looks[step]:
                return []
            error += miss


def _looks(lamp: str, buzzer: str) -> list[Look]:
    if not lamp or not buzzer or set(lamp + buzzer) - set("#."):
        raise ValueError(f"a pattern is written with # and . only: {lamp!r}, {buzzer!r}")
    length = max(len(lamp), len(buzzer))
    while length % len(lamp) or length % len(buzzer):
        length += 1
    return [(lamp[i % len(lamp)] == "#", buzzer[i % len(buzzer)] == "#") for i in range(length)]


def _run(looks: list[Look], step: int) -> int:
    """Steps from step on until the look changes; all of them if it never does."""
    length = len(looks)
    return next((n for n in range(1, length) if looks[(step + n) % length] != looks[step]), length)
