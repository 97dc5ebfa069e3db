"""A Bumble central that collects from simulated monitors, none of the project's own firmware in it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from bumble import att, hci
from bumble.core import UUID
from bumble.device import Connection

from kanhu.sim import bonds, gatt
from kanhu.sim.monitors import Manners, make
from kanhu.sim.sensors import Advert

HUB = "C0:00:00:00:00:09"
MONITOR = "F0:F1:F2:F3:F4:01"


class Air:
    """A link and what was advertised on it."""

    def __init__(self) -> None:
        self.adverts: list[Advert] = []
        self.link = gatt.Link(self.adverts.append)
        self.made: list[Any] = []

    async def monitor(self, kind: str, address: str = MONITOR, **manners: Any) -> Any:
        one = await make(kind, self.link, address, -60, Manners(**{"settle_s": 0.0, **manners}))
        self.made.append(one)
        return one

    async def collector(self, address: str = HUB) -> Collector:
        device = gatt.device(self.link, "collector", address)
        device.pairing_config_factory = bonds.just_works
        await device.power_on()
        return Collector(self.link, device)


@asynccontextmanager
async def air() -> AsyncIterator[Air]:
    one = Air()
    try:
        yield one
    finally:
        for monitor in one.made:
            await monitor.close()


class Collector:
    """Connects, and speaks in UUIDs; heard: (uuid, bytes) as they came."""

    connection: Connection

    def __init__(self, link: gatt.Link, device: Any) -> None:
        self.link, self.device = link, device
        self.heard: list[tuple[str, bytes]] = []

    async def connect(self, address: str = MONITOR) -> None:
        target = hci.Address(address)
        async with asyncio.timeout(10):
            await self.link.until_connectable(target)
            self.connection = await self.device.connect(target)
        self._client: Any = self.connection.gatt_client
        self._client.on_att_handle_value_notification = self._hear
        self._client.on_att_handle_value_indication = self._confirm
        self.services: dict[str, list[str]] = {}
        self.found: dict[str, Any] = {}
        for service in await self._client.discover_services():
            names = []
            for one in await self._client.discover_characteristics([], service):
                self.found[_name(one.uuid)] = one
                names.append(_name(one.uuid))
            self.services[_name(service.uuid)] = names

    async def pair(self) -> None:
        await self.connection.pair()

    async def encrypt(self) -> None:
        await self.connection.encrypt()

    async def read(self, uuid: str) -> bytes:
        return bytes(await self._client.read_value(self.found[uuid]))

    async def write(self, uuid: str, data: bytes) -> None:
        await self._client.write_value(self.found[uuid], data, with_response=True)

    async def subscribe(self, *uuids: str) -> None:
        """Enable what each characteristic can do: notifications, indications."""
        for uuid in uuids:
            one = self.found[uuid]
            (cccd,) = [d for d in await self._client.discover_descriptors(one) if _name(d.type) == "2902"]
            how = b"\x02\x00" if one.properties & 0x20 else b"\x01\x00"
            await self._client.write_value(cccd.handle, how, with_response=True)

    def _hear(self, pdu: Any) -> None:
        (uuid,) = [name for name, one in self.found.items() if one.handle == pdu.attribute_handle]
        self.heard.append((uuid, bytes(pdu.attribute_value)))

    def _confirm(self, pdu: Any) -> None:
        self._hear(pdu)
        self._client.send_confirmation(att.ATT_Handle_Value_Confirmation())

    def got(self, uuid: str) -> list[bytes]:
        return [data for name, data in self.heard if name == uuid]

    async def gone(self) -> None:
        await until(lambda: self.connection.handle not in self.device.connections)


async def until(condition: Callable[[], object], timeout: float = 20.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.01)


def _name(uuid: UUID) -> str:
    return f"{struct.unpack('<H', uuid.to_bytes()[:2])[0]:04X}"
