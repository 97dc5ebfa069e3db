"""Bodies of survey_cases.py run under MicroPython, one case each."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def pytest_generate_tests(metafunc):
    if "survey_case" in metafunc.fixturenames:
        source = (HERE / "bodies" / "survey_cases.py").read_text(encoding="utf-8")
        metafunc.parametrize("survey_case", re.findall(r"^def (test_\w+)", source, re.MULTILINE))
