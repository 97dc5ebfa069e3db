"""Faults and presses by a seed: drawn, carried out in real time, and the very same once more."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kanhu.qa.model import Run
from kanhu.sim.faults.plan import Plan, PlanError, Step
from kanhu.sim.faults.run import lanes

from .deeds import Deeds
from .faults import Faults

FAULTS = (3, 6)  # least and most of a schedule; those that find no room fall out
FAULT_S = (0.5, 6.0)
PRESS_EVERY_S = 4.0
NEVER_S = 1e9
# Steps of one lane happen one after the other; what is not named here has a lane of its own, for each hub.
LANES = {
    **dict.fromkeys(("daemon_kill", "daemon_stop"), "daemon"),
    **dict.fromkeys(("hub_power_cut", "hub_torn", "hub_brown_out", "hub_clock_jump"), "supply"),
    **dict.fromkeys(("hub_flash_full", "hub_flash_free"), "flash"),
    **dict.fromkeys(("wifi_down", "wifi_up"), "wifi"),
    **dict.fromkeys(("host_disk_full", "host_disk_free"), "disk"),
    **dict.fromkeys(("platform_down", "platform_up"), "platform"),
    **dict.fromkeys(("platform_mute", "platform_unmute"), "platform's manners"),
}


@dataclass(frozen=True)
class Done:
    """One step as it was carried out: s since the schedule's begin; error: why it was not."""

    step: Step
    begin_s: float
    end_s: float
    error: str = ""


def draw(seed: int, duration_s: float, weights: Mapping[str, float], hubs: int = 1, buttons: int = 2) -> Plan:
    """The schedule of this seed, on a bench that can do all that the weights name."""
    return Plan.draw(
        seed,
        duration_s,
        weights,
        hubs=hubs,
        buttons=buttons,
        faults=FAULTS,
        fault_s=FAULT_S,
        press_every_s=PRESS_EVERY_S,
        motion_every_s=NEVER_S,
    )


def rows(plan: Plan) -> list[dict[str, Any]]:
    """Its steps as a report keeps them."""
    return [json.loads(line) for line in plan.dumps().splitlines()[1:]]


def read(path: Path, test: str = "") -> Plan:
    """The schedule that a report (run.json) holds of a test, of the first that has one if none is named; a
    file of JSON lines, as Plan.dumps() writes them, is one too. PlanError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}") from None
    try:
        run = Run.model_validate_json(text)
    except ValidationError as error:
        first = text.lstrip().partition("\n")[0]
        if '"seed"' in first and '"tests"' not in first and first.endswith("}"):
            return Plan.loads(text)
        raise PlanError(f"{path} is no report: {error.errors()[0]['msg']}") from None
    found = [one for one in run.tests if one.schedule and test in ("", one.id)]
    if not found:
        raise PlanError(f"{path} holds no schedule" + (f" of {test}" if test else ""))
    lines = [{"seed": found[-1].seed or 0}, *found[-1].schedule]
    return Plan.loads("\n".join(map(json.dumps, lines)))


def lane(step: Step) -> str:
    """Where the step stands in line."""
    return f"{LANES.get(step.action, step.action)} {step.target}"


def run(plan: Plan, faults: Faults, deeds: Deeds) -> list[Done]:
    """Carry it out in real time; what was done when, in order of begin. All faults are over then."""
    deeds.prepare(plan)
    done: list[Done] = []
    begin = time.monotonic()

    def carry_out(step: Step) -> None:
        began, error = time.monotonic(), ""
        try:
            deeds.do(step)
        except Exception as trouble:  # told with the record, which the caller judges
            error = f"{type(trouble).__name__}: {trouble}"
        done.append(Done(step, began - begin, time.monotonic() - begin, error))

    try:
        with lanes() as submit:
            for step in plan.steps:
                time.sleep(max(0.0, begin + step.at_s - time.monotonic()))
                submit(lane(step), lambda step=step: carry_out(step))  # type: ignore[misc]
    finally:
        for fault in reversed(list(faults.open)):
            fault.end()
    return sorted(done, key=lambda one: one.begin_s)


def table(done: Sequence[Done]) -> str:
    """A line for each step: when it was due, when it was, what."""
    return "\n".join(
        f"{one.step.at_s:8.3f} {one.begin_s:8.3f} {one.end_s:8.3f}  {one.step.action} {one.step.args or ''}"
        + (f"  FAILED: {one.error}" if one.error else "")
        for one in done
    )
