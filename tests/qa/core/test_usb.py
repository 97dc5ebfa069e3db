"""`--target usb` knows nothing of its boards but two serial ports: here those of two simulated ones, in a
process that shares nothing else with the suite. The day real boards are plugged in, only the ports change."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
START_S = 60.0
LONG_S = 600.0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Path]:
    """bench.toml of a `kanhu sim bench` that runs."""
    file = tmp_path / "bench.toml"
    with (tmp_path / "bench.log").open("wb") as output:
        boards = subprocess.Popen(
            [sys.executable, "-m", "kanhu", "sim", "bench", "--quiet", "--write", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        end = time.monotonic() + START_S
        while not file.exists():
            said = (tmp_path / "bench.log").read_text(errors="replace")
            assert boards.poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(0.1)
        yield file
    finally:
        boards.send_signal(signal.SIGTERM)
        try:
            boards.wait(30)
        except subprocess.TimeoutExpired:
            boards.kill()
            boards.wait()


def run(bench: Path, report: str, *more: str) -> dict[str, Any]:
    """The record of one run of the smoke tests, which has to pass."""
    folder = bench.parent / report
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "hil_tests/smoke", "--target", "usb", "--bench", str(bench),
         "-m", "smoke", "--report", str(folder), "-p", "no:cacheprovider", *more],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(bench.parent), "XDG_RUNTIME_DIR": str(bench.parent)},
        capture_output=True,
        text=True,
        timeout=LONG_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    found: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.timeout(2 * LONG_S)
def test_smoke_passes_on_two_ports_of_another_process_and_again_without_flashing(bench: Path) -> None:
    whole = run(bench, "first")
    assert whole["verdict"] == "passed"
    assert {test["outcome"] for test in whole["tests"]} == {"passed"}, whole["tests"]
    assert [(one["role"], one["flashed"], one["simulated"]) for one in whole["boards"]] == [
        ("stimulus", True, True),
        ("hub", True, True),
    ]
    marks = [mark["name"] for test in whole["tests"] for mark in test["marks"]]
    assert {"press button", "lamp heard", "platform call"} <= set(marks)

    again = run(bench, "again", "--no-flash", "-k", "person or files")
    outcomes = {test["id"].partition("::")[2]: test for test in again["tests"]}
    assert outcomes["test_a_press_reaches_a_person_and_the_elder_sees_it"]["outcome"] == "passed"
    skipped = outcomes["test_mpremote_sees_the_files_that_an_esp32_would_get"]
    assert skipped["outcome"] == "skipped"
    assert "this bench has no flash" in skipped["message"]
    assert not any(one["flashed"] for one in again["boards"])
    assert any("--no-flash" in note for note in again["notes"])
    hubs = [one for run in (whole, again) for one in run["boards"] if one["role"] == "hub"]
    assert hubs[0]["mac"] == hubs[1]["mac"]
    assert hubs[1]["firmware_version"] == hubs[0]["firmware_version"]
