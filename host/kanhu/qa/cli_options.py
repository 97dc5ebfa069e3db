"""What `pytest hil_tests` may be told on its command line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kanhu.qa.rig import Options

SUITES = ("smoke", "release", "latency", "soak", "endurance", "upgrade")
MARKERS = (
    "needs(*capabilities): skipped, with the reason, on a bench without them (kanhu.qa.capabilities)",
    'promise(*ids): what the test proves, of promises.toml, such as "D-01"',
    "destructive: wears a real board out or leaves it changed; runs on --target usb with --destructive only",
    "quarantine(owner=, reason=, until=): may fail until that day (YYYY-MM-DD)",
    *(f"{name}: of the {name} suite" for name in SUITES),
)
PATIENT = ("release", "smoke or release", "release or smoke")  # what mostly waits and measures no speed
BENCHES = 2  # simulated ones at a time


def add(parser: pytest.Parser) -> None:
    """All options."""
    group = parser.getgroup("kanhu", "Kanhu's bench")
    option = group.addoption
    option(
        "--target",
        choices=("sim", "usb"),
        default="sim",
        help="simulated boards, or those of --bench",
    )
    option("--bench", type=Path, metavar="FILE", help="bench.toml (docs/qa.md), for --target usb")
    option("--strict-needs", action="store_true", help="a test that needs what the bench has not fails")
    option("--seed", type=int, help="of faults that are drawn: as a report names it")
    option("--replay", type=Path, metavar="FILE", help="run.json whose schedule of faults is to happen again")
    option("--report", type=Path, metavar="DIR", help="folder of the report; default build/qa/<UTC time>")
    option("--history", type=Path, metavar="FILE", help="earlier runs, one line each; this one is added")
    option("--quarantine", type=Path, metavar="FILE", help="tests that may fail for now")
    option("--micropython", type=Path, metavar="FILE", help="image in place of the board's own")
    option("--no-flash", action="store_true", help="take what is on the boards; the report says so")
    option("--destructive", action="store_true", help="also tests marked so, on real boards")
    option("--soak-minutes", type=float, default=None, metavar="MIN", help="how long the soak suite runs")
    option("--presses", type=int, default=None, metavar="N", help="how many presses the latency suite makes")


def spread(config: pytest.Config) -> None:
    """The release suite has two simulated benches at a time, unless -n says otherwise (-n 0: one)."""
    given = config.option
    if not config.pluginmanager.hasplugin("xdist") or hasattr(config, "workerinput"):
        return
    if given.numprocesses is not None or given.dist != "no":
        return
    watched = given.usepdb or given.capture == "no"
    if given.target == "sim" and given.markexpr in PATIENT and not watched and not given.tx:
        given.numprocesses, given.dist = BENCHES, "loadfile"


def options(config: pytest.Config, folder: Path) -> Options:
    """Those that the bench is built by; pytest.UsageError."""
    given = config.getoption
    if given("--target") == "usb" and given("--bench") is None:
        raise pytest.UsageError("--target usb needs --bench FILE: see docs/qa.md for what stands in it")
    if given("--target") == "sim" and given("--no-flash"):
        raise pytest.UsageError("simulated boards begin empty: leave --no-flash out")
    return Options(
        target=given("--target"),
        folder=folder,
        bench_file=given("--bench"),
        micropython=given("--micropython"),
        flash=not given("--no-flash"),
        seed=given("--seed"),
    )


def report_folder(config: pytest.Config) -> Path | None:
    """Where the report goes; None: nobody wants one, because other tests than the suite's were asked for."""
    given: Any = config.getoption("--report")
    if given is not None:
        return Path(given)
    suite = config.rootpath / "hil_tests"
    asked = [(config.invocation_params.dir / one.partition("::")[0]).resolve() for one in config.args]
    if not asked or not all(one == suite or suite in one.parents for one in asked):
        return None
    return config.rootpath / "build" / "qa" / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
