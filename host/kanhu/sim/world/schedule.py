"""One schedule from its seed to its verdict."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from kanhu.sim.faults.oracle import Violation
from kanhu.sim.faults.plan import Plan
from kanhu.sim.world import judge
from kanhu.sim.world.actions import Actions
from kanhu.sim.world.time import installed
from kanhu.sim.world.world import World

BEGIN_S = 20.0  # the plan begins this long after the hubs have got their power
DRAIN_STEP_S = 30.0
DRAIN_MAX_S = 7200.0  # after the last fault is lifted, all must be settled within this


@dataclass
class Verdict:
    """What a schedule was and how it ended; empty violations: every promise held."""

    plan: Plan
    violations: list[Violation]
    virtual_s: float
    real_s: float
    presses: int = 0
    heard: int = 0
    events: int = 0  # distinct at the platform
    repeats: int = 0  # further copies there
    exercised: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)


def run(plan: Plan, hubs: int = 1) -> Verdict:
    """Play a plan in a new world and judge it."""
    began = time.monotonic()
    with _folder() as folder:
        world = World(folder, plan.seed, hubs)
        asyncio.set_event_loop(None)
        with installed(world.clock, random.Random(plan.seed + 6)), _logs(world):
            try:
                found = world.loop.run_until_complete(_play(world, plan))
                if not found:
                    found = judge.violations(world)
            finally:
                world.end()
    return Verdict(
        plan,
        found,
        world.loop.time(),
        time.monotonic() - began,
        sum(len(home.contacts) for home in world.homes),
        sum(one.heard_s is not None for home in world.homes for one in home.taken),
        len(world.platform.handed),
        len(world.platform.received) - len(world.platform.handed),
        world.exercised,
        list(world.trace),
    )


async def _play(world: World, plan: Plan) -> list[Violation]:
    world.build()
    actions = Actions(world)
    await asyncio.sleep(BEGIN_S)
    begin = world.loop.time()
    for step in plan.steps:
        await asyncio.sleep(max(0.0, begin + step.at_s - world.loop.time()))
        actions.do(step)
    await asyncio.sleep(max(0.0, begin + plan.duration_s - world.loop.time()) + 1.0)
    world.say("* every fault is lifted")
    lifted = world.loop.time()
    while why := unsettled(world):
        if world.loop.time() - lifted > DRAIN_MAX_S:
            return [Violation("not settled", f"{DRAIN_MAX_S / 3600:g} h after the last fault: {why}")]
        await asyncio.sleep(DRAIN_STEP_S)
    return []


def unsettled(world: World) -> str:
    """What still has to happen before the books can be closed; empty: nothing."""
    daemon = world.host.daemon
    if daemon is None:
        return "no daemon runs"
    journal = daemon.journal
    for home in world.homes:
        if not home.hub.powered:
            return f"{home.hub.hub_id} has no power"
        for one in home.recorded:
            if one.saved and not journal.holds(one.identity) and not journal.lost(one.identity):
                return f"{one.identity} of kind {one.kind} is not stored"
        if home.lamps[-1][1] not in ("well", "fault"):
            return f"the lamp of {home.hub.hub_id} shows {home.lamps[-1][1]}"
    ledger = journal.ledger()
    if ledger.awaited or ledger.queued:
        return f"{ledger}"
    for alarm, state in world.platform.states.items():
        if state != "closed":
            return f"alarm {alarm} is {state} at the platform"
    return ""


@contextmanager
def _folder() -> Iterator[Path]:
    shared = Path("/dev/shm")  # noqa: S108  # where an fsync costs nothing; else wherever is room
    folder = Path(tempfile.mkdtemp(prefix="kanhu-world-", dir=shared if shared.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _logs(world: World) -> Iterator[None]:
    """What the daemon logs goes into the world's trace, with the world's time."""

    def keep(logger: Any, method: str, event: dict[str, Any]) -> str:
        words = " ".join(f"{name}={value}" for name, value in event.items() if name not in ("event", "exc_info"))
        world.say(f"daemon {method}: {event.get('event')} {words}")
        error = event.get("exc_info")
        if method == "exception" or error:
            world.say(f"daemon: {error if isinstance(error, BaseException) else sys.exc_info()[1]!r}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)
