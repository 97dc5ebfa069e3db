"""A firmware that forgets its outbox when it starts: the soak notices, and notices the same once more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers_mutants import apply, copy, load, play
from kanhu.qa.faults.schedule import read
from kanhu.qa.model import Run

SOAK = "hil_tests/soak"
SEED = 609  # of a schedule in which the power goes while the broker is away
FORGETFUL = next(one for one in load() if "outbox-forgotten" in one.name)
SAID = re.compile(r"PROMISE BROKEN ([A-Z]-\d\d): ([^:\n]+): ")


def failure(run: Run | None, output: str) -> tuple[str, set[tuple[str, str]], int | None]:
    """The test that failed, the promises it names with their rules, the seed of its schedule."""
    assert run is not None, output
    (test,) = run.tests
    assert test.outcome == "failed", output
    kinds = {(promise, rule) for promise, rule in SAID.findall(test.message + test.details) if rule}
    return test.id, {kind for kind in kinds if kind[1][0].islower()}, test.seed


@pytest.mark.timeout(1500)
def test_a_failed_soak_fails_the_same_way_by_its_seed_and_by_its_report(tmp_path: Path) -> None:
    tree = copy(tmp_path / "tree")
    apply(FORGETFUL, tree)
    first = tmp_path / "first"
    verdict = play(tree, [SOAK, "--seed", str(SEED), "--soak-minutes", "5"], first)
    test, kinds, seed = failure(verdict.run, verdict.output)
    assert kinds, verdict.output
    plan = read(first / "run.json", test)
    for number, again in enumerate((["--seed", str(seed)], ["--replay", str(first / "run.json")])):
        folder = tmp_path / f"again-{number}"
        verdict = play(tree, [SOAK, *again, "--soak-minutes", "0.1"], folder)
        assert failure(verdict.run, verdict.output) == (test, kinds, seed)
        assert read(folder / "run.json", test) == plan
