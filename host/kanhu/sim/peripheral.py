"""A hub as a GATT peripheral: its services, its advertising, and whoever connects to it, by Bumble.

What a hub sees is what MicroPython's bluetooth shows on an ESP32 (NimBLE):
- gatts_register_services() raises EBUSY while the hub scans, advertises or has a connection.
- Advertising ends when somebody connects: CENTRAL_CONNECT. GATTS_WRITE, MTU_EXCHANGED and, at the end,
  CENTRAL_DISCONNECT follow.
- gatts_notify() and gatts_indicate() reach a central whether it has subscribed or not, cut to what its MTU
  carries; gatts_write(..., send_update=True) reaches those who have. INDICATE_DONE follows the confirmation.
- Who has subscribed is told to nobody, and everybody may: encryption is asked for by a value's flags alone.
  What they refuse: insufficient authentication, or encryption of a central whose key is kept.
- A central that comes back encrypts with the key the application kept: GET_SECRET type 1, by its address.
  ENCRYPTION_UPDATE, and after a pairing SET_SECRET, as on a central's side (see gatt.py).
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Any

from bumble import att
from bumble.core import UUID
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address, Role

from kanhu.sim import bonds

# MicroPython's bluetooth._IRQ_* of a peripheral
CENTRAL_CONNECT, CENTRAL_DISCONNECT, GATTS_WRITE, INDICATE_DONE, MTU_EXCHANGED = 1, 2, 3, 20, 21
ENCRYPTION_UPDATE, SET_SECRET = 28, 30
MAX_ADVERTISING = 31  # bytes
WRITES = Characteristic.Properties.WRITE | Characteristic.Properties.WRITE_WITHOUT_RESPONSE
# and its flags of a characteristic; the low byte is Bluetooth's own
READ_ENCRYPTED, WRITE_ENCRYPTED = 0x0200, 0x1000
PAIRED = 0.05  # s until a pairing's encryption is told of: Bumble's two sides are not done at once
UNCONFIRMED = 7  # status of an indication that nobody confirmed: NimBLE's BLE_HS_ENOTCONN
Secret = Callable[[int, bytes], Awaitable[bytes | None]]


async def no_secret(kind: int, key: bytes) -> bytes | None:
    """Of a hub that keeps none."""
    return None


class Peripheral:
    """ready() gives the hub's powered device; its commands in, MicroPython's events out through tell().

    secret(type, key) asks the hub for a kept secret; pairing: whether it bonds, wants a person, has keys."""

    def __init__(
        self,
        ready: Callable[[], Awaitable[Device]],
        tell: Callable[..., object],
        secret: Secret = no_secret,
    ) -> None:
        self._ready = ready
        self._tell = tell
        self._secret = secret
        self.pairing = (False, False, bonds.NO_INPUT_OUTPUT)
        self.data: dict[int, bytes] = {}  # handle of a value -> what it reads as
        self._tasks: set[asyncio.Task[None]] = set()
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
        self.data.clear()
        device.keystore = bonds.AppKeys(self._secret)
        device.pairing_config_factory = lambda connection: bonds.config(*self.pairing)
        handles = []
        for uuid, characteristics in services:
            made = [self._characteristic(one, properties) for one, properties in characteristics]
            server.add_service(Service(_uuid(uuid), made))
            handles.append([one.handle for one in made])
            self._values |= {one.handle: one for one in made}
        return handles

    def _characteristic(self, uuid: str, properties: int) -> Characteristic[bytes]:
        # Bumble looks at no property.
        async def read(connection: Connection) -> bytes:
            if not properties & Characteristic.Properties.READ:
                raise att.ATT_Error(att.ErrorCode.READ_NOT_PERMITTED)
            await self._admit(connection, bool(properties & READ_ENCRYPTED))
            return self.data.get(made.handle, b"")

        async def written(connection: Connection, data: bytes) -> None:
            if not properties & WRITES:
                raise att.ATT_Error(att.ErrorCode.WRITE_NOT_PERMITTED)
            await self._admit(connection, bool(properties & WRITE_ENCRYPTED))
            self.data[made.handle] = bytes(data)
            self._tell(GATTS_WRITE, connection.handle, made.handle, {"b": bytes(data).hex()})

        value: Any = CharacteristicValue(read=read, write=written)
        may = Characteristic.Permissions.READABLE | Characteristic.Permissions.WRITEABLE
        known = Characteristic.Properties(properties & 0xFF)
        made: Characteristic[bytes] = Characteristic(_uuid(uuid), known, may, value)
        return made

    async def _admit(self, connection: Connection, encrypted: bool) -> None:
        if encrypted and not connection.encryption:
            known = await self._secret(bonds.PEERS, bonds.key(connection.peer_address))
            raise att.ATT_Error(
                att.ErrorCode.INSUFFICIENT_ENCRYPTION if known else att.ErrorCode.INSUFFICIENT_AUTHENTICATION
            )

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
            # Bumble waits as many ms as these have units of 0.625 ms.
            advertising_interval_min=interval_us / 1000 * 0.625,
            advertising_interval_max=interval_us / 1000 * 0.625,
        )

    async def notify(self, handle: int, value: int, data: str) -> None:
        """OSError(ENOTCONN) without that connection."""
        connection = self.connections.get(handle)
        if connection is None or self._device is None:
            raise OSError(errno.ENOTCONN, "not connected")
        await self._device.notify_subscriber(connection, self._values[value], bytes.fromhex(data), force=True)

    def indicate(self, handle: int, value: int, data: str, force: bool = True) -> None:
        """Begin; INDICATE_DONE says what became of it. OSError(ENOTCONN) without that connection."""
        connection = self.connections.get(handle)
        if connection is None or self._device is None:
            raise OSError(errno.ENOTCONN, "not connected")
        self._go(self._indicate(self._device, connection, value, bytes.fromhex(data), force))

    async def _indicate(
        self, device: Device, connection: Connection, value: int, data: bytes, force: bool
    ) -> None:
        gone = asyncio.get_running_loop().create_future()

        def lost(reason: int) -> None:
            if not gone.done():
                gone.set_result(None)

        connection.once(connection.EVENT_DISCONNECTION, lost)
        saying = asyncio.ensure_future(
            device.gatt_server.indicate_subscriber(connection, self._values[value], data, force=force)
        )
        await asyncio.wait({saying, gone}, return_when=asyncio.FIRST_COMPLETED)
        confirmed = saying.done() and saying.exception() is None
        saying.cancel()
        self._tell(INDICATE_DONE, connection.handle, value, 0 if confirmed else UNCONFIRMED)

    async def update(self, value: int) -> None:
        """Tell those who have subscribed what it reads as now."""
        device = self._device
        if device is None:
            return
        for connection in list(self.connections.values()):
            wanted = device.gatt_server.subscribers.get(connection, {}).get(value, b"\0\0")
            if wanted[:1] == b"\x01":
                await device.notify_subscriber(connection, self._values[value], self.data.get(value, b""))
            elif wanted[:1] == b"\x02":
                self.indicate(connection.handle, value, self.data.get(value, b"").hex(), force=False)

    def ask_security(self, handle: int) -> None:
        """What gap_pair() does on a peripheral's side. OSError(ENOTCONN) without that connection."""
        connection = self.connections.get(handle)
        if connection is None or self._device is None:
            raise OSError(errno.ENOTCONN, "not connected")
        self._device.request_pairing(connection)

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
        self._watch_security(connection)
        self._tell(CENTRAL_CONNECT, handle, *who)

    def _watch_security(self, connection: Connection) -> None:
        handle = connection.handle
        peer: Address = connection.peer_address  # pairing replaces it by what the peer calls itself
        sessions = connection.device.smp_manager.sessions

        def encrypted() -> None:
            if handle not in sessions:  # else the pairing tells of it
                self._go(self._resumed(connection, peer))

        def paired(keys: Any) -> None:
            sessions.pop(handle, None)  # else it cannot pair a second time
            self._go(self._bonded(handle, peer, keys))

        def failed(reason: Any) -> None:
            sessions.pop(handle, None)
            self._tell(ENCRYPTION_UPDATE, handle, False, False, False, 0)

        connection.on(connection.EVENT_CONNECTION_ENCRYPTION_CHANGE, encrypted)
        connection.on(connection.EVENT_PAIRING, paired)
        connection.on(connection.EVENT_PAIRING_FAILURE, failed)

    async def _resumed(self, connection: Connection, peer: Address) -> None:
        secret = await self._secret(bonds.OURS, bonds.key(peer))
        state = bonds.state(secret) if secret else (False, False, False, 0)
        self._tell(ENCRYPTION_UPDATE, connection.handle, *state)

    async def _bonded(self, handle: int, peer: Address, keys: Any) -> None:
        await asyncio.sleep(PAIRED)
        secret = bonds.secret(peer, keys)
        bond = self.pairing[0]
        self._tell(ENCRYPTION_UPDATE, handle, True, bonds.state(secret)[1], bond, bonds.KEY_SIZE)
        if bond:
            for kind in (bonds.OURS, bonds.PEERS):
                self._tell(SET_SECRET, kind, {"b": bonds.key(peer).hex()}, {"b": secret.hex()})

    def _go(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """The hub is off."""
        self._tell = lambda *message: None
        for task in list(self._tasks):
            task.cancel()
        if self._device is not None and self._device.is_advertising:
            await self._device.stop_advertising()
        for connection in list(self.connections.values()):
            await connection.disconnect()


def _uuid(text: str) -> UUID:
    return UUID.from_bytes(bytes.fromhex(text))
