"""The part of the pytest plugin that watches tests and writes the report.

install(config, recorder, folder) in pytest_configure is all that is needed. With pytest-xdist each worker
leaves its lines in the folder and the controller puts them together."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from kanhu.errors import KanhuError
from kanhu.qa.model import Quarantine, Run
from kanhu.qa.quarantine import Quarantines, read
from kanhu.qa.record import Recorder
from kanhu.qa.report import files, outcomes
from kanhu.qa.report.facts import facts
from kanhu.qa.report.promised import name_them
from kanhu.qa.report.write import write

NAME = "kanhu-report"
FOLDER = "kanhu_report_folder"


def install(
    config: pytest.Config,
    recorder: Recorder,
    folder: Path,
    *,
    history: Path | None = None,
    quarantine: Path | None = None,
    today: date | None = None,
) -> Reporting:
    """Watch this session, write its report into folder at the end; pytest.UsageError for an unusable file."""
    day = today or datetime.now().astimezone().date()  # a day is one where the owner lives
    try:
        entries = read(quarantine, day) if quarantine else Quarantines(day)
        reporting = Reporting(config, recorder, folder, history, entries)
    except KanhuError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(reporting, NAME)
    return reporting


class Reporting:
    """Hooks of one session."""

    def __init__(
        self,
        config: pytest.Config,
        recorder: Recorder,
        folder: Path,
        history: Path | None,
        quarantines: Quarantines,
    ) -> None:
        worker: dict[str, Any] = getattr(config, "workerinput", {})
        self.worker = str(worker.get("workerid", ""))
        self.folder = Path(worker.get(FOLDER, folder))
        self.controls_workers = bool(getattr(config.option, "dist", "no") != "no") and not self.worker
        self.recorder, self.history, self.quarantines = recorder, history, quarantines
        self.written: Run | None = None
        self._attempts: list[list[outcomes.Phase]] = []
        self._quarantine: Quarantine | None = None
        self._interrupted = self._unwritten = ""
        self._deselected = 0
        self._sections: dict[str, str] = {}
        recorder.describe(**facts(config.rootpath))
        for problem in quarantines.problems:
            recorder.problem(problem)
        self._partial = files.Partial(self.folder, self.worker)
        self._partial.head(recorder.run)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """xdist: workers write where the controller looks."""
        node.workerinput[FOLDER] = str(self.folder)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """The record's test is as long as all of pytest's phases and attempts."""
        self._attempts, self._sections = [], {}
        self._quarantine = self._quarantined(item)
        self.recorder.begin(
            item.nodeid,
            suite=_suite(item),
            title=_title(item),
            promises=list(_promises(item)),
            markers=sorted({mark.name for mark in item.iter_markers()} - {"promise", "parametrize"}),
        )
        try:
            return (yield)
        finally:
            settled = outcomes.settle(self._attempts, self._quarantine)
            # Marks may have come while it ran: the soak learns at its end which promise was broken.
            test = self.recorder.finish(
                **settled,
                promises=list(_promises(item)),
                sections=self._sections,
                quarantine=self._quarantine,
            )
            if test is not None:
                self._partial.test(test)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Take each phase down; a failure names its promises, one in quarantine does not fail the session."""
        report = yield
        if report.failed:
            name_them(report, list(_promises(item)), self.recorder.run_promises)
        if report.when == "setup":
            self._attempts.append([])
        self._attempts[-1].append(outcomes.phase(report))
        if report.when == "teardown":
            self._sections = dict(report.sections)
        if report.failed and self._quarantine is not None:
            entry = self._quarantine
            why = f"in quarantine until {entry.until}, owner {entry.owner}: {outcomes.crash(report.longrepr)}"
            report.outcome = "skipped"
            report.wasxfail = f"reason: {why}"
        return report

    def _quarantined(self, item: pytest.Item) -> Quarantine | None:
        mark = item.get_closest_marker("quarantine")
        if mark is None:
            return self.quarantines.of(item.nodeid)
        before = len(self.quarantines.problems)
        fields = {**mark.kwargs, "test": item.nodeid}
        entry = self.quarantines.of(item.nodeid) or self.quarantines.take(fields, "@pytest.mark.quarantine")
        for problem in self.quarantines.problems[before:]:
            self.recorder.problem(problem)
        return entry

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be read is tests that did not run."""
        if report.failed:
            why = outcomes.crash(report.longrepr)
            self.recorder.problem(f"{report.nodeid} could not be collected: {why}")

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Tests left out by -m or -k."""
        self._deselected += len(items)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ctrl-C, or pytest.exit()."""
        self._interrupted = excinfo.exconly().splitlines()[0]

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """pytest itself or a plugin failed."""
        self.recorder.problem(f"pytest failed: {excinfo.exconly().splitlines()[-1]}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write everything; a run that its tests did not fail may still fail here."""
        stopped = self._interrupted or str(session.shouldfail or session.shouldstop or "")
        if self._deselected:
            self.recorder.note(f"{self._deselected} tests were not chosen (-m, -k)")
        run = self.recorder.close(stopped)
        if self.worker:
            self._partial.head(run)
            return
        if self.controls_workers:
            self._partial.head(run)
            run = files.recover(self.folder, stopped)
            run.ended_utc = datetime.now(UTC)
            if session.testsfailed and run.verdict == "passed":
                run.problems = [*run.problems, "a test failed that left no record: a worker that crashed"]
                run.verdict = run.judge()
        run.notes = [*run.notes, *_well_again(run)]
        try:
            write(run, self.folder, self.history)
        except KanhuError as error:
            self._unwritten = str(error)  # the lines of each test stay in the folder
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
            return
        self.written = run
        files.clear_partial(self.folder)
        if session.exitstatus == pytest.ExitCode.OK:
            if run.verdict == "failed":
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
            elif run.verdict == "nothing ran":  # all were skipped: pytest alone would call that good
                session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Where the report is, and what is not seen in pytest's own counts."""
        if self._unwritten:
            terminalreporter.section("report")
            terminalreporter.write_line(f"no report: {self._unwritten}")
        if self.written is None:
            return
        terminalreporter.section("report")
        for line in (*self.written.problems, *self.written.notes):
            terminalreporter.write_line(line)
        terminalreporter.write_line(f"{self.written.verdict}: {self.folder / 'report.html'}")


def _promises(item: pytest.Item) -> dict[str, None]:
    return {str(one): None for mark in item.iter_markers("promise") for one in mark.args}


def _suite(item: pytest.Item) -> str:
    """The folder under hil_tests, else the one the file is in."""
    parts = Path(item.nodeid.partition("::")[0]).parts[:-1]
    below = parts[parts.index("hil_tests") + 1 :] if "hil_tests" in parts else parts[-1:]
    return below[0] if below else parts[-1] if parts else "."


def _title(item: pytest.Item) -> str:
    text = getattr(getattr(item, "obj", None), "__doc__", None) or ""
    return text.strip().partition("\n")[0]


def _well_again(run: Run) -> list[str]:
    return [
        f"{test.id} passes: take it out of quarantine (owner {test.quarantine.owner})"
        for test in run.tests
        if test.quarantine is not None and test.outcome in ("passed", "flaky")
    ]
