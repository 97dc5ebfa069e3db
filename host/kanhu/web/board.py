"""What is going on, kept ready for everybody who looks: alarms first, then counts. Reads, never writes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import structlog

from kanhu.care import Alarm, Alarms
from kanhu.journal import Journal
from kanhu.registry import Registry
from kanhu.registry.operators import Operator
from kanhu_protocol import kinds as k

from . import tallies as counting
from .figures import NONE, Today
from .regions import covers, district, known
from .rows import Rows
from .sources import Sources
from .tallies import Tallies

log = structlog.get_logger(__name__)

MOST_OFTEN_S = 0.2  # between two states shown: five in a second
COST_SHARE = 10  # making states takes at most a tenth of the loop's time
COUNT_EVERY_S = 2.0
KEPT_S = 0.5  # a state that was made serves all who ask so soon after
MAX_ALARMS = 300  # shown to one desk; the rest is said as a number
MAX_CLOSED = 2000  # remembered, the newest
MAX_CLOSED_SHOWN = 20  # to one desk, at the end of its list
CLOSED_SHOWN_MS = 12 * 3_600_000  # a shift


class _Made(NamedTuple):
    """What all operators of one region are told alike."""

    at: float  # time.monotonic()
    common: str  # JSON, without its braces
    alarms: list[tuple[str | None, str]]  # who has it, and its JSON


class Board:
    """The visible state per region; version rises with it."""

    def __init__(
        self, journal: Journal, registry: Registry, alarms: Alarms, rows: Rows, zone: ZoneInfo,
        sources: Sources,
    ) -> None:  # fmt: skip
        self._journal, self._registry, self._alarms = journal, registry, alarms
        self._rows, self._sources = rows, sources
        self._today = Today(zone, journal.clock)
        self._closed: OrderedDict[tuple[str, int, int], Alarm] = OrderedDict()
        self._tallies = Tallies()
        self._figures: dict[str, Any] = {}
        self._dirty = asyncio.Event()
        self._cost_s = 0.0
        self._made: dict[tuple[str, bool], _Made] = {}
        self.version = 0
        self.on_version: list[Callable[[], None]] = []

    # Keeping up

    def note(self, alarm: Alarm) -> None:
        """An alarm is new or has changed."""
        self._today.note(alarm)
        self._closed.pop(alarm.name, None)
        if alarm.state == k.CLOSED:
            self._closed[alarm.name] = alarm
            while len(self._closed) > MAX_CLOSED:
                self._closed.popitem(last=False)
        self._dirty.set()

    def forget(self, hub: str) -> None:
        """A hub is being erased: nothing of it is shown any more."""
        self._today.forget(hub)
        for name in [name for name in self._closed if name[0] == hub]:
            del self._closed[name]
        self._dirty.set()

    def changed(self) -> None:
        """Something else that is shown has changed."""
        self._dirty.set()

    async def run(self) -> None:
        """Show what changed, five times a second at most; count homes and faults every COUNT_EVERY_S."""
        await self._today.load(self._journal.path)
        for alarm in reversed(self._alarms.recent(MAX_CLOSED)):
            if alarm.state == k.CLOSED and alarm.name not in self._closed:
                self._closed[alarm.name] = alarm
        counter = asyncio.ensure_future(self._keep_counting())
        try:
            while True:
                await self._dirty.wait()
                self._dirty.clear()
                if counter.done():
                    counter.result()
                self._show()
                await asyncio.sleep(max(MOST_OFTEN_S, COST_SHARE * self._cost_s))
        finally:
            counter.cancel()

    def _show(self) -> None:
        began = time.perf_counter()
        self._made.clear()
        self._figures = self._by_region()
        self.version += 1
        self._cost_s = time.perf_counter() - began
        for tell in self.on_version:
            tell()

    def _by_region(self) -> dict[str, Any]:
        today = self._today.by_region(self._rows.region_of)
        return {region: figures.plain() for region, figures in today.items()}

    async def _keep_counting(self) -> None:
        while True:
            began = time.monotonic()
            homes = self._homes()
            try:
                found = await asyncio.to_thread(
                    counting.count, self._journal.path, self._journal.clock(), self.regions(), homes
                )
            except sqlite3.Error as error:
                log.warning("faults could not be counted", error=str(error))
                # Homes need no disk; those that were well a while ago must not stay so.
                found = replace(self._tallies, homes=await asyncio.to_thread(counting.of_homes, homes))
            changed = found != self._tallies
            self._tallies = found
            if changed or self._by_region() != self._figures:
                self._dirty.set()
            took_s = time.monotonic() - began
            await asyncio.sleep(max(COUNT_EVERY_S, COST_SHARE * took_s))

    def regions(self) -> dict[str, str | None]:
        """Where each hub is."""
        regions = {home.id: home.region for home in self._registry.homes()}
        return {hub.id: regions.get(hub.home) for hub in self._registry.hubs()}

    def _homes(self) -> dict[str, tuple[str | None, str]]:
        # A home of which nothing is known is not well: it cannot be told.
        known = self._sources.conditions()
        return {
            home.id: (home.region, known[home.id].state if home.id in known else "cannot_tell")
            for home in self._registry.homes()
        }

    # Looking

    def state(self, operator: Operator) -> str:
        """Everything an operator may see, as JSON (kanhu.web.api)."""
        began = time.perf_counter()
        made = self._common(operator.region, operator.role == "viewer")
        alarms = ",".join(
            row[:-6] + "true}" if by == operator.id else row  # the row ends in "mine":false}
            for by, row in made.alarms
        )
        me = _json(
            {
                "id": operator.id, "name": operator.name, "role": operator.role, "region": operator.region,
                "region_name": self._rows.region_name(operator.region), "language": operator.language,
            }
        )  # fmt: skip
        self._cost_s += time.perf_counter() - began
        now_ms = self._journal.clock()  # a page sets its clock by it
        return f'{{"now_ms":{now_ms},"me":{me},"alarms":[{alarms}],{made.common}}}'

    def _common(self, region: str, viewer: bool) -> _Made:
        made = self._made.get((region, viewer))
        if made is None or time.monotonic() - made.at > KEPT_S:
            made = self._made[region, viewer] = self._make(region, viewer)
        return made

    def _make(self, region: str, viewer: bool) -> _Made:
        seen = [one for one in self._alarms.live() if covers(region, self._rows.region_of(one.hub))]
        seen.sort(key=_order)
        rows = []
        for alarm in [*seen[:MAX_ALARMS], *(() if viewer else self._lately(region))]:
            row = self._rows.alarm(alarm, region)
            if viewer:  # a wall hangs where anybody may stand
                row |= {"home": None, "explanation": None, "may_act": False}
            rows.append((alarm.accepted_by, _json(row | {"mine": False})))
        homes = self._tallies.homes.get(region) or counting.no_homes()
        opened, overdue = self._tallies.faults.get(region, (0, 0))
        common = {
            "alarms_more": max(0, len(seen) - MAX_ALARMS),
            "incidents": [
                {
                    "id": one.id, "kind": one.kind, "opened_ms": one.opened_ms, "closed_ms": one.closed_ms,
                    "members": one.members[region].hubs, "standing": one.members[region].standing,
                    **self._rows.place(known(region, one.region)),
                }
                for one in self._tallies.incidents
                if one.members.get(region)
            ],
            "faults": {"open": opened, "overdue": overdue},
            "homes": homes,
            "figures": self._figures.get(region) or NONE.plain(),
            "districts": self._districts(region, seen),
        }  # fmt: skip
        return _Made(time.monotonic(), _json(common)[1:-1], rows)

    def _lately(self, region: str) -> list[Alarm]:
        since_ms = self._journal.clock() - CLOSED_SHOWN_MS
        found: list[Alarm] = []
        for alarm in reversed(self._closed.values()):
            if len(found) == MAX_CLOSED_SHOWN or (alarm.closed_ms or 0) < since_ms:
                break
            if covers(region, self._rows.region_of(alarm.hub)):
                found.append(alarm)
        return found

    def _districts(self, region: str, seen: list[Alarm]) -> list[dict[str, Any]]:
        now_ms = self._journal.clock()
        rows: dict[str, dict[str, Any]] = {}

        def row(place: str) -> dict[str, Any]:
            return rows.setdefault(
                place,
                {
                    **self._rows.place(place),
                    "alarms": 0,
                    "unanswered": 0,
                    "oldest_s": None,
                    **counting.no_homes(),
                },
            )

        for place in self._tallies.homes:
            if covers(region, place or None) and district(region, place) == place:
                whole = district(region, f"{place}/-") == place  # else what is below it has rows of its own
                homes = self._tallies.homes[place] if place and whole else self._tallies.just(place)
                if any(homes.values()):
                    row(place).update(homes)
        for alarm in seen:
            if alarm.state == k.PRE:
                continue
            one = row(district(region, self._rows.region_of(alarm.hub)))
            one["alarms"] += 1
            if alarm.state == k.OPEN:
                one["unanswered"] += 1
                age_s = max(0, (now_ms - (alarm.raised_ms or alarm.opened_ms)) // 1000)
                one["oldest_s"] = max(age_s, one["oldest_s"] or 0)
        return [rows[place] for place in sorted(rows)]


_TURN = {k.OPEN: 0, k.PRE: 2}


def _order(alarm: Alarm) -> tuple[int, int, int]:
    """Unanswered first, life before welfare, then the oldest; then those in somebody's hands, then asked."""
    return _TURN.get(alarm.state, 1), alarm.cls, alarm.raised_ms or alarm.opened_ms


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
