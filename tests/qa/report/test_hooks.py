"""What a session of pytest leaves in its report: outcomes, promises, quarantine, history, interruptions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from kanhu.qa.model import Run, Test
from kanhu.qa.report import files

pytest_plugins = ("pytester",)

PROMISES = {"D-01": "A call arrives once.", "D-02": "A press that was heard is never lost."}
CONFTEST = """
import datetime, pathlib
import pytest
from kanhu.qa.measure import Measures
from kanhu.qa.model import BoardInfo
from kanhu.qa.record import Recorder
from kanhu.qa.report.hooks import install

def pytest_addoption(parser):
    parser.addoption("--quarantine-file")

def pytest_configure(config):
    config.addinivalue_line("markers", "promise(*ids): x")
    config.addinivalue_line("markers", "quarantine(**fields): x")
    recorder = config.kanhu_recorder = Recorder.start("sim", 7)
    recorder.know_promises(%r)
    recorder.add_board(BoardInfo(name="hub", firmware_sha256="ab" * 32, simulated=True))
    file = config.getoption("--quarantine-file")
    install(
        config, recorder, pathlib.Path("out"), history=pathlib.Path("history.jsonl"),
        quarantine=pathlib.Path(file) if file else None, today=datetime.date(2026, 5, 1),
    )

@pytest.fixture
def recorder(pytestconfig):
    return pytestconfig.kanhu_recorder

@pytest.fixture
def measure(recorder):
    return Measures(recorder)
""" % (PROMISES,)  # noqa: UP031 - braces everywhere else


class Session:
    """A suite of one file and what its run left behind."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        pytester.makeini(
            "[pytest]\naddopts = --strict-markers -p no:cacheprovider\n"
            "asyncio_default_fixture_loop_scope = function\n"
        )
        pytester.makeconftest(CONFTEST)
        self.folder = pytester.path / "out"

    def suite(self, text: str) -> None:
        """hil_tests/smoke/test_it.py."""
        file = self.pytester.path / "hil_tests/smoke/test_it.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("import pytest\n" + text, "utf-8")

    def run(self, *words: str) -> pytest.RunResult:
        """pytest within pytest."""
        return self.pytester.runpytest_inprocess("-n0", *words)

    def process(self, *words: str) -> pytest.RunResult:
        """pytest in a process of its own."""
        return self.pytester.runpytest_subprocess("-p", "no:schemathesis", *words, timeout=110)

    @property
    def record(self) -> Run:
        """run.json."""
        return files.load(self.folder)

    @property
    def tests(self) -> dict[str, Test]:
        """Tests by their bare names."""
        return {test.id.rpartition("::")[2]: test for test in self.record.tests}


@pytest.fixture
def session(pytester: pytest.Pytester) -> Session:
    return Session(pytester)


def test_each_outcome_is_what_it_was_and_why(session: Session) -> None:
    session.suite("""
def test_good(recorder, measure):
    "It works.\\n\\nMore."
    recorder.mark("press")
    with_span = recorder.span("cut"); with_span.end()
    measure("time", 1.5, "s", 4)
    print("said")

def test_bad():
    assert 1 == 2, "one is not two"

def test_slow(measure):
    measure.samples("press to platform", [1, 2, 5.3], "s", limit=4)

@pytest.fixture
def broken():
    raise RuntimeError("no board")

def test_set_up(broken): pass

@pytest.fixture
def untidy():
    yield
    pytest.fail("an alarm was left open")

def test_untidy(untidy): pass
def test_both(untidy): assert False, "first"
def test_skipped(): pytest.skip("this bench has no press: wire it")
@pytest.mark.xfail(reason="known")
def test_known(): assert False
""")
    result = session.run()
    result.assert_outcomes(passed=2, failed=3, errors=3, skipped=1, xfailed=1)
    tests = session.tests
    assert {name: test.outcome for name, test in tests.items()} == {
        "test_good": "passed", "test_bad": "failed", "test_slow": "failed", "test_set_up": "error",
        "test_untidy": "error", "test_both": "failed", "test_skipped": "skipped", "test_known": "skipped",
    }  # fmt: skip
    assert tests["test_bad"].message == "one is not two"
    assert "assert 1 == 2" in tests["test_bad"].details
    assert tests["test_slow"].message == (
        "press to platform (p95) is 5.3 s, the limit is at most 4 s: 1.3 s (32%) over"
    )
    assert tests["test_slow"].measures[0].samples == [1, 2, 5.3]
    assert tests["test_set_up"].message == "RuntimeError: no board"
    assert tests["test_untidy"].message == "an alarm was left open"
    assert tests["test_both"].message == "first; afterwards: an alarm was left open"
    assert tests["test_skipped"].message == "this bench has no press: wire it"
    assert tests["test_known"].message == "expected to fail: known"
    good = tests["test_good"]
    assert (good.suite, good.title, good.marks[0].name, good.faults[0].name) == (
        "smoke", "It works.", "press", "cut",
    )  # fmt: skip
    assert good.sections == {"Captured stdout call": "said\n"}
    assert set(good.phases) == {"setup", "call", "teardown"}
    assert good.duration_s == pytest.approx(sum(good.phases.values()))
    run = session.record
    assert (run.verdict, run.target, run.seed, run.simulated) == ("failed", "sim", 7, True)
    assert run.command[0] == "pytest"
    assert run.ended_utc is not None
    assert "<h1>" in (session.folder / "report.html").read_text("utf-8")
    assert not list(session.folder.glob("*.jsonl"))


def test_a_failure_names_its_promise_everywhere(session: Session) -> None:
    session.suite("""
@pytest.mark.promise("D-02")
def test_lost(): assert [] == ["call"], "never reached the platform"

@pytest.mark.promise("D-01", "X-99")
def test_text(): pytest.fail("PROMISE BROKEN D-01: A call arrives once.", pytrace=False)

@pytest.fixture
def untidy():
    yield
    raise ValueError("left open")

@pytest.mark.promise("D-01")
def test_untidy(untidy): pass

@pytest.mark.promise("D-01")
def test_kept(): pass
""")
    result = session.run()
    result.stdout.fnmatch_lines(["*PROMISE BROKEN D-02: A press that was heard is never lost.*"])
    result.stdout.fnmatch_lines(["FAILED *::test_lost - PROMISE BROKEN D-02*"])
    tests = session.tests
    assert tests["test_lost"].message == "PROMISE BROKEN D-02 - never reached the platform"
    assert "PROMISE BROKEN D-02: A press that was heard is never lost." in tests["test_lost"].details
    assert tests["test_text"].details.count("PROMISE BROKEN D-01") == 1
    assert "PROMISE BROKEN X-99: (its text is not in promises.toml)" in tests["test_text"].details
    assert "PROMISE IN DOUBT D-01" in tests["test_untidy"].details
    assert "PROMISE BROKEN" not in tests["test_untidy"].details
    assert "PROMISE" not in tests["test_kept"].details


def test_junit_holds_suite_properties_and_reasons(session: Session) -> None:
    session.suite("""
@pytest.mark.promise("D-01")
def test_odd(recorder):
    recorder.attach_log("hub", "a\\x00b\\ud800")
    assert False, "bad \\x1b[31m"
def test_skipped(): pytest.skip("why")
""")
    session.run()
    root = ET.parse(session.folder / "junit.xml").getroot()  # noqa: S314 - our own file
    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) == (
        "smoke", "2", "1", "1",
    )  # fmt: skip
    properties = {one.get("name"): one.get("value") for one in suite.findall("properties/property")}
    assert properties["hub.firmware_sha256"] == "ab" * 32
    assert properties["verdict"] == "failed"
    case = suite.find("testcase")
    assert case is not None
    assert case.get("classname") == "hil_tests.smoke.test_it"
    assert case.findtext("failure")
    assert "a\ufffdb" in (case.findtext("system-out") or "")


QUARANTINE = """
[[quarantine]]
test = "hil_tests/smoke/test_it.py::test_shaky"
owner = "Li Wei"
reason = "the cable"
until = {until}
"""
SHAKY = """
@pytest.mark.promise("D-01")
def test_shaky(): assert False, "shaken"
def test_good(): pass
"""


def _quarantined(session: Session, text: str, suite: str = SHAKY) -> pytest.RunResult:
    (session.pytester.path / "q.toml").write_text(text, "utf-8")
    session.suite(suite)
    return session.run("--quarantine-file", "q.toml")


def test_a_quarantined_failure_is_shown_and_fails_nothing(session: Session) -> None:
    result = _quarantined(session, QUARANTINE.format(until="2026-05-01"))
    assert result.ret == 0
    result.assert_outcomes(passed=1, xfailed=1)
    test = session.tests["test_shaky"]
    assert (test.outcome, test.message) == ("quarantined", "PROMISE BROKEN D-01 - shaken")
    assert test.quarantine is not None
    assert test.quarantine.owner == "Li Wei"
    assert session.record.verdict == "passed"
    page = (session.folder / "report.html").read_text("utf-8")
    assert "Li Wei" in page
    assert "1 of 2 tests that ran passed, 1 failed in quarantine" in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            QUARANTINE.format(until="2026-04-30"),
            "the quarantine of hil_tests/smoke/test_it.py::test_shaky (owner Li Wei) ended on 2026-04-30",
        ),
        (QUARANTINE.format(until="2026-05-02").replace("Li Wei", " "), "test_shaky has no owner"),
        (QUARANTINE.format(until='"soon"'), "until is 'soon', expected a day"),
        (QUARANTINE.format(until="2026-05-02") + "colour = 1", "unknown key 'colour'"),
        (QUARANTINE.format(until="2026-05-02").replace("test =", "#"), "an entry without a test has no test"),
    ],
)
def test_an_entry_that_is_not_fit_fails_the_run_by_name(session: Session, text: str, said: str) -> None:
    result = _quarantined(session, text, "def test_good(): pass\n")
    assert result.ret == 1
    assert said in session.record.problems[0]
    assert session.record.verdict == "failed"
    assert said in result.stdout.str()


@pytest.mark.parametrize("text", ["[[quarantine]", "x = 1", "quarantine = 3", "quarantine = [1]"])
def test_a_quarantine_file_of_another_shape_stops_the_session(session: Session, text: str) -> None:
    result = _quarantined(session, text)
    assert result.ret == 4
    assert "q.toml: " in result.stderr.str()


def test_quarantine_by_marker_and_a_test_that_is_well_again(session: Session) -> None:
    session.suite("""
@pytest.mark.quarantine(owner="Ann", reason="radio", until="2026-06-01")
def test_well(): pass
@pytest.mark.quarantine(owner="Ann", reason="radio", until="2026-06-01")
@pytest.mark.parametrize("n", [1, 2])
def test_ill(n): assert n == 1
@pytest.mark.quarantine(reason="radio", until="2026-06-01")
def test_nobodys(): pass
""")
    result = session.run()
    assert result.ret == 1
    run = session.record
    assert run.problems == [
        "@pytest.mark.quarantine: hil_tests/smoke/test_it.py::test_nobodys has no owner: "
        "add owner = ... or take the entry out"
    ]
    assert any("test_well passes: take it out of quarantine (owner Ann)" in one for one in run.notes)
    assert session.tests["test_ill[2]"].outcome == "quarantined"


def test_ctrl_c_leaves_a_report_of_what_was_done(session: Session) -> None:
    session.suite("""
def test_first(): pass
def test_second(recorder):
    recorder.mark("press")
    raise KeyboardInterrupt
def test_third(): pass
""")
    assert session.process("-n0").ret == 2
    run = session.record
    assert run.verdict == "interrupted"
    assert "KeyboardInterrupt" in run.interrupted
    tests = session.tests
    assert (tests["test_first"].outcome, tests["test_second"].outcome) == ("passed", "skipped")
    assert tests["test_second"].message == "interrupted while it ran"
    assert tests["test_second"].marks[0].name == "press"
    assert "test_third" not in tests
    assert (session.folder / "report.html").exists()


def test_a_killed_session_can_be_read_from_its_lines(session: Session) -> None:
    session.suite("""
import os
def test_first(): pass
def test_second(): os._exit(9)
""")
    assert session.process("-n0").ret == 9
    assert not (session.folder / "run.json").exists()
    run = session.record
    assert [test.id.rpartition("::")[2] for test in run.tests] == ["test_first"]
    assert (run.verdict, run.interrupted) == ("interrupted", files.CUT_OFF)


def test_a_file_that_cannot_be_read_fails_the_run(session: Session) -> None:
    session.suite("import nothing_of_that_name\n")
    assert session.run().ret == 2
    assert "could not be collected: ModuleNotFoundError: No module named" in session.record.problems[0]
    assert session.record.verdict == "failed"


def test_a_worker_that_crashes_is_no_pass(session: Session) -> None:
    session.suite("def test_a(): pass\ndef test_b():\n    import os\n    os._exit(3)\n")
    assert session.process("-n1", "--dist", "loadfile", "--max-worker-restart", "0").ret != 0
    assert session.record.verdict == "failed"


def test_a_run_that_skipped_everything_is_no_pass(session: Session) -> None:
    session.suite("def test_a(): pytest.skip('this bench has no power')\n")
    assert session.run().ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert session.record.verdict == "nothing ran"


def test_a_promise_that_a_test_names_while_it_runs_is_in_the_record(session: Session) -> None:
    session.suite("""
def test_soak(request):
    request.node.add_marker(pytest.mark.promise("D-02"))
    pytest.fail("lost")
""")
    session.run()
    test = session.tests["test_soak"]
    assert test.promises == ["D-02"]
    assert test.message.startswith("PROMISE BROKEN D-02")


def test_left_out_tests_are_counted_and_none_is_no_pass(session: Session) -> None:
    session.suite("def test_a(): pass\ndef test_b(): pass\n")
    assert session.run("-k", "nothing").ret == 5
    run = session.record
    assert run.verdict == "nothing ran"
    assert "2 tests were not chosen (-m, -k)" in run.notes


def test_history_grows_by_a_line_each_run(session: Session) -> None:
    session.suite("def test_a(): pass\n")
    session.run()
    session.run()
    lines = (session.pytester.path / "history.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["outcomes"] for line in lines] == [
        {"hil_tests/smoke/test_it.py::test_a": "passed"}
    ] * 2


def test_workers_put_one_report_together(session: Session) -> None:
    session.suite("""
@pytest.mark.promise("D-02")
@pytest.mark.parametrize("n", range(6))
def test_a(n, recorder):
    recorder.mark("press")
    assert n != 4, "four"
""")
    result = session.process("-n2")
    result.assert_outcomes(passed=5, failed=1)
    run = session.record
    assert sorted(test.id[-2] for test in run.tests) == list("012345")
    assert all(test.marks for test in run.tests)
    assert session.tests["test_a[4]"].message == "PROMISE BROKEN D-02 - four"
    assert (run.verdict, len(run.boards)) == ("failed", 1)
    assert not list(session.folder.glob("*.jsonl"))


def test_a_test_that_passes_at_its_second_attempt_is_flaky(session: Session) -> None:
    conftest = session.pytester.path / "conftest.py"
    conftest.write_text(
        conftest.read_text("utf-8")
        + """
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    from _pytest.runner import runtestprotocol
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(one.failed for one in reports):
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for one in reports:
        item.ihook.pytest_runtest_logreport(report=one)
    return True
""",
        "utf-8",
    )
    session.suite("tries = []\ndef test_a():\n    tries.append(1)\n    assert len(tries) == 2, 'too early'\n")
    assert session.run().ret == 0
    test = session.tests["test_a"]
    assert (test.outcome, test.attempts) == ("flaky", 2)
    assert test.message == "passed at attempt 2; before: too early"


@pytest.mark.parametrize(
    "make", [lambda path: path.write_text("x"), lambda path: path.mkdir() or (path / "run.json").mkdir()]
)
def test_a_folder_that_takes_no_report_is_said(session: Session, make: Callable[[Path], object]) -> None:
    make(session.folder)
    session.suite("def test_a(): pass\n")
    result = session.run()
    assert result.ret not in (0, 1)
    assert "cannot" in result.stderr.str() + result.stdout.str()
