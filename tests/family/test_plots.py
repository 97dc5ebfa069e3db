"""Curves as SVG: everything inside the picture whatever the numbers, and nothing told by colour alone."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from datetime import date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kanhu.web.family import plots
from kanhu.web.family.plots import Days, Dot, Limit, Mark

SVG = "{http://www.w3.org/2000/svg}"
ZONES = ("Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca")
# Days on which these zones' clocks change, and an ordinary one.
DATES = [
    date(2026, 3, 29),
    date(2026, 10, 25),
    date(2026, 3, 8),
    date(2026, 11, 1),
    date(2026, 4, 5),
    date(2026, 9, 21),
]
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SENSIBLE = st.floats(-300, 400).map(lambda one: round(one, 2))
NUMBERS = st.one_of(SENSIBLE, FINITE, st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, 36.6]))
LIMITS = st.tuples(st.none() | NUMBERS, st.none() | NUMBERS).map(lambda one: Limit(*one))


@st.composite
def days_of(draw: st.DrawFn) -> Days:
    last = draw(st.sampled_from(DATES)).toordinal() + draw(st.integers(0, 3))
    length = draw(st.sampled_from([1, 7, 30]))
    return Days(last - length + 1, last, ZoneInfo(draw(st.sampled_from(ZONES))))


@st.composite
def marks_of(draw: st.DrawFn, days: Days) -> list[Mark]:
    edges = days.edges
    moments = st.integers(edges[0] - 90_000_000, edges[-1] + 90_000_000) | st.sampled_from(
        [edges[0], edges[-1] - 1, edges[-1]]
    )
    width = draw(st.integers(1, 2))
    dot = st.tuples(NUMBERS, st.sampled_from([-1, 0, 1])).map(lambda one: Dot(*one))
    dots = st.tuples(*[dot] * width)
    return sorted(draw(st.lists(st.tuples(moments, dots).map(lambda one: Mark(*one)), max_size=12)))


def drawn(marks: list[Mark], days: Days, limits: tuple[Limit, ...] = (), language: str = "zh") -> ET.Element:
    svg = plots.draw(plots.thinned(marks, days), limits, days, "血压 <1>", "told & said", language)
    return ET.fromstring(str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))  # noqa: S314  # our own


def of(svg: ET.Element, kind: str) -> list[ET.Element]:
    return [one for one in svg.iter() if one.get("class") == kind]


def at(days: Days, share: float) -> int:
    edges = days.edges
    return int(edges[0] + share * (edges[-1] - edges[0]))


TODAY = Days(date(2026, 9, 21).toordinal(), date(2026, 9, 21).toordinal(), ZoneInfo("Asia/Shanghai"))
WEEK = TODAY._replace(first=TODAY.last - 6)
MONTH = TODAY._replace(first=TODAY.last - 29)


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_everything_drawn_is_inside_the_picture(data: st.DataObject) -> None:
    days = data.draw(days_of())
    marks = data.draw(marks_of(days))
    limits = tuple(data.draw(st.lists(LIMITS, max_size=3)))
    svg = drawn(marks, days, limits, data.draw(st.sampled_from(["zh", "en"])))
    text = ET.tostring(svg, encoding="unicode").lower()
    assert "nan" not in text
    assert not re.search(r"\binf", text)
    across, down = plots.WIDTH, plots.HEIGHT
    for one in svg.iter():
        for key, most in (
            ("x", across),
            ("x1", across),
            ("x2", across),
            ("cx", across),
            ("y", down),
            ("y1", down),
            ("y2", down),
            ("cy", down),
        ):
            if (value := one.get(key)) is not None:
                assert 0 <= float(value) <= most, (key, value)
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", one.get("d", "")):
            assert 0 <= float(x) <= across
            assert 0 <= float(y) <= down
    for dot in [*of(svg, "p-dot"), *of(svg, "p-hollow")]:
        assert plots.LEFT <= float(dot.get("cx", "-1")) <= plots.RIGHT
        assert plots.TOP <= float(dot.get("cy", "-1")) <= plots.BOTTOM


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_thinning_loses_no_reading_and_no_extreme(data: st.DataObject) -> None:
    days = data.draw(days_of())
    edges = days.edges
    count = data.draw(st.integers(1, 400))
    numbers = data.draw(st.lists(st.integers(30, 200), min_size=1, max_size=8))
    step = (edges[-1] - edges[0]) / count
    marks = [Mark(int(edges[0] + step * n), (Dot(float(numbers[n % len(numbers)])),)) for n in range(count)]
    thin = plots.thinned(marks, days)
    assert sum(mark.times for mark in thin) == count
    assert len(thin) <= plots.MANY
    flat = [dot.number for mark in thin for dot in mark.dots]
    assert (min(flat), max(flat)) == (min(numbers[:count]), max(numbers[:count]))
    assert all(a.at_ms < b.at_ms for a, b in pairwise(thin))
    for mark in thin:
        if mark.mean is not None:
            assert mark.dots[1].number <= mark.mean <= mark.dots[0].number


def test_a_reading_outside_the_limits_has_another_shape() -> None:
    marks = [
        Mark(at(TODAY, 0.2), (Dot(150, 1), Dot(82, 0))),
        Mark(at(TODAY, 0.4), (Dot(120, 0), Dot(50, -1))),
        Mark(at(TODAY, 0.6), (Dot(120, 0), Dot(80, 0))),
    ]
    svg = drawn(marks, TODAY, (Limit(90, 140), Limit(60, 90)))
    above, below = (one.get("d", "") for one in of(svg, "p-beyond"))
    assert len(of(svg, "p-dot")) == 2
    assert len(of(svg, "p-hollow")) == 2  # the lower of a pair
    assert len(of(svg, "p-link")) == 3

    def points_up(path: str) -> bool:
        base, tip = re.findall(r"[ML][\d.]+ ([\d.]+)", path)
        return float(tip) < float(base)

    assert points_up(above)
    assert not points_up(below)


def test_limits_are_lines_with_their_numbers_and_a_band() -> None:
    svg = drawn([Mark(at(TODAY, 0.5), (Dot(120), Dot(80)))], TODAY, (Limit(90, 140), Limit(60, 90)))
    assert [one.text for one in of(svg, "p-bound")] == ["140", "90", "60"]
    assert len(of(svg, "p-limit")) == 3
    assert len(of(svg, "p-band")) == 2
    heights = [float(one.get("y", "0")) for one in of(svg, "p-bound")]
    assert all(b - a >= plots.LETTER - 0.2 for a, b in pairwise(heights))


@pytest.mark.parametrize("bounds", [(36.0, 36.1, 36.2, 36.3), (1, 2, 3, 100), (97, 98, 99, 100)])
def test_numbers_of_limits_do_not_cover_each_other(bounds: tuple[float, ...]) -> None:
    svg = drawn(
        [Mark(at(TODAY, 0.5), (Dot(bounds[0]),)), Mark(at(TODAY, 0.6), (Dot(bounds[-1]),))],
        TODAY,
        tuple(Limit(one, None) for one in bounds),
    )
    heights = [float(one.get("y", "0")) for one in of(svg, "p-bound")]
    assert len(heights) == 4
    assert all(b - a >= plots.LETTER - 0.2 for a, b in pairwise(heights))
    assert heights[-1] <= plots.HEIGHT


def test_a_limit_far_away_does_not_press_the_readings_flat() -> None:
    marks = [Mark(at(TODAY, 0.2), (Dot(36.4),)), Mark(at(TODAY, 0.8), (Dot(36.9),))]
    svg = drawn(marks, TODAY, (Limit(None, 1e6),))
    first, second = (float(one.get("cy", "0")) for one in of(svg, "p-dot"))
    assert first - second > 50


def test_a_gap_is_not_joined() -> None:
    hour = 3_600_000
    start = TODAY.edges[0]
    marks = [Mark(start + hour * n, (Dot(70.0 + n),)) for n in (0, 1, 2, 10, 11, 20)]
    (curve,) = of(drawn(marks, TODAY), "p-curve")
    assert re.findall("[ML]", curve.get("d", "")) == ["M", "L", "L", "M", "L", "M"]


def test_stretches_without_a_reading_are_not_joined() -> None:
    minute = 60_000
    start = TODAY.edges[0]
    marks = [Mark(start + minute * n, (Dot(70.0),)) for n in range(0, 1440, 2) if not 300 <= n < 600]
    thin = plots.thinned(marks, TODAY)
    (curve,) = of(drawn(marks, TODAY), "p-curve")
    assert len(thin) == 19
    assert curve.get("d", "").count("M") == 2


def test_the_hours_are_those_of_the_homes_clock_on_a_day_of_25_hours() -> None:
    day = date(2026, 10, 25).toordinal()
    days = Days(day, day, ZoneInfo("Europe/Berlin"))
    assert days.edges[1] - days.edges[0] == 25 * 3_600_000
    columns = [float(one.get("x1", "0")) for one in of(drawn([], days), "p-column")]
    night, morning = columns[1] - columns[0], columns[2] - columns[1]
    assert night > morning  # 7 hours from midnight to six, the clock going back at three
    six = datetime(2026, 10, 25, 6, tzinfo=ZoneInfo("Europe/Berlin")).timestamp() * 1000
    share = (six - days.edges[0]) / (25 * 3_600_000)
    inner = plots.RIGHT - plots.LEFT - 2 * plots.ROOM
    assert math.isclose(columns[1], plots.LEFT + plots.ROOM + share * inner, abs_tol=0.1)


@pytest.mark.parametrize(
    ("days", "language", "names"),
    [
        (TODAY, "zh", ["0:00", "6:00", "12:00", "18:00"]),
        (WEEK, "zh", ["周二", "周三", "周四", "周五", "周六", "周日", "周一"]),
        (WEEK, "en", ["Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Mon"]),
        (MONTH, "zh", ["8/24", "8/31", "9/7", "9/14", "9/21"]),
        (MONTH, "en", ["24 Aug", "31 Aug", "7 Sep", "14 Sep", "21 Sep"]),
    ],
)
def test_days_and_hours_are_named(days: Days, language: str, names: list[str]) -> None:
    svg = drawn([Mark(at(days, 0.5), (Dot(1.0),))], days, language=language)
    found = sorted(of(svg, "p-when"), key=lambda one: float(one.get("x", "0")))
    assert [one.text for one in found] == names
    places = [float(one.get("x", "0")) for one in found]
    wide = [sum(15 if ord(c) > 255 else 8.4 for c in name) for name in names]
    for (a, b), (wa, wb) in zip(pairwise(places), pairwise(wide), strict=True):
        assert b - a >= (wa + wb) / 2  # none over another


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((36.2, 37.4), "36.5"),
        ((118, 152), "120"),
        ((71.0, 71.0), "71"),
        ((0.31, 0.33), "0.32"),
        ((5.1, 7.9), "6"),
    ],
)
def test_the_scale_has_round_numbers_and_enough_of_them(numbers: tuple[float, float], said: str) -> None:
    marks = [Mark(at(TODAY, share), (Dot(one),)) for share, one in zip((0.3, 0.6), numbers, strict=True)]
    texts = [one.text or "" for one in of(drawn(marks, TODAY), "p-number")]
    assert said in [text.rstrip("0").rstrip(".") if "." in text else text for text in texts], texts
    assert 3 <= len(texts) <= 8
    assert len(set(texts)) == len(texts)


def test_it_says_what_it_is_and_needs_no_style() -> None:
    marks = [Mark(at(TODAY, 0.5), (Dot(1.0),))]
    svg = drawn(marks, TODAY)
    assert svg.get("role") == "img"
    title, told = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
    assert title is not None
    assert told is not None
    assert (title.text, told.text) == ("血压 <1>", "told & said")
    assert svg.get("aria-labelledby") == f"{title.get('id')} {told.get('id')}"
    assert not [one for one in svg.iter() if "style" in one.attrib]


def test_a_month_of_pairs_is_thinned_to_means() -> None:
    start = MONTH.edges[0]
    marks = [
        Mark(start + n * 3_600_000, (Dot(120.0 + n % 5, int(n % 5 == 4)), Dot(80.0))) for n in range(24 * 30)
    ]
    thin = plots.thinned(marks, MONTH)
    assert len(thin) == 30
    assert all(len(mark.dots) == 2 and mark.times == 24 for mark in thin)
    assert all(mark.dots[0].beyond == 1 and mark.dots[1] == Dot(80.0, 0) for mark in thin)
