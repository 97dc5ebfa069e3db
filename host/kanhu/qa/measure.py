"""The fixture `measure`: a number against its limit, and what a list of samples says."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kanhu.qa.model import Measure
from kanhu.qa.record import Recorder


def percentile(samples: Sequence[float], percent: float) -> float:
    """Nearest rank: a sample that occurred, and of few samples rather too high than too low."""
    if not samples:
        raise ValueError("a percentile of no samples")
    if not 0 < percent <= 100:
        raise ValueError(f"{percent} is no percentile: more than 0, at most 100")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered) - 1e-9) - 1)]


def shown(value: float, unit: str) -> str:
    """A number and its unit, three digits that count."""
    digits = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{digits} {unit}".rstrip()


def verdict(measure: Measure) -> str:
    """One sentence: value, limit and by how much it holds or breaks it."""
    what = f"{measure.name}{f' ({measure.statistic})' if measure.statistic else ''}"
    said = f"{what} is {shown(measure.value, measure.unit)}"
    if measure.limit is None:
        return said
    gap = abs(measure.value - measure.limit)
    share = f" ({gap / abs(measure.limit):.0%})" if measure.limit else ""
    over = "over" if measure.value > measure.limit else "under"
    side = "at most" if measure.at_most else "at least"
    by = f"{shown(gap, measure.unit)}{share} {over}" if gap else "exactly at it"
    return f"{said}, the limit is {side} {shown(measure.limit, measure.unit)}: {by}"


class Measures:
    """Writes each number into the record and fails the test when it breaks its limit."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __call__(
        self, name: str, value: float, unit: str, limit: float | None = None, at_most: bool = True
    ) -> Measure:
        """One number; AssertionError says by how much it breaks the limit, or that it is no number."""
        return self._take(name, value, unit, limit, at_most)

    def samples(
        self,
        name: str,
        samples: Sequence[float],
        unit: str,
        limit: float | None = None,
        at_most: bool = True,
        *,
        percent: float = 95,
    ) -> Measure:
        """Many of one kind, judged by a percentile (100: the largest); AssertionError as above or if none."""
        if not samples:
            raise AssertionError(f"{name}: nothing was measured")
        bad = [one for one in samples if not math.isfinite(one)]
        if bad:
            raise AssertionError(f"{name}: {len(bad)} of {len(samples)} samples are no numbers: {bad[0]}")
        statistic = "max" if percent == 100 else f"p{percent:g}"
        value = percentile(samples, percent)
        return self._take(name, value, unit, limit, at_most, samples=samples, statistic=statistic)

    def _take(
        self,
        name: str,
        value: float,
        unit: str,
        limit: float | None,
        at_most: bool,
        samples: Sequence[float] | None = None,
        statistic: str = "",
    ) -> Measure:
        if not math.isfinite(value):
            raise AssertionError(f"{name}: {value} {unit} is no number")
        found = self._recorder.measure(
            name, value, unit, limit, at_most, samples=samples, statistic=statistic
        )
        if not found.passed:
            raise AssertionError(verdict(found))
        return found
