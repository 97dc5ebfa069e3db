"""What is different in a second run of the suite: outcomes, promises, calls, measures, and what was tested.

A measure has changed when more than chance speaks for it: of samples a rank test (Mann-Whitney) and a median
that moved by a tenth; of single numbers, whose noise nobody knows, a change by a quarter. Times of simulated
boards also measure how busy the computer was: they have to move by half."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from kanhu.qa.measure import percentile, shown
from kanhu.qa.model import BROKEN, GOOD, Measure, Outcome, Run
from kanhu.qa.report.sums import TIME_UNITS, State, calls, promises

Effect = Literal["worse", "better", "changed", "noise"]
Kind = Literal["verdict", "promise", "test", "calls", "measure", "tested"]

SAMPLES_MIN = 8  # of each run, for the rank test to say anything
CHANCE_MAX = 0.001  # a report compares hundreds of measures
MEDIAN_MIN, SINGLE_MIN, SIMULATED_TIME_MIN = 1.10, 1.25, 1.5


class Change(BaseModel):
    """One difference. ratio: of B to A."""

    kind: Kind
    name: str
    before: str
    after: str
    effect: Effect
    ratio: float | None = None
    said: str = ""


def compare(a: Run, b: Run) -> list[Change]:
    """All differences from a to b, the worst first; changes that may be chance are there as noise."""
    found = [
        *_verdict(a, b),
        *_promises(a, b),
        *_calls(a, b),
        *_outcomes(a, b),
        *_measures(a, b),
        *_tested(a, b),
    ]
    order: tuple[Effect, ...] = ("worse", "better", "changed", "noise")
    return sorted(found, key=lambda one: order.index(one.effect))


def worse(changes: Sequence[Change]) -> bool:
    """Whether the second run is worse in anything."""
    return any(one.effect == "worse" for one in changes)


def _verdict(a: Run, b: Run) -> list[Change]:
    if a.verdict == b.verdict:
        return []
    effect: Effect = "changed"
    if b.verdict == "passed":
        effect = "better"
    elif a.verdict == "passed" or b.verdict == "nothing ran":
        effect = "worse"
    return [Change(kind="verdict", name="the run", before=a.verdict, after=b.verdict, effect=effect)]


def _promises(a: Run, b: Run) -> list[Change]:
    before: dict[str, State] = {one.id: one.state for one in promises(a)}
    after: dict[str, State] = {one.id: one.state for one in promises(b)}
    rank = {"broken": 0, "in doubt": 1, "not tried": 2, "kept": 3}
    found = []
    for one in sorted(before | after):
        was, now = before.get(one, "not tried"), after.get(one, "not tried")
        if was != now:
            effect: Effect = "worse" if rank[now] < rank[was] else "better"
            if now == "not tried" and was != "kept":
                effect = "changed"  # nobody looked whether it holds now
            text = b.promises.get(one) or a.promises.get(one, "")
            found.append(Change(kind="promise", name=one, before=was, after=now, effect=effect, said=text))
    return found


def _calls(a: Run, b: Run) -> list[Change]:
    was, now = calls(a), calls(b)
    if was is None or now is None:
        return []
    return [
        Change(
            kind="calls", name=f"{name} calls", before=str(getattr(was, name)), after=str(getattr(now, name)),
            effect="worse" if getattr(now, name) > getattr(was, name) else "better",
        )
        for name in ("lost", "doubled")
        if getattr(now, name) != getattr(was, name)
    ]  # fmt: skip


def _outcomes(a: Run, b: Run) -> list[Change]:
    before = {test.id: test.outcome for test in a.tests}
    after = {test.id: test.outcome for test in b.tests}
    messages = {test.id: test.message for test in b.tests}
    return [
        Change(
            kind="test", name=one, before=before.get(one, "not there"), after=after.get(one, "not there"),
            effect=_effect(before.get(one), after.get(one)), said=messages.get(one, ""),
        )
        for one in sorted(before | after)
        if before.get(one) != after.get(one)
    ]  # fmt: skip


def _effect(was: Outcome | None, now: Outcome | None) -> Effect:
    bad = BROKEN | {"quarantined"}
    if now in BROKEN and was not in BROKEN:
        return "worse"
    if now == "quarantined" and was in GOOD:
        return "worse"
    if was in bad and now in GOOD:
        return "better"
    return "changed"


def _measures(a: Run, b: Run) -> list[Change]:
    before, after = _by_key(a), _by_key(b)
    simulated = a.simulated or b.simulated
    found = [_measure(key[1], key[0], before[key], after[key], simulated) for key in before if key in after]
    # The same measure of several tests says more together than each of them alone.
    together: dict[tuple[str, str], tuple[list[float], list[float], Measure, int]] = {}
    for key, was in before.items():
        now = after.get(key)
        if now is None or not was.samples or not now.samples or was.unit != now.unit:
            continue
        old, new, one, count = together.get((key[1], key[2]), ([], [], now, 0))
        together[key[1], key[2]] = (old + was.samples, new + now.samples, one, count + 1)
    for (name, _), (old, new, one, count) in together.items():
        if count > 1:
            was, now = (one.model_copy(update={"samples": some, "passed": True}) for some in (old, new))
            found.append(_measure(name, f"{count} tests together", was, now, simulated))
    return [one for one in found if one is not None]


def _by_key(run: Run) -> dict[tuple[str, str, str, int], Measure]:
    """Measures by test, name, statistic and which of several they are."""
    found: dict[tuple[str, str, str, int], Measure] = {}
    for test in run.tests:
        for one in test.measures:
            number = sum(key[:3] == (test.id, one.name, one.statistic) for key in found)
            found[test.id, one.name, one.statistic, number] = one
    return found


def _measure(name: str, where: str, was: Measure, now: Measure, simulated: bool) -> Change | None:
    before, after = _middle(was), _middle(now)
    if was.unit != now.unit:
        return Change(
            kind="measure",
            name=name,
            before=was.unit,
            after=now.unit,
            effect="changed",
            said=f"{where}: another unit",
        )
    ratio = after / before if before > 0 and after >= 0 else None
    effect: Effect = "noise"
    if was.passed != now.passed:
        effect = "worse"
        if now.passed:  # a limit that was loosened makes nothing better
            no_worse = after <= before if now.at_most else after >= before
            effect = "better" if no_worse or was.limit == now.limit else "changed"
    elif before != after and beyond_noise(was, now, simulated):
        grew = after > before
        effect = "changed" if now.limit is None else "worse" if grew == now.at_most else "better"
    elif before == after:
        return None
    broke = "; breaks its limit" if was.passed and not now.passed else ""
    statistic = "median" if was.samples and now.samples else now.statistic
    return Change(
        kind="measure",
        name=f"{name} ({statistic})" if statistic else name,
        before=shown(before, was.unit),
        after=shown(after, now.unit),
        effect=effect,
        ratio=ratio,
        said=f"{where}{broke}",
    )


def _middle(one: Measure) -> float:
    return percentile(one.samples, 50) if one.samples else one.value


def beyond_noise(was: Measure, now: Measure, simulated: bool = False) -> bool:
    """Whether chance alone would hardly make this difference."""
    before, after = _middle(was), _middle(now)
    low, high = sorted((abs(before), abs(after)))
    factor = math.inf if low == 0 or (before < 0) != (after < 0) else high / low
    if simulated and now.unit in TIME_UNITS and factor < SIMULATED_TIME_MIN:
        return False
    many = was.samples and now.samples and min(len(was.samples), len(now.samples)) >= SAMPLES_MIN
    if many:
        return factor >= MEDIAN_MIN and chance(was.samples or [], now.samples or []) < CHANCE_MAX
    return factor >= SINGLE_MIN


def chance(a: Sequence[float], b: Sequence[float]) -> float:
    """How likely two samples of one kind differ so much (Mann-Whitney, two-sided, normal approximation)."""
    ordered = sorted([(value, 0) for value in a] + [(value, 1) for value in b])
    n, m, total = len(a), len(b), len(a) + len(b)
    ranks, ties, begin = 0.0, 0.0, 0
    while begin < total:
        end = begin
        while end < total and ordered[end][0] == ordered[begin][0]:
            end += 1
        ranks += (begin + 1 + end) / 2 * sum(1 - side for _, side in ordered[begin:end])
        ties += (end - begin) ** 3 - (end - begin)
        begin = end
    u = ranks - n * (n + 1) / 2
    spread = math.sqrt(n * m / 12 * ((total + 1) - ties / (total * (total - 1))))
    if spread == 0:
        return 1.0
    return math.erfc(max(0.0, abs(u - n * m / 2) - 0.5) / spread / math.sqrt(2))


def _tested(a: Run, b: Run) -> list[Change]:
    before, after = _subject(a), _subject(b)
    return [
        Change(
            kind="tested", name=one, before=before.get(one, ""), after=after.get(one, ""), effect="changed"
        )
        for one in before | after
        if before.get(one, "") != after.get(one, "")
    ]


def _subject(run: Run) -> dict[str, str]:
    found = {"target": run.target, "host": run.host_version, "commit": run.git, "python": run.python}
    for board in run.boards:
        for key in (
            "firmware_version",
            "firmware_sha256",
            "micropython",
            "chip",
            "mac",
            "flashed",
            "simulated",
        ):
            found[f"{board.name}: {key}"] = str(getattr(board, key))
    return found
