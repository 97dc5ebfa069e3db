"""The bench: what is set up on it, and what can be seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import cbor2

from kanhu.install.firmware import build_files, source_dir
from kanhu.sim import flash, net
from kanhu.sim.hub import Hub
from kanhu.sim.lamp import Indication, Lamp, Table, load_table
from kanhu.sim.monitors import KINDS, Manners, make
from kanhu.sim.nvs import Nvs
from kanhu.sim.sensors import Sensor, parse_address
from kanhu.sim.wires import Wire

from .boards import BUZZER_PIN, LAMP_PIN, Boards, fit
from .mishaps import Mishaps
from .people import People
from .stand import BenchError

if TYPE_CHECKING:
    from kanhu.sim.modem import Modem
    from kanhu.sim.monitors.base import Monitor

T = TypeVar("T")


class Bench(People, Mishaps, Boards):
    """Start it with `with Bench(folder) as bench`; all state that outlives a power cut is in the folder."""

    def add_hub(
        self,
        hub_id: str,
        *,
        config: Mapping[str, Any] | None = None,
        key: bytes = bytes(16),
        generation: int = 1,
        commission: bytes | None = None,
        release: bytes | None = None,
        wiring: Mapping[str, int | Wire] | None = None,
        speed: int = 1,
        files: Mapping[str, bytes] | None = None,
        heap: str = "1m",
        flash_size: int = flash.DEFAULT_SIZE,
        tick_start: int = 0,
        patterns: Table | None = None,
        power: bool = True,
    ) -> Hub:
        """A hub with this firmware (default: built now) and provisioning; it keeps the data it had."""
        if hub_id in self.hubs:
            raise BenchError(f"hub {hub_id} is on the bench already")
        if speed < 1 or speed != int(speed):
            raise BenchError("speed is a whole number of simulated seconds per second")
        config = dict(config or {})
        for name in wiring or {}:
            self._check_name(name)
        wires = fit(hub_id, wiring or {}, config)
        flash.install(self.folder / f"{hub_id}.flash", build_files() if files is None else files, flash_size)
        nvs = Nvs(self.folder / f"{hub_id}.nvs")
        nvs.set("kanhu", "hub_id", hub_id.encode())
        nvs.set("kanhu", "key", key)
        nvs.set("kanhu", "generation", generation)
        if commission is not None:
            nvs.set("kanhu", "commission", commission)
        if release is not None:
            nvs.set("kanhu", "release", release)
        nvs.set("kanhu", "config", cbor2.dumps(config, canonical=True))
        nvs.commit("kanhu")
        if patterns is None:
            table = source_dir() / "kanhu_hub" / "indicator.py"
            patterns = load_table(table) if files is None and table.exists() else {}
        pins = (config.get("lamp", LAMP_PIN), config.get("buzzer", BUZZER_PIN))
        lamp = Lamp(patterns)

        async def make() -> Hub:
            hub = Hub(
                self._loop,
                self.folder,
                hub_id,
                self._routes,
                self._air,
                lamp,
                pins,
                heap,
                int(speed),
                tick_start,
            )
            hub.wires.update(wires)
            self.hubs[hub_id] = hub
            if power:
                await hub._start()
            return hub

        return self._wait(make())

    def add_sensor(
        self,
        name: str,
        kind: str,
        address: str,
        *,
        rssi: int = -60,
        battery: int = 100,
        hub: Hub | str | None = None,
        **options: Any,
    ) -> Sensor:
        """A BTHome sensor on the air; hub says whose presses its presses are (default: the only hub's)."""
        self._check_name(name)
        owner = self._hub(hub).hub_id if hub is not None or len(self.hubs) == 1 else ""
        sensor = Sensor(name, kind, parse_address(address), rssi, battery, **options)
        self.sensors[name] = (sensor, owner)
        self._do(lambda: sensor.start(self._air.transmit))
        return sensor

    def monitor(
        self, kind: str, address: str, *, name: str | None = None, rssi: int = -60, **manners: Any
    ) -> Monitor:
        """A health monitor, asleep; its methods run by run(), or through measure() and wake() by its name."""
        if kind not in KINDS:
            raise BenchError(f"no monitor {kind!r}: there is {', '.join(KINDS)}")
        name = name or kind
        self._check_name(name)
        parse_address(address)
        try:
            how = Manners(**manners)
        except TypeError as error:
            raise BenchError(f"a monitor has no such manners: {error}") from None

        async def start() -> Monitor:
            return await make(kind, self._air.link(), address, rssi, how)

        monitor = self.monitors[name] = self._wait(start())
        return monitor

    def add_modem(self, hub: Hub | str | None = None, uart: int = 1, **manners: Any) -> Modem:
        """A cellular modem at a UART of a hub without other network; the hub sees it from its next start."""
        from kanhu.sim.modem import Modem

        owner = self._hub(hub)

        def make() -> Modem:
            owner._set_network(wifi=False)
            tty = self.folder / f"{owner.hub_id}.modem"
            modem = Modem(
                self._loop, tty, lambda up: owner._set_network(wifi=up), speed=owner.speed, **manners
            )
            owner.uarts[uart] = tty
            self.modems.append(modem)
            return modem

        return self._do(make)

    def add_peripheral(
        self,
        name: str,
        address: str,
        add: Callable[[Any], None],
        *,
        advertising: bytes = b"",
        rssi: int = -60,
    ) -> Any:
        """A connectable BLE peripheral: add(bumble Device) gives it its services. Returns the Device."""
        parse_address(address)

        async def make() -> Any:
            from kanhu.sim.gatt import peripheral

            return await peripheral(self._air.link(), name, address, rssi, advertising, add)

        return self._wait(make())

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 30.0) -> T:
        """Run a coroutine in the bench's loop, where its peripherals live."""
        return self._wait(work, timeout)

    def route(self, host: str, port: int, real_host: str, real_port: int) -> None:
        """In the homes, host:port is really there."""
        self._routes.set(host, port, real_host, real_port)

    def serve_time(self, host: str, port: int = 123, offset: float = 0.0) -> None:
        """An SNTP server of that name, offset seconds off."""

        async def start() -> int:
            transport, _ = await self._loop.create_datagram_endpoint(
                lambda: net.TimeServer(offset), (net.LOOPBACK, 0)
            )
            self._servers.append(transport)
            number: int = transport.get_extra_info("sockname")[1]
            return number

        self.route(host, port, net.LOOPBACK, self._wait(start()))

    def indicator(self, hub: Hub | str | None = None) -> Indication:
        """What lamp and buzzer show now."""
        owner = self._hub(hub)
        return self._do(lambda: owner._lamp.read(time.monotonic()))

    def wait_indicator(self, hub: Hub | str | None, pattern: str, timeout: float = 10.0) -> Indication:
        """The indication once it is that pattern; TimeoutError with what was seen instead."""
        end = time.monotonic() + timeout
        seen: list[str | None] = []
        while True:
            shown = self.indicator(hub)
            if shown.pattern == pattern:
                return shown
            if seen[-1:] != [shown.pattern]:
                seen.append(shown.pattern)
            if time.monotonic() > end:
                raise TimeoutError(f"no {pattern!r} on the lamp in {timeout} s; it showed {seen}")
            time.sleep(0.03)
