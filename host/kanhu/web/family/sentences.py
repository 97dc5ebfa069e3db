"""Sentences of the families' pages, made of what is known. Pure; every time is UTC in ms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from kanhu.care.rules.past import Device
from kanhu.care.rules.values import Words
from kanhu.care.rules.wording import room_words, span_words, time_words
from kanhu.platform.words import EVENTS, QUANTITIES, UNITS
from kanhu.web.words import ROLES
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from . import words_log as w

Tone = Literal["alarm", "fault", "plain"]
RUN_MS = 600_000  # readings of one monitor closer together than this are one line
SAME_MS = 60_000  # said of several hubs of one home: one line
MINUTE_MS = 60_000
EVERY_DAY = frozenset((k.PATH_PROVEN,))  # one line a day
_ENDS = frozenset(names.RESTORAL.values()) | {k.FAULT_CLOSED}


class Cursor(NamedTuple):
    """Where a page of the log begins: at what is kept under at_ms or before, but for the first `skip`."""

    at_ms: int
    skip: int = 0

    def __str__(self) -> str:
        return f"{self.at_ms}-{self.skip}"


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing that happened, from whatever table it is read.

    kept_ms: by which the log is ordered and never changes; at_ms: when it happened. span_ms: how long after
    (an answer) or how long (a visit). note: said after the sentence."""

    kept_ms: int
    at_ms: int
    hub: str
    kind: int  # 0: what says `words`
    order: tuple[int, int] = (0, 0)  # table and number there: the order of what was kept in one millisecond
    device: int = 0
    fields: Mapping[int, Any] = field(default_factory=dict)
    span_ms: int | None = None
    words: Words | None = None  # instead of TELLS
    note: Words | None = None
    sure: bool = True  # False: at_ms is when it arrived


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log."""

    at_ms: int
    words: Words
    notes: tuple[Words, ...] = ()
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Day:
    """A day's lines, the newest first."""

    title: Words
    lines: tuple[Line, ...]


def thing_words(device: Device) -> Words:
    """What a family calls a sensor: its name and room, else its room and what it is."""
    role = ROLES.get(device.role, Words("sensor", "传感器"))
    name, place = device.name.strip(), device.room.strip()
    room = room_words(place) if place else None
    if name:
        if room is None or place in name:
            return Words(name, name)
        return Words(f"{name} ({room.en})", f"{name}（{room.zh}）")
    if room is not None:
        return Words(f"{room.en} {role.en}", f"{room.zh}{role.zh}")
    return Words(f"{role.en} {device.index}", f"{role.zh} {device.index}")


def number(mantissa: int, exponent: int) -> str:
    """mantissa x 10^exponent as people write it: 128, 36.6."""
    if not -12 <= exponent <= 12:  # no quantity of the body; and no page of zeros
        return f"{mantissa}e{exponent}"
    value = Decimal(mantissa).scaleb(exponent)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def reading_words(values: Sequence[Sequence[int]]) -> Words:
    """VALUES of an event: "Blood pressure 128/76 mmHg, pulse 71 /min"."""
    said: dict[str, tuple[str, str]] = {}
    for code, mantissa, exponent, *unit in values:
        name, own = names.QUANTITIES.get(code, (str(code), 0))
        ucum = names.UNITS.get(unit[0] if unit else own, "")
        said[name] = number(mantissa, exponent), UNITS.get(ucum, ucum)
    parts: list[Words] = []
    if "systolic" in said and "diastolic" in said:
        (high, unit_text), (low, _) = said.pop("systolic"), said.pop("diastolic")
        said.pop("mean_pressure", None)
        parts.append(Words(*(f"{one} {high}/{low} {unit_text}".rstrip() for one in w.BLOOD_PRESSURE)))
    for name, (value, unit_text) in said.items():
        en, zh = quantity_words(name)
        unit_text = {"/min": ""}.get(unit_text, unit_text)
        shown = value + unit_text if unit_text in ("%", "°C") else f"{value} {unit_text}".rstrip()
        parts.append(Words(f"{en if parts else en.capitalize()} {shown}", f"{zh} {shown}"))
    return Words(", ".join(one.en for one in parts), "，".join(one.zh for one in parts))


def quantity_words(name: str) -> Words:
    """What was measured, by its name in names.QUANTITIES."""
    known = QUANTITIES.get(name)
    if known is None and name.startswith("glucose"):
        known = QUANTITIES["glucose"]
    return Words(*(known or (name, name)))


def length_words(span_ms: int) -> Words:
    """How long: seconds below two minutes, and then roughly."""
    if span_ms < 2 * MINUTE_MS:
        seconds = max(0, span_ms) // 1000
        return Words(f"{seconds} s", f"{seconds} 秒")
    return span_words(span_ms)


# The log


def line(thing: Thing, name: Words, zone: ZoneInfo, now_ms: int) -> Line:
    """A thing in words; name: of its device, or of the hub."""
    value = name
    if thing.words is not None:
        words = thing.words
    else:
        if thing.kind == k.VITALS and k.VALUES in thing.fields:
            value = reading_words(thing.fields[k.VALUES])
        words = _told(thing, name, value, zone, now_ms)
    notes = []
    if value is not name or (thing.device and thing.kind in (k.CHECK_IN, k.CHECK_OUT)):
        notes.append(name)
    if thing.fields.get(k.FLAGS, 0) & k.HISTORICAL and thing.kind in (k.VITALS, k.VITALS_INVALID):
        notes.append(w.FROM_MEMORY)
    if thing.note is not None:
        notes.append(thing.note)
    if not thing.sure:
        notes.append(w.ARRIVED)
    return Line(thing.at_ms, words, tuple(notes), tone(thing.kind))


def _told(thing: Thing, name: Words, value: Words, zone: ZoneInfo, now_ms: int) -> Words:
    span = mode = Words("", "")
    if thing.span_ms is not None:
        span = _filled(w.STAYED if thing.kind == k.CHECK_OUT else w.AFTER, length_words(thing.span_ms))
    if thing.kind == k.MODE_SET:
        until = time_words(thing.fields[k.DUE_MS], now_ms, zone)
        number_of = thing.fields[k.MODE]
        form = w.MODES.get(number_of, Words(str(number_of), str(number_of)))
        mode = Words(form.en.format(until=until.en), form.zh.format(until=until.zh))
    fault = fault_words(thing.fields.get(k.DETAIL, 0))
    sentence = w.TELLS[thing.kind]
    en, zh = (
        sentence[at].format(what=name[at], span=span[at], mode=mode[at], value=value[at], name=fault[at])
        for at in (0, 1)
    )
    return Words(en, zh)


def tone(kind: int) -> Tone:
    """How much a line stands out."""
    if kind in _ENDS or not kind:
        return "plain"
    if kind < k.MAINS_LOST and kind not in (k.TEST_CALL, k.PRE_ALARM_CANCELLED):
        return "alarm"
    return "fault" if kind < k.BOOT else "plain"


def fault_words(kind: int) -> Words:
    """What a fault is called."""
    return Words(*EVENTS.get(names.KINDS.get(kind, ""), ("", "")))


def collapse(things: Sequence[Thing], zone: ZoneInfo, limit: int) -> tuple[list[Thing], int]:
    """(at most limit of them, how many they stand for): without what says the same again, which is the proofs
    of one day, the readings of one monitor within minutes, what is said of several hubs at once."""
    kept: list[Thing] = []
    counts: dict[int, int] = {}  # place in kept: how many readings it stands for
    runs: dict[tuple[str, int], tuple[int, int]] = {}  # of a monitor: place in kept, oldest moment so far
    seen: dict[object, int] = {}  # what has been said: moment
    for taken, thing in enumerate(things):
        if thing.kind == k.VITALS:
            run = runs.get((thing.hub, thing.device))
            if run is not None and abs(run[1] - thing.at_ms) <= RUN_MS:
                runs[thing.hub, thing.device] = run[0], thing.at_ms
                counts[run[0]] = counts.get(run[0], 1) + 1
                continue
            runs[thing.hub, thing.device] = len(kept), thing.at_ms
        elif thing.kind in EVERY_DAY:
            day = datetime.fromtimestamp(thing.at_ms / 1000, zone).date()
            if seen.setdefault((thing.hub, thing.kind, day), taken) != taken:
                continue
        elif thing.kind == k.MODE_SET or not thing.kind:
            key = thing.kind, thing.words or thing.fields.get(k.MODE)
            if abs(seen.get(key, thing.at_ms + SAME_MS + 1) - thing.at_ms) <= SAME_MS:
                continue
            seen[key] = thing.at_ms
        if len(kept) == limit:
            things = things[:taken]
            break
        kept.append(thing)
    return [_counted(thing, counts.get(place, 1)) for place, thing in enumerate(kept)], len(things)


def _counted(thing: Thing, count: int) -> Thing:
    if count == 1:
        return thing
    return replace(thing, note=_filled(w.MEASURED, Words(str(count), str(count))))


def days(lines: Sequence[Line], zone: ZoneInfo, now_ms: int) -> list[Day]:
    """Lines under the days they happened on, the newest day first."""
    found: dict[date, list[Line]] = {}
    for one in lines:
        found.setdefault(datetime.fromtimestamp(one.at_ms / 1000, zone).date(), []).append(one)
    today = datetime.fromtimestamp(now_ms / 1000, zone).date()
    return [
        Day(day_words(day, today), tuple(sorted(found[day], key=lambda one: -one.at_ms)))
        for day in sorted(found, reverse=True)
    ]


def day_words(day: date, today: date) -> Words:
    """A day as a heading: Today, Sunday 22 November; with the year where it is another."""
    weekday = w.WEEKDAYS[day.weekday()]
    en, zh = f"{weekday.en}, {day.day} {w.MONTHS[day.month - 1]}", f"{day.month}月{day.day}日 {weekday.zh}"
    if day.year != today.year:
        en, zh = f"{en} {day.year}", f"{day.year}年{zh}"
    if day == today:
        return Words(f"{w.TODAY.en}, {en}", f"{w.TODAY.zh} {zh}")
    if day == today - timedelta(days=1):
        return Words(f"{w.YESTERDAY.en}, {en}", f"{w.YESTERDAY.zh} {zh}")
    return Words(en, zh)


def _filled(form: Words, what: Words) -> Words:
    return Words(form.en.format(what.en), form.zh.format(what.zh))
