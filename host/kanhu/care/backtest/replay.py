"""Going through a recorded past in order of time: the rules see at each moment what was known then."""

from __future__ import annotations

import copy
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from pydantic import BaseModel

from kanhu.care.rules.look import MovementSettings
from kanhu.care.rules.past import Past
from kanhu.care.rules.values import Rule, Verdict, Words
from kanhu_protocol import kinds as k

from .recording import MOVEMENT, Recording

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
KEPT_MS = 3 * DAY_MS  # of single movements, as the watch keeps them
SETTLE_MS = 60_000  # after something was heard, rules look once for all of it, as the watch does
LEARNING_MS = 14 * DAY_MS  # no cut before: the daily rhythm is not known
HORIZON_MS = 2 * DAY_MS  # of silence after a cut; later than that is "not noticed"
TOLD_EVERY = 2000  # steps between two reports of progress
QUARTER_MS = 900_000
_CLOCK = re.compile(r"\d\d:\d\d( yesterday| tomorrow| on \d+ [A-Z][a-z]+)?")

Progress = Callable[[int, int], None]  # (done, of)


@dataclass(frozen=True, slots=True)
class Try:
    """A rule with settings to be tried out."""

    rule: Rule[Any]
    settings: BaseModel
    label: str  # what of the settings was asked for: "day_hours=10", "" for the defaults


class Finding(NamedTuple):
    """What a rule found once: for one since_ms it is raised once."""

    since_ms: int
    at_ms: int  # when it was due
    until_ms: int  # when the rule no longer said so
    room: str
    words: Words

    def outlasts(self, ask_ms: int) -> bool:
        """Whether nothing had ended it while the elder was being asked."""
        return self.until_ms - self.at_ms >= ask_ms


@dataclass(slots=True)
class Outcome:
    """What one try said of one recording."""

    attempt: Try
    findings: list[Finding] = field(default_factory=list)
    spans: Counter[str] = field(default_factory=Counter)  # ms by state
    hints: int = 0
    unknown: list[tuple[int, int]] = field(default_factory=list)  # stretches of cannot_tell
    noticed_ms: list[float] = field(default_factory=list)  # after each cut; inf: not within HORIZON_MS
    said: Counter[str] = field(default_factory=Counter)  # at the end of cuts that were not noticed
    evaluations: int = 0


class _Reader:
    """One try on its way through a recording."""

    def __init__(self, attempt: Try, start_ms: int) -> None:
        self.outcome = Outcome(attempt)
        self.due_ms = start_ms
        self._state = ""
        self._since_ms: int | None = None
        self._entered_ms = start_ms
        self._raised: Verdict | None = None
        self._raised_ms = 0
        self._known: set[int] = set()

    def look(self, past: Past, now_ms: int) -> None:
        """Evaluate once."""
        attempt = self.outcome.attempt
        verdict = attempt.rule.evaluate(past, attempt.settings, now_ms)
        self.outcome.evaluations += 1
        self.due_ms = later(verdict, now_ms)
        if verdict.state != self._state or verdict.since_ms != self._since_ms:
            self._leave(now_ms)
            self._enter(verdict, now_ms)

    def _enter(self, verdict: Verdict, now_ms: int) -> None:
        self._state, self._since_ms, self._entered_ms = verdict.state, verdict.since_ms, now_ms
        since_ms = verdict.since_ms or now_ms
        if verdict.state == "raise" and since_ms not in self._known:
            self._known.add(since_ms)
            self._raised, self._raised_ms = verdict, now_ms
        elif verdict.state == "hint" and since_ms not in self._known:
            self._known.add(since_ms)
            self.outcome.hints += 1

    def _leave(self, now_ms: int) -> None:
        if not self._state:
            return
        self.outcome.spans[self._state] += now_ms - self._entered_ms
        if self._state == "cannot_tell" and now_ms > self._entered_ms:
            self.outcome.unknown.append((self._entered_ms, now_ms))
        if (found := self._raised) is not None:
            since_ms = found.since_ms or self._raised_ms
            self.outcome.findings.append(Finding(since_ms, self._raised_ms, now_ms, found.room, found.words))
            self._raised = None

    def end(self, now_ms: int) -> None:
        """Nothing more comes."""
        self._leave(now_ms)


def rests_on_movement(rule: Rule[Any]) -> bool:
    """Whether a rule is there to notice that nobody moves."""
    return issubclass(rule.settings, MovementSettings) and rule.kind != k.RULE_HINT


def later(verdict: Verdict, now_ms: int) -> int:
    """When a rule wants to look again; never at once, whatever it says."""
    return max(verdict.next_ms, now_ms + 1000)


def replay(
    recording: Recording,
    tries: Sequence[Try],
    cuts: int = 0,
    seed: int = 1,
    progress: Progress = lambda done, total: None,
) -> list[Outcome]:
    """What each try would have said; cuts: how many times the past is broken off to see silence noticed."""
    past = recording.past()
    readers = [_Reader(one, recording.from_ms) for one in tries]
    moments = cut_moments(recording, cuts, seed)
    touched: int | None = None
    forget_ms = recording.from_ms + KEPT_MS + DAY_MS

    def run_to(limit_ms: int) -> None:
        nonlocal touched
        while True:
            now_ms = min(reader.due_ms for reader in readers)
            if touched is not None and touched <= now_ms:
                now_ms, everybody = touched, True
                touched = None
            else:
                everybody = False
            if now_ms > limit_ms:
                if everybody:
                    touched = now_ms
                return
            if not recording.supervised and not past.faults(0, now_ms):
                past.heard(
                    0, now_ms
                )  # so that no sentence speaks of a hub that was never there as long unheard
            for reader in readers:
                if everybody or reader.due_ms <= now_ms:
                    reader.look(past, now_ms)

    steps = recording.steps
    for done, step in enumerate(steps):
        run_to(step.at_ms)
        recording.put(past, step)
        if touched is None:
            touched = step.at_ms + SETTLE_MS
        if moments and done == moments[0]:
            del moments[0]
            for reader in readers:
                attempt = reader.outcome.attempt
                if rests_on_movement(attempt.rule):
                    after_ms, said = _noticed(past, attempt, step.at_ms)
                    reader.outcome.noticed_ms.append(after_ms)
                    if math.isinf(after_ms):
                        reader.outcome.said[said] += 1
        if step.at_ms > forget_ms:
            past.forget_before(step.at_ms - KEPT_MS)
            forget_ms = step.at_ms + DAY_MS
        if done % TOLD_EVERY == 0:
            progress(done, len(steps))
    run_to(recording.until_ms)
    for reader in readers:
        reader.end(recording.until_ms)
    progress(len(steps), len(steps))
    return [reader.outcome for reader in readers]


def cut_moments(recording: Recording, cuts: int, seed: int) -> list[int]:
    """Indexes of the steps after which silence is put: the last movement of a quarter of an hour in which the
    person was active, drawn evenly from those that come after the rhythm could be learnt."""
    if cuts <= 0:
        return []
    from_ms = recording.from_ms + min(LEARNING_MS, (recording.until_ms - recording.from_ms) // 3)
    last: dict[int, int] = {}
    for index, step in enumerate(recording.steps):
        if step.what == MOVEMENT and step.at_ms >= from_ms:
            last[step.at_ms // QUARTER_MS] = index
    active = sorted(last.values())
    return sorted(Random(seed).sample(active, min(cuts, len(active))))  # noqa: S311  # a repeatable draw


def _noticed(known: Past, attempt: Try, from_ms: int) -> tuple[float, str]:
    """(ms from the last movement until the rule is raised when nobody moves any more, inf: never; what it
    said first, other than that all is well, without its times of day)."""
    past = copy.deepcopy(known)
    heard_ms, now_ms, end_ms = from_ms, from_ms + SETTLE_MS, from_ms + HORIZON_MS
    said: dict[str, str] = {}  # first words, by state
    while now_ms <= end_ms:
        heard_ms = keep_alive(past, heard_ms, now_ms)
        verdict = attempt.rule.evaluate(past, attempt.settings, now_ms)
        if verdict.state == "raise":
            return now_ms - from_ms, ""
        said.setdefault(verdict.state, _CLOCK.sub("..", verdict.words.en))
        now_ms = later(verdict, now_ms)
    state = next(one for one in ("cannot_tell", "off", "quiet", *said) if one in said)
    return math.inf, said[state] if state == "cannot_tell" else f"{state}: {said[state]}"


def keep_alive(past: Past, from_ms: int, now_ms: int) -> int:
    """In the silence that is put in, hub and sensors go on being heard without a break; returns now_ms."""
    for at_ms in range(from_ms, now_ms, past.hub_limit_ms // 2):
        past.heard(0, at_ms)
    past.heard(0, now_ms)
    for device in past.devices:
        if not past.faults(device, now_ms):
            past.heard(device, now_ms)
    return now_ms
