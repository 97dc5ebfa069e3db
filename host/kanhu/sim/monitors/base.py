"""What all monitors have in common: waking, advertising, bonding, clock, store and forward, hanging up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from bumble import att
from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Characteristic, Service
from bumble.keys import MemoryKeyStore, PairingKeys
from bumble.pairing import PairingDelegate

from kanhu.sim import bonds, gatt
from kanhu.sim.monitors import services, values
from kanhu.sim.monitors.manners import Manners

ELSEWHERE = "E0:00:00:00:00:0E"  # the other host a monitor can have a bond with


class Happened(NamedTuple):
    """One thing that happened to a monitor."""

    time: float  # monotonic s
    what: str  # advertising, asleep, connected, encrypted, bonded, refused, subscribed, clock, indicated, ...
    detail: str


class Monitor(ABC):
    """A peripheral of one kind; its methods run in the bench's loop. log says what happened to it."""

    SERVICE: ClassVar[int]
    NAME: ClassVar[str]

    def __init__(self, link: gatt.Link, address: str, rssi: int, manners: Manners) -> None:
        self.address, self.manners = address, manners
        self.log: list[Happened] = []
        self.stored: deque[bytes] = deque()  # measurements not yet confirmed, the oldest first
        self._link, self._rssi = link, rssi
        self._drops_left = manners.drops
        self._connection: Connection | None = None
        self._latest: bytes | None = None
        self._pairing_mode = False
        self._awake = self._closed = False
        self._until = 0.0  # it is on the air when nobody connects
        self._heard = 0.0  # when the hub last said something
        self._delivered = 0  # on this connection
        self._stirred = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._bonds = MemoryKeyStore()
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
        data = self.encode(**fields)
        self._latest = data
        self.stored.append(data)
        while len(self.stored) > self.manners.stores:
            self._note("overwritten", self.stored.popleft().hex())
        await self.wake()
        return data

    async def wake(self, pairing: bool = False) -> None:
        """Go on the air; in pairing mode if somebody holds the key for it."""
        manners = self.manners
        self._pairing_mode = self._pairing_mode or pairing
        for timer in self._timers:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._until = loop.time() + manners.advertise_s
        self._timers = [loop.call_later(manners.advertise_s, lambda: self._go(self._sleep(only_idle=True)))]
        if manners.awake_s:
            self._timers.append(loop.call_later(manners.awake_s, lambda: self._go(self._sleep())))
        self._awake = True
        self._stirred.set()
        if self._connection is None:
            await self._advertise()

    async def sleep(self) -> None:
        """Switch it off: a connection ends."""
        await self._sleep()

    async def forget(self) -> None:
        """It loses its bonds (a battery change, a reset)."""
        await self._bonds.delete_all()

    async def bond_elsewhere(self) -> None:
        """It has a bond with a host that is not there; a hub that lost its bond is such a host."""
        await self._bonds.update(ELSEWHERE, PairingKeys(ltk=PairingKeys.Key(bytes(16))))

    @property
    def model(self) -> str:
        return self.manners.model or self.NAME

    @property
    def bonded(self) -> bool:
        return bool(self._bonds.all_keys)

    def count(self, what: str) -> int:
        """How often that has happened."""
        return sum(one.what == what for one in self.log)

    def now(self) -> datetime | None:
        """What its clock shows; None if it has none or it was never set."""
        if self.manners.clock is None or not self.manners.clock_set:
            return None
        return datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=self.manners.clock_offset_s)

    def stamp(self, at: datetime | None) -> bytes | None:
        """Date and time for a measurement taken at (default: now); None if it has no clock."""
        return None if self.manners.clock is None else values.date_time(at or self.now())

    # Services

    async def start(self) -> None:
        """Power on; nothing is advertised until it is woken."""
        own = [self.value, *self.others()]
        serial = self.address.replace(":", "")
        texts = {"2A29": self.manners.maker, "2A24": self.model, "2A25": serial, "2A26": "1.0"}
        extra = [services.battery(lambda: self.manners.battery), services.information(texts)]
        if self.manners.clock == "date_time":
            own.append(self._clock("2A08", values.date_time))
        elif self.manners.clock == "current_time":
            extra.append(Service(UUID("1805"), [self._clock("2A2B", values.current_time)]))
        device = self._device = gatt.device(self._link, self.model, self.address)
        self._link.rssi[bytes.fromhex(self.address.replace(":", ""))] = self._rssi
        device.add_service(Service(UUID.from_16_bits(self.SERVICE), own))
        for service in extra:
            device.add_service(service)
        services.guard(device, self.admit, self._subscribed)
        device.keystore = self._bonds
        device.pairing_config_factory = lambda connection: bonds.config(delegate=_Delegate(self._accepts))
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

    def admit(self, connection: Connection) -> None:
        """Refuse what an unencrypted link may not do, as the ATT error says."""
        if self.manners.bonding and not connection.encryption:
            known = str(connection.peer_address) in self._bonds.all_keys
            raise att.ATT_Error(
                att.ErrorCode.INSUFFICIENT_ENCRYPTION if known else att.ErrorCode.INSUFFICIENT_AUTHENTICATION
            )

    def _subscribed(self, how: str) -> None:
        self._note("subscribed", how)
        self._stirred.set()

    # Its life

    def _note(self, what: str, detail: str = "") -> None:
        self.log.append(Happened(time.monotonic(), what, detail))

    def _hear(self) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._stirred.set()

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        if self._closed:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _advertise(self) -> None:
        if self._device.is_advertising:
            return
        name = self.model.encode()[:18]
        data = b"\x02\x01\x06\x03\x03" + self.SERVICE.to_bytes(2, "little") + bytes((len(name) + 1, 9)) + name
        self._note("advertising")
        await gatt.advertise(self._device, data)

    async def _sleep(self, only_idle: bool = False) -> None:
        if not self._awake or (only_idle and self._connection is not None):
            return
        self._awake = False
        for timer in self._timers:
            timer.cancel()
        self._until = 0.0
        self._pairing_mode = False
        if self._device.is_advertising:
            await self._device.stop_advertising()
        await self._hang_up("off")
        self._note("asleep")

    def _connected(self, connection: Connection) -> None:
        self._connection = connection
        self._delivered = 0
        self._note("connected", str(connection.peer_address))
        self._hear()
        connection.on(connection.EVENT_DISCONNECTION, self._disconnected)
        gatt.pairs_again(connection)
        connection.on(connection.EVENT_PAIRING, lambda keys: self._go(self._bonded(connection)))
        connection.on(connection.EVENT_CONNECTION_ENCRYPTION_CHANGE, self._encrypted)
        self._go(self._serve(connection))

    def _encrypted(self) -> None:
        self._note("encrypted")
        self._hear()

    async def _bonded(self, connection: Connection) -> None:
        self._note("bonded", str(connection.peer_address))
        self._pairing_mode = False
        self._hear()
        if self.manners.one_host:
            for name in set(self._bonds.all_keys) - {str(connection.peer_address)}:
                await self._bonds.delete(name)
        if self.manners.hangs_up_paired:
            await asyncio.sleep(self.manners.settle_s)
            await self._hang_up("paired")

    def _accepts(self) -> bool:
        pairs = self.manners.pairs
        accepted = pairs == "always" or (pairs == "once" and (self._pairing_mode or not self.bonded))
        if not accepted:
            self._note("refused")
        return accepted

    def _disconnected(self, reason: int) -> None:
        self._connection = None
        self._note("disconnected", f"0x{int(reason):02x}")
        self._stirred.set()
        left = self._until - asyncio.get_running_loop().time()
        if (self.pending() or self._pairing_mode) and left > 0:
            self._go(self._advertise())
        else:
            self._go(self._sleep(only_idle=True))

    async def _hang_up(self, why: str) -> None:
        connection = self._connection
        if connection is not None:
            self._note("hung up", why)
            with contextlib.suppress(Exception):  # the link may be going, in one of Bumble's many ways
                await connection.disconnect()

    async def _serve(self, connection: Connection) -> None:
        """Answer one hub until it or we hang up."""
        loop = asyncio.get_running_loop()
        if self.manners.asks_for_security:
            self._device.request_pairing(connection)
        while connection is self._connection:
            self._stirred.clear()
            due = await self.speak(connection)
            now = loop.time()
            limits = [self._heard + self.manners.linger_s]
            if self._delivered and self.manners.hang_up_s is not None and not self.manners.chatty_s:
                limits.append(self._heard + self.manners.hang_up_s)
            if due is not None:
                limits = [due]
            if min(limits) <= now and due is None:
                await self._hang_up("done" if len(limits) > 1 else "silent")
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(min(limits) - now, 0)):
                    await self._stirred.wait()

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

    async def close(self) -> None:
        """Off for good."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        if self._device.is_advertising:
            await self._device.stop_advertising()


class _Delegate(PairingDelegate):
    """Asks the monitor whether it pairs now; it has neither screen nor keys."""

    def __init__(self, accepts: Callable[[], bool]) -> None:
        super().__init__(PairingDelegate.NO_OUTPUT_NO_INPUT)
        self._accepts = accepts

    async def accept(self) -> bool:
        return self._accepts()
