from __future__ import annotations

from pathlib import Path

import pytest

from helpers_cli import Kanhu, runner


@pytest.fixture
def kanhu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kanhu:
    """One command in tmp_path."""
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)
