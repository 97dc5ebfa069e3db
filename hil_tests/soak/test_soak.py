"""Random faults and presses until time is up: `pytest hil_tests -m soak --soak-minutes 600` for a night."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from kanhu.qa.faults.deeds import possible
from kanhu.qa.faults.faults import Faults
from kanhu.qa.faults.schedule import draw, read
from kanhu.qa.faults.soak import Outcome, attempt
from kanhu.qa.hub import Hub
from kanhu.qa.record import Recorder
from kanhu.qa.rig import Rig

MINUTES = {"sim": 3.0, "usb": 60.0}
SCHEDULE_S = 20.0
SEEDS = 1_000_000


@pytest.mark.soak
@pytest.mark.needs("press", "indicator", "log")
@pytest.mark.timeout(0)  # as long as --soak-minutes says
def test_every_promise_holds_whatever_goes_wrong(
    hub: Hub,
    bench: Rig,
    fault: Faults,
    recorder: Recorder,
    pytestconfig: pytest.Config,
    request: pytest.FixtureRequest,
) -> None:
    """Schedules of faults, each drawn from a seed, carried out, settled and judged by the oracle's rules."""
    minutes = pytestconfig.getoption("--soak-minutes") or MINUTES[bench.target]
    again: Path | None = pytestconfig.getoption("--replay")
    seed = pytestconfig.getoption("--seed")
    if seed is None:
        seed = random.randrange(SEEDS)
    weights = possible(fault)
    outcomes: list[Outcome] = []
    end = time.monotonic() + minutes * 60
    while not outcomes or (time.monotonic() < end and not again):
        plan = read(again, request.node.nodeid) if again else draw(seed + len(outcomes), SCHEDULE_S, weights)
        print(f"schedule {len(outcomes) + 1}: seed {plan.seed}", flush=True)
        outcome = attempt(plan, bench, fault, recorder)
        outcomes.append(outcome)
        print(outcome.sentence, flush=True)
        if outcome.broken or outcome.errors:
            for one in {one.promise for one in outcome.broken}:
                request.node.add_marker(pytest.mark.promise(one))
            pytest.fail(outcome.explain(), pytrace=False)
    recorder.measure("schedules without a broken promise", len(outcomes), "")
    recorder.note(
        f"soak: {len(outcomes)} schedules, seeds {seed} to {outcomes[-1].plan.seed}, none broke a promise"
    )
