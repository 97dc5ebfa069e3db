"""One plan on real processes, from its first step to the judgement."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kanhu.sim.town import Home

from . import oracle
from .oracle import Violation
from .plan import Plan, Step
from .world import World as World

SETTLE_LIMIT_S = 40.0


@dataclass
class Outcome:
    """What became of a plan."""

    plan: Plan
    violations: list[Violation]
    seconds: float
    settled_s: float
    counts: dict[str, int] = field(default_factory=dict)
    log: str = ""  # of hubs and daemon, when something was violated


def lane(step: Step) -> str:
    """Steps of one lane happen one after the other."""
    for prefix, name in (("platform", "platform"), ("host_", step.action), ("broker", "broker")):
        if step.action.startswith(prefix):
            return name
    if step.action in ("daemon_kill", "registry_restored"):
        return "daemon"
    if step.action in ("hub_power_cut", "hub_clock_jump"):
        return f"power {step.target}"
    return f"{step.action.partition('_')[0]} {step.target}"


@contextlib.contextmanager
def lanes() -> Iterator[Callable[[str, Callable[[], None]], Future[None]]]:
    """submit(lane, work): one thread per lane; all have ended when the block has."""
    pools: dict[str, ThreadPoolExecutor] = {}

    def submit(name: str, work: Callable[[], None]) -> Future[None]:
        return pools.setdefault(name, ThreadPoolExecutor(1, thread_name_prefix=name)).submit(work)

    try:
        yield submit
    finally:
        for pool in pools.values():
            pool.shutdown(wait=True)


def play(world: World, plan: Plan) -> None:
    """Carry out the plan in real time; returns when every step is over."""
    begin = time.monotonic()
    with lanes() as submit:
        done = []
        for step in plan.steps:
            time.sleep(max(0.0, begin + step.at_s - time.monotonic()))
            done.append(submit(lane(step), partial(getattr(world, step.action), **step.args)))
    for one in done:
        one.result()


def run(
    plan: Plan,
    folder: Path,
    small_disk: bool,
    make: Callable[[Path, int, bool], World] = World,
    limit_s: float = SETTLE_LIMIT_S,
) -> Outcome:
    """Carry out one plan in an empty folder, settle, judge. KANHU_KEEP=1 leaves the folder."""
    begun = time.monotonic()
    with make(folder, plan.hubs, small_disk) as world:
        play(world, plan)
        over = time.monotonic()
        found = world.settle(limit_s)
        settled_s = time.monotonic() - over
        for home in world.homes:
            world.town.bench.cut_power(home.hub)
        if not found:
            found = world.settle(limit_s)
        found += [one for one in world.violations() if one.rule != "not settled" or not found]
        pressed = world.pressed()
        outcome = Outcome(
            plan,
            found,
            time.monotonic() - begun,
            settled_s,
            {
                "pressed": len(pressed),
                "heard": sum(one.heard_s is not None for one in pressed),
                "events": len(world.handed()),
                "repeats": len(world.wire.received) - len({one.identity for one in world.wire.received}),
                "daemon_starts": world.town.daemon.starts,
                "hub_starts": sum(home.hub.boots for home in world.homes),
            },
        )
        if found:
            logs = [f"-- hub {home.hub_id}\n{_timed(home, begun)}" for home in world.homes]
            logs += ["-- presses\n" + "\n".join(map(str, pressed))]
            calls = [event for event in world.handed() if event.event_class == oracle.P1]
            logs += ["-- P1 at the platform\n" + "\n".join(map(str, calls))]
            logs += [f"-- daemon\n{world.town.daemon.log()[-20_000:]}"]
            outcome.log = "\n".join(logs)
    if not os.environ.get("KANHU_KEEP"):
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def attempt(plan: Plan, small_disk: bool) -> Outcome:
    """run() in a new folder; a bench that fails is a violation too."""
    logging.getLogger("kanhu").setLevel(logging.ERROR)  # the SDK tells of each broker that went, as it should
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="kanhu-faults-"))
    try:
        return run(plan, folder, small_disk)
    except Exception:
        found = [Violation("the bench failed", traceback.format_exc())]
        return Outcome(plan, found, time.monotonic() - begun, 0.0)


def _timed(home: Home, begun: float) -> str:
    return "\n".join(f"{when:.3f} {text}" for when, text in home.hub.lines())
