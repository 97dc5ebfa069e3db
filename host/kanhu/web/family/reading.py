"""One quantity over a day, a week or a month: what its page shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from kanhu.care.rules.values import Words

from . import plots
from . import reading_lines as lines
from . import words_readings as w
from .measured import Measurement
from .visit import Visit
from .whose import UNNAMED, Whose
from .words_readings import WHATS

DEFAULT: plots.Span = "week"
FIRST_DAY = date(2025, 1, 1).toordinal()  # before this project existed
UNKNOWN = "?"  # in a link: readings of whom nobody knows
OPEN = 12  # lines of the table that are shown without being asked for
MOST_LINES = 220  # beyond them a page would be slow on a telephone
MOST_ASKED = 50  # lines that each have a form


def asked_days(on: str, span: str, now_ms: int, zone: ZoneInfo) -> plots.Days:
    """The days of a link: those of a span that end with the day `on`, never after today."""
    today = _today(now_ms, zone)
    length = plots.DAYS[span] if span in plots.DAYS else plots.DAYS[DEFAULT]
    try:
        last = date.fromisoformat(on).toordinal() if len(on) == 10 else today
    except ValueError:
        last = today
    last = max(FIRST_DAY + length, min(today, last))
    return plots.Days(last - length + 1, last, zone)


class Curve:
    """The page of one quantity, for one person at a time."""

    def __init__(
        self, visit: Visit, key: str, days: plots.Days, found: Sequence[Measurement], whose: Whose,
        limits: lines.Limits, now_ms: int,
    ) -> None:  # fmt: skip
        """found: what was measured in these days, by anybody."""
        self._visit, self._key, self._what, self._days = visit, key, WHATS[key], days
        self._found = [(one, whose.of(one)) for one in found]
        self._whose, self._limits = whose, limits
        self._today = _today(now_ms, visit.zone)
        self._chosen = UNNAMED

    def values(self, asked: str | None, newest: Measurement | None) -> dict[str, Any]:
        """For the template. asked: whose, as the link has it; newest: to go to where nothing was found."""
        people = self._people()
        self._chosen = asked if asked in people else people[0]
        who = None if self._chosen == UNKNOWN else self._chosen
        mine = [one for one, of in self._found if of == who]
        drawn = lines.marks(self._what, mine, self._limits) if who is not None else []
        thin = plots.thinned(drawn, self._days)
        most = MOST_ASKED if who is None else MOST_LINES
        say = self._visit.say
        said = lines.limit_words(self._what, self._limits)
        return {
            "title": say(self._what.words) + (f" · {who}" if who else ""),
            "unit": say(self._what.unit),
            "people": [(self._called(one), self._link(who=one), one == self._chosen) for one in people]
            if len(people) > 1
            else [],
            "spans": [(say(w.TEXT[one]), self._link(span=one), one == self._days.span) for one in plots.DAYS],
            "is_pair": self._what.is_pair,
            "svg": self._svg(drawn, thin) if thin else "",
            "is_thin": len(thin) < len(drawn),
            "has_beyond": any(dot.beyond for mark in thin for dot in mark.dots),
            "limits": said and say(said),
            "is_unknown": who is None,
            "is_open": len(mine) <= OPEN,
            "is_cut": len(thin) == len(drawn) and len(mine) > most,
            "table": self._table(mine, thin if len(thin) < len(drawn) else None, most),
            **self._period(newest),
        }

    def _people(self) -> list[str]:
        found = self._whose.people(self._what.roles)
        measured = dict.fromkeys(of for _, of in self._found)
        people = list(dict.fromkeys([*found, *(one for one in measured if one is not None)])) or [UNNAMED]
        people.sort(key=lambda one: one == UNNAMED)
        return [*people, UNKNOWN] if None in measured else people

    def _called(self, person: str) -> str:
        if person == UNKNOWN:
            return self._visit.say(w.TEXT["unknown_person"])
        return person or self._visit.say(w.TEXT["unnamed"])

    def _link(self, **more: str | None) -> str:
        given = {"span": self._days.span, "on": _iso(self._days.last), "who": self._chosen or None}
        return lines.link(self._visit, self._key, **{**given, **more})

    def _period(self, newest: Measurement | None) -> dict[str, Any]:
        """Which days these are, and the way to others."""
        days, say = self._days, self._visit.say
        length = days.last - days.first + 1
        last = lines.day_words(days.last, self._today)
        if length > 1:
            last = lines.date_words(days.last, self._today)
            first = lines.date_words(days.first, self._today)
            last = Words(f"{first.en} – {last.en}", f"{first.zh} 至 {last.zh}")
        latest: tuple[str, str] | None = None
        if newest is not None and newest.at_ms is not None:
            on = _today(newest.at_ms, self._visit.zone)
            words = say(w.TEXT["newest"]).format(day=say(lines.day_words(on, self._today)))
            latest = words, self._link(on=_iso(on), who=None)
        return {
            "period": say(last),
            "earlier": self._link(on=_iso(days.last - length)) if days.first > FIRST_DAY + length else "",
            "later": self._link(on=_iso(min(self._today, days.last + length)))
            if days.last < self._today
            else "",
            "earlier_words": self._near(days.last - 1, "earlier") if length == 1 else say(w.TEXT["earlier"]),
            "later_words": self._near(days.last + 1, "later") if length == 1 else say(w.TEXT["later"]),
            "latest": latest,
        }

    def _near(self, day: int, otherwise: str) -> str:
        name = {0: "today", 1: "yesterday"}.get(self._today - day, otherwise)
        return self._visit.say(w.TEXT[name])

    def _svg(self, drawn: Sequence[plots.Mark], thin: Sequence[plots.Mark]) -> str:
        bands = dict.fromkeys(self._limits[code] for code in self._what.codes if code in self._limits)
        told = self._visit.say(lines.told(self._what, drawn, self._limits))
        title = self._visit.say(self._what.words)
        return plots.draw(thin, bands, self._days, title, told, self._visit.language)

    # The same as numbers

    def _table(
        self, mine: Sequence[Measurement], thin: Sequence[plots.Mark] | None, most: int
    ) -> list[tuple[str, list[dict[str, Any]]]]:
        """(day, lines) newest first; of what is drawn as stretches, the stretches."""
        say, zone = self._visit.say, self._visit.zone
        rows: list[tuple[int, dict[str, Any]]] = []
        if thin is not None:
            for mark in reversed(thin):
                value, words = lines.mean_words(self._what, mark)
                time = f"{lines.time_of(mark.at_ms, zone)}–{lines.time_of(mark.until_ms, zone)}"
                time = "" if plots.PARTS[self._days.span] == 1 else time
                way = int(any(dot.beyond for dot in mark.dots))
                notes = [*([w.TEXT["key_beyond"]] if way else []), words]
                row = {"time": time, "value": value, "way": way, "notes": [say(one) for one in notes]}
                rows.append((_today(mark.at_ms, zone), row | {"whose": None}))
        else:
            known = [one for one in mine if one.at_ms is not None]
            unknown = [one for one in mine if one.at_ms is None]
            rows = [(_day(one, zone), self._row(one)) for one in [*unknown, *reversed(known)][:most]]
        return [
            (
                say(lines.day_words(day, self._today)) if day else say(w.TEXT["time_unknown"]),
                [row for _, row in of],
            )
            for day, of in groupby(rows, key=lambda row: row[0])
        ]

    def _row(self, one: Measurement) -> dict[str, Any]:
        say = self._visit.say
        way, words = lines.verdict(self._what, one, self._limits)
        notes = [*([words] if words and way != 0 else []), *lines.notes(self._what, one)]
        people = self._whose.sharing(one)
        who = self._whose.of(one)
        return {
            "time": "" if one.at_ms is None else lines.time_of(one.at_ms, self._visit.zone),
            "value": lines.shown(self._what, one),
            "way": way,
            "notes": [say(note) for note in notes],
            "whose": {
                "hub": one.hub, "boot": one.boot, "seq": one.seq, "what": self._key,
                "people": [person for person in people if person != who],
            } if len(people) > 1 and (who is None or self._whose.was_said(one)) else None,
        }  # fmt: skip


def _today(at_ms: int, zone: ZoneInfo) -> int:
    return datetime.fromtimestamp(at_ms / 1000, zone).toordinal()


def _day(one: Measurement, zone: ZoneInfo) -> int:
    return 0 if one.at_ms is None else _today(one.at_ms, zone)


def _iso(day: int) -> str:
    return date.fromordinal(day).isoformat()
