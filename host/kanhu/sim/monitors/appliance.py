"""A peripheral that sleeps most of the time: waking, advertising, connecting, bonding, hanging up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, NamedTuple

from bumble import att
from bumble.device import Connection, Device
from bumble.keys import MemoryKeyStore, PairingKeys
from bumble.pairing import PairingDelegate

from kanhu.sim import gatt
from kanhu.sim.monitors.manners import Manners

ELSEWHERE = "E0:00:00:00:00:0E"  # the other host a monitor can have a bond with


class Happened(NamedTuple):
    """One thing that happened to a monitor."""

    time: float  # monotonic s
    what: str  # advertising, asleep, connected, encrypted, bonded, refused, subscribed, clock, indicated, ...
    detail: str


class Appliance(ABC):
    """Its methods run in the bench's loop. log says what happened to it."""

    SERVICE: ClassVar[int]
    NAME: ClassVar[str]
    _device: Device

    def __init__(self, address: str, manners: Manners) -> None:
        self.address, self.manners = address, manners
        self.log: list[Happened] = []
        self._connection: Connection | None = None
        self._pairing_mode = False
        self._awake = self._closed = False
        self._until = 0.0  # it is on the air when nobody connects
        self._heard = 0.0  # when the hub last said something
        self._delivered = 0  # on this connection
        self._stirred = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._bonds = MemoryKeyStore()

    # What it has to say

    @abstractmethod
    def pending(self) -> bool:
        """There is something that no hub has confirmed."""

    @abstractmethod
    async def speak(self, connection: Connection) -> float | None:
        """Say all that can be said now; when it will have more to say (loop time), None: nothing comes."""

    # What people do with it

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

    # Its life

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
        self._note("advertising")
        await gatt.advertise(self._device, self.advertising())

    def advertising(self) -> bytes:
        """Flags, its service and its name."""
        name = self.model.encode()[:18]
        return b"\x02\x01\x06\x03\x03" + self.SERVICE.to_bytes(2, "little") + bytes((len(name) + 1, 9)) + name

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

    async def close(self) -> None:
        """Off for good."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        if self._device.is_advertising:
            await self._device.stop_advertising()


class Delegate(PairingDelegate):
    """Asks the monitor whether it pairs now; it has neither screen nor keys."""

    def __init__(self, accepts: Callable[[], bool]) -> None:
        super().__init__(PairingDelegate.NO_OUTPUT_NO_INPUT)
        self._accepts = accepts

    async def accept(self) -> bool:
        return self._accepts()
