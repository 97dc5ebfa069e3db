"""A bundle of this test's own, to spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from helpers_cli import Kanhu, runner
from helpers_firmware import bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundle for esp32."""
    return Path(shutil.copytree(bundle("esp32"), tmp_path / "bundle"))


@pytest.fixture
def kanhu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kanhu:
    """kanhu(word, ..) in this process."""
    return runner(monkeypatch, capsys)
