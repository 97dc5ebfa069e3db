"""A host's core, as fixtures: a conftest that imports them gives them to its folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from helpers_intake import Clock, Host, HubVoice, restarting

OpenHost = Callable[..., Awaitable[Host]]


@pytest.fixture
def hub() -> HubVoice:
    return HubVoice()


@pytest.fixture
async def open_host(tmp_path: Path, hub: HubVoice) -> AsyncIterator[OpenHost]:
    """open_host() starts the host's core; called again, it stops the old one first: a restart."""
    clock = Clock()

    async def start() -> Host:
        return Host(tmp_path, hub, clock=clock)

    async with restarting(start, Host.close) as opening:
        yield opening


@pytest.fixture
async def host(open_host: OpenHost) -> Host:
    return await open_host()
