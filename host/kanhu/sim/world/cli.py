"""The named run: many schedules on all processors, one line each that went wrong, and what was exercised."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kanhu.sim.faults.coverage import Coverage
from kanhu.sim.faults.oracle import Violation
from kanhu.sim.faults.plan import Plan
from kanhu.sim.world import plans, schedule
from kanhu.sim.world.hub import library
from kanhu.sim.world.schedule import Verdict

SCHEDULES = 1000
OUTAGE_HOURS = 72.0
KEPT_PER_PROCESS = 20  # schedules that a process plays before a fresh one takes over
SAY_EVERY_S = 30.0


class Job(NamedTuple):
    """One schedule: outage_h is 0 for an ordinary one."""

    seed: int
    outage_h: float = 0.0

    def plan(self) -> tuple[Plan, int]:
        """What it stands for."""
        return plans.outage(self.seed, self.outage_h) if self.outage_h else plans.of_seed(self.seed)

    def __str__(self) -> str:
        """The arguments that play it again."""
        return f"--seed {self.seed}" + (f" --outage {self.outage_h:g}" if self.outage_h else "")


def play(job: Job) -> tuple[Job, Verdict]:
    """Play it; what fails in the world itself is a violation, too."""
    plan, hubs = job.plan()
    try:
        return job, schedule.run(plan, hubs)
    except Exception:
        return job, Verdict(plan, [Violation("the world ended", traceback.format_exc())], 0.0, 0.0)


def jobs(first: int, count: int, outages: int, outage_h: float) -> list[Job]:
    """The long ones first, so that they end with the others."""
    long = [Job(first + number, outage_h) for number in range(outages)]
    return long + [Job(seed) for seed in range(first, first + count - outages)]


class Totals:
    """What all schedules together were."""

    def __init__(self) -> None:
        self.coverage = Coverage(plans.CALM_S)
        self.counts: Counter[str] = Counter()
        self.virtual_s = 0.0
        self.failed: list[Job] = []
        self._begin = time.monotonic()

    def add(self, job: Job, verdict: Verdict) -> None:
        """Count one."""
        self.coverage.add(verdict.plan)
        self.virtual_s += verdict.virtual_s
        self.counts.update(
            {
                "presses": verdict.presses,
                "heard": verdict.heard,
                "events": verdict.events,
                "repeats": verdict.repeats,
            }
        )
        self.counts.update(verdict.exercised)
        if verdict.violations:
            self.failed.append(job)

    def line(self) -> str:
        """Progress in one line."""
        real_s = time.monotonic() - self._begin
        return (
            f"{self.coverage.schedules} schedules, {len(self.failed)} failed, "
            f"{self.virtual_s / 3600:.1f} h of virtual time in {real_s:.0f} s"
        )

    def report(self) -> str:
        """For the end."""
        counts = self.counts
        others = [f"{name}: {count}" for name, count in sorted(counts.items()) if " " in name]
        return "\n".join(
            [
                self.coverage.table(),
                *others,
                f"{counts['presses']} presses, {counts['heard']} heard; {counts['events']} events at the "
                f"platform, {counts['repeats']} further copies of them",
                self.line(),
            ]
        )


def main() -> None:
    """The command line; exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m kanhu.sim.world", description=__doc__)
    parser.add_argument("--schedules", type=int, default=SCHEDULES, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=1, help="seed of the first (%(default)s)")
    parser.add_argument("--outages", type=int, default=1, help="long ones among them (%(default)s)")
    parser.add_argument("--outage", type=float, metavar="HOURS", help=f"of each ({OUTAGE_HOURS:g})")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    parser.add_argument("--seed", type=int, help="play this one alone and print what happened")
    parser.add_argument("--plan", type=Path, help="play a printed plan (JSON lines) and print what happened")
    parser.add_argument("--quiet", action="store_true", help="without the trace of a single schedule")
    given = parser.parse_args()
    if given.plan is not None:
        plan = Plan.loads(given.plan.read_text(encoding="utf-8"))
        sys.exit(_alone(schedule.run(plan, plan.hubs), given.quiet))
    if given.seed is not None:
        sys.exit(_alone(play(Job(given.seed, given.outage or 0.0))[1], given.quiet))
    outage_h = OUTAGE_HOURS if given.outage is None else given.outage
    sys.exit(_many(jobs(given.first, given.schedules, given.outages, outage_h), given.jobs))


def _alone(verdict: Verdict, quiet: bool) -> int:
    lines = [] if quiet else [*verdict.trace, verdict.plan.dumps()]
    lines += [f"{one.rule}: {one.text}" for one in verdict.violations]
    lines.append(f"{verdict.virtual_s:.0f} s of virtual time in {verdict.real_s:.1f} s: {_word(verdict)}")
    sys.stdout.write("\n".join(lines) + "\n")
    return bool(verdict.violations)


def _word(verdict: Verdict) -> str:
    return f"{len(verdict.violations)} promises broken" if verdict.violations else "every promise held"


def _many(todo: list[Job], processes: int) -> int:
    totals = Totals()
    said = time.monotonic()
    sys.stdout.write(
        f"{len(todo)} schedules, seeds {min(job.seed for job in todo)} to {max(job.seed for job in todo)}, "
        f"{sum(job.outage_h > 0 for job in todo)} of them with the platform down for "
        f"{max(job.outage_h for job in todo):g} h\n"
    )
    for job, verdict in _played(todo, processes):
        totals.add(job, verdict)
        if verdict.violations:
            sys.stdout.write(f"FAILED {job}: python -m kanhu.sim.world {job}\n")
            for one in verdict.violations[:5]:
                sys.stdout.write(f"    {one.rule}: {one.text}\n")
            sys.stdout.write(verdict.plan.dumps())
        if time.monotonic() - said >= SAY_EVERY_S:
            said = time.monotonic()
            sys.stdout.write(totals.line() + "\n")
        sys.stdout.flush()
    sys.stdout.write(totals.report() + "\n")
    for job in totals.failed:
        sys.stdout.write(f"failed: python -m kanhu.sim.world {job}\n")
    return bool(totals.failed)


def _played(todo: list[Job], processes: int) -> Iterator[tuple[Job, Verdict]]:
    if processes <= 1:
        yield from map(play, todo)
        return
    library()  # built once, used by all
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=KEPT_PER_PROCESS) as pool:
        yield from pool.imap_unordered(play, todo)
