"""Each of the ten defects still applies to today's tree, and the suite notices it by the promise it breaks.

Played here are a few, to keep the check short; `make mutants` plays all ten, and the unbroken tree beside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers_mutants import ROOT, Mutant, Stale, Verdict, apply, caught, copy, judged, load, runs_from
from kanhu.qa import promises
from kanhu.qa.model import BoardInfo, Run, Test

ALL = load()
SHORT = ("04", "10")  # half a minute each, the bench among it
NAMES = [one.name for one in ALL]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that no test changes."""
    return copy(tmp_path_factory.mktemp("mutants") / "tree")


def test_ten_of_them_each_with_a_patch_of_its_own() -> None:
    assert [name[:2] for name in NAMES] == [f"{number:02}" for number in range(1, 11)]
    assert sorted(path.stem for path in (Path(__file__).parent / "patches").iterdir()) == NAMES


@pytest.mark.parametrize("one", ALL, ids=NAMES)
def test_the_test_that_has_to_notice_proves_the_promise_that_is_broken(one: Mutant) -> None:
    shown = {f"{proof.file}::{proof.name}": proof.promises for proof in promises.proofs(ROOT)}
    assert one.promise in shown[one.test]
    assert one.promise in promises.load(ROOT / promises.LIST)


@pytest.mark.parametrize("one", ALL, ids=NAMES)
def test_every_patch_still_applies(one: Mutant, tree: Path, tmp_path: Path) -> None:
    """To a copy of its own files, which it changes, and to nothing else."""
    named = sorted(set(re.findall(r"^\+\+\+ b/(\S+)", one.patch.read_text(), re.MULTILINE)))
    assert named
    for file in [*named, "firmware/kanhu_hub/app.py"]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes((tree / file).read_bytes())
    apply(one, tmp_path)
    for file in named:
        assert (tmp_path / file).read_bytes() != (tree / file).read_bytes()
        compile((tmp_path / file).read_text(), file, "exec")


def test_a_patch_that_does_not_fit_is_said_to_be_stale(tmp_path: Path) -> None:
    with pytest.raises(Stale, match=r"01-.*\.patch no longer applies"):
        apply(ALL[0], tmp_path)


def test_what_is_played_runs_from_the_copy(tree: Path) -> None:
    assert [path.is_relative_to(tree) for path in runs_from(tree)] == [True, True]


def test_only_a_failure_that_names_the_promise_counts() -> None:
    one = ALL[1]

    def said(outcome: str, message: str, version: str = "0.1.900") -> str:
        run = Run.model_validate(
            {
                "id": "1",
                "started_utc": "2026-01-01T00:00:00Z",
                "target": "sim",
                "boards": [BoardInfo(name="hub", firmware_version=version)],
                "tests": [Test(id=one.test + "[x]", outcome=outcome, message=message)],
            }
        )
        return caught(one, Verdict(run, ""))

    assert said("failed", "PROMISE BROKEN D-02 - TimeoutError") == ""
    assert "does not name D-02" in said("failed", "TimeoutError")
    assert "did not fail" in said("passed", "")
    assert "did not fail" in said("error", "PROMISE IN DOUBT D-02")
    assert "did not run the broken firmware" in said("failed", "PROMISE BROKEN D-02", "0.1.0")
    assert "did not run" in caught(one, Verdict(None, "pytest said why"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("one", [one for one in ALL if one.name[:2] in SHORT], ids=lambda one: one.name)
def test_the_suite_notices(one: Mutant, tmp_path: Path) -> None:
    broken = copy(tmp_path / "tree")
    apply(one, broken)
    assert not (why := caught(one, judged(one, broken, [one.test], tmp_path / "report"))), why
