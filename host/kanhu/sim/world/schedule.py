"""One schedule from its seed to its verdict."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from kanhu.sim.faults.oracle import Violation
from kanhu.sim.faults.plan import Plan, Step
from kanhu.sim.world import judge
from kanhu.sim.world.actions import Actions
from kanhu.sim.world.house import House
from kanhu.sim.world.loop import FINE, Slack
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


class Session:
    """A world that lives as long as the block: `with Session(seed, hubs) as session: ...`."""

    begin_s = BEGIN_S

    def __init__(self, seed: int, homes: int | Sequence[House] = 1, slack: Slack = FINE) -> None:
        self._slack = slack
        self._seed = seed
        self._homes = homes
        self._began = time.monotonic()

    def make_world(self, folder: Path) -> World:
        """The world, not yet built."""
        return World(folder, self._seed, self._homes, self._slack)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.world = self.make_world(stack.enter_context(_folder()))
            stack.enter_context(installed(self.world.clock, random.Random(self._seed + 6)))
            stack.enter_context(_logs(self.world))
            stack.callback(self.world.end)
            self.actions = Actions(self.world)
            self._run(self._begin())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self.world.loop.run_until_complete(work)

    async def _begin(self) -> None:
        self.world.build()
        await asyncio.sleep(self.begin_s)

    def wait(self, seconds: float) -> None:
        """Let so much virtual time pass."""
        self._run(asyncio.sleep(max(0.0, seconds)))

    def do(self, step: Step) -> None:
        """Begin one step now."""

        async def now() -> None:
            self.actions.do(step)

        self._run(now())

    def play(self, plan: Plan) -> Verdict:
        """All steps, each at its time, and the verdict."""
        begin = self.world.loop.time()
        for step in plan.steps:
            self.wait(begin + step.at_s - self.world.loop.time())
            self.do(step)
        self.wait(begin + plan.duration_s - self.world.loop.time())
        return self.verdict(plan)

    def verdict(self, plan: Plan) -> Verdict:
        """With every fault lifted: wait until all is settled, and judge."""
        world = self.world
        world.say("* every fault is lifted")
        lifted = world.loop.time()
        self.wait(1.0)
        found = []
        while why := unsettled(world):
            if world.loop.time() - lifted > DRAIN_MAX_S:
                found.append(
                    Violation("not settled", f"{DRAIN_MAX_S / 3600:g} h after the last fault: {why}")
                )
                break
            self.wait(DRAIN_STEP_S)
        if world.host.daemon is not None:
            found += judge.violations(world)
        return Verdict(
            plan,
            found,
            world.loop.time(),
            time.monotonic() - self._began,
            sum(len(home.contacts) for home in world.homes),
            sum(one.heard_s is not None for home in world.homes for one in home.taken),
            len(world.platform.handed),
            len(world.platform.received) - len(world.platform.handed),
            world.exercised,
            list(world.trace),
        )


def run(plan: Plan, hubs: int = 1) -> Verdict:
    """Play a plan in a new world and judge it."""
    with Session(plan.seed, hubs) as session:
        return session.play(plan)


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

    def keep(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        rest = [f"{name}={value}" for name, value in event.items() if name not in ("event", "exc_info")]
        world.say(f"daemon {method}: {event.get('event')} {' '.join(rest)}")
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
