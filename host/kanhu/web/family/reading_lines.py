"""Readings as lines and marks: numbers, limits that were set, what the monitor said of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from kanhu.care.rules import vitals
from kanhu.care.rules.values import Words
from kanhu.care.rules.wording import join
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from . import words_readings as w
from .measured import Measurement, Value
from .plots import Dot, Limit, Mark
from .visit import Visit
from .words_readings import What

Limits = Mapping[int, Limit]
PULSE = 149546
PLACES = {150364: 1, 188736: 1, 160184: 1, 160212: 1}  # at least so many decimal places
MOST_PLACES = 2
_WEEKDAYS = "一二三四五六日"


def limits_of(rules: Mapping[str, Mapping[str, Any]]) -> Limits:
    """By code, from what was set of the rules (registry.rules)."""
    found = {}
    for key, one in rules.get("vitals", {}).get("limits", {}).items():
        code = vitals.NAMES.get(key) or int(key)
        found[code] = Limit(one.get("low"), one.get("high"))
    return found


def number(value: float, code: int, places: int = 0) -> str:
    """A number as people write it."""
    least = PLACES.get(code, 0)
    text = f"{value:.{max(least, min(places, MOST_PLACES))}f}"
    whole, _, rest = text.partition(".")
    rest = rest.rstrip("0").ljust(least, "0")
    return f"{whole}.{rest}" if rest else whole


def shown(what: What, one: Measurement) -> str:
    """The numbers of one measurement, without the unit."""
    if not what.is_pair:
        value = one.value(*what.codes)
        return number(value.number, value.code, value.places) if value else "–"
    return "/".join(
        number(value.number, code, value.places) if (value := one.value(code)) else "–" for code in what.codes
    )


def beyond(value: Value, limits: Limits) -> int | None:
    """-1 below, 0 within, 1 above the limits that were set; None: none are."""
    limit = limits.get(value.code)
    if limit is None:
        return None
    if limit.low is not None and value.number < limit.low:
        return -1
    return int(limit.high is not None and value.number > limit.high)


def verdict(what: What, one: Measurement, limits: Limits) -> tuple[int | None, Words | None]:
    """(1 outside, 0 within, None: not to be said; how that is said) of a measurement."""
    values = [value for value in one.values if value.code in what.codes and value.code in limits]
    if not values:
        return None, None
    if not one.relied_on:
        return None, w.NOT_COMPARED
    said = []
    for value in values:
        way = beyond(value, limits)
        if not way:
            continue
        limit = limits[value.code].high if way > 0 else limits[value.code].low
        words = _format(w.ABOVE if way > 0 else w.BELOW, limit=f"{limit:g}")
        said.append(_named(value.code, words) if what.is_pair else words)
    return (1, join(said)) if said else (0, w.WITHIN)


def notes(what: What, one: Measurement) -> list[Words]:
    """What else is to be said of a measurement."""
    found = []
    pulse = one.value(PULSE) if what.is_pair else None
    if pulse is not None:
        found.append(_format(w.PULSE, number=number(pulse.number, PULSE, pulse.places)))
    found += [w.STATUS[name] for bit, name in names.MEASUREMENT_STATUS.items() if one.status & bit]
    if one.flags & k.UNVERIFIED:
        found.append(w.UNVERIFIED)
    if one.clock in w.CLOCKS:
        found.append(w.CLOCKS[one.clock])
    return found


def limit_words(what: What, limits: Limits) -> Words | None:
    """The limits of what is shown, in one sentence."""
    said: dict[Limit, list[int]] = {}
    for code in what.codes:
        if code in limits:
            said.setdefault(limits[code], []).append(code)
    if not said:
        return None
    parts = []
    for limit, codes in said.items():
        low, high = (None if one is None else f"{one:g}" for one in limit)
        if low is None:
            words = _format(w.AT_MOST, high=high)
        elif high is None:
            words = _format(w.AT_LEAST, low=low)
        else:
            words = _format(w.BETWEEN, low=low, high=high)
        if what.is_pair or len(said) > 1:
            words = _named(codes[0], words)
        parts.append(words)
    return join(parts)


def marks(what: What, found: Iterable[Measurement], limits: Limits) -> list[Mark]:
    """What can be drawn: readings of a known moment that can be relied on."""
    drawn = []
    known: dict[tuple[Value, ...], tuple[Dot, ...]] = {}  # a strap says the same few numbers all day
    for one in found:
        if one.at_ms is None or not one.relied_on:
            continue
        dots = known.get(one.values)
        if dots is None:
            dots = known[one.values] = _dots(what, one, limits)
        if dots:
            drawn.append(Mark(one.at_ms, dots))
    return drawn


def _dots(what: What, one: Measurement, limits: Limits) -> tuple[Dot, ...]:
    """One, or those of a whole pair; none where there is nothing to draw."""
    codes = [(code,) for code in what.codes] if what.is_pair else [what.codes]
    values = [value for group in codes if (value := one.value(*group))]
    if len(values) < len(codes):
        return ()
    return tuple(Dot(value.number, beyond(value, limits) or 0) for value in values)


def told(what: What, drawn: Sequence[Mark], limits: Limits) -> Words:
    """What is to be seen in the curve, for whoever does not see it."""
    if not drawn:
        return w.TEXT["nothing"]
    code = what.codes[0]
    first = [mark.dots[0].number for mark in drawn]
    ends = {"times": len(drawn), "least": number(min(first), code, 1), "most": number(max(first), code, 1)}
    if what.is_pair:
        second = [mark.dots[1].number for mark in drawn]
        ends |= {"low_least": number(min(second), code, 1), "low_most": number(max(second), code, 1)}
    words = _format(w.TOLD_PAIR if what.is_pair else w.TOLD, **ends)
    if not any(code in limits for code in what.codes):
        return words
    outside = sum(any(dot.beyond for dot in mark.dots) for mark in drawn)
    more = _format(w.TOLD_BEYOND, times=outside) if outside else w.TOLD_WITHIN
    return Words(f"{words.en} {more.en}", f"{words.zh}{more.zh}")


def mean_words(what: What, mark: Mark) -> tuple[str, Words]:
    """(least to most, mean and how many) of a stretch."""
    code = what.codes[0]
    if mark.mean is None:
        ends = "/".join(number(dot.number, code, 0) for dot in mark.dots)
        return ends, _format(w.MEAN_OF, mean=ends, times=mark.times)
    most, least = (number(dot.number, code, 1) for dot in mark.dots)
    ends = most if most == least else f"{least}–{most}"
    return ends, _format(w.MEAN_OF, mean=number(mark.mean, code, 1), times=mark.times)


def date_words(day: int, today: int) -> Words:
    """A date (its ordinal) as people write it."""
    at = date.fromordinal(day)
    if at.year != date.fromordinal(today).year:
        return Words(f"{at.day} {at:%b} {at.year}", f"{at.year}年{at.month}月{at.day}日")
    return Words(f"{at.day} {at:%b}", f"{at.month}月{at.day}日")


def day_words(day: int, today: int) -> Words:
    """A day (ordinal of the date) as people name it."""
    at, when = date.fromordinal(day), date_words(day, today)
    full = Words(f"{at:%A}, {when.en}", f"{when.zh} 星期{_WEEKDAYS[at.weekday()]}")
    if not 0 <= today - day <= 1:
        return full
    name = w.TEXT["yesterday" if today - day else "today"]
    return Words(f"{name.en}, {full.en}", f"{name.zh}，{full.zh}")


def time_of(at_ms: int, zone: ZoneInfo) -> str:
    """The time of day on the home's clock."""
    return f"{datetime.fromtimestamp(at_ms / 1000, zone):%H:%M}"


def _named(code: int, words: Words) -> Words:
    name = w.PARTS[code]
    space = " " if words.zh[:1].isdigit() else ""
    return Words(f"{name.en} {words.en}", f"{name.zh}{space}{words.zh}")


def _format(words: Words, **values: object) -> Words:
    return Words(words.en.format(**values), words.zh.format(**values))


def what_of(one: Measurement) -> str:
    """Under which key of WHATS a measurement is shown first; "": under none."""
    return next((key for key, what in w.WHATS.items() if one.value(*what.codes)), "")


def link(visit: Visit, key: str = "", **asked: str | None) -> str:
    """A path of the readings' page; None is left out."""
    given = {name: value for name, value in {"what": key or None, **asked}.items() if value is not None}
    return f"{visit.path('readings')}{'?' if given else ''}{urlencode(given)}"
