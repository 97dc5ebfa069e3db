"""What all monitors have in common: services, clock, measurements kept until a hub has confirmed them."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Characteristic, Service

from kanhu.sim import bonds, gatt
from kanhu.sim.monitors import services, values
from kanhu.sim.monitors.appliance import Appliance, Delegate
from kanhu.sim.monitors.manners import Manners


class Monitor(Appliance):
    """A peripheral of one kind."""

    def __init__(self, link: gatt.Link, address: str, rssi: int, manners: Manners) -> None:
        super().__init__(address, manners)
        self.stored: deque[bytes] = deque()  # measurements not yet confirmed, the oldest first
        self._link, self._rssi = link, rssi
        self._drops_left = manners.drops
        self._latest: bytes | None = None
        self.value = self.measurement()

    # What a profile says of itself

    @abstractmethod
    def measurement(self) -> Characteristic[bytes]:
        """The characteristic that carries its measurements."""

    def others(self) -> list[Characteristic[bytes]]:
        """The other characteristics of its service."""
        return []

    @abstractmethod
    def encode(self, *args: Any, **fields: Any) -> bytes:
        """A measurement as it goes over the air; ValueError for what cannot be said."""

    @abstractmethod
    def example(self) -> dict[str, Any]:
        """Fields of a plausible measurement."""

    # What people do with it

    async def measure(self, **fields: Any) -> bytes:
        """Take a measurement, keep it, and go on the air; its bytes."""
        data = self.keep(**fields)
        await self.wake()
        return data

    def keep(self, **fields: Any) -> bytes:
        """Take a measurement and keep it; its bytes."""
        data = self.encode(**fields)
        self._latest = data
        self.stored.append(data)
        while len(self.stored) > self.manners.stores:
            self._note("overwritten", self.stored.popleft().hex())
        return data

    def now(self) -> datetime | None:
        """What its clock shows; None if it has none or it was never set."""
        if self.manners.clock is None or not self.manners.clock_set:
            return None
        return datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=self.manners.clock_offset_s)

    def stamp(self, at: datetime | None) -> bytes | None:
        """Date and time for a measurement taken at (default: now); None if it has no clock."""
        return None if self.manners.clock is None else values.date_time(at or self.now())

    # Services

    def services(self) -> list[Service]:
        """Its own first."""
        own = [self.value, *self.others()]
        serial = self.address.replace(":", "")
        texts = {"2A29": self.manners.maker, "2A24": self.model, "2A25": serial, "2A26": "1.0"}
        extra = [services.battery(lambda: self.manners.battery), services.information(texts)]
        if self.manners.clock == "date_time":
            own.append(self._clock("2A08", values.date_time))
        elif self.manners.clock == "current_time":
            extra.append(Service(UUID("1805"), [self._clock("2A2B", values.current_time)]))
        return [Service(UUID.from_16_bits(self.SERVICE), own), *extra]

    async def start(self) -> None:
        """Power on; nothing is advertised until it is woken."""
        device = self._device = gatt.device(self._link, self.model, self.address)
        self._link.rssi[bytes.fromhex(self.address.replace(":", ""))] = self._rssi
        for service in self.services():
            device.add_service(service)
        services.guard(device, self.admit, self._subscribed)
        device.keystore = self._bonds
        device.pairing_config_factory = lambda connection: bonds.config(delegate=Delegate(self._accepts))
        device.on("connection", self._connected)
        server: Any = device.gatt_server
        answer = server.on_gatt_pdu

        def hear(bearer: Any, pdu: Any) -> None:
            self._hear()
            answer(bearer, pdu)

        server.on_gatt_pdu = hear
        await device.power_on()

    def _clock(self, uuid: str, show: Callable[[datetime | None], bytes]) -> Characteristic[bytes]:
        return services.clock(uuid, lambda: show(self.now()), len(show(None)), self.admit, self._set_clock)

    def _set_clock(self, moment: datetime) -> None:
        ours = datetime.now(UTC).replace(tzinfo=None)
        self.manners.clock_offset_s = (moment - ours).total_seconds()
        self.manners.clock_set = True
        self._note("clock", moment.isoformat())

    # Saying it

    def pending(self) -> bool:
        """There is something that no hub has confirmed."""
        return bool(self.stored)

    async def speak(self, connection: Connection) -> float | None:
        """Say all that can be said now; when it will have more to say (loop time), None: nothing comes."""
        if not self.subscribed(connection, self.value):
            return None
        if self.stored:
            await asyncio.sleep(self.manners.settle_s)
        while self.stored and connection is self._connection:
            if not await self.indicate(connection, self.value, self.stored[0]):
                return None
            self.stored.popleft()
            self._delivered += 1
        if self.manners.chatty_s and self._latest is not None:
            now = asyncio.get_running_loop().time()
            if now - self._heard < self.manners.chatty_s:
                return self._heard + self.manners.chatty_s
            await self.indicate(connection, self.value, self._latest)
            return now + self.manners.chatty_s
        return None

    def subscribed(self, connection: Connection, value: Characteristic[bytes]) -> bool:
        wanted: Mapping[int, bytes] = self._device.gatt_server.subscribers.get(connection, {})
        return wanted.get(value.handle, b"\0\0") != b"\0\0"

    async def indicate(self, connection: Connection, value: Characteristic[bytes], data: bytes) -> bool:
        """True when the hub has confirmed it; False if the link went."""
        server = self._device.gatt_server
        self._note("indicated", data.hex())
        sending = asyncio.get_running_loop().create_task(server.indicate_subscriber(connection, value, data))
        gone = asyncio.get_running_loop().create_future()

        def lost(reason: int) -> None:
            if not gone.done():
                gone.set_result(None)

        connection.once(connection.EVENT_DISCONNECTION, lost)
        if self._drops_left > 0:
            self._drops_left -= 1
            await asyncio.sleep(0)
            self._note("dropped")
            await self._hang_up("dropped")
        await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        confirmed = sending.done() and sending.exception() is None and not gone.done()
        sending.cancel()
        if confirmed:
            self._note("confirmed", data.hex())
        return confirmed

    async def notify(self, connection: Connection, value: Characteristic[bytes], data: bytes) -> None:
        self._note("notified", data.hex())
        await self._device.gatt_server.notify_subscriber(connection, value, data)
