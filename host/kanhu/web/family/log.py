"""The log of a home in plain words, a page at a time; found in the journal by time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from starlette.responses import Response

from kanhu.care.rules.past import Device
from kanhu.care.rules.values import Words
from kanhu.journal import Event, Journal
from kanhu.journal.plain import believed
from kanhu.registry import Registry
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from . import words_log as w
from .sentences import Cursor, Line, Thing, collapse, days, line, thing_words
from .visit import Page, Visit

if TYPE_CHECKING:
    from .family import Family

SHOWN = 50  # lines of a page
# Rows read of each table for one page: more where many of them are told together.
READ = (100, 400, 1600)
MAX_SKIP = 5_000
NEWEST = Cursor(1 << 62)
_CURSOR = re.compile(r"([0-9]{1,16})(?:-([0-9]{1,4}))?")

# The words in NOT IN are the index's own (kanhu.journal.schema).
_EVENTS = """
SELECT n, received_ms, boot, seq, plain FROM events
WHERE hub=? AND kind=? AND kind NOT IN (192,193,194,195) AND received_ms <= ?
ORDER BY received_ms DESC, n DESC LIMIT ?
"""
_STEPS = """
SELECT s.id, s.at_ms, s.what, s.operator, a.kind, a.device, a.opened_ms, a.raised_ms, a.presses, a.explanation
FROM alarm_history s JOIN alarms a USING (hub, boot, seq)
WHERE s.hub=? AND s.at_ms <= ? ORDER BY s.at_ms DESC, s.id DESC LIMIT ?
"""
_OPENED = """
SELECT id, opened_ms, device, kind FROM faults
WHERE hub=? AND opened_ms <= ? ORDER BY opened_ms DESC, id DESC LIMIT ?
"""
_CLOSED = """
SELECT id, closed_ms, device, kind, closed_by FROM faults
WHERE hub=? AND closed_ms IS NOT NULL AND closed_ms <= ? ORDER BY closed_ms DESC, id DESC LIMIT ?
"""
_MODES = """
SELECT id, from_ms, mode, until_ms, set_by FROM modes
WHERE hub=? AND from_ms <= ? ORDER BY from_ms DESC, id DESC LIMIT ?
"""
_VISITS = """
SELECT id, at_ms, what, who, via, span_ms FROM visits
WHERE hub=? AND at_ms <= ? ORDER BY at_ms DESC, id DESC LIMIT ?
"""
_AUDIT = """
SELECT id, at_ms, what FROM audit
WHERE hub=? AND at_ms <= ? AND operator = 'family' ORDER BY at_ms DESC, id DESC LIMIT ?
"""
_STEP_KINDS = {
    "accepted": k.ALARM_ACCEPTED,
    "dispatched": k.ALARM_DISPATCHED,
    "on_scene": k.ALARM_ON_SCENE,
    "reopened": k.ALARM_REOPENED,
    "asked": k.PRE_ALARM,
    "cancelled": k.PRE_ALARM_CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Found:
    """Lines, the newest first, and where the next page begins (None: there is no more)."""

    lines: tuple[Line, ...]
    older: Cursor | None


def cursor(text: str | None) -> Cursor:
    """?before= of a page; what is none is the newest page."""
    found = _CURSOR.fullmatch(text or "")
    if found is None:
        return NEWEST
    return Cursor(int(found[1]), min(int(found[2] or 0), MAX_SKIP))


class Log:
    """What is written down of homes, for those who live there."""

    def __init__(self, journal: Journal, registry: Registry) -> None:
        self._journal, self._registry = journal, registry

    def page(self, hubs: Sequence[str], zone: ZoneInfo, before: Cursor = NEWEST) -> Found:
        """At most SHOWN lines; costs the same however much is in the journal."""
        for limit in READ:
            things, whole_ms = self._things(hubs, before, limit)
            kept, taken = collapse(things, zone, SHOWN)
            if taken < len(things) or not whole_ms:
                break
        older = None
        if taken < len(things) or whole_ms:
            last = things[taken - 1].kept_ms if things else max(0, whole_ms - 1)
            alike = sum(one.kept_ms == last for one in things[:taken])
            older = Cursor(last, alike + (before.skip if last == before.at_ms else 0))
        now_ms, name = self._journal.clock(), self._names()
        return Found(tuple(line(one, name(one.hub, one.device), zone, now_ms) for one in kept), older)

    def _things(self, hubs: Sequence[str], before: Cursor, limit: int) -> tuple[list[Thing], int]:
        """(things, the newest first, since when they are all; 0: there are no more)."""
        things: list[Thing] = []
        whole_ms = 0
        limit += before.skip
        for hub in hubs:
            for found, rows, last_ms in self._of(hub, before.at_ms, limit):
                things += found
                if rows == limit:
                    whole_ms = max(whole_ms, last_ms)
        things = [one for one in things if one.kept_ms >= whole_ms]
        things.sort(key=lambda one: (one.kept_ms, one.order, one.hub), reverse=True)
        return things[before.skip :], whole_ms

    def _names(self) -> Callable[[str, int], Words]:
        known: dict[str, dict[int, Words]] = {}

        def name(hub: str, device: int) -> Words:
            if device <= 0:
                return w.HUB
            if hub not in known:
                known[hub] = self._devices(hub)
            return known[hub].get(device) or Words(f"device {device}", f"设备 {device}")

        return name

    def _devices(self, hub: str) -> dict[int, Words]:
        gone = (
            Device(one["index"], one["role"], one["room"], one["name"])
            for one in self._registry.sensor_history(hub)
        )
        # Those that are here come last, and so have the say.
        return {one.index: thing_words(one) for one in (*gone, *self._registry.devices_of(hub))}

    def _of(self, hub: str, at_ms: int, limit: int) -> Iterator[tuple[list[Thing], int, int]]:
        """(things, rows they were read from, when the oldest of these was kept) of each table."""
        rows = self._journal.reader.rows
        for kind in w.OF_EVENTS:
            found = rows(_EVENTS, (hub, kind, at_ms, limit))
            yield [self._event(hub, kind, *row) for row in found], len(found), found[-1][1] if found else 0
        for sql, make in _TABLES.items():
            found = rows(sql, (hub, at_ms, limit))
            things = [one for row in found if (one := make(hub, *row)) is not None]
            yield things, len(found), found[-1][1] if found else 0

    def _event(self, hub: str, kind: int, n: int, kept_ms: int, boot: int, seq: int, plain: bytes) -> Thing:
        fields = believed(plain)
        event = Event(hub, boot, seq, k.class_of(kind), kind, b"", plain, fields, kept_ms, "", n)
        happened_ms = self._journal.moment(event)[0]
        note = None
        if kind == k.EVENTS_LOST and k.COUNT in fields:
            note = Words(*(form.format(fields[k.COUNT]) for form in w.LOST))
        return Thing(
            kept_ms, kept_ms if happened_ms is None else happened_ms, hub, kind, (1, n),
            fields.get(k.DEVICE, 0), fields, note=note, sure=happened_ms is not None,
        )  # fmt: skip


def _step(
    hub: str, n: int, at_ms: int, what: str, by: str | None, kind: int, device: int, opened_ms: int,
    raised_ms: int | None, presses: int, explanation: str | None,
) -> Thing | None:  # fmt: skip
    told = _STEP_KINDS.get(what)
    happened_ms, span_ms, words, note = at_ms, None, None, None
    if what in ("opened", "raised"):
        told, happened_ms = kind, opened_ms if what == "opened" else at_ms
        if what == "raised":
            note = w.ASKED_IN_VAIN
        elif explanation:
            note = Words(*json.loads(explanation))
        elif presses > 1:
            note = Words(*(form.format(presses) for form in w.PRESSED))
    elif what == "asked" and explanation:
        note = Words(*json.loads(explanation))
    elif what == "accepted" and raised_ms is not None and at_ms >= raised_ms:
        span_ms = at_ms - raised_ms
    elif what.startswith("escalated"):
        told = k.ALARM_ESCALATED
    elif what == "closed":
        told = k.PRE_ALARM_CANCELLED if by == "home" else k.ALARM_CLOSED
        words = {"movement": w.BY_MOVEMENT, "mode": w.BY_MODE}.get(by or "")
    if told not in w.TELLS:
        return None
    return Thing(at_ms, happened_ms, hub, told, (2, n), device, {}, span_ms, words, note)


def _opened(hub: str, n: int, at_ms: int, device: int, kind: int) -> Thing | None:
    return Thing(at_ms, at_ms, hub, kind, (3, n), device) if kind in w.TELLS else None


def _closed(hub: str, n: int, at_ms: int, device: int, kind: int, by: str | None) -> Thing:
    end = names.RESTORAL.get(kind, k.FAULT_CLOSED) if by is None else k.FAULT_CLOSED
    return Thing(at_ms, at_ms, hub, end, (4, n), device, {k.DETAIL: kind})


def _mode(hub: str, n: int, at_ms: int, mode: int, until_ms: int, by: str) -> Thing:
    fields = {k.MODE: mode, k.DUE_MS: until_ms}
    note = w.SET_BY.get(by, w.SET_BY_OTHERS)
    return Thing(at_ms, at_ms, hub, k.MODE_SET, (5, n), fields=fields, note=note)


def _visit(hub: str, n: int, at_ms: int, what: str, who: str, via: str, span_ms: int | None) -> Thing:
    card = who.removeprefix("device ") if via == "button" else ""
    device = int(card) if card.isdecimal() else 0
    words = w.NOT_CHECKED_OUT if via == "bound" else None
    kind = k.CHECK_IN if what == "in" else k.CHECK_OUT
    return Thing(at_ms, at_ms, hub, kind, (6, n), device, {}, span_ms, words)


def _done(hub: str, n: int, at_ms: int, what: str) -> Thing | None:
    words = w.AUDIT.get(what)
    return None if words is None else Thing(at_ms, at_ms, hub, 0, (7, n), words=words)


# Each gives id, when it was kept, and more; and what that is.
_TABLES: dict[str, Callable[..., Thing | None]] = {
    _STEPS: _step, _OPENED: _opened, _CLOSED: _closed, _MODES: _mode, _VISITS: _visit, _AUDIT: _done
}  # fmt: skip


class LogPages:
    """/log."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._log = Log(family.journal, family.registry)

    def routes(self) -> list[Page]:
        """/log."""
        return [Page("/log", self.show)]

    async def show(self, visit: Visit) -> Response:
        """A page of it."""
        before = cursor(visit.request.query_params.get("before"))
        found = self._log.page(visit.hubs, visit.zone, before)
        older = found.older and f"{visit.path('log')}?before={found.older}"
        return self._family.render(
            visit, "family/log.html", w.TEXT, here="more", older=older, paged=before != NEWEST,
            days=[
                {"title": visit.say(day.title), "lines": [_shown(visit, one) for one in day.lines]}
                for day in days(found.lines, visit.zone, self._family.journal.clock())
            ],
        )  # fmt: skip


def _shown(visit: Visit, one: Line) -> dict[str, Any]:
    at = datetime.fromtimestamp(one.at_ms / 1000, visit.zone)
    return {
        "time": f"{at:%H:%M}",
        "words": visit.say(one.words),
        "notes": [visit.say(note) for note in one.notes],
        "tone": one.tone,
    }
