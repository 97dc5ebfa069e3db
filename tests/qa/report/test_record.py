"""The record: what is written comes back, from any thread, and nothing that is not so can be read."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from helpers_qa_record import example
from kanhu.errors import DataError
from kanhu.qa.measure import Measures, percentile, shown
from kanhu.qa.model import FORMAT, Run
from kanhu.qa.record import BoardInfo, Recorder
from kanhu.qa.report import files


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(clock: Clock) -> Recorder:
    return Recorder(Run(id="r", started_utc="2026-01-01T00:00:00Z", target="sim"), clock)  # type: ignore[arg-type]


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    run = example()
    assert files.load(files.save(run, tmp_path)) == run
    assert files.load(tmp_path) == run
    assert not list(tmp_path.glob(".*"))


def test_moments_are_seconds_of_the_test_that_runs(recorder: Recorder, clock: Clock) -> None:
    clock.now += 5
    recorder.mark("flashed")
    clock.now += 5
    with recorder.test("a::b"):
        clock.now += 1
        recorder.mark("press", at=clock.now - 0.5)
        recorder.series("heap (B)", 3)
        fault = recorder.span("cut", detail="hub 0")
        still = recorder.span("stall", begin=1010.25)
        clock.now += 2
    fault.end()  # a schedule that outlives its test still says when it ended
    fault.end(at=9999)
    run = recorder.close()
    test = run.tests[0]
    assert run.between.marks[0].at_s == 5
    assert (test.started_s, test.duration_s) == (10, 3)
    assert test.marks[0].at_s == 0.5
    assert test.series == {"heap (B)": [(1, 3)]}
    assert [(one.name, one.begin_s, one.end_s) for one in test.faults] == [
        ("cut", 1, 3),
        ("stall", 0.25, None),
    ]
    assert still is not None


def test_boards_calls_logs_and_schedules_add_up(recorder: Recorder) -> None:
    recorder.add_board(BoardInfo(name="hub", firmware_version="1"))
    recorder.add_board(BoardInfo(name="hub", firmware_version="2"))
    recorder.begin("a::b")
    recorder.calls(pressed=2, arrived=1)
    recorder.calls(pressed=1, arrived=1, lost=1)
    recorder.attach_log("hub", "one\n")
    recorder.attach_log("hub", "two \udcff")
    recorder.schedule(7, [{"at_s": 1.5, "action": "cut"}])
    recorder.finish(outcome="passed")
    run = recorder.close()
    test = run.tests[0]
    assert [one.firmware_version for one in run.boards] == ["2"]
    assert test.calls is not None
    assert (test.calls.pressed, test.calls.arrived, test.calls.lost) == (3, 2, 1)
    assert test.log == {"hub": "one\ntwo ?"}
    assert (test.seed, test.schedule) == (7, [{"at_s": 1.5, "action": "cut"}])
    assert recorder.finish() is None
    assert Run.model_validate_json(run.model_dump_json()) == run


def test_threads_lose_nothing(recorder: Recorder) -> None:
    def write() -> None:
        for number in range(200):
            recorder.mark("press")
            recorder.calls(pressed=1)
            recorder.series("heap (B)", number)
            recorder.attach_log("hub", "x")
            recorder.span("cut").end()

    recorder.begin("a::b")
    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        assert recorder.run.target == "sim"
    for thread in threads:
        thread.join()
    test = recorder.run.tests[0]
    assert test.calls is not None
    assert (len(test.marks), test.calls.pressed, len(test.log["hub"])) == (1200, 1200, 1200)
    assert len(test.series["heap (B)"]) == 1200
    assert all(one.end_s is not None for one in test.faults)


def test_an_exception_makes_the_test_failed(recorder: Recorder) -> None:
    with pytest.raises(ValueError, match="no"), recorder.test("a::b"):
        raise ValueError("no")
    run = recorder.close()
    assert (run.tests[0].outcome, run.tests[0].message, run.verdict) == ("failed", "no", "failed")


def test_the_verdict_is_not_passed_by_default() -> None:
    run = example(broken=False)
    assert run.judge() == "passed"
    run.interrupted = "Ctrl-C"
    assert run.judge() == "interrupted"
    run.problems = ["x"]
    assert run.judge() == "failed"
    run = example(broken=False)
    run.tests = [test for test in run.tests if test.outcome == "skipped"]
    assert run.judge() == "nothing ran"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda value: value.update(format=FORMAT + 1), "format 2 is not known here (up to 1)"),
        (lambda value: value.pop("format"), "it has no format"),
        (lambda value: value.update(format="1"), "format '1' is not known"),
        (lambda value: value.pop("target"), "target: Field required"),
        (lambda value: value.update(verdict="fine"), "verdict: Input should be 'passed'"),
        (lambda value: value.update(colour=1), "colour: Extra inputs are not permitted"),
        (lambda value: value["tests"][0].update(outcome="good"), "tests.0.outcome: Input should be 'passed'"),
        (lambda value: value["tests"][0]["measures"][0].update(value=99), "press to platform: passed is"),
        (lambda value: value["tests"][0]["measures"][0].update(value="NaN"), "tests.0.measures.0.value"),
        (lambda value: value["tests"][0]["calls"].update(lost=-1), "tests.0.calls.lost: Input should be"),
        (lambda value: value["tests"][0]["series"].update(x=[[1]]), "tests.0.series.x.0"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_is_refused_by_place(tmp_path: Path, change, said: str) -> None:  # type: ignore[no-untyped-def]
    value = json.loads(example().model_dump_json())
    change(value)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(value))
    with pytest.raises(DataError) as error:
        files.load(path)
    assert str(path) in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', "\x00", "7" * 5000])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DataError, match=r"run\.json: "):
        files.load(tmp_path)


def test_bytes_and_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file; give a run\.json or the folder of a report"):
        files.load(tmp_path)
    (tmp_path / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        files.load(tmp_path)
    (tmp_path / "run.json").unlink()
    (tmp_path / "run.partial.jsonl").write_text('{"test": {}}\n')
    with pytest.raises(DataError, match="no beginning of a run"):
        files.load(tmp_path)


def test_cut_off_lines_are_counted(tmp_path: Path) -> None:
    partial = files.Partial(tmp_path)
    run = example()
    partial.head(run)
    for test in run.tests[:3]:
        partial.test(test)
    text = partial.path.read_bytes()
    partial.path.write_bytes(text[:-100])
    found = files.load(tmp_path)
    assert found.tests == run.tests[:2]
    assert "1 lines of the partial record were cut off" in found.notes
    assert found.verdict == "interrupted"


def test_a_measure_says_by_how_much(recorder: Recorder) -> None:
    measure = Measures(recorder)
    recorder.begin("a::b")
    assert measure("boot", 3.2, "s").passed
    assert measure("boot", 4, "s", 4).passed
    with pytest.raises(AssertionError, match=r"^boot is 5 s, the limit is at most 4 s: 1 s \(25%\) over$"):
        measure("boot", 5, "s", 4)
    with pytest.raises(
        AssertionError, match=r"^heap is 30,000 B, the limit is at least 40,000 B: 10,000 B \(25%\) under$"
    ):
        measure("heap", 30_000, "B", 40_000, at_most=False)
    with pytest.raises(AssertionError, match=r"^lost is 1, the limit is at most 0: 1 over$"):
        measure("lost", 1, "", 0)
    with pytest.raises(AssertionError, match="nan s is no number"):
        measure("boot", float("nan"), "s", 4)
    with pytest.raises(AssertionError, match="press: nothing was measured"):
        measure.samples("press", [], "s", 4)
    with pytest.raises(AssertionError, match="1 of 2 samples are no numbers: inf"):
        measure.samples("press", [1, float("inf")], "s", 4)
    with pytest.raises(AssertionError, match=r"press \(max\) is 9 s"):
        measure.samples("press", [1, 9], "s", 4, percent=100)
    assert len(recorder.run.tests[0].measures) == 6  # broken ones are in the record too


def test_percentiles_are_samples_that_occurred() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile(range(1, 101), 95) == 95
    assert percentile([1, 2, 3], 95) == 3
    assert percentile([1.0], 1) == 1
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)
    with pytest.raises(ValueError, match="0 is no percentile"):
        percentile([1], 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, "0.0123 s"), (12.3456, "12.3 s"), (5, "5 s"), (1234.5, "1,234 s"), (0, "0 s")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert shown(value, "s") == text
