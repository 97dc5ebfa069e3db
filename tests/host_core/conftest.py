from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures_host import host, hub, open_host
from kanhu.registry import Registry

__all__ = ["home", "host", "hub", "open_host", "registry"]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def home(registry: Registry) -> str:
    return registry.add_home("cn/42/01/06/03", name="王秀英", address="武汉", phones=["+86 27 8888 1234"])
