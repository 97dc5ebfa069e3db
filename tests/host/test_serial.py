"""The host's end of a serial line: who is greeted, and when."""

from __future__ import annotations

import asyncio
import os
import threading
import tty
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import serial

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


class Stuck:
    """A port whose driver never answers."""

    def __init__(self, opens: bool) -> None:
        self.released = threading.Event()
        self.opens = opens
        self.in_waiting = 0

    def wait(self, *_: object, **__: object) -> Any:
        self.released.wait(20)
        raise serial.SerialException("released")

    read = write = close = wait

    def open(self, *_: object, **__: object) -> Any:
        return self if self.opens else self.wait()


@pytest.mark.parametrize("opens", [True, False])
async def test_a_stuck_port_delays_nobody(monkeypatch: pytest.MonkeyPatch, opens: bool) -> None:
    """Not the journal, which has work for the loop's own threads too; and not the end."""
    monkeypatch.setattr("kanhu.links.serial.CLOSE_S", 0.1)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    port = Stuck(opens)
    monkeypatch.setattr(serial, "serial_for_url", port.open)
    tasks = [asyncio.create_task(SerialLink(f"stuck{number}", Inlet()).run()) for number in range(3)]
    try:
        await asyncio.sleep(0.1)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 1) == "done"
        for task in tasks:
            task.cancel()
        _, late = await asyncio.wait(tasks, timeout=2)
        assert not late
    finally:
        port.released.set()


async def test_a_port_that_takes_nothing_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's end is open and nobody reads there."""
    monkeypatch.setattr("kanhu.links.serial.WRITE_S", 0.2)
    monkeypatch.setattr("kanhu.links.serial.REOPEN_MIN_S", 0.05)
    master, slave = os.openpty()
    tty.setraw(slave)
    inlet = Inlet()
    link = SerialLink(os.ttyname(slave), inlet)
    task = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(5):
            while not link.connected:  # what came before is thrown away
                await asyncio.sleep(0.01)
            os.write(master, frame.encode(frame.HELLO, cbor.dumps({0: 1, 1: HUB, 2: 3})))
            while link.hub_id is None:
                await asyncio.sleep(0.01)
            sent = 0
            while link.send_down(HUB, b"x" * 500):
                sent += 1
                await asyncio.sleep(0)
        assert sent >= 256
        async with asyncio.timeout(5):
            while link.hub_id is not None:  # a port opened again has no hub yet
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        os.close(master)
        os.close(slave)
