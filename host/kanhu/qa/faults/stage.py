"""What faults are made on: the bench, who is told of them, and which are not over."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kanhu.qa.board import Board
from kanhu.qa.capabilities import NeedsCapability
from kanhu.sim.faults.heard import Spell

from .fault import Begin, Fault, FaultTrouble, Recorder

if TYPE_CHECKING:
    from kanhu.qa.rig import Rig
    from kanhu.sim.bench import Bench
    from kanhu.sim.hub import Hub as SimHub

JOIN_S = 60.0


class Stage:
    """The part that all kinds of faults share. dark, full: spells without supply or room, by hub."""

    def __init__(self, rig: Rig, recorder: Recorder, seed: int = 0) -> None:
        self.rig = rig
        self.seed = seed
        self.open: list[Fault] = []
        self.dark: dict[str, list[Spell]] = defaultdict(list)
        self.full: dict[str, list[Spell]] = defaultdict(list)
        self._recorder = recorder
        self._drawn = 0

    def _next_seed(self) -> int:
        """Of one fault's own draws: the next fault of a test draws others."""
        self._drawn += 1
        return self.seed * 1000 + self._drawn

    def _fault(self, name: str, make: Begin, detail: str = "") -> Fault:
        return Fault(name, detail, make, self._recorder, self.open)

    def _need(self, *names: str) -> None:
        """NeedsCapability, with those of the names that the bench has not."""
        missing = [name for name in names if name not in self.rig.capabilities]
        if missing:
            raise NeedsCapability(*missing)

    def _hub(self, hub: Board | None) -> Board:
        return self.rig.hub if hub is None else hub

    def _bench(self, capability: str) -> Bench:
        """The simulated bench; NeedsCapability, by this name, where there is none."""
        self._need(capability)
        if self.rig.sim is None:
            raise NeedsCapability(capability)
        return self.rig.sim

    def _simulated(self, bench: Bench, hub: Board) -> SimHub:
        return bench.hubs[hub.hub_id]


@contextmanager
def background(name: str, work: Callable[[threading.Event], None]) -> Iterator[threading.Thread]:
    """work(over) in a thread of its own until the block ends, which sets over; what it raised is raised."""
    over = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work(over)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        over.set()
        thread.join(JOIN_S)
    if thread.is_alive():
        raise FaultTrouble(f"{name} does not come to an end")
    if failed:
        raise failed[0]
