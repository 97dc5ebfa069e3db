"""One schedule after the other on a bench that goes on: carried out, settled, judged, written down."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from kanhu.qa.record import Recorder
from kanhu.qa.rig import Rig
from kanhu.sim.faults.oracle import Violation
from kanhu.sim.faults.plan import Plan

from .deeds import Deeds, Press
from .faults import Faults
from .judge import Broken, Watch, broken
from .schedule import Done, rows, run, table
from .stage import background

OPERATOR_EVERY_S = 3.0
EMPTY_S = 150.0  # a hub may sit out its longest back-off first
FRESH_S = 3.0  # heartbeats that waited with the rest come in one burst
LOOK_S = 0.1

# Of a heartbeat's data, and the sum of which of its parts.
SERIES = {"heap free (B)": ("heap_bytes", ("free",)), "outbox (events)": ("outbox", ("urgent", "bulk"))}


@dataclass(frozen=True)
class Outcome:
    """What became of one schedule."""

    plan: Plan
    done: list[Done]
    broken: list[Broken]
    errors: list[str]  # what the bench could not do: no promise is broken by it
    presses: int
    settled_s: float

    @property
    def sentence(self) -> str:
        """One line for whoever watches."""
        faults = ", ".join(sorted({span.fault for span in self.plan.spans()}))
        verdict = "; ".join(map(str, self.broken)) or "every promise held"
        return (
            f"seed {self.plan.seed}: {verdict}; {self.presses} presses, {faults or 'no faults'}; settled in "
            f"{self.settled_s:.1f} s"
        )

    def explain(self) -> str:
        """For a failing test: what broke, how to see it again, what was done when."""
        lines = [*map(str, self.broken), *(f"the bench failed: {error}" for error in self.errors)]
        lines += [
            f"once more: --seed {self.plan.seed}, or --replay run.json of this report",
            table(self.done),
        ]
        return "\n".join(lines)


def attempt(plan: Plan, rig: Rig, faults: Faults, recorder: Recorder) -> Outcome:
    """Carry out the plan on the shared hub, have everything closed, and judge. With odd seeds an operator is
    at work meanwhile; with even ones nobody answers until it is over."""
    board = rig.hub
    recorder.schedule(plan.seed, rows(plan))
    faults.dark.clear()  # of schedules before, which are settled and judged
    faults.full.clear()
    deeds = Deeds(faults, [board])
    watch = Watch(rig, faults, board)
    with background("operator", lambda end: _work(rig, watch, end)) if plan.seed % 2 else nullcontext():
        done = run(plan, faults, deeds)
    over = time.monotonic()
    faults.look()  # before settling starts a daemon that is not there
    left = rig.settle() or _emptied(rig, over) or rig.settle()
    settled_s = time.monotonic() - over
    found = [*watch.shown(over), *watch.judge(deeds.presses)]
    found += [Violation("not settled", text) for text in left]
    _write_down(recorder, rig, watch.begin, deeds.presses, found)
    errors = [f"{one.step.action}: {one.error}" for one in done if one.error]
    return Outcome(plan, done, broken(found), errors, len(deeds.presses), settled_s)


def _emptied(rig: Rig, over: float) -> list[str]:
    """Wait until the hub has said twice, anew, that nothing waits in its outbox: what the host has not heard
    of yet is in no book of the host's. What is still there, in words."""
    end = time.monotonic() + EMPTY_S
    while time.monotonic() < end:
        with rig.host.city.lock:
            beats = [
                (at, event.data.get("outbox", {}))
                for at, event in rig.host.city.log
                if at > over and event.name == "heartbeat" and event.hub == rig.hub.hub_id
            ]
        if beats and not any(beats[-1][1].values()) and beats[-1][0] - beats[0][0] > FRESH_S:
            return []
        time.sleep(LOOK_S)
    return [f"the hub's outbox is not empty {EMPTY_S:g} s later: {beats[-1][1] if beats else 'no heartbeat'}"]


def _work(rig: Rig, watch: Watch, end: threading.Event) -> None:
    """An operator takes what is open, again and again, so that the lamp answers the next press anew."""
    while not end.wait(OPERATOR_EVERY_S):
        with rig.host.city.lock:
            waiting = bool(rig.host.city.waiting)
        if waiting:
            watch.answered = min(watch.answered, time.monotonic())
            rig.host.city.accept_all()


def _write_down(
    recorder: Recorder, rig: Rig, begin: float, presses: Sequence[Press], found: Sequence[Violation]
) -> None:
    for press in presses:
        recorder.mark("press", press.at, press.line)
    city = rig.host.city
    with city.lock:
        log = [(at, event) for at, event in city.log if at >= begin and event.hub == rig.hub.hub_id]
    arrived = 0
    for at, event in log:
        if event.name == "call":
            recorder.mark("call at the platform", at)
            arrived += int(event.data.get("count", 1))
        elif event.name == "heartbeat":
            for name, (key, parts) in SERIES.items():
                if key in event.data:
                    recorder.series(name, sum(float(event.data[key][part]) for part in parts), at)
    rules = [one.rule for one in found]
    recorder.calls(
        pressed=len(presses),
        arrived=arrived,
        lost=rules.count("heard press lost"),
        doubled=rules.count("press twice") + rules.count("delivered twice"),
    )
