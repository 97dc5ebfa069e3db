"""The hub's core under MicroPython: each `def test_...` of a module's BODIES (bodies/*.py) is one case."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers_micropython import run_micropython_case

HERE = Path(__file__).parent


def pytest_generate_tests(metafunc):
    bodies = getattr(metafunc.module, "BODIES", ())
    if bodies and "case" in metafunc.fixturenames:
        unfit = getattr(metafunc.module, "unfit", lambda case: False)
        cases = [
            f"{body}.{case}"
            for body in bodies
            for case in re.findall(
                r"^def (test_\w+)", (HERE / "bodies" / f"{body}.py").read_text("utf-8"), re.M
            )
        ]
        fit = [case for case in cases if not unfit(case)]
        metafunc.parametrize("case", fit, ids=[case.partition(".")[2] for case in fit])


@pytest.fixture
def run_case(tmp_path: Path) -> Callable[[str], str]:
    """Runs one case ("body.test_name") with a scratch folder; its printed lines."""

    def run(case: str, *paths: Path) -> str:
        return run_micropython_case(case, tmp_path, paths or (HERE / "bodies", HERE / "fakes"))

    return run
