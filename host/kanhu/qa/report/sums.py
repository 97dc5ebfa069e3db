"""What the top of a report says: counts, promises, calls and latencies, summed over a run's tests."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from kanhu.qa.measure import percentile
from kanhu.qa.model import BROKEN, GOOD, OUTCOMES, Calls, Measure, Outcome, Run, Test

State = Literal["broken", "in doubt", "kept", "not tried"]
STATES: tuple[State, ...] = ("broken", "in doubt", "kept", "not tried")
TIME_UNITS = {"s": 1.0, "ms": 0.001, "min": 60.0}


@dataclass(frozen=True)
class Promise:
    """One promise and what this run says of it."""

    id: str
    text: str
    state: State
    tests: tuple[Test, ...]


def promises(run: Run) -> list[Promise]:
    """Every promise known, or claimed by a test, in the order in which they are made."""
    by: dict[str, list[Test]] = {one: [] for one in run.promises}
    for test in run.tests:
        for one in test.promises:
            by.setdefault(one, []).append(test)
    return [Promise(one, run.promises.get(one, ""), _state(tests), tuple(tests)) for one, tests in by.items()]


def _state(tests: list[Test]) -> State:
    outcomes = {test.outcome for test in tests}
    if "failed" in outcomes:
        return "broken"
    if outcomes & {"error", "quarantined"}:
        return "in doubt"
    return "kept" if outcomes & GOOD else "not tried"


def counts(run: Run) -> dict[Outcome, int]:
    """Tests by outcome, the gravest first, without those that did not occur."""
    found = Counter(test.outcome for test in run.tests)
    return {outcome: found[outcome] for outcome in OUTCOMES if found[outcome]}


def calls(run: Run) -> Calls | None:
    """All presses of all tests; None when no test counted any."""
    every = [notes.calls for notes in (run.between, *run.tests) if notes.calls is not None]
    total = Calls()
    for one in every:
        total = total + one
    return total if every else None


@dataclass
class Latency:
    """Samples of one measure from all its tests. limit_statistic: what of them the limit is for."""

    name: str
    unit: str
    samples: list[float] = field(default_factory=list)
    limit: float | None = None
    limit_statistic: str = ""
    passed: bool = True

    @property
    def p50(self) -> float:
        """Half of the samples took no longer."""
        return percentile(self.samples, 50)

    @property
    def p95(self) -> float:
        """19 of 20 took no longer."""
        return percentile(self.samples, 95)

    @property
    def highest(self) -> float:
        """The longest."""
        return max(self.samples)

    @property
    def share(self) -> float:
        """How much of the limit is used up; 0 without one."""
        if not self.limit:
            return 0.0
        return (self.highest if self.limit_statistic in ("", "max") else self.p95) / self.limit


def latencies(run: Run) -> list[Latency]:
    """Measures that are times and must be short, of samples or single; the one nearest its limit first."""
    found: dict[tuple[str, str], Latency] = {}
    for test in run.tests:
        for one in test.measures:
            if one.unit not in TIME_UNITS or not one.at_most or not (one.samples or one.limit is not None):
                continue
            total = found.setdefault((one.name, one.unit), Latency(one.name, one.unit))
            total.samples += one.samples or [one.value]
            total.passed = total.passed and one.passed
            if one.limit is not None and (total.limit is None or one.limit < total.limit):
                total.limit, total.limit_statistic = one.limit, one.statistic
    return sorted(found.values(), key=lambda one: (one.passed, -one.share, one.name))


def use(measure: Measure) -> float:
    """How much of its limit is used up: 1 is at the limit, more is broken; 0 without one."""
    if measure.limit is None:
        return 0.0
    if measure.at_most:
        return measure.value / measure.limit if measure.limit > 0 else float(not measure.passed) * 2
    return measure.limit / measure.value if measure.value > 0 else 2.0


def measures(run: Run) -> list[tuple[Test, Measure]]:
    """Every number, those that break their limit first, then the nearest to it."""
    found = [(test, one) for test in run.tests for one in test.measures]
    return sorted(found, key=lambda pair: (pair[1].passed, -use(pair[1])))


def worst(run: Run) -> list[tuple[Test, Measure, int]]:
    """Of each measure's name the test where it was worst, and how many tests took it."""
    found: dict[tuple[str, str, str], list[tuple[Test, Measure]]] = {}
    for test, one in measures(run):
        found.setdefault((one.name, one.statistic, one.unit), []).append((test, one))
    return [(*some[0], len(some)) for some in found.values()]


def broken(run: Run) -> list[Test]:
    """The tests that fail the run."""
    return [test for test in run.tests if test.outcome in BROKEN]


def replay(run: Run, test: Test) -> str:
    """The command that does the same again: the same faults at the same moments."""
    words = ["pytest", test.id, "--target", run.target]
    seed = run.seed if test.seed is None else test.seed
    if seed is not None:
        words += ["--seed", str(seed)]
    if test.schedule:
        words += ["--replay", "run.json"]
    return shlex.join(words)
