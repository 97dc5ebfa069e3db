"""A computer with Bluetooth on the bench's air: bleak's client and scanner over Bumble's controllers.

`BleakClient(device, backend=computer.client)`, `BleakScanner(backend=computer.scanner)`: the program under
test is the one that uses BlueZ, CoreBluetooth or WinRT elsewhere. Use it in the bench's loop (Bench.run)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bleak.args import SizedBuffer
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDeviceNotFoundError,
    BleakError,
)
from bumble import hci
from bumble.core import AdvertisingData
from bumble.device import Advertisement, Connection, Device

from kanhu.links.gatt import Backends
from kanhu.sim.gatt import Link, device

ADDRESS = "F0:57:1C:00:00:01"
MTU = 185  # what CoreBluetooth asks for, between BlueZ's 517 and the least
SCAN_MS = 60  # interval and window

Reason = BleakBluetoothNotAvailableReason


class Computer(Backends):
    """Its Bluetooth; `unavailable` says why bleak is to find none."""

    def __init__(self, link: Link, name: str = "laptop", address: str = ADDRESS) -> None:
        self.link = link
        self.unavailable: Reason | None = None
        self._name, self._address = name, hci.Address(address)
        self._device: Device | None = None
        self._powering = asyncio.Lock()
        computer = self

        class Client(BumbleClient):
            _computer = computer

        class Scanner(BumbleScanner):
            _computer = computer

        self.client, self.scanner = Client, Scanner

    async def radio(self) -> Device:
        """Powered; BleakBluetoothNotAvailableError."""
        if self.unavailable is not None:
            raise BleakBluetoothNotAvailableError("Bluetooth is not available", self.unavailable)
        async with self._powering:
            if self._device is None:
                made = device(self.link, self._name, self._address.to_string(False))
                await made.power_on()
                self._device = made
        return self._device

    async def connect(self, peer: hci.Address) -> Connection:
        """To whoever advertises under that address."""
        radio = await self.radio()
        await self.link.until_connectable(peer)
        connection = await radio.connect(peer, timeout=None)
        await self.link.drop_unanswered(self._address, peer)
        return connection


class BumbleScanner(BaseBleakScanner):
    """bleak's scanner, for a Computer."""

    _computer: Computer

    def __init__(
        self,
        detection_callback: Any,
        service_uuids: list[str] | None,
        scanning_mode: str,
        **options: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._active = scanning_mode == "active"
        self._names: dict[str, str] = {}
        self._services: dict[str, list[str]] = {}

    async def start(self) -> None:
        radio = await self._computer.radio()
        self.seen_devices = {}
        radio.on(radio.EVENT_ADVERTISEMENT, self._heard)
        await radio.start_scanning(
            legacy=True, active=self._active, scan_interval=SCAN_MS, scan_window=SCAN_MS
        )

    async def stop(self) -> None:
        radio = await self._computer.radio()
        radio.remove_listener(radio.EVENT_ADVERTISEMENT, self._heard)
        await radio.stop_scanning()

    def _heard(self, one: Advertisement) -> None:
        address = one.address.to_string(False)
        for kind in (AdvertisingData.SHORTENED_LOCAL_NAME, AdvertisingData.COMPLETE_LOCAL_NAME):
            for text in one.data.get_all(kind, raw=True):
                self._names[address] = bytes(text).decode("utf-8", "replace")
        raw = b"".join(
            one.data.get_all(AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, raw=True)
            + one.data.get_all(AdvertisingData.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, raw=True)
        )
        if raw:  # a scan response has none, and the system keeps what the advertisement had
            self._services[address] = [_uuid(raw[at : at + 16]) for at in range(0, len(raw), 16)]
        services = self._services.get(address, [])
        if not self.is_allowed_uuid(services):
            return
        name = self._names.get(address)
        rssi = self._computer.link.rssi.get(bytes.fromhex(address.replace(":", "")), -60)
        data = AdvertisementData(name, {}, {}, services, None, rssi, ())
        found = self.create_or_update_device(address, address, name, one.address, data)
        self.call_detection_callbacks(found, data)


class BumbleClient(BaseBleakClient):
    """bleak's client, for a Computer."""

    _computer: Computer

    def __init__(self, address_or_ble_device: BLEDevice | str, **options: Any) -> None:
        super().__init__(address_or_ble_device, **options)
        self._peer = (
            address_or_ble_device.details
            if isinstance(address_or_ble_device, BLEDevice)
            else hci.Address(address_or_ble_device)
        )
        self._connection: Connection | None = None

    @property
    def name(self) -> str:
        return self.address

    @property
    def mtu_size(self) -> int:
        return self._connection.att_mtu if self._connection else 23

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def connect(self, pair: bool, **options: Any) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._computer.connect(self._peer)
        except TimeoutError:
            raise BleakDeviceNotFoundError(self.address, f"{self.address} was not found") from None
        self._connection = connection
        connection.on(connection.EVENT_DISCONNECTION, self._ended)
        client: Any = connection.gatt_client
        await client.request_mtu(MTU)
        self.services = await self._discovered(client)

    async def _discovered(self, client: Any) -> BleakGATTServiceCollection:
        found = BleakGATTServiceCollection()
        for service in await client.discover_services():
            made = BleakGATTService(service, service.handle, _uuid(service.uuid.to_bytes(True)))
            found.add_service(made)
            for one in await client.discover_characteristics([], service):
                await client.discover_descriptors(one)
                properties: Any = [
                    flag.name.lower().replace("_", "-")
                    for flag in type(one.properties)
                    if flag & one.properties
                ]
                found.add_characteristic(
                    BleakGATTCharacteristic(
                        one,
                        one.handle,
                        _uuid(one.uuid.to_bytes(True)),
                        properties,
                        lambda: self.mtu_size - 3,
                        made,
                    )
                )
        return found

    def _ended(self, reason: int) -> None:
        self._connection = None
        if self._disconnected_callback:
            self._disconnected_callback()

    def _client(self) -> Any:
        if self._connection is None:
            raise BleakError("Not connected")
        return self._connection.gatt_client

    async def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect()

    async def pair(self, *args: Any, **options: Any) -> None:
        if self._connection is None:
            raise BleakError("Not connected")
        await self._connection.pair()

    async def unpair(self) -> None:
        raise BleakError("nothing is bonded")

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **options: Any
    ) -> bytearray:
        return bytearray(await self._client().read_value(characteristic.handle))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **options: Any
    ) -> bytearray:
        return bytearray(await self._client().read_value(descriptor.handle))

    async def write_gatt_char(
        self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool
    ) -> None:
        await self._client().write_value(characteristic.handle, bytes(data), with_response=response)

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        await self._client().write_value(descriptor.handle, bytes(data), with_response=True)

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **options: Any
    ) -> None:
        await self._client().subscribe(characteristic.obj, _as_bytearray(callback))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        await self._client().unsubscribe(characteristic.obj)


def _as_bytearray(callback: NotifyCallback) -> Callable[[bytes], None]:
    return lambda value: callback(bytearray(value))


def _uuid(little: bytes) -> str:
    """Sixteen bytes, least significant first, as bleak prints them."""
    text = bytes(reversed(little)).hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
