from __future__ import annotations

from pathlib import Path

import pytest

from helpers_cli import Kanhu, runner
from helpers_miswired import standing


@pytest.fixture
def kanhu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kanhu:
    return runner(monkeypatch, capsys)


@pytest.fixture
def stand(tmp_path: Path):  # type: ignore[no-untyped-def]
    """stand(lines, power="stimulus"): both boards wired so, and the bench.toml of them."""
    return lambda *options, **more: standing(tmp_path, *options, **more)
