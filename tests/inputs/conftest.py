from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_micropython import run_micropython

WORLD = (Path(__file__).parent / "world.py").read_text(encoding="utf-8")
NEAR_WRAP = 2**30 - 1_000  # an ESP32's ticks, one second before they start again


class Played:
    """What a scenario gave: events as (ms, kind, fields) and the input's counters."""

    def __init__(self, answer: dict[str, Any], out: str) -> None:
        self.out = out
        self.counts: dict[str, int] = answer["counts"]
        self.events = [(ms, kind, dict(fields)) for ms, kind, fields in answer["events"]]

    @property
    def kinds(self) -> list[int]:
        return [kind for _, kind, _ in self.events]

    def of(self, kind: int) -> list[tuple[int, dict[int, Any]]]:
        return [(ms, fields) for ms, k, fields in self.events if k == kind]

    def total(self, kind: int, key: int) -> int:
        return sum(fields.get(key, 1) for _, fields in self.of(kind))


@pytest.fixture(scope="session")
def play() -> Callable[..., Played]:
    """play(input, steps, until, ...): run the real input on MicroPython in virtual time."""

    def run(what: str, steps: list[list[Any]], until: int, start: int = NEAR_WRAP, **more: Any) -> Played:
        scenario = {"input": what, "start": start, "steps": [*steps, [until, "end"]], **more}
        # Not an argument: MicroPython's unix port interns those, up to 255 characters.
        out = run_micropython(f"{WORLD}\nshow({json.dumps(scenario)!r})\n")
        return Played(json.loads(out.splitlines()[-1]), out)

    return run
