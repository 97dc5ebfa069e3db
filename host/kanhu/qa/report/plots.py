"""The pictures of a report: how long things took, what the heap did, what happened when in a test."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from markupsafe import Markup

from kanhu.qa.measure import shown
from kanhu.qa.model import Run, Span, Test
from kanhu.qa.report.sums import Latency
from kanhu.qa.report.svg import Plot, thin, ticks, tip

LANE = 22  # height of one row of a timeline
_UNIT = re.compile(r"\(([^()]*)\)$")
FAR = 2.5  # times the longest sample: a limit beyond would leave no room to see the samples
_NAME_MAX = 20  # letters that stand beside a lane


def histogram(one: Latency) -> Markup:
    """How many samples took how long, with the median, the 95th percentile and the limit."""
    low, high = min(one.samples), max(one.samples)
    bins = min(30, max(6, math.ceil(2 * len(one.samples) ** 0.5)))
    width = (high - low) / bins or 0.01 * (abs(high) or 1.0)
    sums = [0] * bins
    for sample in one.samples:
        sums[min(bins - 1, int((sample - low) / width))] += 1
    plot = Plot(f"{one.name}: histogram", _range(one), (0, max(sums)), x_label=one.unit, y_label="n", top=26)
    plot.grid([value for value in ticks(0, max(sums), 4) if value == int(value)])
    for index, count in enumerate(sums):
        if not count:
            continue
        left, right = plot.px(low + index * width), plot.px(low + (index + 1) * width)
        top = plot.py(count)
        ends = (shown(low + step * width, one.unit) for step in (index, index + 1))
        said = f"{count} from {' to '.join(ends)}"
        plot.add(
            '<rect class="bar" x="{}" y="{}" width="{}" height="{}">{}</rect>',
            left + 0.5, top, max(0.5, right - left - 1), plot.bottom - top, tip(said),
        )  # fmt: skip
    _rules(plot, one)
    return plot.svg(_said(one))


def ecdf(one: Latency) -> Markup:
    """Which share of the samples took at most so long."""
    low, high = _range(one)
    plot = Plot(f"{one.name}: cumulative share", (low, high), (0, 100), x_label=one.unit, y_label="%", top=26)
    plot.grid([0, 25, 50, 75, 100])
    ordered = sorted(one.samples)
    steps, before = [(low, 0.0)], 0.0
    for rank, value in enumerate(ordered, 1):
        share = 100 * rank / len(ordered)
        steps += [(value, before), (value, share)]
        before = share
    steps.append((high, 100.0))
    plot.line(thin(steps, 500), "c0")
    _rules(plot, one)
    return plot.svg(_said(one))


def _range(one: Latency) -> tuple[float, float]:
    high = one.highest
    if one.limit is not None and one.limit <= FAR * high:
        high = max(high, one.limit)
    return min(0.0, *one.samples), (high * 1.04 or 1.0)


def _rules(plot: Plot, one: Latency) -> None:
    plot.rule(one.p50, "p50", "p50")
    if plot.px(one.p95) - plot.px(one.p50) > 34:
        plot.rule(one.p95, "p95", "p95")
    if one.limit is not None:
        word = f"{one.limit_statistic} limit".strip()
        if one.limit > plot.x[1]:
            plot.rule(plot.x[1], "limit far", f"{word} {shown(one.limit, one.unit)} →")
        else:
            plot.rule(one.limit, "limit", word)


def _said(one: Latency) -> str:
    limit = "" if one.limit is None else f", limit {shown(one.limit, one.unit)}"
    return (
        f"{len(one.samples)} samples, p50 {shown(one.p50, one.unit)}, p95 {shown(one.p95, one.unit)}, "
        f"max {shown(one.highest, one.unit)}{limit}"
    )


def curve(
    name: str,
    points: Sequence[tuple[float, float]],
    faults: Sequence[Span] = (),
    size: tuple[int, int] = (560, 210),
) -> Markup:
    """One number over time; times at which a fault was on are shaded."""
    unit = _UNIT.search(name)
    values = [value for _, value in points]
    low, high = min(values), max(values)
    pad = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    low = 0.0 if 0 <= low < high * 0.3 else low - pad
    begin, end = min(0.0, points[0][0]), max(at for at, _ in points)
    plot = Plot(
        name, (begin, end), (low, high + pad), x_label="s", y_label=unit[1] if unit else "", top=18, size=size
    )
    plot.grid()
    for fault in _joined(faults, end):
        left, right = plot.px(fault.begin_s), plot.px(end if fault.end_s is None else fault.end_s)
        plot.add(
            '<rect class="shade" x="{}" y="{}" width="{}" height="{}">{}</rect>',
            left, plot.top, max(1, right - left), plot.bottom - plot.top, tip(fault.name),
        )  # fmt: skip
    plot.line(thin(sorted(points)), "c0")
    said = (
        f"{len(points)} points, lowest {min(values):,.4g}, highest {max(values):,.4g}, last {values[-1]:,.4g}"
    )
    return plot.svg(said)


def _joined(faults: Sequence[Span], end: float) -> list[Span]:
    """Faults that overlap as one, so that their shades do not add up."""
    found: list[Span] = []
    for fault in sorted(faults, key=lambda one: one.begin_s):
        until = end if fault.end_s is None else fault.end_s
        last = found[-1] if found else None
        if last is not None and last.end_s is not None and fault.begin_s <= last.end_s:
            last.end_s = max(last.end_s, until)
            last.name = ", ".join(dict.fromkeys([*last.name.split(", "), fault.name]))
        else:
            found.append(Span(name=fault.name, begin_s=fault.begin_s, end_s=until))
    return found


def timeline(test: Test) -> Markup | None:
    """Phases, faults and marks of one test, a lane for each name; None with nothing but phases."""
    if not test.faults and not test.marks:
        return None
    faults, marks = _names(test.faults), _names(test.marks)
    end = max(
        test.duration_s,
        *(mark.at_s for mark in test.marks),
        *(span.end_s or 0 for span in test.faults),
        0.001,
    )
    lanes = ["test", *faults, *marks]
    plot = Plot(
        f"Timeline of {test.id}", (min(0.0, *(mark.at_s for mark in test.marks), 0.0), end), (0, len(lanes)),
        x_label="s", size=(1060, LANE * len(lanes) + 46), left=150,
    )  # fmt: skip
    for row, name in enumerate(lanes):
        top = plot.top + row * LANE
        plot.add(
            '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>',
            plot.left,
            plot.right,
            top + LANE,
            top + LANE,
        )
        short = name if len(name) <= _NAME_MAX else name[: _NAME_MAX - 1] + "…"
        plot.add(
            '<text x="{}" y="{}" text-anchor="end">{}{}</text>', plot.left - 8, top + 15, short, tip(name)
        )
    _phases(plot, test)
    for span in test.faults:
        top = plot.top + (1 + faults.index(span.name)) * LANE
        left, right = plot.px(span.begin_s), plot.px(end if span.end_s is None else span.end_s)
        until = "still on at the end" if span.end_s is None else f"to {span.end_s:.3f} s"
        plot.add(
            '<rect class="fault" x="{}" y="{}" width="{}" height="{}">{}</rect>',
            left, top + 4, max(2, right - left), LANE - 8,
            tip(f"{span.name} from {span.begin_s:.3f} s {until} {span.detail}".strip()),
        )  # fmt: skip
    _marks(plot, test, marks, 1 + len(faults))
    plot.x_axis()
    return plot.svg(f"{len(test.faults)} faults, {len(test.marks)} marks, {test.duration_s:.1f} s")


def _names(items: Sequence[Span] | Sequence[object]) -> list[str]:
    return list(dict.fromkeys(str(getattr(item, "name", "")) for item in items))


def _phases(plot: Plot, test: Test) -> None:
    at = 0.0
    for name in ("setup", "call", "teardown"):
        seconds = test.phases.get(name, 0.0)
        if seconds > 0:
            left, right = plot.px(at), plot.px(at + seconds)
            plot.add(
                '<rect class="phase {}" x="{}" y="{}" width="{}" height="{}">{}</rect>',
                name, left, plot.top + 4, max(1, right - left), LANE - 8, tip(f"{name}: {seconds:.3f} s"),
            )  # fmt: skip
            if right - left > 46:
                plot.add('<text class="within" x="{}" y="{}">{}</text>', left + 4, plot.top + 15, name)
        at += seconds


def _marks(plot: Plot, test: Test, names: list[str], first: int) -> None:
    for row, name in enumerate(names):
        middle = plot.top + (first + row) * LANE + LANE // 2
        mine = [mark for mark in test.marks if mark.name == name]
        if len(mine) > 150:  # as many as the eye can tell apart
            path = "".join(f"M{at} {middle - 6}v12" for at in sorted({plot.px(mark.at_s) for mark in mine}))
            plot.add('<path class="many" d="{}">{}</path>', path, tip(f"{len(mine)} times {name}"))
            continue
        for mark in mine:
            plot.add(
                '<circle class="mark" cx="{}" cy="{}" r="4.5">{}</circle>',
                plot.px(mark.at_s), middle, tip(f"{name} at {mark.at_s:.3f} s {mark.detail}".strip()),
            )  # fmt: skip


def overview(run: Run) -> Markup:
    """Every test of the run where it stood in time, a row for each suite."""
    suites = list(dict.fromkeys(test.suite for test in run.tests))
    end = max((test.started_s + test.duration_s for test in run.tests), default=1.0)
    plot = Plot(
        "The run over time", (0, end), (0, len(suites)), x_label="s",
        size=(1120, LANE * len(suites) + 46), left=120,
    )  # fmt: skip
    for row, suite in enumerate(suites):
        plot.add(
            '<text x="{}" y="{}" text-anchor="end">{}</text>',
            plot.left - 8,
            plot.top + row * LANE + 15,
            suite,
        )
    for test in run.tests:
        left, right = plot.px(test.started_s), plot.px(test.started_s + test.duration_s)
        top = plot.top + suites.index(test.suite) * LANE + 3
        plot.add(
            '<rect class="box {}" x="{}" y="{}" width="{}" height="{}">{}</rect>',
            test.outcome, left, top, max(2, right - left - 0.5), LANE - 6,
            tip(f"{test.id}: {test.outcome}, {test.duration_s:.2f} s"),
        )  # fmt: skip
    plot.x_axis()
    return plot.svg(f"{len(run.tests)} tests in {end:.0f} s")


def curves(run: Run) -> dict[str, Markup]:
    """Each series over the whole run, put together from all tests."""
    points: dict[str, list[tuple[float, float]]] = {}
    faults: list[Span] = []
    for test in run.tests:
        for name, values in test.series.items():
            points.setdefault(name, []).extend((test.started_s + at, value) for at, value in values)
        faults += [
            Span(
                name=span.name,
                begin_s=test.started_s + span.begin_s,
                end_s=test.started_s + (test.duration_s if span.end_s is None else span.end_s),
            )
            for span in test.faults
        ]
    for name, values in run.between.series.items():
        points.setdefault(name, []).extend(values)
    return {
        name: curve(name, sorted(values), faults, (1120, 230))
        for name, values in sorted(points.items())
        if len(values) > 1
    }
