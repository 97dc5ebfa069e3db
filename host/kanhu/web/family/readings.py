"""Readings of a home's health monitors: the newest of each, what went wrong, and whose a reading was."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import structlog
from starlette.responses import RedirectResponse, Response

from kanhu.care.rules.values import Words
from kanhu.web.person import ago_words, clock_words
from kanhu_protocol import kinds as k

from . import measured, words_monitors
from . import reading_lines as lines
from . import words_readings as w
from .measured import DAY_MS, Measurement
from .reading import Curve, asked_days
from .visit import Page, Problem, Visit
from .whose import Whose
from .words import COMMON
from .words_readings import WHATS, What

if TYPE_CHECKING:
    from .family import Family

log = structlog.get_logger("kanhu.family")

FAILED_MS = 2 * DAY_MS  # failures are shown for so long
FAILED = 4
ASKED_MS = 14 * DAY_MS  # and whose a reading was is asked for so long
ASKED = 5  # at once
NUMBER = 15  # digits
READING = 2  # pages whose readings are read at a time: each keeps a processor busy
P = ParamSpec("P")
T = TypeVar("T")
Failure = tuple[Measurement, bool]  # and whether it is over


class ReadingsPages:
    """/readings, and saying whose one was."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._turns = asyncio.Semaphore(READING)

    def routes(self) -> list[Page]:
        """Where they are."""
        return [Page("/readings", self.show), Page("/readings/whose", post=self.whose)]

    async def show(self, visit: Visit) -> Response:
        """The newest of everything, or the readings of one quantity."""
        key = visit.request.query_params.get("what", "")
        return await (self._one(visit, key) if key in WHATS else self._all(visit))

    async def whose(self, visit: Visit) -> Response:
        """Somebody says whose a reading of a shared monitor was."""
        hub, wearer = visit.form.get("hub", ""), visit.form.get("wearer", "")
        boot, seq = (_number(visit.form.get(name, "")) for name in ("boot", "seq"))
        back = visit.form.get("what", "")
        one = None
        if visit.owns(hub) and boot is not None and seq is not None:
            one = await self._read(measured.find, self._family.journal.path, hub, boot, seq, visit.zone)
        people = self._whose(visit).sharing(one) if one is not None else []
        if one is None or len(people) < 2:
            raise Problem(w.NOT_A_READING, 404, ("readings",))
        if wearer not in people:
            raise Problem(w.NOT_A_WEARER, 400, ("readings",))
        await self._family.keep(visit, "family_whose", hub, f"{one.boot}-{one.seq}")
        self._family.families.set_wearer(hub, one.boot, one.seq, wearer, "family")
        return RedirectResponse(lines.link(visit, back if back in WHATS else "", who=wearer), 303)

    # One quantity

    async def _one(self, visit: Visit, key: str) -> Response:
        asked, what = visit.request.query_params, WHATS[key]
        now_ms = self._family.journal.clock()
        days = asked_days(asked.get("on", ""), asked.get("span", ""), now_ms, visit.zone)
        path = self._family.journal.path
        found = await self._read(
            measured.between, path, visit.hubs, days.edges[0], days.edges[-1], visit.zone, what.codes
        )
        newest = None
        if not found:
            latest = await self._read(measured.newest, path, visit.hubs, visit.zone, what.codes)
            newest = next((one for one in latest if one.at_ms is not None), None)
        curve = Curve(visit, key, days, found, self._whose(visit), self._limits(visit), now_ms)
        return self._family.render(
            visit, "family/reading.html", w.TEXT, here="readings",
            **await self._read(curve.values, asked.get("who"), newest),
        )  # fmt: skip

    # Everything

    async def _all(self, visit: Visit) -> Response:
        whose = self._whose(visit)
        limits = self._limits(visit)
        known = {key: what for key, what in WHATS.items() if what.roles & whose.roles}
        found, failed, unknown = await self._read(
            self._newest, visit, known, whose, self._family.journal.clock()
        )
        more = len(unknown) - ASKED
        return self._family.render(
            visit, "family/readings.html", w.TEXT, here="readings",
            rows=[row for key in known for row in self._rows(visit, key, found[key], whose, limits)],
            failures=[self._failure(visit, one, is_over, whose) for one, is_over in failed],
            unknown=[self._asked(visit, one, whose) for one in unknown[:ASKED]],
            more=visit.say(w.TEXT["whose_more"]).format(n=more) if more > 0 else "",
        )  # fmt: skip

    def _newest(
        self, visit: Visit, known: Mapping[str, What], whose: Whose, now_ms: int
    ) -> tuple[dict[str, list[Measurement]], list[Failure], list[Measurement]]:
        """In a thread: the newest of each quantity, failures, and readings of whom nobody knows."""
        path, hubs, zone = self._family.journal.path, visit.hubs, visit.zone
        found = {
            key: measured.newest(path, hubs, zone, what.codes, whose.of, whose.people(what.roles))
            for key, what in known.items()
        }
        said = measured.failures(path, hubs, now_ms - FAILED_MS, zone)
        over = {(one.hub, one.device): one.received_ms for one in reversed(said) if one.kind == k.MONITOR_OK}
        failed: list[Failure] = []
        for one in [one for one in said if one.kind != k.MONITOR_OK][:FAILED]:
            if one.kind == k.MONITOR_FAULT:
                is_over = over.get((one.hub, one.device), 0) >= one.received_ms
            else:
                later = measured.of_device(path, one.hub, one.device, one.received_ms + 1, zone, 10)
                is_over = any(each.relied_on for each in later)
            failed.append((one, is_over))
        unknown = [
            one
            for hub, device in whose.shared
            for one in measured.of_device(path, hub, device, now_ms - ASKED_MS, zone)
            if whose.of(one) is None and lines.what_of(one)
        ]
        unknown.sort(key=lambda one: one.received_ms, reverse=True)
        return found, failed, unknown

    def _rows(
        self, visit: Visit, key: str, found: list[Measurement], whose: Whose, limits: lines.Limits
    ) -> list[dict[str, Any]]:
        """One for each person: the newest measurement there is."""
        what = WHATS[key]
        newest: dict[str, Measurement] = {}
        for one in found:
            person = whose.of(one)
            if person is not None and one.at_ms is not None:
                newest.setdefault(person, one)
        rows = []
        for person, one in newest.items():
            way, words = lines.verdict(what, one, limits)
            rows.append(
                {
                    "path": lines.link(visit, key, who=person if len(newest) > 1 else None),
                    "name": visit.say(what.words), "person": person, "value": lines.shown(what, one),
                    "unit": visit.say(what.unit), "when": self._when(visit, one), "way": way,
                    "verdict": words and visit.say(words),
                }
            )  # fmt: skip
        return rows

    def _failure(self, visit: Visit, one: Measurement, is_over: bool, whose: Whose) -> dict[str, Any]:
        is_fault = one.kind == k.MONITOR_FAULT
        if is_over:
            words = w.MENDED if is_fault else w.WELL_SINCE
        elif is_fault:
            words = words_monitors.fault(one.detail)
        else:
            words = words_monitors.invalid([special for _, special in one.invalid], one.status)
        title = visit.say(w.NOT_WORKING if is_fault else w.NO_READING)
        return {
            "title": title.format(monitor=self._monitor(visit, one, whose)), "when": self._when(visit, one),
            "words": visit.say(words), "is_over": is_over,
        }  # fmt: skip

    def _asked(self, visit: Visit, one: Measurement, whose: Whose) -> dict[str, Any]:
        key = lines.what_of(one)
        return {
            "hub": one.hub, "boot": one.boot, "seq": one.seq, "people": whose.sharing(one), "what": key,
            "name": visit.say(WHATS[key].words), "value": lines.shown(WHATS[key], one),
            "unit": visit.say(WHATS[key].unit), "when": self._when(visit, one),
            "monitor": self._monitor(visit, one, whose),
        }  # fmt: skip

    # Inside

    async def _read(self, look: Callable[P, T], *given: P.args, **more: P.kwargs) -> T:
        """Read the journal in a thread; Problem when it cannot be read."""
        try:
            async with self._turns:
                return await asyncio.to_thread(look, *given, **more)
        except sqlite3.Error as error:
            log.error("readings could not be read", error=str(error))
            raise Problem(COMMON["broken"], 503) from None

    def _whose(self, visit: Visit) -> Whose:
        return Whose(self._family.registry, self._family.families, visit.hubs)

    def _limits(self, visit: Visit) -> lines.Limits:
        return lines.limits_of(self._family.registry.rules(visit.home.id))

    def _monitor(self, visit: Visit, one: Measurement, whose: Whose) -> str:
        name, role = whose.monitor(one)
        return name or visit.say(w.MONITORS.get(role, w.MONITOR))

    def _when(self, visit: Visit, one: Measurement) -> str:
        if one.at_ms is None:
            return visit.say(w.TEXT["time_unknown"])
        now_ms = self._family.journal.clock()
        at, ago = clock_words(one.at_ms, now_ms, visit.zone), ago_words(max(0, now_ms - one.at_ms))
        return visit.say(Words(f"{at.en} ({ago.en})", f"{at.zh}（{ago.zh}）"))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= NUMBER else None
