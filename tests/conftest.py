"""In the whole check (scripts/check.sh sets KANHU_REQUIRE_ALL=1) a test that skips has failed: the machine is
set up to have what every test needs. What no set-up can bring says "not on this platform: why"."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does; speed is measured in benchmarks/.
settings.register_profile("kanhu", deadline=None)
settings.load_profile("kanhu")

PLATFORM = "not on this platform"


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("KANHU_REQUIRE_ALL") != "1" or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(PLATFORM):
        report.outcome = "failed"
        report.longrepr = f"skipped where everything is required (KANHU_REQUIRE_ALL=1): {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report
