"""A hub as a GATT peripheral: its services, its advertising, and whoever connects to it, by Bumble.

What a hub sees is what MicroPython's bluetooth shows on an ESP32 (NimBLE):
- gatts_register_services() raises EBUSY while the hub scans, advertises or has a connection.
- Advertising ends when somebody connects: CENTRAL_CONNECT. GATTS_WRITE, MTU_EXCHANGED and, at the end,
  CENTRAL_DISCONNECT follow.
- gatts_notify() reaches a central whether it has subscribed or not, cut to what its MTU carries.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from typing import Any

from bumble.core import UUID
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Role

# MicroPython's bluetooth._IRQ_* of a peripheral
CENTRAL_CONNECT, CENTRAL_DISCONNECT, GATTS_WRITE, MTU_EXCHANGED = 1, 2, 3, 21
MAX_ADVERTISING = 31  # bytes
WRITES = Characteristic.Properties.WRITE | Characteristic.Properties.WRITE_WITHOUT_RESPONSE


class Peripheral:
    """ready() gives the hub's powered device; its commands in, MicroPython's events out through tell()."""

    def __init__(self, ready: Callable[[], Awaitable[Device]], tell: Callable[..., object]) -> None:
        self._ready = ready
        self._tell = tell
        self._device: Device | None = None
        self._own = 0  # attributes of the device itself
        self._values: dict[int, Characteristic[bytes]] = {}
        self.connections: dict[int, Connection] = {}

    async def register(self, services: list[list[Any]], mtu: int, scanning: bool) -> list[list[int]]:
        """[[UUID, [[UUID, properties], ..]], ..] in the place of all before; handles of the values; EBUSY."""
        device = self._device = await self._ready()
        if scanning or self.connections or device.is_advertising:
            raise OSError(errno.EBUSY, "scanning, advertising or connected")
        server = device.gatt_server
        if not self._values:
            self._own = len(server.attributes)
            device.on("connection", self._connected)
        del server.attributes[self._own :]
        server.services = [one for one in server.services if one in server.attributes]
        server.attributes_by_handle.clear()
        server.max_mtu = mtu
        self._values.clear()
        handles = []
        for uuid, characteristics in services:
            made = [self._characteristic(one, properties) for one, properties in characteristics]
            server.add_service(Service(_uuid(uuid), made))
            handles.append([one.handle for one in made])
            self._values |= {one.handle: one for one in made}
        return handles

    def _characteristic(self, uuid: str, properties: int) -> Characteristic[bytes]:
        def written(connection: Connection, data: bytes) -> None:
            self._tell(GATTS_WRITE, connection.handle, made.handle, {"b": bytes(data).hex()})

        value: Any = CharacteristicValue(write=written) if properties & WRITES else b""
        made: Characteristic[bytes] = Characteristic(
            _uuid(uuid),
            Characteristic.Properties(properties & 0xFF),
            Characteristic.Permissions.READABLE | Characteristic.Permissions.WRITEABLE,
            value,
        )
        return made

    async def advertise(self, interval_us: int | None, data: str, answer: str) -> None:
        """None: no more; OSError as NimBLE answers."""
        device = await self._ready()
        if device.is_advertising:
            await device.stop_advertising()
        if interval_us is None:
            return
        advertised, answered = bytes.fromhex(data), bytes.fromhex(answer)
        if max(len(advertised), len(answered)) > MAX_ADVERTISING:
            raise OSError(errno.EINVAL, "advertising data too long")
        await device.start_advertising(
            advertising_data=advertised,
            scan_response_data=answered,
            advertising_interval_min=interval_us / 1000,
            advertising_interval_max=interval_us / 1000,
        )

    async def notify(self, handle: int, value: int, data: str) -> None:
        """OSError(ENOTCONN) without that connection."""
        connection = self.connections.get(handle)
        if connection is None or self._device is None:
            raise OSError(errno.ENOTCONN, "not connected")
        await self._device.notify_subscriber(connection, self._values[value], bytes.fromhex(data), force=True)

    async def disconnect(self, handle: int) -> bool:
        """False if there is no such connection."""
        connection = self.connections.get(handle)
        if connection is None:
            return False
        await connection.disconnect()
        return True

    def _connected(self, connection: Connection) -> None:
        if connection.role != Role.PERIPHERAL:
            return
        handle = connection.handle
        peer = connection.peer_address
        who = (int(peer.address_type), {"b": bytes(reversed(bytes(peer))).hex()})

        def gone(reason: int) -> None:
            if self.connections.pop(handle, None):
                self._tell(CENTRAL_DISCONNECT, handle, *who)

        def mtu() -> None:
            self._tell(MTU_EXCHANGED, handle, connection.att_mtu)

        self.connections[handle] = connection
        connection.on(connection.EVENT_DISCONNECTION, gone)
        connection.on(connection.EVENT_CONNECTION_ATT_MTU_UPDATE, mtu)
        self._tell(CENTRAL_CONNECT, handle, *who)

    async def close(self) -> None:
        """The hub is off."""
        self._tell = lambda *message: None
        if self._device is not None and self._device.is_advertising:
            await self._device.stop_advertising()
        for connection in list(self.connections.values()):
            await connection.disconnect()


def _uuid(text: str) -> UUID:
    return UUID.from_bytes(bytes.fromhex(text))
