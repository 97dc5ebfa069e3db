"""What one run of the suite leaves behind: run.json is these models, and the only truth; HTML, JUnit and
comparisons are made from it. Times of a test are seconds since it began."""

from __future__ import annotations

import operator
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, model_validator

FORMAT = 1  # of run.json; a newer one is refused, an older one is read

Outcome = Literal["passed", "failed", "skipped", "error", "quarantined", "flaky"]
Verdict = Literal["passed", "failed", "interrupted", "nothing ran"]
OUTCOMES: tuple[Outcome, ...] = ("failed", "error", "quarantined", "flaky", "passed", "skipped")
BROKEN: frozenset[Outcome] = frozenset({"failed", "error"})  # these fail the run
GOOD: frozenset[Outcome] = frozenset({"passed", "flaky"})


def printable(text: str) -> str:
    """Without lone surrogates (console bytes that were no UTF-8): JSON and HTML have no place for them."""
    return text.encode("utf-8", "replace").decode()


Text = Annotated[str, AfterValidator(printable)]


class Model(BaseModel):
    """A part of the record; unknown keys are refused, so that a typing error is not lost data."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class BoardInfo(Model):
    """One board that took part, and what was on it."""

    name: str
    role: str = "hub"  # hub | stimulus
    chip: str = ""
    mac: str = ""
    port: str = ""
    firmware_version: str = ""
    firmware_sha256: str = ""
    micropython: str = ""
    flashed: bool = True  # False: the run used what was on it (--no-flash)
    simulated: bool = False


class Measure(Model):
    """One number with its unit; samples: what it was computed from, in the same unit."""

    name: str
    value: FiniteFloat
    unit: str
    limit: FiniteFloat | None = None
    at_most: bool = True  # False: the value must be at least the limit
    passed: bool = True
    statistic: str = ""  # p95, max, ...: what `value` is of the samples
    samples: list[FiniteFloat] | None = None

    @model_validator(mode="after")
    def _honest(self) -> Self:
        if self.limit is not None:
            within = operator.le if self.at_most else operator.ge
            if self.passed != within(self.value, self.limit):
                raise ValueError(
                    f"measure {self.name}: passed is {self.passed}, but its value is {self.value} "
                    f"and its limit {self.limit}"
                )
        return self


class Span(Model):
    """Something that was so for a while (a fault); end_s None: still so when the test ended."""

    name: str
    begin_s: FiniteFloat
    end_s: FiniteFloat | None = None
    detail: Text = ""


class Mark(Model):
    """Something that happened at one moment (press, heard, stored ...)."""

    name: str
    at_s: FiniteFloat
    detail: Text = ""


class Calls(Model):
    """Presses a person made, or the calls that the host stored of them. lost, doubled: what must be 0."""

    pressed: int = Field(0, ge=0)
    arrived: int = Field(0, ge=0)
    lost: int = Field(0, ge=0)
    doubled: int = Field(0, ge=0)

    def __add__(self, other: Calls) -> Calls:
        return Calls(**{key: getattr(self, key) + getattr(other, key) for key in Calls.model_fields})


class Quarantine(Model):
    """A test that may fail for now: somebody owns it, and it ends on a day (YYYY-MM-DD)."""

    test: str
    owner: str
    reason: str
    until: str


class Notes(Model):
    """What fixtures write while a test runs, or between tests."""

    measures: list[Measure] = []
    faults: list[Span] = []
    marks: list[Mark] = []
    log: dict[str, Text] = {}  # board name: its console
    series: dict[str, list[tuple[FiniteFloat, FiniteFloat]]] = {}  # name with unit: [[s, value], ...]
    calls: Calls | None = None
    seed: int | None = None
    schedule: list[dict[str, Any]] = []  # steps as kanhu.sim.faults.plan writes them


class Test(Notes):
    """One test and everything known of it."""

    __test__ = False  # pytest: this is no test

    id: str
    suite: str = ""
    title: Text = ""  # first line of its docstring
    outcome: Outcome = "passed"
    promises: list[str] = []
    markers: list[str] = []
    message: Text = ""  # why it failed or was skipped, in one line
    details: Text = ""  # the traceback
    sections: dict[str, Text] = {}  # captured output by its title
    duration_s: FiniteFloat = 0.0
    phases: dict[str, FiniteFloat] = {}  # setup, call, teardown
    started_s: FiniteFloat = 0.0  # since the run began
    attempts: int = 1
    quarantine: Quarantine | None = None


class Run(Model):
    """One run of the suite."""

    format: int = FORMAT
    id: str
    started_utc: datetime
    ended_utc: datetime | None = None
    target: str
    seed: int | None = None
    command: list[str] = []
    host_version: str = ""
    git: str = ""  # the commit; "+" behind it: with changes that are in no commit
    python: str = ""
    platform: str = ""
    boards: list[BoardInfo] = []
    promises: dict[str, Text] = {}  # all that the project makes, kept or not tried here: id -> text
    tests: list[Test] = []
    between: Notes = Notes()  # written while no test ran: flashing, provisioning
    verdict: Verdict = "nothing ran"
    interrupted: Text = ""  # by what
    problems: list[Text] = []  # what fails the run though no test did: an expired quarantine
    notes: list[Text] = []

    @property
    def simulated(self) -> bool:
        """Whether no real board took part."""
        return self.target == "sim" or (bool(self.boards) and all(board.simulated for board in self.boards))

    def judge(self) -> Verdict:
        """The verdict its tests give."""
        if self.problems or any(test.outcome in BROKEN for test in self.tests):
            return "failed"
        if self.interrupted:
            return "interrupted"
        return "passed" if any(test.outcome in GOOD for test in self.tests) else "nothing ran"
