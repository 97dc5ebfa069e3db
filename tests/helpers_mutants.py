"""Broken firmwares and hosts (mutants.toml): copies of the tree with one defect each, and the suite there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from kanhu.qa.model import Run, Test

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "tests" / "qa" / "mutants"
PARTS = ("firmware", "host", "protocol", "hil_tests")
BROKEN_VERSION = 900  # last part of the version that a mutant's firmware says
LIMIT_S = 3600.0
TRIES = 3


@dataclass(frozen=True)
class Mutant:
    """One patch and who has to notice it."""

    name: str
    breaks: str
    promise: str
    test: str

    @property
    def patch(self) -> Path:
        """A unified diff against the tree."""
        return HERE / "patches" / f"{self.name}.patch"


class Stale(Exception):
    """The patch does not fit today's tree: make it anew."""


@dataclass(frozen=True)
class Verdict:
    """What the suite said of one tree."""

    run: Run | None
    output: str

    def of(self, test: str) -> list[Test]:
        """Runs of a test, one for each of its parameters."""
        found = self.run.tests if self.run else []
        return [one for one in found if one.id.partition("[")[0] == test]


def load() -> list[Mutant]:
    """All of mutants.toml."""
    with (HERE / "mutants.toml").open("rb") as file:
        return [Mutant(name, **row) for name, row in tomllib.load(file).items()]


def copy(tree: Path) -> Path:
    """The parts of the tree that the suite runs from."""
    for part in PARTS:
        shutil.copytree(
            ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".mypy_cache")
        )
    shutil.copyfile(ROOT / "pyproject.toml", tree / "pyproject.toml")
    return tree


def apply(mutant: Mutant, tree: Path) -> None:
    """Put the defect in, and a version of its own into the firmware; Stale."""
    done = subprocess.run(
        ["git", "apply", "--verbose", str(mutant.patch)],
        cwd=tree,
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_DIR": str(tree / "none")},
    )
    if done.returncode or "Skipped" in done.stderr:
        raise Stale(f"{mutant.patch.name} no longer applies: {done.stderr.strip()}")
    app = tree / "firmware" / "kanhu_hub" / "app.py"
    text, count = re.subn(
        r'^(FIRMWARE = "\d+\.\d+\.)\d+"', rf'\g<1>{BROKEN_VERSION}"', app.read_text(), flags=re.MULTILINE
    )
    assert count == 1, f"{app}: no FIRMWARE"
    app.write_text(text)


def environment(tree: Path) -> dict[str, str]:
    """Of programs that are to run from the copy."""
    paths = [str(tree / "host"), str(tree / "protocol")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "KANHU_REQUIRE_ALL": "1"}


def runs_from(tree: Path) -> list[Path]:
    """Where the packages come from in that environment."""
    say = "import kanhu, kanhu_protocol; print(kanhu.__file__); print(kanhu_protocol.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", say], cwd=tree, env=environment(tree), capture_output=True, text=True
    )
    return [Path(line) for line in done.stdout.splitlines()]


def play(tree: Path, tests: list[str], report: Path) -> Verdict:
    """The suite's tests (paths and ids, or -m release) in the copy, at low priority."""
    words = ["-q", "-p", "no:cacheprovider", "--target", "sim", "--report", str(report), *tests]
    done = subprocess.run(
        ["nice", "-n", "19", sys.executable, "-m", "pytest", *words],
        cwd=tree,
        env=environment(tree),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
    )
    record = report / "run.json"
    run = Run.model_validate_json(record.read_bytes()) if record.exists() else None
    return Verdict(run, done.stdout)


def judged(mutant: Mutant, tree: Path, tests: list[str], report: Path) -> Verdict:
    """The same once more where the bench did not come up, as on a very busy computer: that is no verdict."""
    for attempt in range(1, TRIES + 1):
        verdict = play(tree, tests, report.with_name(f"{report.name}-{attempt}"))
        if any(one.outcome != "error" for one in verdict.of(mutant.test)):
            break
    return verdict


def caught(mutant: Mutant, verdict: Verdict) -> str:
    """Why it was not caught as it has to be; "" when it was."""
    found = verdict.of(mutant.test)
    if verdict.run is None or not found:
        return f"{mutant.test} did not run:\n{verdict.output[-3000:]}"
    said = [f"{one.outcome}: {one.message[:300]}" for one in found]
    bad = [one for one in found if one.outcome == "failed"]
    if not bad:
        return f"{mutant.test} did not fail, but {said}"
    if not any(f"PROMISE BROKEN {mutant.promise}" in one.message + one.details for one in bad):
        return f"{mutant.test} does not name {mutant.promise}: {said}"
    ran = [board.firmware_version for board in verdict.run.boards if board.role == "hub"]
    if not ran or not all(version.endswith(f".{BROKEN_VERSION}") for version in ran):
        return f"the hub did not run the broken firmware, but {ran}"
    return ""
