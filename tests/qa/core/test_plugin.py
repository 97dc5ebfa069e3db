"""The plugin's own rules, on a bench of nothing: what skips, what fails, and what a failure says."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kanhu.qa import cli_options

BENCH = '''
import pytest

pytest_plugins = ["kanhu.qa.plugin"]


class Nothing:
    """A bench that can press and do nothing else."""

    hubs = []
    has = frozenset({"press"})

    def missing(self, names):
        from kanhu.qa import capabilities

        return [capabilities.missing(one) for one in sorted(capabilities.check(names) - self.has)]

    def settle(self):
        return []


@pytest.fixture(scope="session")
def bench(pytestconfig):
    from kanhu.qa import plugin

    pytestconfig.stash[plugin.RIG] = Nothing()
    return pytestconfig.stash[plugin.RIG]
'''
PROMISES = """
[D-02]
text = "A press that the lamp has called heard is never lost."
where = "docs/x.md#y"
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A tree with a hil_tests folder; files are added by tests."""
    folder = pytester.mkdir("hil_tests")
    (folder / "conftest.py").write_text(BENCH, encoding="utf-8")
    (folder / "promises.toml").write_text(PROMISES, encoding="utf-8")
    pytester.makeini("[pytest]\naddopts = -p no:schemathesis -p no:cacheprovider --strict-markers\n")
    return pytester


def run(suite: pytest.Pytester, test: str, *more: str) -> pytest.RunResult:
    (suite.path / "hil_tests" / "test_it.py").write_text(f"import pytest\n{test}", encoding="utf-8")
    return suite.runpytest_subprocess("hil_tests", "--report", "report", "-ra", *more)


NEEDS = """
@pytest.mark.needs("press")
def test_has(bench): pass

@pytest.mark.needs("press", "radio_range", "dns")
def test_lacks(bench): raise AssertionError("was run")

def test_finds_out(bench):
    from kanhu.qa.capabilities import NeedsCapability
    raise NeedsCapability("power")
"""


def test_what_the_bench_has_not_skips_by_name(suite: pytest.Pytester) -> None:
    result = run(suite, NEEDS)
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(
        [
            "*this bench has no dns: run --target sim; this bench has no radio_range: run --target usb with*",
            "*this bench has no power: add [[]power[]] to bench.toml*",
        ],
        consecutive=False,
    )


def test_strictly_it_fails(suite: pytest.Pytester) -> None:
    result = run(suite, NEEDS, "--strict-needs")
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["failed"], outcomes["errors"]) == (1, 1, 1)
    result.stdout.fnmatch_lines(["*this bench has no dns: run --target sim*"])


def test_an_unknown_capability_is_a_mistake_of_the_test(suite: pytest.Pytester) -> None:
    result = run(suite, '@pytest.mark.needs("pres")\ndef test_x(bench): pass\n')
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no capability 'pres': there is *"])


def test_a_failure_names_the_promise_that_it_breaks(suite: pytest.Pytester) -> None:
    result = run(suite, '@pytest.mark.promise("D-02")\ndef test_x(bench): assert 1 == 2\n')
    result.assert_outcomes(failed=1)
    said = "PROMISE BROKEN D-02: A press that the lamp has called heard is never lost."
    result.stdout.fnmatch_lines([said, "FAILED *PROMISE BROKEN D-02*"])
    (test,) = json.loads((suite.path / "report" / "run.json").read_text(encoding="utf-8"))["tests"]
    assert test["promises"] == ["D-02"]
    assert "PROMISE BROKEN D-02" in test["message"]
    assert said in test["details"]


def test_a_bench_that_cannot_be_built_is_said_without_a_traceback(suite: pytest.Pytester) -> None:
    bench = suite.path / "bench.toml"
    bench.write_text('[wifi]\nname = "x"\npassword = "a password"\n', encoding="utf-8")
    (suite.path / "hil_tests" / "conftest.py").write_text('pytest_plugins = ["kanhu.qa.plugin"]\n')
    result = run(suite, "def test_x(hub): pass\n", "--target", "usb", "--bench", str(bench))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*the bench: {bench}: hub: Field required"])
    assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target", "usb"), "*--target usb needs --bench FILE*"),
        (("--no-flash",), "*simulated boards begin empty*"),
    ],
)
def test_options_that_do_not_go_together(suite: pytest.Pytester, words: tuple[str, ...], said: str) -> None:
    (suite.path / "hil_tests" / "conftest.py").write_text('pytest_plugins = ["kanhu.qa.plugin"]\n')
    result = run(suite, "def test_x(hub): pass\n", *words)
    assert result.ret != 0
    result.stdout.fnmatch_lines([said])


def test_unreadable_promises_end_the_run(suite: pytest.Pytester) -> None:
    (suite.path / "hil_tests" / "promises.toml").write_text("[D-2]\n", encoding="utf-8")
    result = run(suite, "def test_x(): pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*a promise is a table named such as*"])


def test_no_report_where_other_tests_run_too(suite: pytest.Pytester, tmp_path: Path) -> None:
    suite.makepyfile("def test_y(): pass\n")
    (suite.path / "hil_tests" / "test_it.py").write_text("def test_x(): pass\n", encoding="utf-8")
    suite.runpytest_subprocess("hil_tests", ".").assert_outcomes(passed=2)
    assert not (suite.path / "build").exists()
    suite.runpytest_subprocess("hil_tests/test_it.py::test_x").assert_outcomes(passed=1)
    assert list((suite.path / "build" / "qa").glob("*/run.json"))


def test_the_release_suite_has_two_simulated_benches_at_a_time(suite: pytest.Pytester) -> None:
    result = run(suite, "@pytest.mark.release\ndef test_one():\n    pass", "-m", "release")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*2 workers*"])


@pytest.mark.parametrize(
    ("given", "benches"),
    [
        ({"markexpr": "release"}, 2),
        ({"markexpr": "smoke or release"}, 2),
        ({"markexpr": "release", "numprocesses": 0}, 0),
        ({"markexpr": "release or latency"}, None),  # which measures speed
        ({"markexpr": "release", "capture": "no"}, None),  # somebody watches
        ({"markexpr": "release", "usepdb": True}, None),
        ({"markexpr": "release", "target": "usb"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_who_measures_watches_or_has_real_boards_has_one_bench(
    given: dict[str, Any], benches: int | None
) -> None:
    usual = {"numprocesses": None, "dist": "no", "tx": [], "usepdb": False, "capture": "fd"}
    option = SimpleNamespace(**{**usual, "target": "sim", "markexpr": "", **given})
    plugins = SimpleNamespace(hasplugin=lambda name: name == "xdist")
    cli_options.spread(cast(pytest.Config, SimpleNamespace(option=option, pluginmanager=plugins)))
    assert option.numprocesses == benches
    assert option.dist == ("loadfile" if benches else "no")
