"""A hub's radio towards its monitors: what is refused, and when an indication is confirmed."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Any

import pytest
from bumble import ll

from helpers_collector import air, until
from kanhu.sim import gatt

pytestmark = pytest.mark.filterwarnings("ignore:coroutine 'LegacyAdvertiser.start' was never awaited")
RANDOM = 1


class Told(list[tuple[Any, ...]]):
    """The events of a hub."""

    def __call__(self, *event: Any) -> None:
        self.append(event)

    def of(self, kind: int) -> list[tuple[Any, ...]]:
        return [event[1:] for event in self if event[0] == kind]


def _refused(number: int, action: Callable[[], object]) -> None:
    with pytest.raises(OSError) as refused:  # noqa: PT011  the number is looked at below
        action()
    assert refused.value.errno == number


def _address(number: int) -> str:
    return f"F0:F1:F2:F3:F4:{number:02X}"


def _raw(number: int) -> bytes:
    return bytes.fromhex(_address(number).replace(":", ""))


async def test_the_fifth_connection_is_refused() -> None:
    async with air() as world:
        told = Told()
        central = gatt.Central(world.link, "hub", told)
        for number in range(5):
            await (await world.monitor("thermometer", _address(number), linger_s=60.0)).wake()
        for number in range(4):
            central.connect(RANDOM, _raw(number), 5000)
            _refused(errno.EALREADY, lambda: central.connect(RANDOM, _raw(4), 5000))
            assert central.connecting
            await until(lambda number=number: len(told.of(gatt.CONNECT)) == number + 1)
            await until(lambda: not central.connecting)
        _refused(errno.ENOMEM, lambda: central.connect(RANDOM, _raw(4), 5000))
        _refused(errno.EIO, lambda: central.connect(RANDOM, _raw(2), 5000))
        handle = told.of(gatt.CONNECT)[2][0]
        assert await central.disconnect(handle)
        await until(lambda: told.of(gatt.DISCONNECT))
        assert told.of(gatt.DISCONNECT) == [(handle, RANDOM, {"b": _raw(2).hex()})]
        central.connect(RANDOM, _raw(4), 5000)
        await until(lambda: len(told.of(gatt.CONNECT)) == 5)
        await central.close()


async def test_a_connection_that_fails_names_nobody() -> None:
    async with air() as world:
        told = Told()
        central = gatt.Central(world.link, "hub", told)
        central.connect(RANDOM, _raw(9), 100)
        await until(lambda: told)
        assert told == [(gatt.DISCONNECT, 65535, 255, {"b": "000000000000"})]
        central.connect(RANDOM, _raw(9), 60000)
        central.cancel_connect()
        await until(lambda: len(told) == 2)
        # One that goes to sleep while it is being connected costs the hub nothing but the time.
        monitor = await world.monitor("thermometer", _address(9))
        await monitor.wake()
        central.connect(RANDOM, _raw(9), 300)
        await until(lambda: central._device is not None and central._device.le_connecting)
        await monitor.sleep()
        await until(lambda: not central.connecting)
        await monitor.wake()
        await until(lambda: not central.connecting)
        if not told.of(gatt.CONNECT):
            central.connect(RANDOM, _raw(9), 5000)
        await until(lambda: told.of(gatt.CONNECT))
        await central.close()


async def test_a_connection_the_monitor_never_heard_of_ends_by_itself() -> None:
    async with air() as world:
        told = Told()
        central = gatt.Central(world.link, "hub", told)
        monitor = await world.monitor("thermometer")
        await monitor.wake()
        send = world.link.send_advertising_pdu

        def lose(sender: Any, packet: Any) -> None:
            if not isinstance(packet, ll.ConnectInd):
                send(sender, packet)

        world.link.send_advertising_pdu = lose
        central.connect(RANDOM, _raw(1), 5000)
        await until(lambda: told.of(gatt.DISCONNECT))
        assert told.of(gatt.CONNECT)[0] == told.of(gatt.DISCONNECT)[0]
        world.link.send_advertising_pdu = send
        central.connect(RANDOM, _raw(1), 5000)
        await until(lambda: monitor.count("connected"))
        await asyncio.sleep(0.1)
        assert len(told.of(gatt.DISCONNECT)) == 1
        await central.close()


async def test_an_indication_is_confirmed_when_the_handler_has_returned_and_by_no_hub_that_is_off() -> None:
    async with air() as world:
        told = Told()
        central = gatt.Central(world.link, "hub", told)
        monitor = await world.monitor("thermometer", bonding=False, linger_s=60.0)
        await monitor.measure(temperature=36.6)
        central.connect(RANDOM, _raw(1), 5000)
        await until(lambda: told.of(gatt.CONNECT))
        handle = told.of(gatt.CONNECT)[0][0]
        central.start("write", handle, monitor.value.handle + 1, "0200", 1)
        await until(lambda: told.of(gatt.INDICATE))
        await asyncio.sleep(0.1)
        assert monitor.count("indicated") == 1
        assert not monitor.count("confirmed")
        central.confirm(handle)
        await until(lambda: monitor.count("confirmed") == 1)
        central.confirm(handle)  # one too many does nothing
        await monitor.measure(temperature=36.7)
        await until(lambda: len(told.of(gatt.INDICATE)) == 2)
        await central.close()
        await until(lambda: monitor.count("disconnected"))
        assert len(monitor.stored) == 1


async def test_pairing_that_the_monitor_refuses_leaves_the_link() -> None:
    async with air() as world:
        told = Told()
        central = gatt.Central(world.link, "hub", told)
        monitor = await world.monitor("thermometer", pairs="never", linger_s=60.0)
        await monitor.wake()
        central.connect(RANDOM, _raw(1), 5000)
        await until(lambda: told.of(gatt.CONNECT))
        handle = told.of(gatt.CONNECT)[0][0]
        central.start("secure", handle, None, True, False, 3)
        _refused(errno.EALREADY, lambda: central.start("secure", handle, None, True, False, 3))
        await until(lambda: told.of(gatt.ENCRYPTION_UPDATE))
        assert told.of(gatt.ENCRYPTION_UPDATE) == [(handle, False, False, False, 0)]
        monitor.manners.pairs = "always"
        central.start("secure", handle, None, True, False, 3)
        await until(lambda: len(told.of(gatt.SET_SECRET)) == 2)
        assert told.of(gatt.ENCRYPTION_UPDATE)[1] == (handle, True, False, True, 16)
        assert not told.of(gatt.DISCONNECT)
        await central.close()


async def test_a_wrong_key_costs_the_link() -> None:
    async with air() as world:
        told = Told()
        central = gatt.Central(world.link, "hub", told)
        monitor = await world.monitor("thermometer", linger_s=60.0)
        for secret in (None, bytes(80).hex()):
            await monitor.wake()
            central.connect(RANDOM, _raw(1), 5000)
            await until(lambda: not central.connecting)
            handle = told.of(gatt.CONNECT)[-1][0]
            central.start("secure", handle, secret, True, False, 3)
            await until(lambda: told.of(gatt.SET_SECRET))
            if secret is None:
                await central.disconnect(handle)
            await until(lambda: told.of(gatt.DISCONNECT))
            await until(lambda: monitor.count("asleep"))
        await until(lambda: len(told.of(gatt.DISCONNECT)) == 2)
        assert len(told.of(gatt.ENCRYPTION_UPDATE)) == 1
        await central.close()
