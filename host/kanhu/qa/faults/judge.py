"""What has become of a schedule on a bench: the oracle's rules over what was seen since it began, and which
promise each of them keeps."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from kanhu import ledger
from kanhu.platform import Event
from kanhu.qa.board import Board
from kanhu.qa.lines import LINES
from kanhu.qa.rig import Rig
from kanhu.sim.faults import oracle
from kanhu.sim.faults.heard import Made, Spell, told
from kanhu.sim.faults.oracle import Arrival, Identity, Pressed, Record, Violation

from .deeds import Press
from .faults import Faults

# Rule: promise of hil_tests/promises.toml.
PROMISES = {
    "heard press lost": "D-02",
    "press twice": "D-06",
    "delivered twice": "D-06",
    "identity reused": "D-07",
    "first event of an alarm lost": "D-14",
    "P1 lost": "D-05",
    "delivered to nobody": "D-05",
    "forgotten by the host": "D-04",
    "ledger differs": "D-08",
    "ledger not balanced": "D-08",
    "not settled": "K-01",
    "lost without cause": "D-14",
    "accepted without a person": "L-03",
    "delivered shown too soon": "L-01",
    "daemon ended by itself": "O-01",
}
# A hub that starts with a closed contact takes it for a press anew: one that met a supply that went and came
# may be so many more, or none.
BEFORE_S, AFTER_S, TWICE = 0.5, 3.0, 2
LAMP = "kanhu: lamp "
TAKEN = ("accepted", "coming")
CALM_S, AGAIN_S = 15.0, 0.5
AHEAD_S = 1.0  # that the console's clock may be before the platform's


class Broken(NamedTuple):
    """One broken promise, as a failing test says it."""

    promise: str
    rule: str
    text: str

    def __str__(self) -> str:
        return f"PROMISE BROKEN {self.promise}: {self.rule}: {self.text}"


def broken(found: Sequence[Violation]) -> list[Broken]:
    """The violations with the promises they break."""
    return [Broken(PROMISES[one.rule], one.rule, one.text) for one in found]


class Watch:
    """Looks at one hub from now on; judge() once everything is over and settled."""

    def __init__(self, rig: Rig, faults: Faults, board: Board) -> None:
        self._rig, self._faults, self._board = rig, faults, board
        self.begin = time.monotonic()
        self.answered = math.inf  # monotonic s since when an operator has been at work
        rows = oracle.read_rows(rig.host.journal)
        self._known: set[Identity] = {row[:3] for row in rows.events}
        self._lost = {hub: row["lost"] for hub, row in oracle.sums(rows).items()}
        self._repeats = rig.host.city.tally.repeats
        self._ended = len(faults.ended)

    def shown(self, until: float) -> list[Violation]:
        """What the lamp claimed, up to when everything was over and the operator was told to take it all."""
        calls = [at for at, event in self._log() if event.name == "call" and event.hub == self._board.hub_id]
        found = []
        for when, text in self._board.lines():
            if not self.begin <= when < until or not text.startswith(LAMP):
                continue
            pattern = text.split()[-1]
            if pattern in TAKEN and when < self.answered:
                found.append(Violation("accepted without a person", f"the lamp showed {pattern}"))
            if pattern == "delivered" and not any(at <= when + AHEAD_S for at in calls):
                found.append(Violation("delivered shown too soon", "the platform had no call"))
        return found

    def judge(self, presses: Sequence[Press]) -> list[Violation]:
        """Every broken promise; empty when all held. A hub that goes on is never quite at rest: what is only
        on its way for a moment is looked at again."""
        end = time.monotonic() + CALM_S
        while (found := self._look(presses)) and time.monotonic() < end:
            time.sleep(AGAIN_S)
        return found

    def _look(self, presses: Sequence[Press]) -> list[Violation]:
        host = self._rig.host
        rows = oracle.read_rows(host.journal)
        record = Record(
            self.pressed(presses),
            self._received(),
            self._handed(),
            replace(
                rows,
                events=[row for row in rows.events if row[:3] not in self._known],
                alarms=[name for name in rows.alarms if name not in self._known],
            ),
            {},
            lossy=frozenset(),
            forgetful=self._forgetful(),
        )
        whole = replace(
            record,
            rows=rows,
            ledger={hub: dict(row) for hub, row in ledger.recompute(host.journal).items()},  # type: ignore[arg-type]
            lossy=self._lossy(rows),
        )
        found = [
            *oracle.presses(record),
            *oracle.repeats(record),
            *oracle.alarms(record),
            *oracle.urgent(record),
            *oracle.agreement(record),
            *oracle.ledger(whole),
        ]
        if repeats := host.city.tally.repeats - self._repeats:
            found.append(Violation("delivered twice", f"{repeats} events were handed to the consumer again"))
        found += [Violation("daemon ended by itself", text) for text in self._faults.look()[self._ended :]]
        return [one for one in found if one.rule in PROMISES]

    def pressed(self, presses: Sequence[Press]) -> list[Pressed]:
        """The presses, and which of them the lamp called heard."""
        hub = self._board.hub_id
        own = [one for one in presses if one.hub == hub]
        made = [Made(one.at, LINES[one.line].device, None) for one in own]
        dark = self._faults.dark[hub]
        found = told(made, self._board.lines(), dark, self._faults.full[hub], hub)
        first = {one.at_s: one for one in reversed(found)}
        again = [
            one._replace(heard_s=None)
            for one in first.values()
            if _meets(dark, one.at_s)
            for _ in range(TWICE)
        ]
        return sorted([*first.values(), *again], key=lambda one: one.at_s)

    def _log(self) -> list[tuple[float, Event]]:
        city = self._rig.host.city
        with city.lock:
            log = list(city.log)
        return [(at, event) for at, event in log if at >= self.begin]

    def _received(self) -> list[Arrival]:
        raws = [raw for raw in list(self._rig.host.observer.heard) if raw.at >= self.begin]
        return self._new(Arrival.of(raw.at, json.loads(raw.payload)) for raw in raws)

    def _handed(self) -> list[Arrival]:
        return self._new(Arrival.of(at, event.cloudevent) for at, event in self._log())

    def _new(self, found: Iterable[Arrival]) -> list[Arrival]:
        return [one for one in found if one.identity not in self._known]

    def _forgetful(self) -> frozenset[str]:
        return frozenset(
            hub
            for hub, spells in self._faults.full.items()
            if spells and any(dark.end >= spells[0].begin for dark in self._faults.dark[hub])
        )

    def _lossy(self, rows: oracle.Rows) -> frozenset[str]:
        """Hubs that may have given something up: since the watch began, or before it and not since."""
        full = {hub for hub, spells in self._faults.full.items() if spells}
        before = {hub for hub, row in oracle.sums(rows).items() if row["lost"] == self._lost.get(hub, 0)}
        hubs = {self._board.hub_id}
        own = {row[0] for row in rows.events if row[0] not in hubs and self._faults.disk_was_full}
        return frozenset(full | before | own)


def _meets(dark: Sequence[Spell], at: float) -> bool:
    return any(spell.begin <= at + AFTER_S and spell.end >= at - BEFORE_S for spell in dark)
