"""`python -m kanhu.sim.faults`: plans on real processes, two at a time; exit 1 when a promise was broken."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from . import disk
from .coverage import Coverage
from .plan import DEFAULT_WEIGHTS, Plan, PlanError
from .run import Outcome, attempt

DURATION_S = 3.5  # of a plan in real time; hubs live it at processes.SPEED
FAULTS = (4, 8)  # least and most of one plan; those that find no room fall out
FAULT_S = (0.15, 1.5)
PRESS_EVERY_S = 0.3  # as often as one hand can: plan.PRESS_GAP_S keeps them apart
WINDOW_S = 1.0  # of real time: what a fault leaves behind (reconnecting, catching up) lasts about so long
LOG_CHARS = 20_000  # of a failed plan's log


def draw(seed: int, small_disk: bool, hubs: int) -> Plan:
    """The plan of a seed, as this command plays it."""
    weights = dict(DEFAULT_WEIGHTS)
    if not small_disk:
        weights["host_disk_full"] = 0.0
    return Plan.draw(
        seed,
        DURATION_S,
        weights,
        hubs=hubs,
        faults=FAULTS,
        fault_s=FAULT_S,
        press_every_s=PRESS_EVERY_S,
    )


def play_all(plans: Sequence[Plan], small_disk: bool, jobs: int) -> Iterator[Outcome]:
    """Outcomes as they come, jobs plans at a time."""
    if jobs == 1 or len(plans) == 1:
        yield from (attempt(plan, small_disk) for plan in plans)
        return
    context = multiprocessing.get_context("spawn")  # a fork beside the bench's threads may never come back
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        try:
            for done in as_completed([pool.submit(attempt, plan, small_disk) for plan in plans]):
                yield done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C: what runs ends by itself, nothing new begins
            raise


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kanhu.sim.faults", description=__doc__)
    parser.add_argument("--schedules", type=int, default=50, help="how many plans (default 50)")
    parser.add_argument("--seed", type=int, default=1, help="of the first plan; the next ones count up")
    parser.add_argument(
        "--replay", metavar="FILE", help="a printed plan instead of drawn ones; -: standard input"
    )
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="plans at a time")
    parser.add_argument("--hubs", type=int, default=2, help="homes of a plan")
    found = parser.parse_args(words)
    if found.schedules < 1 or found.jobs < 1 or found.hubs < 1:
        parser.error("--schedules, --jobs and --hubs are 1 or more")
    return found


def _plans(arguments: argparse.Namespace, small_disk: bool) -> list[Plan]:
    if not arguments.replay:
        seeds = range(arguments.seed, arguments.seed + arguments.schedules)
        return [draw(seed, small_disk, arguments.hubs) for seed in seeds]
    try:
        if arguments.replay == "-":
            return [Plan.loads(sys.stdin.read())]
        return [Plan.loads(Path(arguments.replay).read_text(encoding="utf-8"))]
    except OSError as error:
        raise PlanError(f"{arguments.replay}: {error.strerror}") from None


def main(words: Sequence[str] | None = None) -> int:
    """0: every promise held; 1: some did not, with the plans that show it; 2: nothing could be run."""
    arguments = _arguments(words)
    small_disk = disk.may_mount()
    if not small_disk:
        command = disk.namespace_command([sys.executable, "-m", "kanhu.sim.faults", *(words or sys.argv[1:])])
        if command:
            sys.stdout.flush()
            os.execv(command[0], command)  # noqa: S606  # the same command, with mounts of its own
        print("host_disk_full: not on this platform (no tmpfs may be mounted)")
    try:
        plans = _plans(arguments, small_disk)
    except PlanError as error:
        print(f"kanhu: {error}", file=sys.stderr)
        return 2
    coverage = Coverage(WINDOW_S)
    counts: Counter[str] = Counter()
    failed: list[Outcome] = []
    begun = time.monotonic()
    for number, outcome in enumerate(play_all(plans, small_disk, arguments.jobs), 1):
        coverage.add(outcome.plan)
        counts.update(outcome.counts)
        _say(number, len(plans), outcome)
        if outcome.violations:
            failed.append(outcome)
            _show(outcome)
    print(coverage.table())
    result = {
        "seeds": [plan.seed for plan in plans],
        "failed": [outcome.plan.seed for outcome in failed],
        "violations": dict(Counter(one.rule for outcome in failed for one in outcome.violations)),
        **counts,
        "seconds": round(time.monotonic() - begun, 1),
        "coverage": coverage.as_dict(),
    }
    print(json.dumps(result))
    return 1 if failed else 0


def _say(number: int, of: int, outcome: Outcome) -> None:
    faults = Counter(span.fault for span in outcome.plan.spans())
    what = ", ".join(name if count == 1 else f"{count} {name}" for name, count in sorted(faults.items()))
    verdict = "ok" if not outcome.violations else "FAILED: " + ", ".join({v.rule for v in outcome.violations})
    heard, pressed = outcome.counts.get("heard", 0), outcome.counts.get("pressed", 0)
    print(
        f"{number}/{of} seed {outcome.plan.seed}: {verdict}, {heard} of {pressed} presses heard, settled in "
        f"{outcome.settled_s:.1f} s, {outcome.seconds:.1f} s in all; {what}",
        flush=True,
    )


def _show(outcome: Outcome) -> None:
    print(f"== seed {outcome.plan.seed} broke its promises; --replay takes this plan:")
    print(outcome.plan.dumps(), end="")
    print(outcome.log[-LOG_CHARS:])
    print("\n".join(f"!! {one.rule}: {one.text}" for one in outcome.violations), flush=True)


if __name__ == "__main__":
    sys.exit(main())
