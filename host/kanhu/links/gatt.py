"""A hub's GATT service from a computer's side (docs/commissioning.md): who is there, and bytes both ways."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bleak import BleakClient, BleakScanner
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakDBusError,
    BleakError,
)
from bleak.exc import BleakBluetoothNotAvailableReason as Why

from kanhu.errors import LinkDown

if TYPE_CHECKING:
    from bleak.backends.characteristic import BleakGATTCharacteristic
    from bleak.backends.client import BaseBleakClient
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData, BaseBleakScanner

SERVICE = "35b02cea-db40-472c-b04b-0ad3860bf027"
TO_HUB = "35b02ceb-db40-472c-b04b-0ad3860bf027"
FROM_HUB = "35b02cec-db40-472c-b04b-0ad3860bf027"
NAME = "kanhu "  # before the id, where the whole name is heard
SHORT = 8  # characters of an id that an advertisement has
CONNECT_S = 20.0
WRITE_S = 10.0
LEAVE_S = 5.0

# What bleak and the systems below it raise; asyncio.TimeoutError is an OSError.
TROUBLES = (BleakError, OSError, EOFError)


class Backends:
    """What bleak uses instead of this computer's own Bluetooth; none: that."""

    client: type[BaseBleakClient] | None = None
    scanner: type[BaseBleakScanner] | None = None


@dataclass(frozen=True)
class Found:
    """A hub that offers its service; hub: the beginning of its id, or all of it, as advertised."""

    device: BLEDevice
    hub: str
    rssi: int

    def may_be(self, hub_id: str) -> bool:
        """Whether what it advertises fits that id; its hello tells."""
        return len(self.hub) >= SHORT and hub_id.startswith(self.hub)


async def look(
    seconds: float, enough: Callable[[list[Found]], bool], backends: Backends | None = None
) -> list[Found]:
    """The hubs in range, strongest first, as soon as they are enough; LinkDown: Bluetooth does not work."""
    found: dict[str, Found] = {}
    done = asyncio.Event()

    def heard(device: BLEDevice, data: AdvertisementData) -> None:
        if SERVICE not in data.service_uuids:
            return
        hub = (data.local_name or device.name or "").removeprefix(NAME).strip()
        if not (hub.isascii() and hub.isalnum()):
            hub = ""  # anybody on the air chooses a name, and this one is said to people
        before = found.get(device.address)
        if before is not None and len(before.hub) > len(hub):
            hub = before.hub
        found[device.address] = Found(device, hub, data.rssi)
        if enough(ranked(found.values())):
            done.set()

    scanner = BleakScanner(heard, [SERVICE], backend=backends.scanner if backends else None)
    try:
        await scanner.start()
        try:
            async with asyncio.timeout(seconds):
                await done.wait()
        except TimeoutError:
            pass
        finally:
            await scanner.stop()
    except TROUBLES as error:
        raise LinkDown(trouble(error)) from None
    return ranked(found.values())


def ranked(found: Iterable[Found]) -> list[Found]:
    """Strongest first."""
    return sorted(found, key=lambda one: -one.rssi)


class Pipe:
    """One connection; came(bytes) and lost() are called in the loop. LinkDown says what is wrong."""

    def __init__(
        self,
        device: BLEDevice,
        came: Callable[[bytes], object],
        lost: Callable[[], object],
        backends: Backends | None = None,
    ) -> None:
        self._came, self._lost = came, lost
        self._client = BleakClient(
            device,
            self._gone,
            [SERVICE],
            timeout=CONNECT_S,
            backend=backends.client if backends else None,
        )
        self._writing = asyncio.Lock()
        self._open = False

    async def open(self) -> None:
        """Connect, and listen."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._client.connect()
                self._open = True
                await self._client.start_notify(FROM_HUB, self._notified)
        except TROUBLES as error:
            await self.close()
            raise LinkDown(trouble(error)) from None

    async def write(self, data: bytes) -> None:
        """All of data, in pieces that the connection carries."""
        try:
            async with self._writing, asyncio.timeout(WRITE_S):
                characteristic = self._client.services.get_characteristic(TO_HUB)
                if characteristic is None:
                    raise BleakError("it has no such characteristic")
                size = characteristic.max_write_without_response_size
                for at in range(0, len(data), size):
                    await self._client.write_gatt_char(characteristic, data[at : at + size], response=True)
        except TROUBLES as error:
            raise LinkDown(trouble(error)) from None

    async def close(self) -> None:
        """End it; whatever happens, it is over."""
        self._open = False
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._client.disconnect()
        except TROUBLES:
            pass

    def _notified(self, sender: BleakGATTCharacteristic, data: bytearray) -> None:
        self._came(bytes(data))

    def _gone(self, client: BleakClient) -> None:
        if self._open:
            self._open = False
            self._lost()


def trouble(error: BaseException, platform: str = sys.platform) -> str:
    """One sentence with its cure for what bleak raises."""
    reason = error.reason if isinstance(error, BleakBluetoothNotAvailableError) else None
    name = error.dbus_error if isinstance(error, BleakDBusError) else ""
    if reason in (Why.NO_BLUETOOTH, Why.NO_BLE_CENTRAL_ROLE):
        return "this computer has no Bluetooth Low Energy: plug in an adapter, or use the cable"
    if reason is Why.POWERED_OFF or name.endswith("NotReady"):
        return "Bluetooth is off: switch it on, or use the cable"
    if (
        reason in (Why.DENIED_BY_USER, Why.DENIED_BY_SYSTEM, Why.DENIED_BY_UNKNOWN)
        or name.endswith(("AccessDenied", "NotPermitted", "NotAuthorized"))
        or isinstance(error, PermissionError)
    ):
        if platform == "darwin":
            return "this terminal may not use Bluetooth: allow it in System Settings, Privacy & Security"
        if platform == "win32":
            return "this program may not use Bluetooth: allow it in Settings, Privacy & security, Radios"
        return "you may not use Bluetooth: sudo usermod -aG bluetooth $USER, and log in again"
    if name.endswith("ServiceUnknown") or isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return (
            "no Bluetooth service runs here: install bluez and start it (sudo systemctl start bluetooth), "
            "or use the cable"
        )
    if reason is not None:
        return "Bluetooth does not work on this computer: switch it off and on again, or use the cable"
    if isinstance(error, TimeoutError):
        return "the hub did not answer over Bluetooth: go nearer, and try again"
    text = " ".join(str(error).split())
    return f"Bluetooth: {text[:120] or type(error).__name__}: go nearer, and try again"
