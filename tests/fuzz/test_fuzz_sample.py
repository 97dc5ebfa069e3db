"""A sample of `make fuzz`: every decoder for a second, and three with planted faults to be found."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="not on this platform: Atheris has wheels for Linux on x86-64 only",
)


def fuzz(room: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    ran = subprocess.run(
        [sys.executable, str(HERE / "run.py"), "--json", "--seed", "7", "--room", str(room), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout, ran.stderr
    return ran.returncode, {one["target"]: one for one in json.loads(ran.stdout)["targets"]}, ran.stderr


@pytest.mark.timeout(400)  # by count of decoders, not by the clock: a busy machine takes longer
def test_every_decoder_holds(tmp_path: Path) -> None:
    status, reports, said = fuzz(tmp_path, "--seconds", "9", "--jobs", "2")
    wrong = {name: report["faults"] for name, report in reports.items() if report["faults"]}
    assert not wrong, wrong
    assert status == 0, said
    needed = {
        "cbor",
        "frame",
        "seal",
        "event",
        "down",
        "bthome",
        "monitors",
        "mqtt-codec",
        "mqtt-host",
        "mqtt-hub",
    }
    assert reports.keys() >= needed | {"host-config", "hub-config", "settings", "commands"}
    for name, report in reports.items():
        assert report["executions"] > 30, name  # beyond nothing: a busy machine is slow
        assert report["edges"] > 20, name
        assert report["lines"] > 10, name
        assert report["measured"] >= report["corpus"] > 5, name
        assert report["floor"] >= 65, name


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("target", "seconds", "fault"),
    [
        ("planted-crash", 150, "IndexError"),  # it ends when it has found it, after about a second
        ("planted-growth", 1, "memory grows"),
        ("planted-peak", 1, "one input takes"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, target: str, seconds: int, fault: str) -> None:
    status, reports, _ = fuzz(tmp_path, "--target", target, "--seconds", str(seconds))
    (found,) = reports[target]["faults"]
    assert fault in found
    assert status == 1
    if target == "planted-crash":
        (saved,) = reports[target]["inputs"]
        assert Path(saved).read_bytes().startswith(b"Kanhu")
        again = [sys.executable, str(HERE / "run.py"), "--target", target, "--input", saved]
        ran = subprocess.run(again, capture_output=True, text=True, check=False)
        assert ran.returncode == 1
        assert "IndexError" in ran.stderr
