"""The benchmarks run and report what they say they report; their numbers are for a quiet machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers_broker import Mosquitto

ROOT = Path(__file__).resolve().parent.parent.parent
SYSTEMS = {"kanhu", "bridge", "bridge saving"}


def run(script: str, *args: str) -> Any:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *args],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not Mosquitto.installed(), reason="mosquitto is not installed")
def test_spine() -> None:
    result = run("spine.py", "--tiny", "--json")
    assert set(result["systems"]) == SYSTEMS
    for system in result["systems"].values():
        assert system["events_per_s"]["p50"] > 0
        for phase in ("idle", "paced", "loaded", "loaded_calls"):
            assert 0 < system[phase]["p50_ms"] <= system[phase]["p99_ms"]
        assert system["killed_flow"]["published"] > 0
    assert result["reference"] == "bridge"
    assert result["systems"]["bridge"]["of_reference"]["p50"] == 1
    kanhu = result["systems"]["kanhu"]
    assert (kanhu["lost"], kanhu["killed_flow"]["lost"], kanhu["killed_backlog"]["lost"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("option", "value", "systems", "reference"),
    [
        ("--against", "HEAD", ["kanhu", "kanhu at HEAD"], "kanhu at HEAD"),
        ("--fsync-delay-ms", "20", ["kanhu", "fsync + 20 ms"], "kanhu"),
    ],
)
def test_spine_beside_itself(option: str, value: str, systems: list[str], reference: str) -> None:
    if option == "--against" and not (ROOT / ".git").exists():
        pytest.skip("not on this platform: this tree is no git repository")
    result = run("spine.py", "--tiny", "--json", option, value)
    assert list(result["systems"]) == systems
    assert result["reference"] == reference
    for system in result["systems"].values():
        assert system["of_reference"]["p50"] > 0
        assert system["lost"] == 0
    if option == "--fsync-delay-ms":
        usual, slow = (result["systems"][name]["idle"]["p50_ms"] for name in systems)
        assert slow > usual + 16  # an event goes on after its fsync, never before


def test_seal() -> None:
    result = run("seal.py", "--rounds", "2", "--events", "50", "--json")
    assert 0 < result["bytes"]["plain"] < result["bytes"]["sealed"] < result["bytes"]["json"]
    for side in ("micropython_us", "cpython_us"):
        for times in result[side].values():
            assert 0 < times["min"] <= times["p50"] <= times["max"]


def test_flash() -> None:
    result = run("flash.py", "--boards", "1", "--tiny", "--json")
    (row,) = result["runs"]
    assert row["boards"] == 1
    assert row["again_s"] < row["kanhu_s"]
    assert row["by_hand_s"] > 0
    assert row["of_by_hand"] > 0
    assert result["bytes"] > 1_000_000


def test_bad_options_are_one_clear_line() -> None:
    for script in ("spine.py", "seal.py"):
        done = subprocess.run(
            [sys.executable, str(ROOT / "benchmarks" / script), "--rounds", "0"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert "--rounds" in done.stderr.splitlines()[-1]


def test_an_unknown_revision_is_one_clear_line() -> None:
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "spine.py"),
        "--tiny",
        "--against",
        "no-such-revision",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "git knows no revision no-such-revision" in done.stderr.splitlines()[-1]
