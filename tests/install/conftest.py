"""A bundle of this test's own, to spoil; a registry and a board to flash."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_cli import Kanhu, runner
from helpers_firmware import bundle
from helpers_flash import FakeBoard, install
from kanhu.registry import Registry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundle for esp32."""
    return Path(shutil.copytree(bundle("esp32"), tmp_path / "bundle"))


@pytest.fixture
def kanhu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kanhu:
    """kanhu(word, ..) in this process."""
    return runner(monkeypatch, capsys)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty one."""
    made = Registry.open(tmp_path)
    yield made
    made.close()


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> FakeBoard:
    """The only one that is plugged in."""
    made = FakeBoard("one")
    install(monkeypatch, [made])
    return made
