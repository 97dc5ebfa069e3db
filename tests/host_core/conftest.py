from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from helpers_intake import Clock, Host, HubVoice

OpenHost = Callable[..., Awaitable[Host]]


@pytest.fixture
def hub() -> HubVoice:
    return HubVoice()


@pytest.fixture
async def open_host(tmp_path: Path, hub: HubVoice) -> AsyncIterator[OpenHost]:
    """open_host() starts the host's core; called again, it stops the old one first: a restart."""
    running: list[Host] = []
    clock = Clock()

    async def start() -> Host:
        while running:
            await running.pop().journal.close()
        running.append(Host(tmp_path, hub, clock=clock))
        return running[0]

    yield start
    for host in running:
        await host.journal.close()


@pytest.fixture
async def host(open_host: OpenHost) -> Host:
    return await open_host()
