"""A home whose hub pairs; bodies of pairing_cases.py run under MicroPython, one case each."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from helpers_pairing import Home

HERE = Path(__file__).parent


def pytest_generate_tests(metafunc):
    if "hub_case" in metafunc.fixturenames:
        source = (HERE / "bodies" / "pairing_cases.py").read_text(encoding="utf-8")
        metafunc.parametrize("hub_case", re.findall(r"^def (test_\w+)", source, re.MULTILINE))


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    made = Home(tmp_path)
    yield made
    await made.journal.close()
    made.registry.close()
