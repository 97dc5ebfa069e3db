"""The host's end of a serial line: who is greeted, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from helpers_serial import PlayedHub
from kanhu.links.serial import SerialLink
from kanhu_protocol import cbor, frame

HUB = "k3v9m2x7qa"


class Inlet:
    def __init__(self) -> None:
        self.present_hubs: list[str] = []
        self.refused: list[str] = []

    def submit(self, hub_id: str, payload: bytes, link: str) -> asyncio.Future[Any]:
        raise AssertionError("no events here")

    def refuse(self, link: str, reason: str) -> None:
        self.refused.append(reason)

    def present(self, hub_id: str, link: str) -> None:
        self.present_hubs.append(hub_id)


@pytest.fixture
async def line() -> AsyncIterator[tuple[PlayedHub, Inlet]]:
    """A hub's end of a line and what the daemon's end reported; the daemon's first hello has come."""
    hub, inlet = PlayedHub(), Inlet()
    task = asyncio.create_task(SerialLink(hub.path, inlet).run())
    try:
        await hellos(hub, 1)
        yield hub, inlet
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        hub.close()


async def hellos(hub: PlayedHub, count: int) -> None:
    """Wait until the daemon has said so many hellos, each of them as the contract has it."""
    async with asyncio.timeout(5):
        while len(hub.frames) < count:
            await asyncio.sleep(0.01)
    assert [(kind, cbor.loads(body)) for kind, body in hub.frames] == [(frame.HELLO, {0: 1})] * count


async def test_a_hello_that_asks_is_answered_and_a_plain_one_is_not(line: tuple[PlayedHub, Inlet]) -> None:
    hub, inlet = line
    plain = {0: 1, 1: HUB, 2: 3}
    hub.send(frame.HELLO, cbor.dumps(plain))
    hub.send(frame.HELLO, cbor.dumps({**plain, 32: 1}))
    await hellos(hub, 2)
    hub.send(frame.HELLO, cbor.dumps({**plain, 32: 1}))
    await hellos(hub, 3)
    hub.send(frame.HELLO, cbor.dumps(plain))
    await asyncio.sleep(0.3)
    await hellos(hub, 3)
    assert inlet.present_hubs == [HUB] * 4
    assert inlet.refused == []


async def test_a_hello_that_is_none_is_refused_and_not_answered(line: tuple[PlayedHub, Inlet]) -> None:
    hub, inlet = line
    hub.send(frame.HELLO, cbor.dumps({0: 2, 1: HUB, 2: 3, 32: 1}))
    hub.send(frame.HELLO, b"\xff")
    hub.send(frame.HELLO, cbor.dumps([32]))
    async with asyncio.timeout(5):
        while len(inlet.refused) < 3:
            await asyncio.sleep(0.01)
    await hellos(hub, 1)
