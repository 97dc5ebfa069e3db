"""Who touches a hub's wires."""

from __future__ import annotations

from collections.abc import Callable

from kanhu.qa import capabilities as c
from kanhu.qa.board import Pressed
from kanhu.qa.stimulus import Stimulus
from kanhu.sim.bench import Bench
from kanhu.sim.hub import Hub
from kanhu.sim.lamp import Indication


class StimulusHands:
    """The stimulus board, wire by wire (kanhu.qa.lines)."""

    capabilities = frozenset({c.PRESS, c.MOTION, c.MAINS, c.INDICATOR, c.RADIO, c.MONITORS})

    def __init__(self, stimulus: Stimulus) -> None:
        self._stimulus = stimulus

    def press(self, line: str, seconds: float) -> Pressed:
        ticks = self._stimulus.press(line, round(seconds * 1000), bounce=True)
        return Pressed(*self._stimulus.when(ticks))

    def motion(self, line: str, seconds: float) -> None:
        self._stimulus.pulse(line, round(seconds * 1000))

    def mains(self, on: bool) -> None:
        self._stimulus.stick("mains", not on)

    def indication(self) -> Indication:
        return self._stimulus.indication()

    def forget(self) -> None:
        self._stimulus.forget()

    def settle(self) -> None:
        self._stimulus.settle()


class BenchHands:
    """The bench of a simulated hub without a stimulus: wires are named as its lines, `prefix` before them."""

    capabilities = frozenset({c.PRESS, c.MOTION, c.MAINS, c.INDICATOR})

    def __init__(self, bench: Bench, hub: Callable[[], Hub], prefix: str = "") -> None:
        self._bench, self._hub, self._prefix = bench, hub, prefix

    def press(self, line: str, seconds: float) -> Pressed:
        hub = self._hub()
        if line == "cancel":
            self._bench.cancel(hub, int(seconds * 1000))
        else:
            self._bench.press(self._prefix + line, int(seconds * 1000), hub)
        last = [*self._bench.presses, *self._bench.missed_presses]
        return Pressed(max((one.time for one in last if one.hub_id == hub.hub_id), default=0.0))

    def motion(self, line: str, seconds: float) -> None:
        self._bench.motion(self._prefix + line, seconds, self._hub())

    def mains(self, on: bool) -> None:
        self._bench.mains(on, self._hub())

    def indication(self) -> Indication:
        return self._bench.indicator(self._hub())

    def forget(self) -> None:
        pass  # the bench sees the hub's pins go dark

    def settle(self) -> None:
        hub = self._hub()
        for name, wire in hub.wires.items():
            self._bench.plug(name, hub)
            if wire.kind == "mains":
                self._bench.mains(True, hub)
            elif wire.kind == "button" and wire.pressed:
                self._bench.stick(name, False, hub)
