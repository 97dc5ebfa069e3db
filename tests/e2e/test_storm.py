"""20,000 hubs lose mains within one second, and elders press: real broker, real daemon, real desk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
HUBS, CALLS = 20_000, 4
LIMIT_MS = 2000  # delivering all of them takes about 10 s: a call that waited its turn would take as long


def storm(*more: str) -> Any:
    command = [sys.executable, str(ROOT / "benchmarks" / "storm.py"), "--json", "--calls", str(CALLS), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_call_overtakes_twenty_thousand_faults() -> None:
    found = storm("--hubs", str(HUBS), "--until", "stored")["kanhu"]
    for where in ("stored", "desk", "city"):
        assert found["storm"][where]["missing"] == 0, found
        assert found["storm"][where]["max_ms"] < LIMIT_MS, found
    books = found["books"]
    assert books["balanced"]
    assert books["stored"] == HUBS
    assert books["faults"] == books["members"] == HUBS - 2 * CALLS
    ((region, _, closed_ms),) = books["incidents"]
    assert (region, closed_ms) == ("cn/42/01", None)
    assert found["city_kinds"]["org.kanhu.incident.opened.v1"] == 1
    (on_desk,) = found["incidents"]
    assert on_desk["kind"] == "mains.lost"
    assert on_desk["members"] == HUBS - 2 * CALLS, "one line, not twenty thousand"


@pytest.mark.parametrize("hubs", [300])
def test_everything_of_a_storm_is_delivered(hubs: int) -> None:
    """The members of an incident go to the platform as ever."""
    found = storm("--hubs", str(hubs))["kanhu"]
    assert found["books"]["delivered"] == found["books"]["stored"] == hubs
    assert found["city_kinds"]["org.kanhu.mains.lost.v1"] == hubs - 2 * CALLS
