"""Test bodies of the hub's core run under MicroPython: each `def test_...` of bodies/*.py is one case."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers_micropython import run_micropython

HERE = Path(__file__).parent


def pytest_generate_tests(metafunc):
    name = getattr(metafunc.module, "BODY", None)
    if name and "case" in metafunc.fixturenames:
        source = (HERE / "bodies" / f"{name}.py").read_text(encoding="utf-8")
        unfit = getattr(metafunc.module, "unfit", lambda case: False)
        cases = re.findall(r"^def (test_\w+)", source, re.MULTILINE)
        metafunc.parametrize("case", [case for case in cases if not unfit(case)])


@pytest.fixture
def run_case(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Runs one case of the module's BODY with a scratch folder; its printed lines."""
    body = request.module.BODY

    def run(case: str) -> str:
        script = f"import {body}\n{body}.FOLDER = {str(tmp_path)!r}\n{body}.{case}()\nprint('case done')\n"
        out = run_micropython(script, heap="1m", paths=(HERE / "bodies", HERE / "fakes"))
        assert out.endswith("case done\n"), out
        return out

    return run
