"""kanhu qa compare, report and history: what is worse, what is chance, and what a person reads."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers_qa_record import example, past
from kanhu.cli.qa import app
from kanhu.errors import KanhuError
from kanhu.qa import history
from kanhu.qa.compare import Change, beyond_noise, chance, compare, worse
from kanhu.qa.model import Measure, Run
from kanhu.qa.report import files


def _good() -> Run:
    return example(broken=False)


def _of(changes: list[Change], kind: str) -> dict[str, tuple[str, str, str]]:
    return {one.name: (one.before, one.after, one.effect) for one in changes if one.kind == kind}


def test_a_run_is_as_good_as_itself() -> None:
    assert compare(_good(), _good()) == []


def test_what_broke_is_worse_and_named() -> None:
    changes = compare(_good(), example(broken=True))
    assert worse(changes)
    assert _of(changes, "verdict") == {"the run": ("passed", "failed", "worse")}
    assert _of(changes, "calls") == {"lost calls": ("0", "1", "worse")}
    promises = _of(changes, "promise")
    assert sorted(promises.values()) == [("kept", "broken", "worse"), ("kept", "in doubt", "worse")]
    assert len(_of(changes, "test")) == 2
    back = compare(example(broken=True), _good())
    assert {one.effect for one in back} == {"better"}
    assert not worse(back)


def _set(name: str, outcome: str) -> Callable[[Run], None]:
    def change(run: Run) -> None:
        next(test for test in run.tests if name in test.id).outcome = outcome  # type: ignore[assignment]

    return change


@pytest.mark.parametrize(
    ("change", "kind", "effect"),
    [
        (_set("log_does", "failed"), "test", "worse"),
        (_set("log_does", "quarantined"), "test", "worse"),
        (_set("log_does", "flaky"), "test", "changed"),
        (_set("log_does", "skipped"), "promise", "worse"),  # what was proven is not proven any more
        (_set("ticks_wrap", "passed"), "test", "better"),
        (lambda run: setattr(run.boards[0], "firmware_sha256", "00"), "tested", "changed"),
        (lambda run: run.tests.pop(), "promise", "worse"),
        (lambda run: setattr(run, "git", "x"), "tested", "changed"),
    ],
)
def test_each_kind_of_change(change: Callable[[Run], None], kind: str, effect: str) -> None:
    run = _good()
    change(run)
    assert effect in {one.effect for one in compare(_good(), run) if one.kind == kind}


def test_times_of_simulated_boards_have_to_move_by_half() -> None:
    slower = compare(_good(), example(broken=False, seed=2, slower=1.3))
    assert not worse(slower)
    assert any(one.effect == "noise" for one in slower)
    much = [one for one in compare(_good(), example(broken=False, seed=2, slower=2)) if one.effect == "worse"]
    assert {one.name for one in much} == {"press to platform (median)", "press to lamp (median)"}
    assert all(one.ratio is not None and 1.5 < one.ratio < 2.7 for one in much)
    assert any(one.said.endswith("tests together") for one in much)


def test_two_runs_of_the_same_are_no_worse() -> None:
    for seed in range(2, 12):
        changes = compare(_good(), example(broken=False, seed=seed))
        assert not worse(changes), changes


def _samples(factor: float, count: int, seed: int) -> Measure:
    chance = random.Random(seed)
    samples = [factor * chance.lognormvariate(0, 0.2) for _ in range(count)]
    return Measure(name="m", value=1, unit="s", samples=samples)


def test_noise_is_told_from_change() -> None:
    assert sum(beyond_noise(_samples(1, 60, seed), _samples(1, 60, seed + 99)) for seed in range(60)) == 0
    assert sum(beyond_noise(_samples(1, 60, seed), _samples(1.3, 60, seed + 99)) for seed in range(60)) > 50
    assert not beyond_noise(_samples(1, 3000, 1), _samples(1.03, 3000, 2))  # certain, and of no weight
    single = [Measure(name="m", value=value, unit="B") for value in (100, 120, 130, -100, 0)]
    assert not beyond_noise(single[0], single[1])
    assert beyond_noise(single[0], single[2])
    assert beyond_noise(single[0], single[3])
    assert beyond_noise(single[4], single[0])


def test_the_rank_test_agrees_with_tables() -> None:
    # exact two-sided p of complete separation, 8 against 8: 2 / C(16, 8) = 0.000155; normal: 0.00094
    assert chance(range(8), range(8, 16)) == pytest.approx(0.00094, rel=0.02)
    assert chance([1] * 9, [1] * 9) == 1
    assert chance(range(0, 40, 2), range(1, 41, 2)) > 0.5


def test_a_broken_limit_is_worse_however_little_it_moved() -> None:
    run = _good()
    measure = next(one for test in run.tests for one in test.measures if one.name == "lowest free heap")
    at = next(
        (index, number)
        for index, test in enumerate(run.tests)
        for number, one in enumerate(test.measures)
        if one is measure
    )
    other = _good()
    limit = measure.value - 1
    for one, value in ((run, measure.value), (other, limit - 1)):
        one.tests[at[0]].measures[at[1]] = Measure(
            name=measure.name, value=value, unit="B", limit=limit, at_most=False, passed=value >= limit
        )
    found = [one for one in compare(run, other) if one.kind == "measure"]
    assert [(one.effect, one.said.endswith("breaks its limit")) for one in found] == [("worse", True)]


def test_what_was_broken_and_is_not_tried_is_no_better() -> None:
    broken, silent = example(broken=True), example(broken=False)
    for test in silent.tests:
        test.outcome, test.measures = "skipped", []
    silent.verdict = silent.judge()
    changes = compare(broken, silent)
    promises = {one.before: one.effect for one in changes if one.kind == "promise"}
    assert promises == {"broken": "changed", "in doubt": "changed", "kept": "worse"}
    assert _of(changes, "verdict") == {"the run": ("failed", "nothing ran", "worse")}


def test_a_limit_that_was_loosened_makes_nothing_better() -> None:
    found = []
    for limit in (12.0, 20.0):
        run = _good()
        run.tests[0].measures = [
            Measure(name="boot", value=15.0 + limit / 10, unit="s", limit=limit, passed=limit > 17)
        ]
        found.append(run)
    (change,) = [one for one in compare(*found) if one.kind == "measure" and one.name == "boot"]
    assert change.effect == "changed"


RUNNER = CliRunner()


def _saved(tmp_path: Path) -> tuple[str, str]:
    a, b = tmp_path / "a", tmp_path / "b"
    files.save(_good(), a)
    files.save(example(broken=True), b)
    return str(a), str(b / "run.json")


def test_the_command_says_it_and_exits_so(tmp_path: Path) -> None:
    a, b = _saved(tmp_path)
    result = RUNNER.invoke(app, ["compare", a, b])
    assert result.exit_code == 1, result.output
    assert "promise L-02" in result.output
    assert "B is worse" in result.output
    assert RUNNER.invoke(app, ["compare", b, a]).exit_code == 0
    result = RUNNER.invoke(app, ["compare", a, b, "--json"])
    value = json.loads(result.output)
    assert value["worse"] is True
    assert {one["kind"] for one in value["changes"]} == {"verdict", "promise", "test", "calls"}
    assert isinstance(RUNNER.invoke(app, ["compare", a, str(tmp_path / "c")]).exception, KanhuError)


def test_the_page_is_made_again_also_of_a_run_that_was_cut_off(tmp_path: Path) -> None:
    run = _good()
    partial = files.Partial(tmp_path)
    partial.head(run)
    for test in run.tests:
        partial.test(test)
    result = RUNNER.invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Interrupted" in page
    assert (tmp_path / "junit.xml").exists()
    assert files.load(tmp_path).verdict == "interrupted"
    out = tmp_path / "out"
    result = RUNNER.invoke(app, ["report", str(tmp_path / "run.json"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert sorted(one.name for one in out.iterdir()) == ["junit.xml", "report.html"]
    missing = RUNNER.invoke(app, ["report", str(tmp_path), "--history", str(tmp_path / "none")])
    assert isinstance(missing.exception, KanhuError)


def test_history_counts_flips_of_the_same_code_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "history.jsonl"
    run = _good()
    name = run.tests[0].id
    for commit, outcome in (
        ("a", "passed"), ("a", "failed"), ("a", "passed"), ("b", "failed"), ("b", "failed"), ("c+", "passed"),
        ("c+", "failed"), ("b", "skipped"), ("b", "flaky"),
    ):  # fmt: skip
        run.git = commit
        run.tests[0].outcome = outcome  # type: ignore[assignment]
        history.append(path, run)
    with path.open("a") as file:
        file.write('{"id": "cut o\n[]\n')
    found = history.read(path)
    assert (len(found.entries), found.unreadable) == (9, [10, 11])
    record = history.records(found.entries)[name]
    assert (record.repeats, record.flips, record.bad, len(record.outcomes)) == (4, 3, 4, 8)
    assert record.flake_rate == 0.75
    rates = [one.flake_rate or 0 for one in history.records(found.entries).values()]
    assert rates == sorted(rates, reverse=True)
    result = RUNNER.invoke(app, ["history", str(path)])
    assert result.exit_code == 0
    assert "75%" in result.output
    assert "line 10 says nothing" in result.output
    rows = json.loads(RUNNER.invoke(app, ["history", str(path), "--json", "--test", name]).stdout)
    assert [row["test"] for row in rows] == [name]
    assert isinstance(RUNNER.invoke(app, ["history", str(tmp_path / "none")]).exception, KanhuError)


def test_sessions_that_end_together_keep_each_others_lines(tmp_path: Path) -> None:
    import threading

    path = tmp_path / "history.jsonl"
    runs = [_good() for _ in range(8)]
    threads = [threading.Thread(target=history.append, args=(path, run)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(history.read(path).entries) == 8
    assert history.read(path).unreadable == []


def test_example_history_is_readable() -> None:
    entries = past(_good())
    rates = {one.test.rpartition("::")[2]: one.flake_rate for one in history.records(entries).values()}
    assert (rates["test_ticks_wrap"] or 0) > 0.2
    assert rates["test_lamp_says_heard"] == 0
