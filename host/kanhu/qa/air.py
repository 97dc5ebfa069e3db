"""Scripts played on a simulated bench's air without a stimulus: any address, any number of devices."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Characteristic, Service

from kanhu.qa.monitor_scripts import INDICATE, NOTIFY, READ, WRITE, MonitorScript, Saying, Value
from kanhu.qa.scripts import Script
from kanhu.sim.gatt import Link
from kanhu.sim.monitors import services, values
from kanhu.sim.monitors.base import Monitor
from kanhu.sim.sensors import Advert

if TYPE_CHECKING:
    from kanhu.sim.bench import Bench

RSSI = -60  # dBm
DELAY_MAX_MS = 10  # as in kanhu.sim.beacon
CLOCKS: Mapping[str, Any] = {"2a2b": values.current_time, "2a08": values.date_time}


class Air:
    """Plays on a bench; stop() ends what is being played."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._playing: list[Future[Any]] = []

    def play(self, script: Script, wait: bool = True) -> None:
        """Send all of it. wait: until it is over."""
        self._begin(self._play(script), script.lasts_s if wait else None)

    def storm(self, per_s: int, seconds: float, wait: bool = False) -> None:
        """So many neighbours' advertisements a second, each from another address."""
        self._begin(self._storm(per_s, seconds), seconds if wait else None)

    def monitor(self, script: MonitorScript) -> Monitor:
        """A monitor that is on the air; its log says what happened to it."""

        async def make() -> Monitor:
            one = Scripted(self._bench._air.link(), script)
            await one.start()
            await one.wake()
            return one

        made = self._bench.run(make())
        self._bench.monitors[f"script {len(self._bench.monitors)}"] = made
        return made

    def stop(self) -> None:
        """Silence; monitors go on."""
        for one in self._playing:
            one.cancel()
        self._playing.clear()

    def _begin(self, work: Coroutine[Any, Any, None], wait_s: float | None) -> None:
        running = asyncio.run_coroutine_threadsafe(work, self._bench._loop)
        if wait_s is not None:
            running.result(2 * wait_s + 30)
        else:
            self._playing = [one for one in self._playing if not one.done()] + [running]

    async def _play(self, script: Script) -> None:
        for _ in range(script.rounds):
            for one in script.advertisements:
                for _ in range(one.copies):
                    advert = Advert(script.address, RSSI, one.data, random_address=True)
                    self._bench._air.transmit(advert)
                    await asyncio.sleep(one.every_ms / 1000 + secrets.randbelow(DELAY_MAX_MS + 1) / 1000)
                await asyncio.sleep(one.pause_ms / 1000)

    async def _storm(self, per_s: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        while (gone := loop.time() - began) < seconds:
            while sent < gone * per_s:
                address = bytes((0xC0 | secrets.randbelow(64),)) + os.urandom(5)
                data = bytes.fromhex("0201060a16d2fc4400") + os.urandom(1) + bytes.fromhex("01643a01")
                self._bench._air.transmit(Advert(address, RSSI, data, random_address=True))
                sent += 1
            await asyncio.sleep(0.005)


class Scripted(Monitor):
    """A monitor that is all of a script."""

    SERVICE = 0
    NAME = "script"

    def __init__(self, link: Link, script: MonitorScript) -> None:
        self._script = script
        super().__init__(link, script.address.hex(":").upper(), RSSI, replace(script.manners))
        told = {one.uuid: one for _, row in script.services for one in row}
        indicated = [one for one in script.sayings if told[one.uuid].properties & INDICATE]
        self.stored.extend(one.data for one in indicated)
        self._notified = [one for one in script.sayings if one not in indicated]
        self._next = 0.0

    def advertising(self) -> bytes:
        return self._script.advertising

    def measurement(self) -> Characteristic[bytes]:
        rows = [
            one for _, row in self._script.services for one in row if one.properties & (INDICATE | NOTIFY)
        ]
        self._told = {one.uuid: _told(one) for one in rows}
        first = next((one for one in rows if one.properties & INDICATE), rows[0])
        return self._told[first.uuid]

    def encode(self, *args: Any, **fields: Any) -> bytes:
        raise NotImplementedError("a script measures nothing")

    def example(self) -> dict[str, Any]:
        return {}

    def services(self) -> list[Service]:
        return [Service(UUID(uuid), [self._made(one) for one in row]) for uuid, row in self._script.services]

    def _made(self, one: Value) -> Characteristic[bytes]:
        if one.uuid in self._told:
            return self._told[one.uuid]
        if one.properties & WRITE:
            return self._clock(one.uuid, CLOCKS[one.uuid])
        return services.readable(one.uuid, lambda: one.data)

    def pending(self) -> bool:
        return bool(self.stored or self._notified)

    async def speak(self, connection: Connection) -> float | None:
        due = await super().speak(connection) if self.stored else None
        now = asyncio.get_running_loop().time()
        if not self._notified or not self.subscribed(connection, self._told[self._notified[0].uuid]):
            return due
        saying = self._notified[0]
        if now >= self._next:
            await self.notify(connection, self._told[saying.uuid], saying.data)
            self._delivered += 1
            self._hear()
            self._stirred.clear()
            self._next = now + saying.every_ms / 1000
            self._notified[:1] = _once_less(saying)
        return self._next if self._notified else None


def _told(one: Value) -> Characteristic[bytes]:
    return Characteristic(
        one.uuid.upper(), Characteristic.Properties(one.properties & ~READ), Characteristic.Permissions(0)
    )


def _once_less(saying: Saying) -> list[Saying]:
    return [replace(saying, times=saying.times - 1)] if saying.times > 1 else []
