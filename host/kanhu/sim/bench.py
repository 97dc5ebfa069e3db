"""The bench: hubs, sensors, network and radio of simulated homes, behind a synchronous, thread-safe API."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import cbor2

from kanhu.errors import KanhuError
from kanhu.install.firmware import build_files, source_dir
from kanhu.sim import flash, net
from kanhu.sim.air import Air
from kanhu.sim.hub import Hub
from kanhu.sim.lamp import Indication, Lamp, Table, load_table
from kanhu.sim.monitors import KINDS, Manners, make
from kanhu.sim.nvs import Nvs
from kanhu.sim.sensors import Advert, Sensor, parse_address
from kanhu.sim.wires import PRESS_MS, Line, Wire, wire

if TYPE_CHECKING:
    from kanhu.sim.monitors.base import Monitor

T = TypeVar("T")
SHORTEST = 0.03  # s of real time that a press of a fast hub lasts, lest this computer's scheduler swallow it
LAMP_PIN, BUZZER_PIN = 2, 15  # where config does not say


class Press(NamedTuple):
    """One press as it happened, whatever anybody made of it."""

    time: float  # monotonic s, at first contact
    hub_id: str
    sensor: str
    device_kind: str


class BenchError(KanhuError):
    """The bench was asked for what it does not have; says what to do."""


class Bench:
    """Start it with `with Bench(folder) as bench`; all state that outlives a power cut is in the folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.presses: list[Press] = []
        self.missed_presses: list[Press] = []  # pressed while no hub had power to notice
        self.hubs: dict[str, Hub] = {}
        self.sensors: dict[str, tuple[Sensor, str]] = {}  # name -> sensor, hub it belongs to ("" if any)
        self.monitors: dict[str, Monitor] = {}
        self._routes = net.Routes()
        self._air = Air()
        self._servers: list[asyncio.DatagramTransport] = []
        self._chores: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> Bench:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bench", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        for sensor, _ in self.sensors.values():
            sensor.stop()
        for monitor in self.monitors.values():
            await monitor.close()
        for server in self._servers:
            server.close()
        for task in self._chores:
            task.cancel()
        for hub in self.hubs.values():
            await hub._close()

    # Setting up

    def add_hub(
        self,
        hub_id: str,
        *,
        config: Mapping[str, Any] | None = None,
        key: bytes = bytes(16),
        generation: int = 1,
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
        wires = {name: wire(name, where, config) for name, where in (wiring or {}).items()}
        for name in wires:
            self._check_name(name)
        if config.get("mains") is not None and not any(w.kind == "mains" for w in wires.values()):
            wires[f"{hub_id}-mains"] = Wire(config["mains"], "mains", pressed=True)
        if config.get("cancel") is not None:
            wires[f"{hub_id}-cancel"] = Wire(config["cancel"], "cancel")
        flash.install(self.folder / f"{hub_id}.flash", build_files() if files is None else files, flash_size)
        nvs = Nvs(self.folder / f"{hub_id}.nvs")
        nvs.set("kanhu", "hub_id", hub_id.encode())
        nvs.set("kanhu", "key", key)
        nvs.set("kanhu", "generation", generation)
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

    # What people and sensors do

    def press(
        self, name: str, duration_ms: int = PRESS_MS, hub: Hub | str | None = None, press: str = "press"
    ) -> None:
        """Press a wired button (returns when it is released) or a BLE caller (returns at once)."""
        if name in self.sensors:
            sensor, owner = self.sensors[name]
            powered = any(h.running for h in self.hubs.values() if owner in ("", h.hub_id))
            if sensor.kind == "button":
                self._record(powered, owner, name, "button")
            self._do(lambda: sensor.press(press))
            return
        owner_hub, contact = self._wire(name, hub)

        async def push() -> None:
            if contact.kind == "button":
                self._record(owner_hub.running and contact.heard, owner_hub.hub_id, name, contact.kind)
            await contact.contact(True, lambda: owner_hub._show(contact), owner_hub.speed)
            await asyncio.sleep(max(duration_ms / 1000 / owner_hub.speed, SHORTEST))
            await contact.contact(False, lambda: owner_hub._show(contact), owner_hub.speed)

        self._wait(push(), duration_ms / 1000 + 10)

    def press_watched(self, name: str, duration_ms: int = PRESS_MS, hub: Hub | str | None = None) -> bool:
        """Press a wired button, and let go of it, each for at least that long and until the hub, however slow
        this computer is, has had its time to notice and write it down; False when its run ended before."""
        owner, contact = self._wire(name, hub)

        async def rounds(count: int) -> bool:
            return all([await owner._round() for _ in range(count)])

        async def hold(closed: bool) -> bool:
            await contact.contact(closed, lambda: owner._show(contact), owner.speed)
            run = owner._process
            noticed = await rounds(2)
            await asyncio.sleep(max(duration_ms / 1000 / owner.speed, SHORTEST))
            # A hub that started anew meanwhile answers, too, and knows nothing of it.
            return noticed and await rounds(3) and owner._process is run

        async def push() -> bool:
            await rounds(2)
            self._record(owner.running and contact.heard, owner.hub_id, name, contact.kind)
            noticed = await hold(True)
            await hold(False)
            return noticed

        return self._wait(push(), duration_ms / 1000 + 60)

    def motion(self, name: str, seconds: float = 3.0, hub: Hub | str | None = None) -> None:
        """Somebody moves before a PIR for that long (of the hub's time); returns at once."""
        if name in self.sensors:
            sensor, _ = self.sensors[name]
            self._do(lambda: sensor.set(True))
            self._later(seconds, lambda: sensor.set(False))
            return
        owner, pir = self._wire(name, hub)

        def show(moving: bool) -> None:
            pir.pressed = moving
            owner._show(pir)

        self._do(lambda: show(True))
        self._later(seconds / owner.speed, lambda: show(False))

    def stick(self, name: str, stuck: bool = True, hub: Hub | str | None = None) -> None:
        """A contact that stays closed, or lets go."""
        owner, contact = self._wire(name, hub)
        self._wait(contact.contact(stuck, lambda: owner._show(contact), owner.speed))

    def unplug(self, name: str, hub: Hub | str | None = None) -> None:
        """Cut the wire of an input: nothing drives its pin, and the hub's own pull decides."""
        self._plug(name, hub, plugged=False)

    def plug(self, name: str, hub: Hub | str | None = None) -> None:
        """Mend the wire again."""
        self._plug(name, hub, plugged=True)

    def cancel(self, hub: Hub | str | None = None, duration_ms: int = PRESS_MS) -> None:
        """Press the hub's cancel key (returns when it is released); the hub's config says its pin."""
        owner = self._hub(hub)
        if "cancel" not in {w.kind for w in owner.wires.values()}:
            raise BenchError(f"hub {owner.hub_id} has no cancel key: put `cancel` into its config")
        self.press(f"{owner.hub_id}-cancel", duration_ms, owner)

    def line(self, name: str, state: Line, hub: Hub | str | None = None) -> None:
        """A supervised line is "ok", "open" or "short"."""
        owner, contact = self._wire(name, hub)
        if state not in contact.line_mv:
            raise BenchError(f"a line is ok, open or short, not {state!r}")

        def change() -> None:
            contact.line = state
            owner._show(contact)

        self._do(change)

    def measure(self, name: str, **fields: Any) -> bytes:
        """Take a measurement with a monitor, of a plausible value if none is given; its bytes."""
        monitor = self._monitor(name)
        return self._wait(monitor.measure(**(fields or monitor.example())))

    def wake(self, name: str, pairing: bool = False) -> None:
        """Switch a monitor on, in pairing mode if its key is held."""
        self._wait(self._monitor(name).wake(pairing))

    def wait_monitor(self, name: str, what: str, count: int = 1, timeout: float = 20.0) -> str:
        """The detail of the count-th time that happened to a monitor; TimeoutError with what did."""
        monitor = self._monitor(name)
        end = time.monotonic() + timeout
        while True:
            found = [one for one in list(monitor.log) if one.what == what]
            if len(found) >= count:
                return found[count - 1].detail
            if time.monotonic() > end:
                seen = [f"{one.what} {one.detail}".strip() for one in monitor.log[-20:]]
                raise TimeoutError(f"{name}: no {what!r} in {timeout} s, but {seen}")
            time.sleep(0.02)

    def set_sensor(self, name: str, state: bool) -> None:
        """A BLE door opens, a smoke alarm sees smoke, ...; False: the opposite."""
        self._do(lambda: self._sensor(name).set(state))

    def set_battery(self, name: str, percent: int) -> None:
        self._do(lambda: self._sensor(name).set_battery(percent))

    def change_battery(self, name: str) -> None:
        """A new battery for a BLE sensor: its counters start again."""
        self._do(lambda: self._sensor(name).change_battery())

    def advertise(self, advert: Advert) -> None:
        """One advertisement of any content."""
        self._do(lambda: self._air.transmit(advert))

    # What goes wrong

    def cut_power(self, hub: Hub | str | None = None) -> None:
        """The hub is dead when this returns (SIGKILL in whatever it was doing)."""
        self._wait(self._hub(hub)._cut_power())

    def power(self, hub: Hub | str | None = None) -> None:
        """Power is back; returns when boot.py begins."""
        self._wait(self._hub(hub)._start())

    def wifi(self, on: bool, hub: Hub | str | None = None) -> None:
        """The home's access point. Off: connections stall, as on the air."""
        owner = self._hub(hub)
        self._do(lambda: owner._set_network(wifi=on))

    def link_fault(self, hub: Hub | str | None = None, fault: net.Fault | None = None) -> None:
        """stall: bytes stop; cut: connections are reset, now and anew; refuse: only new ones are; None."""
        if fault not in (None, *net.FAULTS):
            raise BenchError(f"a link fault is one of {', '.join(net.FAULTS)} or None, not {fault!r}")
        owner = self._hub(hub)
        self._do(lambda: owner._set_network(fault=fault or "none"))

    def fill_flash(self, full: bool, hub: Hub | str | None = None) -> None:
        """A file takes all the room there is on the hub's flash, until full is False; power cuts or not."""
        owner = self._hub(hub)
        self._do(lambda: owner._fill_flash(full))

    def mains(self, on: bool, hub: Hub | str | None = None) -> None:
        owner = self._hub(hub)
        sense = next((w for w in owner.wires.values() if w.kind == "mains"), None)
        if sense is None:
            raise BenchError(
                f"hub {owner.hub_id} has no mains sense pin: put `mains` into its config or wiring"
            )
        sense.pressed = on
        self._do(lambda: owner._show(sense))

    # What can be seen

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

    # Inside

    def _record(self, noticed: bool, hub_id: str, name: str, kind: str) -> None:
        (self.presses if noticed else self.missed_presses).append(Press(time.monotonic(), hub_id, name, kind))

    def _plug(self, name: str, hub: Hub | str | None, *, plugged: bool) -> None:
        owner, contact = self._wire(name, hub)
        contact.plugged = plugged
        self._do(lambda: owner._show(contact))

    def _check_name(self, name: str) -> None:
        known = {*self.sensors, *self.monitors}
        if name in known or any(name in hub.wires for hub in self.hubs.values()):
            raise BenchError(f"there is a sensor {name!r} on the bench already")

    def _hub(self, hub: Hub | str | None) -> Hub:
        if isinstance(hub, Hub):
            return hub
        if hub is None and len(self.hubs) == 1:
            return next(iter(self.hubs.values()))
        if hub is None or hub not in self.hubs:
            raise BenchError(f"say which hub: {', '.join(self.hubs) or 'none has been added'}")
        return self.hubs[hub]

    def _wire(self, name: str, hub: Hub | str | None) -> tuple[Hub, Wire]:
        hubs = self.hubs.values() if hub is None else (self._hub(hub),)
        for owner in hubs:
            if name in owner.wires:
                return owner, owner.wires[name]
        known = [n for owner in hubs for n in owner.wires] + list(self.sensors)
        raise BenchError(f"no sensor {name!r} on the bench: there is {', '.join(known) or 'none'}")

    def _sensor(self, name: str) -> Sensor:
        if name not in self.sensors:
            raise BenchError(
                f"no BLE sensor {name!r} on the bench: there is {', '.join(self.sensors) or 'none'}"
            )
        return self.sensors[name][0]

    def _monitor(self, name: str) -> Monitor:
        if name not in self.monitors:
            raise BenchError(
                f"no monitor {name!r} on the bench: there is {', '.join(self.monitors) or 'none'}"
            )
        return self.monitors[name]

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        self._do(lambda: self._loop.call_later(delay, action))

    def _do(self, action: Callable[[], T]) -> T:
        async def work() -> T:
            return action()

        return self._wait(work())

    def _wait(self, work: Coroutine[Any, Any, T], timeout: float = 30.0) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)
