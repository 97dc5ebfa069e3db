from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from helpers_broker import NatsBroker
from helpers_city import Daemon


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[NatsBroker]:
    with NatsBroker(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def url(broker: NatsBroker) -> str:
    return f"mqtt://127.0.0.1:{broker.port}"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "platform.db"


@pytest.fixture
async def daemon(broker: NatsBroker) -> AsyncIterator[Daemon]:
    """The daemon's side of the platform's topics."""
    async with Daemon(broker.port) as running:
        yield running
