"""Readings over a day, a week or a month as SVG: no script, no inline style, nothing by colour alone.

Pure. Numbers are in one unit, moments in UTC ms; text is the caller's, in one language."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from itertools import pairwise
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from kanhu.care.rules.hours import DAY_MS, HOUR_MS, moment

Place = Callable[[float], float]  # where a moment or a number stands in the viewBox
Span = Literal["day", "week", "month"]
DAYS: dict[Span, int] = {"day": 1, "week": 7, "month": 30}

# In units of the viewBox, which are pixels on a phone of 360.
WIDTH, HEIGHT = 328, 250
LEFT, RIGHT, TOP, BOTTOM = 40, 288, 16, 216
LETTER = 15
ROOM = 8  # for a triangle at the edge
MANY = 120  # single readings; more are drawn as least, mean and most of each stretch
MANY_PAIRS = 200
PARTS: dict[Span, int] = {"day": 24, "week": 6, "month": 1}  # stretches of each day
JOINED_MS: dict[Span, int] = {"day": 3 * HOUR_MS, "week": 36 * HOUR_MS, "month": 84 * HOUR_MS}
WORST = 1e9  # a number beyond this, either way, is drawn there
MOST_TICKS = 6


class Dot(NamedTuple):
    """A number, and whether it is below (-1) or above (1) a limit that was set."""

    number: float
    beyond: int = 0


class Mark(NamedTuple):
    """Dots above one another: one, or a linked pair; with a mean, the most and least of so many times."""

    at_ms: int
    dots: tuple[Dot, ...]
    mean: float | None = None
    times: int = 1
    until_ms: int = 0  # of a stretch that begins at at_ms; 0: a moment


class Limit(NamedTuple):
    """From low to high is within what was set; None: open to that side."""

    low: float | None
    high: float | None


class Days(NamedTuple):
    """The days that are drawn: ordinals of local dates, both within."""

    first: int
    last: int
    zone: ZoneInfo

    @property
    def edges(self) -> list[int]:
        """Midnights before, between and after."""
        return [moment(day, 0, self.zone) for day in range(self.first, self.last + 2)]

    @property
    def span(self) -> Span:
        """What it is called."""
        days = self.last - self.first + 1
        return next((span for span, most in DAYS.items() if days <= most), "month")


def thinned(marks: Sequence[Mark], days: Days, many: int = 0) -> list[Mark]:
    """The marks, oldest first; where there are more than `many` (0: as may be drawn), one of each stretch."""
    pairs = any(len(mark.dots) > 1 for mark in marks)
    if len(marks) <= (many or (MANY_PAIRS if pairs else MANY)):
        return list(marks)
    edges = _stretches(days)
    found: dict[int, list[Mark]] = {}
    for mark in marks:
        found.setdefault(bisect_right(edges, mark.at_ms) - 1, []).append(mark)
    return [
        _one(edges[at], edges[at + 1], inside, pairs)
        for at, inside in sorted(found.items())
        if 0 <= at < len(edges) - 1
    ]


def draw(
    marks: Sequence[Mark], limits: Iterable[Limit], days: Days, title: str, told: str, language: str
) -> Markup:
    """The SVG of thinned marks; title says what it is, told what is to be seen in it."""
    edges = days.edges
    from_ms, until_ms = edges[0], edges[-1]
    shown = [mark for mark in marks if from_ms <= mark.at_ms < until_ms and mark.dots]
    bands = [band for limit in limits if (band := _finite(limit)) is not None]
    low, high, step = _scale(shown, bands)

    def x(at_ms: float) -> float:
        return LEFT + ROOM + (at_ms - from_ms) / (until_ms - from_ms) * (RIGHT - LEFT - 2 * ROOM)

    def y(number: float) -> float:
        return BOTTOM - ROOM - (_held(number) - low) / (high - low) * (BOTTOM - TOP - 2 * ROOM)

    drawn = [*_bands(bands, low, high, y), *_rows(low, high, step, y), *_columns(days, x, language)]
    drawn += _curve(shown, JOINED_MS[days.span], x, y)
    radius = max(2.5, min(5.0, (RIGHT - LEFT) / (3 * max(1, len(shown)))))
    for mark in shown:
        drawn += _mark(mark, x(_middle(mark, until_ms)), y, radius)
    drawn += _limits(bands, y)
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-labelledby="plot-title plot-told">'
        '<title id="plot-title">{}</title><desc id="plot-told">{}</desc>{}</svg>'
    ).format(WIDTH, HEIGHT, title, told, Markup("").join(drawn))


# Thinning


def _stretches(days: Days) -> list[int]:
    edges = days.edges
    parts = PARTS[days.span]
    found = [a + (b - a) * part // parts for a, b in pairwise(edges) for part in range(parts)]
    return [*found, edges[-1]]


def _one(at_ms: int, until_ms: int, marks: list[Mark], pairs: bool) -> Mark:
    times = sum(mark.times for mark in marks)
    if pairs:
        columns = zip(*(mark.dots for mark in marks if len(mark.dots) > 1), strict=False)
        dots = tuple(Dot(_mean([dot.number for dot in column]), _worst(column)) for column in columns)
        return Mark(at_ms, dots, None, times, until_ms)
    flat = [dot for mark in marks for dot in mark.dots]
    most, least = max(flat), min(flat)
    return Mark(at_ms, (most, least), _mean([dot.number for dot in flat]), times, until_ms)


def _mean(numbers: list[float]) -> float:
    return math.fsum(map(_held, numbers)) / len(numbers)


def _worst(dots: Iterable[Dot]) -> int:
    said = {dot.beyond for dot in dots}
    return 1 if 1 in said else -1 if -1 in said else 0


# Drawing


def _held(number: float) -> float:
    return max(-WORST, min(WORST, number)) if number == number else 0.0


def _finite(limit: Limit) -> Limit | None:
    low, high = (None if one is None or not math.isfinite(one) or abs(one) > WORST else one for one in limit)
    return None if low is None and high is None else Limit(low, high)


def _scale(marks: Sequence[Mark], bands: Sequence[Limit]) -> tuple[float, float, float]:
    """(lowest, highest, step) of the scale on the left, in round numbers."""
    numbers = [_held(dot.number) for mark in marks for dot in mark.dots] or [0.0, 1.0]
    least, most = min(numbers), max(numbers)
    reach = max(most - least, abs(most) / 2, 1e-6)
    for bound in (one for band in bands for one in band if one is not None):
        if least - reach <= bound <= most + reach:  # a limit far away would press the readings flat
            least, most = min(least, bound), max(most, bound)
    wide = max(most - least, abs(most) * 0.04, 1e-6)
    raw = wide / (MOST_TICKS - 2)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10, 20) if power * factor >= raw)
    low, high = math.floor(least / step) * step, math.ceil(most / step) * step
    if high - low < 2 * step:
        low, high = low - step, high + step
    return low, high, step


def _rows(low: float, high: float, step: float, y: Place) -> list[Markup]:
    places = next(few for few in range(9) if few == 8 or abs(round(step, few) - step) < step / 1e6)
    found = []
    for number in range(round((high - low) / step) + 1):
        value = low + number * step
        at = y(value)
        found.append(_line("p-row", LEFT, at, RIGHT, at))
        found.append(_text("p-number", LEFT - 4, at + 5, f"{value:.{places}f}", "end"))
    return found


def _columns(days: Days, x: Place, language: str) -> list[Markup]:
    edges = days.edges
    if days.span == "day":
        ticks = [(moment(days.first, hour * 60, days.zone), f"{hour}:00") for hour in (0, 6, 12, 18)]
        marks = [at_ms for at_ms, _ in ticks]
    else:
        every = 1 if days.span == "week" else 7
        ordinals = range(days.last, days.first - 1, -every)  # the newest day is named
        at = {day: edges[day - days.first] for day in range(days.first, days.last + 2)}
        ticks = [((at[day] + at[day + 1]) // 2, _day(day, days.span, language)) for day in ordinals]
        marks = edges if days.span == "week" else [at[day] for day in ordinals]
    found = [_line("p-column", x(at_ms), TOP, x(at_ms), BOTTOM) for at_ms in marks]
    for at_ms, name in ticks:
        # At the edges, the letters stay inside.
        half = sum(LETTER if ord(one) > 255 else 0.56 * LETTER for one in name) / 2
        found.append(_text("p-when", max(half, min(WIDTH - half, x(at_ms))), BOTTOM + 20, name, "middle"))
    return found


def _day(ordinal: int, span: Span, language: str) -> str:
    day = date.fromordinal(ordinal)
    if span == "week":
        return f"周{_WEEKDAYS[day.weekday()]}" if language == "zh" else f"{day:%a}"
    if language == "zh":
        return f"{day.month}/{day.day}"
    return f"{day.day} {day:%b}"


_WEEKDAYS = "一二三四五六日"


def _bands(bands: Sequence[Limit], low: float, high: float, y: Place) -> list[Markup]:
    found = []
    for band in bands:
        top = y(high if band.high is None else max(low, min(high, band.high)))
        bottom = y(low if band.low is None else max(low, min(high, band.low)))
        if bottom > top:
            found.append(
                Markup('<rect class="p-band" x="{}" y="{:.1f}" width="{}" height="{:.1f}"/>').format(
                    LEFT, top, RIGHT - LEFT, bottom - top
                )
            )
    return found


def _limits(bands: Sequence[Limit], y: Place) -> list[Markup]:
    """Lines and, right of them, their numbers, none over another."""
    bounds = sorted({one for band in bands for one in band if one is not None}, reverse=True)
    bounds = [one for one in bounds if TOP <= y(one) <= BOTTOM]
    found, lowest = [], float(TOP) - LETTER
    room = BOTTOM + 5 - LETTER * (len(bounds) - 1)
    for bound in bounds:
        at = y(bound)
        found.append(_line("p-limit", LEFT, at, RIGHT, at))
        lowest = min(max(at + 5, lowest + LETTER), room)
        room += LETTER
        found.append(_text("p-bound", RIGHT + 3, lowest, f"{bound:g}", "start"))
    return found


def _curve(marks: Sequence[Mark], joined_ms: int, x: Place, y: Place) -> list[Markup]:
    """Through what belongs to one line; what is too far apart is not joined."""
    points: list[tuple[float, float, bool]] = []
    before: Mark | None = None
    for mark in marks:
        if len(mark.dots) > 1 and mark.mean is None:
            continue
        number = mark.dots[0].number if mark.mean is None else mark.mean
        gap_ms = joined_ms if not mark.until_ms else int(1.5 * (mark.until_ms - mark.at_ms))
        near = before is not None and mark.at_ms - before.at_ms <= gap_ms
        points.append((x(_middle(mark, mark.at_ms + DAY_MS)), y(number), near))
        before = mark
    if not any(near for _, _, near in points):
        return []
    path = " ".join(f"{'L' if near else 'M'}{px:.1f} {py:.1f}" for px, py, near in points)
    return [Markup('<path class="p-curve" d="{}"/>').format(path)]


def _middle(mark: Mark, last_ms: int) -> float:
    return (mark.at_ms + min(mark.until_ms, last_ms)) / 2 if mark.until_ms else mark.at_ms


def _mark(mark: Mark, at_x: float, y: Place, radius: float) -> list[Markup]:
    heights = [y(dot.number) for dot in mark.dots]
    found = []
    if len(heights) > 1:
        found.append(_line("p-link", at_x, min(heights), at_x, max(heights)))
    for number, (dot, height) in enumerate(zip(mark.dots, heights, strict=True)):
        if dot.beyond:
            found.append(_triangle(at_x, height, dot.beyond))
        elif mark.mean is None:
            found.append(_circle("p-dot" if number == 0 else "p-hollow", at_x, height, radius))
    if mark.mean is not None:
        found.append(_circle("p-dot", at_x, y(mark.mean), radius))
    return found


def _circle(name: str, at_x: float, at_y: float, radius: float) -> Markup:
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"/>').format(name, at_x, at_y, radius)


def _triangle(at_x: float, at_y: float, way: int) -> Markup:
    path = f"M{at_x - 6.5:.1f} {at_y + 5 * way:.1f}H{at_x + 6.5:.1f}L{at_x:.1f} {at_y - 7 * way:.1f}Z"
    return Markup('<path class="p-beyond" d="{}"/>').format(path)


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
        name, x1, y1, x2, y2
    )


def _text(name: str, at_x: float, at_y: float, text: str, anchor: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        name, at_x, at_y, anchor, escape(text)
    )
