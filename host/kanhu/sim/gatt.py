"""Connectable peripherals on the bench's air and a hub's connections to them, by Bumble's controllers.

What a hub sees is what MicroPython's bluetooth shows on an ESP32 (NimBLE):
- At most 4 connections, the fifth gap_connect() raises ENOMEM; EALREADY while another is being made, EIO for
  a monitor that is connected already. gap_scan() raises EBUSY until the connection stands or has failed.
- A connection that failed: DISCONNECT with handle 65535, address type 255 and an address of zeros.
- gap_pair(conn) asks the irq handler for the secret (GET_SECRET: type 2, index 0, 7 bytes of address type and
  address, least significant byte first). With it the link is encrypted; without it (None, or not 80 bytes)
  the two pair. Then ENCRYPTION_UPDATE (conn, encrypted, authenticated, bonded, key size) follows; zeros: it
  failed, and the link stays up. With a key that is not the monitor's the link is cut. After a pairing with
  config(bond=True) come SET_SECRET of type 1 and 2. Nothing else keeps keys: what the hub forgets is gone.
- A monitor that asks for security (SMP security request) has the same effect as gap_pair().
- active(True) with a handler set asks for the identity key (type 10, b"irk") and, when there is one, for all
  secrets of type 2 by index, without a key.
- An indication is confirmed when the irq handler has returned.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from bumble import att, hci, ll
from bumble.controller import Controller
from bumble.core import UUID
from bumble.device import Connection, Device
from bumble.gatt_client import ServiceProxy
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink

from kanhu.sim import bonds
from kanhu.sim.peripheral import Peripheral, Secret, no_secret
from kanhu.sim.sensors import Advert

# MicroPython's bluetooth._IRQ_* of a central
CONNECT, DISCONNECT = 7, 8
SERVICE, SERVICES_DONE = 9, 10
CHARACTERISTIC, CHARACTERISTICS_DONE = 11, 12
DESCRIPTOR, DESCRIPTORS_DONE = 13, 14
READ, READ_DONE, WRITE_DONE = 15, 16, 17
NOTIFY, INDICATE = 18, 19
MTU_EXCHANGED = 21
ENCRYPTION_UPDATE, SET_SECRET = 28, 30

ADV_IND = 0
NO_CONNECTION = 65535  # handle in the event that says a connection failed
NO_ADDRESS = (255, {"b": "00" * 6})  # and the type and address in it
INTERVAL_MS = 50.0  # of advertising: 30 to 60 for the first 30 s, as the health profiles advise
CONNECTIONS = 4  # at most, as in MicroPython's ESP32 builds
ATT_ERROR = 0x100  # NimBLE's base of an ATT error in a status
GENERIC_ACCESS = UUID("1800")

logger = logging.getLogger(__name__)
Tell = Callable[..., object]


class Link(LocalLink):
    """Bumble's link; what peripherals advertise on it also reaches the bench's own scanners."""

    def __init__(self, transmit: Callable[[Advert], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._transmit = transmit
        self.rssi: dict[bytes, int] = {}

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        super().send_advertising_pdu(sender_controller, packet)
        if isinstance(packet, ll.AdvInd):
            address = _printed(packet.advertiser_address)
            random = not packet.advertiser_address.is_public
            rssi = self.rssi.get(address, -60)
            self._transmit(Advert(address, rssi, bytes(packet.data), ADV_IND, random))

    async def until_connectable(self, address: hci.Address) -> None:
        """Return when somebody of that address advertises."""
        while not self._advertises(address):  # noqa: ASYNC110  Bumble tells nobody
            await asyncio.sleep(0.02)

    async def drop_unanswered(self, central: hci.Address, peripheral: hci.Address) -> None:
        """End a connection that its peripheral did not hear of; Bumble's central would keep it for ever."""
        await asyncio.sleep(0.01)  # a connection request is under way for one round of the loop
        ours, theirs = self.find_le_controller(central), self.find_le_controller(peripheral)
        if ours is None or (theirs is not None and central in theirs.le_connections):
            return
        connection = ours.le_connections.get(peripheral)
        if connection is not None:
            failed = hci.HCI_ErrorCode.CONNECTION_FAILED_TO_BE_ESTABLISHED_ERROR
            ours.on_le_disconnected(connection, failed)

    def _advertises(self, address: hci.Address) -> bool:
        controller = self.find_le_controller(address)
        return controller is not None and controller.le_legacy_advertiser.enabled


def _printed(address: hci.Address) -> bytes:
    return bytes(reversed(bytes(address)))


def device(link: Link, name: str, address: str) -> Device:
    """A device on the link, not powered on."""
    controller = Controller(name, link=link)
    controller.le_features &= ~hci.LeFeatureMask.LE_EXTENDED_ADVERTISING  # else nothing is advertised here
    return Device(name=name, address=hci.Address(address), host=Host(controller, AsyncPipeSink(controller)))


async def peripheral(
    link: Link, name: str, address: str, rssi: int, advertising: bytes, add: Callable[[Device], None]
) -> Device:
    """A connectable peripheral that advertises again after each connection; add() gives it its services."""
    one = device(link, name, address)
    link.rssi[bytes.fromhex(address.replace(":", ""))] = rssi
    add(one)
    one.pairing_config_factory = bonds.just_works
    one.on("connection", pairs_again)
    await one.power_on()
    await advertise(one, advertising, again=True)
    return one


def pairs_again(connection: Connection) -> None:
    """Let a peripheral pair a second time on a connection: Bumble keeps the session of the first."""

    def over(result: Any) -> None:
        connection.device.smp_manager.sessions.pop(connection.handle, None)

    connection.on(connection.EVENT_PAIRING, over)
    connection.on(connection.EVENT_PAIRING_FAILURE, over)


async def advertise(device: Device, data: bytes, again: bool = False) -> None:
    """Connectable, until somebody connects; again: anew after each connection."""
    await device.start_advertising(
        auto_restart=again,
        advertising_data=data,
        advertising_interval_min=INTERVAL_MS,
        advertising_interval_max=INTERVAL_MS,
    )


class Central:
    """A hub's side: its commands in, MicroPython's events out through tell(event, *fields).

    secure(handle) asks for what gap_pair() does, when a peripheral has sent a security request."""

    def __init__(
        self,
        link: Link,
        name: str,
        tell: Tell,
        address: str = "C0:00:00:00:00:01",
        secure: Callable[[int], object] = lambda handle: None,
        secret: Secret = no_secret,
    ) -> None:
        self._link, self._name, self._tell, self._secure = link, name, tell, secure
        self._address = address
        self._device: Device | None = None
        self._powering = asyncio.Lock()
        self._controllers: set[Controller] = set()  # its one, once there is a device
        self._connections: dict[int, Connection] = {}
        self._connecting: asyncio.Task[None] | None = None
        self._securing: set[int] = set()
        self._unconfirmed: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.peripheral = Peripheral(self._ready, tell, secret)

    def change_address(self, address: str) -> None:
        """Another random static address; OSError(EBUSY) while one is used."""
        device = self._device
        if self.connecting or self._connections or self.peripheral.connections:
            raise OSError(errno.EBUSY, "connected")
        if device is not None:
            if device.is_advertising:
                raise OSError(errno.EBUSY, "advertising")
            device.random_address = device.static_address = hci.Address(address)
            for controller in self._controllers:
                controller.random_address = hci.Address(address)
        self._address = address

    @property
    def connecting(self) -> bool:
        return self._connecting is not None and not self._connecting.done()

    def connect(self, address_type: int, address: bytes, timeout_ms: int) -> None:
        """Begin to connect; OSError as NimBLE answers."""
        if self.connecting:
            raise OSError(errno.EALREADY, "connecting")
        if any(_printed(one.peer_address) == address for one in self._connections.values()):
            raise OSError(errno.EIO, "connected already")
        if len(self._connections) + len(self.peripheral.connections) >= CONNECTIONS:
            raise OSError(errno.ENOMEM, "no connection free")
        self._connecting = self._go(self._connect(address_type, address, timeout_ms))
        self._connecting.add_done_callback(self._over)

    def cancel_connect(self) -> None:
        if self._connecting:
            self._connecting.cancel()

    def _over(self, task: asyncio.Task[None]) -> None:
        """For the hub a failed connection is an event, whatever failed."""
        if task.cancelled() or task.exception():
            controller = self._link.find_le_controller(hci.Address(self._address))
            if controller is not None:
                controller.pending_le_connection = None  # Bumble's own cancelling forgets to
            self._tell(DISCONNECT, NO_CONNECTION, *NO_ADDRESS)

    async def _ready(self) -> Device:
        async with self._powering:
            if self._device is None:
                others = set(self._link.controllers)
                made = device(self._link, self._name, self._address)
                self._controllers = self._link.controllers - others
                await made.power_on()
                self._device = made
        return self._device

    async def _connect(self, address_type: int, address: bytes, timeout_ms: int) -> None:
        radio = await self._ready()
        target = hci.Address(bytes(reversed(address)), hci.AddressType(address_type))
        async with asyncio.timeout(timeout_ms / 1000):
            await self._link.until_connectable(target)
            connection = await radio.connect(target, timeout=None)
        peer = {"b": address.hex()}
        handle = connection.handle
        self._connections[handle] = connection

        def gone(reason: int) -> None:
            self._connections.pop(handle, None)
            self._unconfirmed.discard(handle)
            self._tell(DISCONNECT, handle, address_type, peer)

        client: Any = connection.gatt_client

        def notified(pdu: Any) -> None:
            self._tell(NOTIFY, handle, pdu.attribute_handle, {"b": bytes(pdu.attribute_value).hex()})

        def indicated(pdu: Any) -> None:
            self._unconfirmed.add(handle)
            self._tell(INDICATE, handle, pdu.attribute_handle, {"b": bytes(pdu.attribute_value).hex()})

        connection.on("disconnection", gone)
        connection.on(connection.EVENT_SECURITY_REQUEST, lambda auth_req: self._secure(handle))
        client.on_att_handle_value_notification = notified
        client.on_att_handle_value_indication = indicated
        self._tell(CONNECT, handle, address_type, peer)
        await self._link.drop_unanswered(hci.Address(self._address), target)

    def confirm(self, handle: int) -> None:
        """The hub's handler has returned from an indication."""
        connection = self._connections.get(handle)
        if connection is not None and handle in self._unconfirmed:
            self._unconfirmed.discard(handle)
            client: Any = connection.gatt_client
            client.send_confirmation(att.ATT_Handle_Value_Confirmation())

    async def disconnect(self, handle: int) -> bool:
        """False if there is no such connection."""
        connection = self._connections.get(handle)
        if connection is None:
            return await self.peripheral.disconnect(handle)
        await connection.disconnect()
        return True

    def start(self, operation: str, handle: int, *args: Any) -> None:
        """Begin a GATT operation; OSError(ENOTCONN) without the connection."""
        connection = self._connections.get(handle)
        if connection is None:
            raise OSError(errno.ENOTCONN, "not connected")
        if operation == "secure":
            if handle in self._securing:
                raise OSError(errno.EALREADY, "pairing")
            self._securing.add(handle)
            self._go(self._encrypt(connection, handle, *args))
            return
        operations: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
            "services": self._services,
            "characteristics": self._characteristics,
            "descriptors": self._descriptors,
            "read": self._read,
            "write": self._write,
            "mtu": self._mtu,
        }
        self._go(operations[operation](connection.gatt_client, handle, *args))

    async def _services(self, client: Any, handle: int, uuid: str | None) -> None:
        found = await (client.discover_service(_uuid(uuid)) if uuid else client.discover_services())
        for service in found:
            self._tell(SERVICE, handle, service.handle, service.end_group_handle, _field(service.uuid))
        self._tell(SERVICES_DONE, handle, 0)

    async def _characteristics(
        self, client: Any, handle: int, start: int, end: int, uuid: str | None
    ) -> None:
        service = ServiceProxy(client, start, end, GENERIC_ACCESS)  # type: ignore[no-untyped-call]
        for one in await client.discover_characteristics([_uuid(uuid)] if uuid else [], service):
            fields = (one.end_group_handle, one.handle, int(one.properties), _field(one.uuid))
            self._tell(CHARACTERISTIC, handle, *fields)
        self._tell(CHARACTERISTICS_DONE, handle, 0)

    async def _descriptors(self, client: Any, handle: int, start: int, end: int) -> None:
        for one in await client.discover_descriptors(start_handle=start, end_handle=end):
            self._tell(DESCRIPTOR, handle, one.handle, _field(one.type))
        self._tell(DESCRIPTORS_DONE, handle, 0)

    async def _read(self, client: Any, handle: int, attribute: int) -> None:
        try:
            value = await client.read_value(attribute)
        except att.ATT_Error as error:
            self._tell(READ_DONE, handle, attribute, ATT_ERROR + error.error_code)
            return
        self._tell(READ, handle, attribute, {"b": bytes(value).hex()})
        self._tell(READ_DONE, handle, attribute, 0)

    async def _write(self, client: Any, handle: int, attribute: int, data: str, mode: int) -> None:
        status = 0
        try:
            await client.write_value(attribute, bytes.fromhex(data), with_response=bool(mode))
        except att.ATT_Error as error:
            status = ATT_ERROR + error.error_code
        if mode:
            self._tell(WRITE_DONE, handle, attribute, status)

    async def _mtu(self, client: Any, handle: int, mtu: int) -> None:
        self._tell(MTU_EXCHANGED, handle, await client.request_mtu(mtu))

    async def _encrypt(
        self, connection: Connection, handle: int, secret: str | None, bond: bool, mitm: bool, io: int
    ) -> None:
        address = connection.peer_address  # pairing replaces it by what the peer calls itself
        key = bonds.key(address)
        state = (False, False, False, 0)
        kept: bytes | None = None
        try:
            if secret:
                await bonds.encrypt(connection, bytes.fromhex(secret))
                state = bonds.state(bytes.fromhex(secret))
            else:
                kept = await bonds.pair(connection, bonds.config(bond, mitm, io))
                state = (True, bonds.state(kept)[1], bond, bonds.KEY_SIZE)
        except Exception as error:  # Bumble's own tree; to the hub it failed, whatever did
            logger.info("%s: no encryption with %s: %r", self._name, address, error)
        finally:
            self._securing.discard(handle)
        if handle not in self._connections:
            return  # the link is gone, and DISCONNECT has said so
        self._tell(ENCRYPTION_UPDATE, handle, *state)
        if kept and bond:
            for kind in (bonds.OURS, bonds.PEERS):
                self._tell(SET_SECRET, kind, {"b": key.hex()}, {"b": kept.hex()})

    def _go(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() and task is not self._connecting:
            logger.error("%s: a GATT operation failed: %r", self._name, task.exception())

    async def close(self) -> None:
        """The hub is off: its connections end."""
        for task in list(self._tasks):
            task.cancel()
        self._tell = lambda *message: None
        await self.peripheral.close()
        for connection in list(self._connections.values()):
            await connection.disconnect()
        # The hub's next run has another under this address.
        self._link.controllers -= self._controllers


def _uuid(text: str) -> UUID:
    return UUID.from_bytes(bytes.fromhex(text))


def _field(uuid: UUID) -> dict[str, str]:
    return {"u": uuid.to_bytes().hex()}
