"""report.html: one page without any other file, made from a Run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kanhu.qa import history as past
from kanhu.qa.measure import shown, verdict
from kanhu.qa.model import OUTCOMES, Measure, Run, Test
from kanhu.qa.promises import AREAS
from kanhu.qa.report import plots, sums, words

HERE = Path(__file__).parent
LOG_MAX = 200_000  # characters of one log in the page; run.json has all
HISTORY_MAX = 40  # runs a strip shows
PLOTS_MAX = 12  # pairs of latency plots


@dataclass(frozen=True)
class Shown:
    """One test as the page shows it."""

    anchor: str
    test: Test
    timeline: Markup | None
    curves: dict[str, Markup]
    logs: dict[str, str]
    replay: str


def render(run: Run, history: past.History | None = None) -> str:
    """The whole page."""
    pages = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    pages.filters.update(
        duration=duration, shown=shown, gauge=gauge, said=verdict, control=control, shell=shlex.join
    )
    tests = [_shown(run, test, index) for index, test in enumerate(run.tests, 1)]
    anchors = {id(one.test): one.anchor for one in tests}
    latencies, promises = sums.latencies(run), sums.promises(run)
    values: dict[str, Any] = {
        "run": run,
        "tests": sorted(tests, key=lambda one: OUTCOMES.index(one.test.outcome)),
        "anchor": lambda test: anchors[id(test)],
        "style": _inline("report.css"),
        "script": _inline("report.js"),
        "verdict": words.VERDICTS[run.verdict],
        "sentence": words.sentence(run),
        "limits": words.limits_of(run),
        "outcome_words": words.OUTCOMES,
        "state_words": words.STATES,
        "counts": sums.counts(run),
        "outcomes": OUTCOMES,
        "states": sums.STATES,
        "promises": promises,
        "tried": _areas([one for one in promises if one.state != "not tried"]),
        "untried": _areas([one for one in promises if one.state == "not tried"]),
        "untried_count": sum(one.state == "not tried" for one in promises),
        "calls": sums.calls(run),
        "latencies": latencies,
        "pictures": [
            (one, plots.histogram(one), plots.ecdf(one)) for one in latencies if len(one.samples) > 1
        ][:PLOTS_MAX],
        "measures": sums.measures(run),
        "worst": sums.worst(run),
        "curves": plots.curves(run),
        "overview": plots.overview(run) if run.tests else None,
        "broken": [one for one in tests if one.test in sums.broken(run)],
        "suites": sorted({test.suite for test in run.tests}),
        "quarantined": [one for one in tests if one.test.quarantine is not None],
        "seconds": _seconds(run),
        **_past(history or past.History()),
    }
    return pages.get_template("report.html").render(values)


def _shown(run: Run, test: Test, index: int) -> Shown:
    return Shown(
        f"t{index}",
        test,
        plots.timeline(test),
        {
            name: plots.curve(name, points, test.faults)
            for name, points in test.series.items()
            if len(points) > 1
        },
        {name: cut(control(text)) for name, text in {**test.sections, **test.log}.items() if text.strip()},
        sums.replay(run, test),
    )


def _areas(promises: Sequence[sums.Promise]) -> list[tuple[str, list[sums.Promise]]]:
    return [
        (AREAS.get(letter, letter), list(some))
        for letter, some in groupby(promises, key=lambda one: one.id[:1])
    ]


def _past(history: past.History) -> dict[str, Any]:
    return {
        "past_runs": history.entries[-HISTORY_MAX:],
        "past_count": len(history.entries),
        "past_unreadable": len(history.unreadable),
        "past": [
            (one, one.outcomes[-HISTORY_MAX:])
            for one in past.records(history.entries).values()
            if one.flips or one.bad
        ],
    }


def _seconds(run: Run) -> float:
    if run.ended_utc is not None:
        return (run.ended_utc - run.started_utc).total_seconds()
    return max((test.started_s + test.duration_s for test in run.tests), default=0.0)


def _inline(name: str) -> Markup:
    return Markup((HERE / name).read_text("utf-8"))  # noqa: S704 - this project's own file


def cut(text: str) -> str:
    """A long log's beginning and end, and a line between them that says so."""
    if len(text) <= LOG_MAX:
        return text
    head, tail = text[: LOG_MAX // 4], text[-(LOG_MAX - LOG_MAX // 4) :]
    return f"{head}\n… {len(text) - LOG_MAX:,} characters are left out here: run.json has them …\n{tail}"


def control(text: str) -> str:
    """Control characters as pictures of themselves: HTML has no way to hold some, and nobody sees others."""
    return "".join(
        chr(0x2400 + ord(one)) if one < " " and one not in "\n\t" else one
        for one in text.replace("\r\n", "\n")
    )


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def gauge(measure: Measure) -> float | None:
    """How far along a bar whose two thirds are the limit, in percent; None without a limit above 0."""
    if not measure.limit or measure.limit < 0:
        return None
    return round(min(100.0, max(0.0, measure.value / measure.limit * 200 / 3)), 1)
