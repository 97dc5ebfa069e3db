"""What `kanhu update` shows: releases, a rollout with its hubs, and its progress while it goes on."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from kanhu.cli.show import show, when
from kanhu.updates.releases import Kept
from kanhu.updates.values import (
    DONE,
    ENDED,
    FAILED,
    FETCHING,
    FLYING,
    OVER,
    PAUSED,
    RUNNING,
    STATES,
    TRYING,
    WAITING,
    Rollout,
    Unit,
)
from kanhu.updates.words import sentence

LOOK_S = 1.0
LINES_EVERY_S = 10.0  # where no terminal is: a line at least so often, and with each change
NAMED = 3  # failed hubs named in one sentence


def release_row(kept: Kept, as_json: bool) -> dict[str, Any]:
    """One line of `list`."""
    if as_json:
        return asdict(kept)
    return {
        "version": kept.version,
        "digest": kept.digest[:12],
        "bytes": kept.size,
        "added": when(kept.added_ms),
    }


def status(rollout: Rollout, units: Sequence[Unit], every: bool, as_json: bool) -> None:
    """A rollout, and those of its hubs that are on their way or failed, or all."""
    if as_json:
        whole = asdict(rollout) | {
            "says": headline(rollout, units), "counts": Counter(unit.state for unit in units),
            "hubs": [asdict(unit) | {"says": sentence(unit.why)} for unit in units],
        }  # fmt: skip
        print(json.dumps(whole, ensure_ascii=False))
        return
    print(headline(rollout, units))
    shown = [unit for unit in units if every or unit.state in FLYING or unit.state in ("postponed", FAILED)]
    rows = [
        {
            "hub": unit.hub, "first": "yes" if unit.canary else "", "state": _state(unit, rollout),
            "since": when(unit.changed_ms), "why": sentence(unit.why),
        }
        for unit in shown
    ]  # fmt: skip
    if rows:
        show(rows, False, "")


def _state(unit: Unit, rollout: Rollout) -> str:
    if unit.state == FETCHING:
        return f"fetching {unit.received * 100 // rollout.size} %"
    return unit.state


def headline(rollout: Rollout, units: Sequence[Unit]) -> str:
    """One or two sentences: how it stands and, where a person is needed, what to do."""
    counts = Counter(unit.state for unit in units)
    numbers = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    name = f"rollout {rollout.id} of {rollout.version}"
    if rollout.state == PAUSED:
        return f"{name} is paused: {rollout.why}{_named(units)}. {numbers}. {_cure(units)}"
    if rollout.state == RUNNING:
        why = f"; {rollout.why}" if rollout.why else ""
        return f"{name}: {_phase(rollout, units)}{why}. {numbers}."
    how = "is over" if rollout.state == ENDED else "was cancelled"
    return f"{name} {how} ({when(rollout.ended_ms)}). {numbers}."


def _named(units: Sequence[Unit]) -> str:
    failed = [unit for unit in units if unit.state == FAILED]
    if not failed:
        return ""
    named = "; ".join(f"{unit.hub}: {sentence(unit.why)}" for unit in failed[-NAMED:])
    more = f"; and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
    return f" ({named}{more})"


def _cure(units: Sequence[Unit]) -> str:
    if any(unit.state == FAILED for unit in units):
        return (
            "Nobody is asked any more. Find out why (kanhu update status), then end it (kanhu update cancel) "
            "and build a better release, or let it go on (kanhu update resume)."
        )
    return "It goes on with kanhu update resume."


def _phase(rollout: Rollout, units: Sequence[Unit]) -> str:
    if rollout.passed_ms is not None:
        return f"the first {rollout.settings.canary} have run well, the rest follows"
    first = [unit for unit in units if unit.canary]
    done = sum(unit.state == DONE for unit in first)
    if first and done == len(first) and (done >= rollout.settings.canary):
        ends_ms = max(unit.changed_ms for unit in first) + rollout.settings.soak_ms
        return f"the first {done} have it, and must run well until {when(ends_ms)}"
    return f"{done} of the first {rollout.settings.canary} have it"


def watch(look: Callable[[], tuple[Rollout, list[Unit]]]) -> int:
    """Show it until it is over (0) or paused (1); plain lines where no terminal is."""
    console = Console()
    if not sys.stdout.isatty():
        return _lines(look)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            rollout, units = look()
            if rollout.state != RUNNING:
                break
            live.update(_picture(rollout, units), refresh=True)
            time.sleep(LOOK_S)
    print(headline(rollout, units))
    return rollout.state == PAUSED


def _lines(look: Callable[[], tuple[Rollout, list[Unit]]]) -> int:
    said, at = "", float("-inf")
    while True:
        rollout, units = look()
        line = headline(rollout, units)
        if line != said or time.monotonic() - at >= LINES_EVERY_S:
            print(line, flush=True)
            said, at = line, time.monotonic()
        if rollout.state != RUNNING:
            return rollout.state == PAUSED
        time.sleep(LOOK_S)


def _picture(rollout: Rollout, units: Sequence[Unit]) -> Group:
    counts = Counter(unit.state for unit in units)
    first = [unit for unit in units if unit.canary]
    bars = Progress(
        TextColumn("{task.description:9}"),
        BarColumn(40),
        TextColumn("{task.completed:.0f} of {task.total:.0f}"),
    )
    settings = rollout.settings
    bars.add_task("first", total=settings.canary, completed=sum(unit.state == DONE for unit in first))
    bars.add_task("all", total=len(units), completed=sum(counts[state] for state in OVER))
    for unit in [unit for unit in units if unit.state == FETCHING][:10]:
        bars.add_task(unit.hub, total=rollout.size, completed=unit.received)
    ended = counts[DONE] + counts[FAILED]
    percent = f"{counts[FAILED] * 100 / ended:.1f} %" if ended else "none yet"
    words = f"failed: {percent} (pauses at {settings.pause_percent:g} %)"
    trying = [unit.hub for unit in units if unit.state == TRYING][:10]
    lines = [headline(rollout, units), words]
    if trying:
        lines.append("trying it: " + ", ".join(trying))
    if counts[WAITING] and not counts[DONE] and not any(counts[state] for state in FLYING):
        lines.append("hubs are asked when they are heard")
    return Group(Text(lines[0]), bars, *(Text(line) for line in lines[1:]))
