"""What fixtures write into while the suite runs; any thread may. One Recorder per session."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from kanhu.qa.model import (
    BoardInfo,
    Calls,
    Mark,
    Measure,
    Notes,
    Outcome,
    Quarantine,
    Run,
    Span,
    Test,
    Verdict,
    printable,
)

__all__ = [
    "BoardInfo", "Calls", "Mark", "Measure", "Notes", "OpenSpan", "Outcome", "Quarantine", "Recorder", "Run",
    "Span", "Test", "Verdict",
]  # fmt: skip

Clock = Callable[[], float]


class OpenSpan:
    """A span that has begun; end() more than once is one end."""

    def __init__(self, span: Span, zero: float, clock: Clock, lock: threading.RLock) -> None:
        self._span, self._zero, self._clock, self._lock = span, zero, clock, lock

    def end(self, at: float | None = None) -> None:
        """It is over, now or at a moment of the clock (monotonic s)."""
        with self._lock:
            if self._span.end_s is None:
                self._span.end_s = (self._clock() if at is None else at) - self._zero


class Recorder:
    """Collects a Run. Moments are monotonic seconds (None: now); each lands in the test that runs."""

    def __init__(self, run: Run, clock: Clock = time.monotonic) -> None:
        self._run, self._clock = run, clock
        self._lock = threading.RLock()
        self._zero = clock()  # of the run
        self._notes: Notes = run.between
        self._notes_zero = self._zero

    @classmethod
    def start(cls, target: str, seed: int | None = None, **facts: Any) -> Recorder:
        """A recorder of a run that begins now; facts: further fields of Run."""
        now = datetime.now(UTC)
        facts.setdefault("id", now.strftime("%Y%m%dT%H%M%SZ"))
        return cls(Run(started_utc=now, target=target, seed=seed, **facts))

    @property
    def run(self) -> Run:
        """A copy of everything so far."""
        with self._lock:
            return self._run.model_copy(deep=True)

    @property
    def run_promises(self) -> dict[str, str]:
        """All promises known: id -> text."""
        with self._lock:
            return dict(self._run.promises)

    def describe(self, **facts: Any) -> None:
        """Fields of the run that nobody has set yet (host_version, git, command ...)."""
        with self._lock:
            for name, value in facts.items():
                if not getattr(self._run, name):
                    setattr(self._run, name, value)

    def add_board(self, board: BoardInfo) -> None:
        """A board takes part; one of the same name is replaced (flashed again)."""
        with self._lock:
            self._run.boards = [one for one in self._run.boards if one.name != board.name] + [board]

    def note(self, text: str) -> None:
        """A sentence about the run as a whole."""
        with self._lock:
            self._run.notes = [*self._run.notes, text]

    def problem(self, text: str) -> None:
        """A sentence that fails the run though no test did."""
        with self._lock:
            self._run.problems = [*self._run.problems, text]

    def know_promises(self, promises: dict[str, str]) -> None:
        """All promises the project makes: id -> text."""
        with self._lock:
            self._run.promises = dict(promises)

    def begin(self, nodeid: str, **facts: Any) -> None:
        """A test begins; what is written from now on is its own. facts: further fields of Test."""
        with self._lock:
            now = self._clock()
            test = Test(id=nodeid, started_s=now - self._zero, **facts)
            self._run.tests.append(test)
            self._notes, self._notes_zero = test, now

    def finish(self, **facts: Any) -> Test | None:
        """The test that runs is over, with these facts (outcome ...); a copy of it, None if none ran."""
        with self._lock:
            test, self._notes, self._notes_zero = self._notes, self._run.between, self._zero
            if not isinstance(test, Test):
                return None
            for name, value in facts.items():
                setattr(test, name, value)
            return test.model_copy(deep=True)

    @contextmanager
    def test(self, nodeid: str, **facts: Any) -> Iterator[None]:
        """begin() and finish() around a block, for runs without pytest; an exception makes it failed."""
        began = self._clock()
        self.begin(nodeid, **facts)
        try:
            yield
        except BaseException as error:
            self.finish(outcome="failed", message=str(error), duration_s=self._clock() - began)
            raise
        self.finish(duration_s=self._clock() - began)

    def measure(
        self,
        name: str,
        value: float,
        unit: str,
        limit: float | None = None,
        at_most: bool = True,
        *,
        samples: Sequence[float] | None = None,
        statistic: str = "",
    ) -> Measure:
        """Write a number down; it does not fail the test: kanhu.qa.measure does. ValueError: not finite."""
        passed = limit is None or (value <= limit if at_most else value >= limit)
        found = Measure(
            name=name,
            value=value,
            unit=unit,
            limit=limit,
            at_most=at_most,
            passed=passed,
            statistic=statistic,
            samples=None if samples is None else list(samples),
        )
        with self._lock:
            self._notes.measures.append(found)
        return found

    def span(self, name: str, begin: float | None = None, detail: str = "") -> OpenSpan:
        """A fault has begun; the answer ends it, also after its test."""
        with self._lock:
            at = (self._clock() if begin is None else begin) - self._notes_zero
            span = Span(name=name, begin_s=at, detail=detail)
            self._notes.faults.append(span)
            return OpenSpan(span, self._notes_zero, self._clock, self._lock)

    def mark(self, name: str, at: float | None = None, detail: str = "") -> None:
        """Something happened (press, heard, stored ...)."""
        with self._lock:
            at_s = (self._clock() if at is None else at) - self._notes_zero
            self._notes.marks.append(Mark(name=name, at_s=at_s, detail=detail))

    def series(self, name: str, value: float, at: float | None = None) -> None:
        """One more point of a curve; the name says the unit: "heap free (B)"."""
        with self._lock:
            at_s = (self._clock() if at is None else at) - self._notes_zero
            self._notes.series.setdefault(name, []).append((at_s, value))

    @property
    def counted(self) -> bool:
        """Whether calls() was told anything of this test."""
        with self._lock:
            return self._notes.calls is not None

    def calls(self, pressed: int = 0, arrived: int = 0, lost: int = 0, doubled: int = 0) -> None:
        """So many more presses, and what became of them."""
        with self._lock:
            more = Calls(pressed=pressed, arrived=arrived, lost=lost, doubled=doubled)
            self._notes.calls = (self._notes.calls or Calls()) + more

    def attach_log(self, board: str, text: str) -> None:
        """The board's console during this test; more of it goes behind what is there."""
        with self._lock:
            log = self._notes.log
            log[board] = log.get(board, "") + printable(text)

    def schedule(self, seed: int, steps: Sequence[dict[str, Any]]) -> None:
        """The faults this test drew, so that the report says how to replay them."""
        with self._lock:
            self._notes.seed, self._notes.schedule = seed, [dict(step) for step in steps]

    def close(self, interrupted: str = "") -> Run:
        """The run is over: verdict and end are set; a copy of it. interrupted: by what, if it was."""
        with self._lock:
            self._run.interrupted = interrupted
            self._run.ended_utc = datetime.now(UTC)
            self._run.verdict = self._run.judge()
            return self.run
