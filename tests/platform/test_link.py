"""A link that stops stays stopped, whatever comes in between."""

from __future__ import annotations

import asyncio

import aiomqtt
import pytest

from kanhu.platform.address import Address
from kanhu.platform.link import Link


async def test_an_error_on_the_way_out_does_not_take_the_place_of_the_stop(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = aiomqtt.Client.__aexit__

    async def fails(client: aiomqtt.Client, *why: object) -> None:
        await leave(client, *why)  # type: ignore[arg-type]
        raise aiomqtt.MqttError("the broker went first")

    monkeypatch.setattr(aiomqtt.Client, "__aexit__", fails)
    link = Link(Address.parse(url), ["kanhu/1/events/+"], lambda topic, payload: None)
    await link.start()
    async with asyncio.timeout(5):
        await link.stop()
    assert not link.up.is_set()
    assert link.connections == 1


async def test_a_cancellation_that_is_overlooked_is_said_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe = aiomqtt.Client.subscribe
    overlooked = asyncio.Event()

    async def swallows(client: aiomqtt.Client, *what: object) -> object:
        granted = await subscribe(client, *what)  # type: ignore[arg-type]
        try:
            overlooked.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass  # as asyncio.wait_for does before Python 3.12 when the answer comes with it
        return granted

    monkeypatch.setattr(aiomqtt.Client, "subscribe", swallows)
    link = Link(Address.parse(url), ["kanhu/1/events/+"], lambda topic, payload: None)
    starting = asyncio.ensure_future(link.start())
    await overlooked.wait()
    async with asyncio.timeout(10):
        starting.cancel()
        await asyncio.wait([starting])
        await link.stop()
    assert not link.up.is_set()
