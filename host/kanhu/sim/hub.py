"""One simulated hub: its chip's state between runs, its flash and NVS, and what its pins and radio do."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from kanhu.sim import flash
from kanhu.sim.air import Air, Scanner
from kanhu.sim.beacon import Beacon
from kanhu.sim.console import Log, Port
from kanhu.sim.lamp import Lamp
from kanhu.sim.net import AccessPoint, HomeNetwork, Routes, UnknownHost
from kanhu.sim.nvs import Nvs, NvsError, NvsPartition
from kanhu.sim.process import Process
from kanhu.sim.sensors import Advert
from kanhu.sim.wires import Wire

if TYPE_CHECKING:
    from kanhu.sim.gatt import Central

T = TypeVar("T")
POWER_ON, HARD, WATCHDOG, SOFT = 1, 2, 3, 5  # machine.reset_cause()
DNS_FAILED = -202  # lwIP EAI_FAIL
SCAN_RESULT, SCAN_DONE = 5, 6  # bluetooth._IRQ_*
RSSI = -55  # dBm of the home's access point
WDT_GRACE = 0.05  # s of real time in which a feed that is under way still counts


Watch = Callable[[int, int | None, float], None]  # pin, its level or None: drives nothing, monotonic s


class Serial(Protocol):
    """Where the hub's console goes."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


@dataclass
class Seat:
    """What a hub on a simulated board has instead of files and a pty of its own."""

    tty: str  # URL of its serial port
    serial: Serial
    mac: bytes
    image: Path  # of its chip
    volume: tuple[int, int]  # offset and size of the partition `vfs`, bytes
    nvs: NvsPartition
    say_reset: Callable[[str], bytes]  # what the ROM says at a reset for that reason
    watch: Watch  # is told what its pins drive


class Hub:
    """Public attributes and methods may be used from any thread; those with an underscore run in the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        folder: Path,
        hub_id: str,
        routes: Routes,
        air: Air,
        lamp: Lamp,
        pins: tuple[int, int],
        heap: str,
        speed: int,
        tick_start: int,
        seat: Seat | None = None,
    ) -> None:
        self.hub_id = hub_id
        self.tty: Path | str = seat.tty if seat else folder / f"{hub_id}.tty"
        self.speed = speed
        self.wires: dict[str, Wire] = {}
        self.uarts: dict[int, Path] = {}  # what is wired to them, from its next start on
        self.boots = 0
        self.joined: str | None = None  # the Wi-Fi network it is in, or is being let into
        self.watchdog_resets = 0
        self.adverts_lost = 0
        self._loop, self._air, self._lamp = loop, air, lamp
        if seat:
            self._sit(seat)
        else:
            self._flash_image = folder / f"{hub_id}.flash"
            self._volume = (0, self._flash_image.stat().st_size)
            self._nvs: NvsPartition = Nvs(folder / f"{hub_id}.nvs")
        self._lamp_pin, self._buzzer_pin = pins
        self._heap, self._tick_start = heap, tick_start
        self._console = Log()
        self._port: Serial = seat.serial if seat else Port(loop, Path(self.tty), self._on_input)
        self._say_reset = seat.say_reset if seat else _say_reset
        self._net = HomeNetwork(routes, lambda: self.boots, lambda n: n in self._ended_hard)
        self._process: Process | None = None
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stopped.set()
        self._ended_hard: set[int] = set()
        self._why: str = ""
        self._rounds: dict[int, asyncio.Future[bool]] = {}
        self._full: bool | None = None  # the flash has been filled, or has room again; None: never touched
        self._scanner: Scanner | None = None
        self._central: Central | None = None
        self._beacon = Beacon(air.transmit)
        self._security: tuple[bool, bool, int] | None = None  # what this run has said of pairing
        self._drawn: bytes | None = None  # the BLE address of this run, if it is not the board's own
        self._secrets: dict[int, asyncio.Future[bytes | None]] = {}  # asked of the application
        self._closing: asyncio.Task[None] | None = None  # the radio of the run before
        self._watchdog: asyncio.TimerHandle | None = None
        self._watchdog_s = 0.0
        self._tasks: set[asyncio.Future[Any]] = set()
        self._outputs: dict[int, int | None] = {}
        self._watch: Watch = seat.watch if seat else lambda pin, level, when: None
        made = hashlib.sha256(hub_id.encode()).digest()[:6]
        # Without one of its own a locally administered one.
        self._mac = seat.mac if seat else bytes(((made[0] | 2) & 0xFE,)) + made[1:]
        self._power_on()

    def _sit(self, seat: Seat) -> None:
        self._flash_image, self._volume, self._nvs = seat.image, seat.volume, seat.nvs

    # What callers see

    @property
    def running(self) -> bool:
        return self._process is not None

    def log(self, after: int = 0) -> str:
        return self._console.text(after)

    def lines(self) -> list[tuple[float, str]]:
        """(monotonic s, line) of the newest lines of the log."""
        return self._console.lines()

    def log_position(self) -> int:
        return self._console.position

    def wait_log(self, text: str, timeout: float = 10.0, after: int = 0) -> str:
        """The log once text stands in it; TimeoutError with the log's end if it does not come."""
        if not self._console.wait(text, timeout, after):
            raise TimeoutError(
                f"{self.hub_id} did not say {text!r} in {timeout} s, but: ...{self.log()[-2000:]}"
            )
        return self.log(after)

    def flash_files(self) -> dict[str, bytes]:
        """Path -> bytes of the files on the hub's flash, as a power cut now would leave them."""
        return flash.read(self._flash_image, *self._volume)

    def nvs(self, namespace: str = "kanhu") -> dict[str, int | bytes]:
        """Committed values."""
        return dict(self._nvs.stored.get(namespace, {}))

    # Power and resets

    def _power_on(self) -> None:
        self._cause = POWER_ON
        self._clock_us = 0
        self._rtc = ""
        self._reset_at = time.monotonic()

    def _restart_chip(self, cause: int) -> None:
        now = time.monotonic()
        self._clock_us += int((now - self._reset_at) * 1e6) * self.speed  # its clock runs through a reset
        self._reset_at = now
        self._cause = cause

    async def _start(self) -> None:
        if self._process is None:
            self._power_on()
            self._spawn(raw=False)
            try:
                await asyncio.wait_for(self._started.wait(), 10)
            except TimeoutError:
                raise RuntimeError(f"hub {self.hub_id} does not start: {self.log()[-2000:]}") from None

    def _spawn(self, raw: bool) -> None:
        self.boots += 1
        self._why = ""
        self._started.clear()
        self._stopped.clear()
        state = {
            "now_us": int(time.monotonic() * 1e6),
            "reset_us": int(self._reset_at * 1e6),
            "clock_us": self._clock_us,
            "tick_start": self._tick_start,
            "speed": self.speed,
            "cause": self._cause,
            "rtc": self._rtc,
            "uarts": {number: str(path) for number, path in self.uarts.items()},
            "mac": self._mac.hex(),
            "wifi": self._net.wifi,
            "points": self._net.told(),
            "rssi": RSSI,
            "pins": {w.pin: w.level() for w in self.wires.values()},
            "adc": {w.adc: w.microvolts() for w in self.wires.values() if w.adc is not None},
            "out": self._outputs,
            "flash": str(self._flash_image.resolve()),
            "block": flash.BLOCK,
            "offset": self._volume[0],
            "blocks": self._volume[1] // flash.BLOCK,
            "full": self._full,
        }
        self._process = Process(state, self._heap, raw, self._on_output, self._on_message, self._on_exit)

    def _end(self, why: str) -> None:
        """Take the process away; what happens next follows from why."""
        if self._process and not self._why:
            self._why = why
            if why != "soft_reset":
                self._ended_hard.add(self.boots)
            self._process.kill()

    async def _cut_power(self) -> None:
        self._why = ""  # a reset under way does not get to happen
        self._end("power")
        await self._stopped.wait()

    def _on_exit(self, status: int) -> None:
        raw = self._process is not None and self._process.raw
        why = self._why or ("soft_reset" if status >= 0 else "panic")
        self._process = None
        self.joined = None
        for answer in self._rounds.values():
            answer.set_result(False)
        self._rounds.clear()
        self._nvs.forget_uncommitted()
        self._stop_scan()
        self._forget_radio()
        if self._central:
            self._closing = self._loop.create_task(self._central.close())
            self._central = None
        self._lamp.dark()
        if why != "soft_reset":
            self._let_go()
            self._ended_hard.add(self.boots)
            self._stop_watchdog()
        if why in ("power", "stop"):
            self._stopped.set()
        elif why == "soft_reset":
            self._cause = SOFT
            self._on_output(b"MPY: soft reboot\r\n")
            self._spawn(raw)
        else:
            self._restart_chip(WATCHDOG if why == "watchdog" else HARD)
            self._on_output(self._say_reset(why))
            self._spawn(raw=False)

    # Watchdog: runs on through a soft reset, as the ESP32's does

    def _feed(self) -> None:
        if self._watchdog:
            self._watchdog.cancel()
        if self._watchdog_s:
            self._watchdog = self._loop.call_later(self._watchdog_s, self._bark, False)

    def _bark(self, sure: bool) -> None:
        if not sure:
            self._watchdog = self._loop.call_later(WDT_GRACE, self._bark, True)
            return
        self.watchdog_resets += 1
        self._end("watchdog")

    def _stop_watchdog(self) -> None:
        if self._watchdog:
            self._watchdog.cancel()
        self._watchdog, self._watchdog_s = None, 0.0

    # Messages from the stand-ins

    def _on_message(self, message: list[Any]) -> None:
        match message:
            case ["o", int(pin), int() | None as level, int(up_us)]:
                self._on_pin(pin, level, self._reset_at + up_us / 1e6 / self.speed)
            case ["round", int(number)] if number in self._rounds:
                self._rounds.pop(number).set_result(True)
            case ["feed"]:
                self._feed()
            case ["wdt", timeout]:
                self._watchdog_s = timeout / 1000 / self.speed
                self._feed()
            case ["hi", _]:
                self._started.set()
            case ["halted"]:
                self._end("power")
            case ["die", "reset" | "soft_reset" as why]:
                self._end(why)
            case ["clock", us]:
                self._clock_us = us
            case ["rtc", memory]:
                self._rtc = memory
            case ["ble", False] | ["scan", None]:
                self._stop_scan()
            case ["value", int(handle), str(data)]:
                self._radio().peripheral.data[handle] = bytes.fromhex(data)
            case ["security", bool(bond), bool(mitm), int(io)]:
                self._security = (bond, mitm, io)
                if self._central:
                    self._central.peripheral.pairing = self._security
            case ["secret", int(number), found] if number in self._secrets:
                self._secrets.pop(number).set_result(None if found is None else bytes.fromhex(found))
            case ["joined", ssid]:
                self.joined = ssid
            case ["confirmed", int(handle)]:
                if self._central:
                    self._central.confirm(handle)
            case ["connect", None]:
                if self._central:
                    self._central.cancel_connect()
            case ["rpc", number, operation, *args]:
                self._run(self._answer(number, operation, args))

    async def _answer(self, number: int, operation: str, args: list[Any]) -> None:
        process = self._process
        reply: tuple[Any, ...]
        try:
            reply = (None, await self._do(operation, args))
        except NvsError as error:
            reply = error.args
        except UnknownHost:
            reply = (DNS_FAILED,)
        except OSError as error:
            reply = (error.errno or errno.EIO,)
        if process and process is self._process:
            process.tell("r", number, *reply)

    async def _do(self, operation: str, args: list[Any]) -> Any:
        match operation, args:
            case "nvs_open", [space]:
                self._nvs.open(space)
            case "nvs_get", [space, key, "i32"]:
                return self._nvs.get(space, key, int)
            case "nvs_get", [space, key, "blob"]:
                return self._nvs.get(space, key, bytes).hex()
            case "nvs_set", [space, key, value]:
                self._nvs.set(space, key, bytes.fromhex(value) if isinstance(value, str) else value)
            case "nvs_erase", [space, key]:
                self._nvs.erase(space, key)
            case "nvs_commit", [space]:
                self._nvs.commit(space)
            case "resolve", [str(host), int(port)]:
                return await self._net.resolve(host, port)
            case "scan", [int(duration_ms), int(interval_us), int(window_us)]:
                if self._central and self._central.connecting:
                    raise OSError(errno.EBUSY, "connecting")
                self._scan(duration_ms, interval_us, window_us)
            case "connect", [int(address_type), str(address), int(timeout_ms)]:
                self._stop_scan()  # as the port does
                self._radio().connect(address_type, bytes.fromhex(address), timeout_ms)
            case "disconnect", [int(handle)]:
                return await self._radio().disconnect(handle)
            case "gatt", [str(name), int(handle), *rest]:
                self._radio().start(name, handle, *rest)
            case "gatts", [list(services), int(mtu)]:
                return await self._radio().peripheral.register(services, mtu, self._scanner is not None)
            case "advertise", [interval_us, str(data), str(answer)]:
                self._beacon.stop()
                if interval_us is not None or self._central:
                    await self._radio().peripheral.advertise(interval_us, data, answer)
            case "beacon", [int(interval_us), str(data)]:
                if self._central:
                    await self._central.peripheral.advertise(None, "", "")
                self._beacon.start(self._ble_address, bytes.fromhex(data), interval_us / 1e6 / self.speed)
            case "address", [address]:
                self._change_address(address and bytes.fromhex(address))
            case "notify", [int(handle), int(value), str(data)]:
                await self._radio().peripheral.notify(handle, value, data)
            case "indicate", [int(handle), int(value), str(data)]:
                self._radio().peripheral.indicate(handle, value, data)
            case "update", [int(value)]:
                await self._radio().peripheral.update(value)
            case "ask_security", [int(handle)]:
                self._radio().peripheral.ask_security(handle)
            case _:
                raise OSError(errno.ENOSYS, operation)
        return None

    # Console, pins, radio

    def _on_input(self, data: bytes) -> None:
        if self._process:
            self._process.type(data)

    def _on_output(self, data: bytes) -> None:
        self._port.write(data)  # first: who waits for the log may open the port next
        self._console.append(data)

    def _on_pin(self, pin: int, level: int | None, when: float) -> None:
        self._outputs[pin] = level
        if pin in (self._lamp_pin, self._buzzer_pin):
            lamp, buzzer = (bool(self._outputs.get(p)) for p in (self._lamp_pin, self._buzzer_pin))
            self._lamp.change(when, lamp, buzzer)
        self._watch(pin, level, when)

    def _let_go(self) -> None:
        """A chip in reset or without power drives nothing."""
        driven, self._outputs = self._outputs, {}
        for pin in driven:
            self._watch(pin, None, time.monotonic())

    def _show(self, wire: Wire, when: float | None = None) -> None:
        """when: monotonic s of an edge; None: now."""
        if self._process:
            if wire.adc is not None:
                self._process.tell("a", wire.adc, wire.microvolts())
            moment = () if when is None else (int(when * 1e6),)
            self._process.tell("p", wire.pin, wire.level(), *moment)

    async def _round(self) -> bool:
        """True once the hub has read all it was told before; False: its run ended first."""
        if self._process is None:
            return False
        number = max(self._rounds, default=0) + 1
        answer: asyncio.Future[bool] = self._loop.create_future()
        self._rounds[number] = answer
        self._process.tell("round", number)
        return await answer

    def _fill_flash(self, full: bool) -> None:
        self._full = full
        if self._process:
            self._process.tell("full", full)

    def _cut_inside(self, operations: int) -> None:
        if self._process:
            self._process.tell("cut", operations)

    def _set_network(self, **changes: Any) -> None:
        before = self._net.wifi
        self._net.set(**changes)
        if self._process and self._net.wifi != before:
            self._process.tell("w", self._net.wifi)

    def _set_points(self, points: Sequence[AccessPoint] | None) -> None:
        self._net.points = points
        if self._process:
            self._process.tell("points", self._net.told())

    def _scan(self, duration_ms: int, interval_us: int, window_us: int) -> None:
        self._stop_scan(silent=True)
        scanner = self._scanner = Scanner(interval_us, window_us, self._hear)
        self._air.join(scanner)
        if duration_ms:
            self._loop.call_later(duration_ms / 1000 / self.speed, self._scan_over, scanner)

    def _scan_over(self, scanner: Scanner) -> None:
        if scanner is self._scanner:
            self._stop_scan()

    def _stop_scan(self, silent: bool = False) -> None:
        if self._scanner:
            self._air.leave(self._scanner)
            self._scanner = None
            if self._process and not silent:
                self._process.tell("b", SCAN_DONE)

    def _radio(self) -> Central:
        if self._central is None:
            from kanhu.sim.gatt import Central

            process = self._process

            def tell(*event: Any) -> None:
                if process and process is self._process:
                    process.tell("b", *event)

            def secure(handle: int) -> None:
                if process and process is self._process:
                    process.tell("s", handle)

            address = self._ble_address.hex(":").upper()
            self._central = Central(self._air.link(), self.hub_id, tell, address, secure, self._ask_secret)
            if self._security is not None:
                self._central.peripheral.pairing = self._security
        return self._central

    async def _ask_secret(self, kind: int, key: bytes) -> bytes | None:
        if self._process is None:
            return None
        number = max(self._secrets, default=0) + 1
        answer: asyncio.Future[bytes | None] = self._loop.create_future()
        self._secrets[number] = answer
        self._process.tell("k", number, kind, key.hex())
        return await answer

    def _change_address(self, address: bytes | None) -> None:
        if self._scanner or self._beacon.running:
            raise OSError(errno.EBUSY, "scanning or advertising")
        before, self._drawn = self._drawn, address
        try:
            if self._central:
                self._central.change_address(self._ble_address.hex(":").upper())
        except OSError:
            self._drawn = before
            raise

    def _forget_radio(self) -> None:
        """The run is over: what it advertised, and what it was asked."""
        self._beacon.stop()
        self._security = self._drawn = None
        for answer in self._secrets.values():
            answer.set_result(None)
        self._secrets.clear()

    @property
    def _ble_address(self) -> bytes:
        # Random static: the two highest bits are set.
        return self._drawn or bytes((self._mac[0] | 0xC0,)) + self._mac[1:]

    def _hear(self, advert: Advert) -> None:
        if advert.address == self._ble_address:  # no radio hears itself
            return
        fields = (int(advert.random_address), {"b": advert.address.hex()}, advert.adv_type, advert.rssi)
        event = ("b", SCAN_RESULT, *fields, {"b": advert.data.hex()})
        if not self._process or not self._process.tell(*event, droppable=True):
            self.adverts_lost += 1

    # Housekeeping

    def _run(self, work: Coroutine[Any, Any, T]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close(self) -> None:
        await self._cut_power()
        if self._closing:
            await self._closing
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._net.close()
        self._port.close()


def _say_reset(why: str) -> bytes:
    return f"ets sim: rst by {why}\r\n".encode()
