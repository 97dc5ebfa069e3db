"""A stimulus board beside a hub's board: its outputs drive the hub's pins, lamp and buzzer its inputs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kanhu.qa.lines import LINES, Line
from kanhu.sim.wires import Lead

if TYPE_CHECKING:
    from kanhu.sim.bench import Bench
    from kanhu.sim.board import Board

KINDS = {"pirs": "pir", "mains": "mains", "cancel": "cancel"}  # setting -> kind of wire; else a button


class Pair:
    """The wires between two boards; they stay, whatever is flashed onto either, reset or without power."""

    def __init__(self, stimulus: Board, hub: Board, lines: Mapping[str, Line]) -> None:
        self.stimulus, self.hub = stimulus, hub
        self.leads: dict[str, Lead] = {}
        self._at_hub: dict[int, str] = {}
        self._at_stimulus: dict[int, list[str]] = {}  # more than one: wires that touch
        self._switch = next((line.gpio for line in lines.values() if line.kind == "load switch"), None)
        for name, line in lines.items():
            if line.hub_gpio is None:
                continue
            if line.drives:
                kind = KINDS.get(line.setting or "", "button")
                self.leads[name] = Lead(line.hub_gpio, kind, pressed=kind == "mains")  # type: ignore[arg-type]
                self._at_stimulus.setdefault(line.gpio, []).append(name)
            else:
                self.leads[name] = Lead(line.gpio)
                self._at_hub[line.hub_gpio] = name

    def _join(self) -> None:
        for name, lead in self.leads.items():
            end = self.stimulus if name in self._at_hub.values() else self.hub
            end.wiring[f"{self.stimulus.name}:{name}"] = lead
            if end.hub:
                others = {key: one for key, one in end.hub.wires.items() if one.pin != lead.pin}
                end.hub.wires = {**others, f"{self.stimulus.name}:{name}": lead}
        self.stimulus.watchers.append(self._by_stimulus)
        self.hub.watchers.append(self._by_hub)
        now = time.monotonic()
        for board in (self.stimulus, self.hub):
            for pin, level in board.hub._outputs.items() if board.hub else ():
                board._watched(pin, level, now)

    def _by_stimulus(self, pin: int, level: int | None, when: float) -> None:
        if pin == self._switch:
            self.hub._load_switch(level != 0)
        else:
            for name in self._at_stimulus.get(pin, ()):
                self._drive(self.hub, name, level, when)

    def _by_hub(self, pin: int, level: int | None, when: float) -> None:
        if pin in self._at_hub:
            self._drive(self.stimulus, self._at_hub[pin], level, when)

    def _drive(self, end: Board, name: str, level: int | None, when: float) -> None:
        lead = self.leads[name]
        lead.driven = level
        if end.hub:
            end.hub._show(lead, when)


def wire(bench: Bench, stimulus: Board, hub: Board, lines: Mapping[str, Line] = LINES) -> Pair:
    """Join two boards of a bench by the stimulus's lines; the load switch is in the hub's supply."""
    pair = Pair(stimulus, hub, lines)
    bench._do(pair._join)
    return pair
