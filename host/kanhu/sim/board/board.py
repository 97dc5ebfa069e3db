"""One simulated board: power, reset lines and what runs on its chip, the ROM's loader or the application."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Literal

from kanhu.sim.console import Log
from kanhu.sim.flash import BLOCK
from kanhu.sim.hub import Hub, Seat, Watch
from kanhu.sim.wires import Wire

from .image import CHIPS, RESETS, Layout, NoImage, check
from .loader import Loaders, Run
from .nvs import ChipNvs
from .rfc2217 import Port

State = Literal["off", "reset", "rom", "application", "no image"]
ERASED = b"\xff"
NO_IMAGE_PERIOD = 0.5  # s between the resets of a chip that has nothing to boot
DAMAGE_EVERY = 509  # bytes from one damaged byte to the next on a line that is too fast
DAMAGE = 0x15
SLIP_MARKS = (0xC0, 0xDB)  # spared: a lost frame's end costs esptool seconds and shows no more
TIMEOUT = 30.0  # s for the bench's loop to do something


class BoardError(ValueError):
    """The board cannot be as asked."""


class Board:
    """Public attributes and methods may be used from any thread; those with an underscore run in the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        loaders: Loaders,
        seat: Callable[[Board, Layout, ChipNvs], Hub],
        folder: Path,
        name: str,
        chip: str,
        mac: str,
        flash_mb: int,
        *,
        cut_after: int | None,
        bad_above_baud: int | None,
        usb_serial: str,
    ) -> None:
        if chip not in CHIPS:
            raise BoardError(f"no chip {chip!r}: there is {', '.join(CHIPS)}")
        if flash_mb not in (1, 2, 4, 8, 16, 32):
            raise BoardError(f"flash_mb {flash_mb}: must be 1, 2, 4, 8, 16 or 32")
        try:
            self._mac = bytes.fromhex(mac.replace(":", ""))
        except ValueError:
            self._mac = b""
        if len(self._mac) != 6:
            raise BoardError(f"mac {mac!r}: must be 12 hex digits, such as 240ac4000001")
        self.name, self.chip, self.mac = name, chip, self._mac.hex()
        self.usb_serial = usb_serial
        self.cut_after = cut_after  # bytes that one run of the loader programs until the power is cut
        self.bad_above_baud = bad_above_baud
        self.image = folder / f"{name}.chip"
        self.resets = 0
        self.state: State = "off"
        self.hub: Hub | None = None
        self.hubs: list[Hub] = []  # that it has been; the newest last
        self.words = Log()  # of the ROM and the bootloader
        self.wiring: dict[str, int | Wire] = {}  # of whatever runs on it
        self.watchers: list[Watch] = []  # are told in the loop what its pins drive
        self._kind = CHIPS[chip]
        self._loop, self._loaders, self._seat = loop, loaders, seat
        self._port = Port(self._on_input, self._on_lines)
        self._run: Run | None = None
        self._dtr = self._rts = self._low = False
        self._powered = False
        self._plugged, self._switch = False, True  # it has power when both are so
        self._sent = 0
        self._orders: asyncio.Queue[Callable[[], Coroutine[Any, Any, None]]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._changed = threading.Condition()
        if not self.image.exists():
            self.image.write_bytes(ERASED * (flash_mb << 20))
        elif self.image.stat().st_size != flash_mb << 20:
            raise BoardError(f"{self.image} is not the image of a flash of {flash_mb} MB")

    # What callers see

    @property
    def url(self) -> str:
        return f"rfc2217://127.0.0.1:{self._port.number}"

    @property
    def said(self) -> str:
        """What the ROM and the bootloader said."""
        return self.words.text()

    def flash(self) -> bytes:
        """All of it, as a power cut now would leave it."""
        return self.image.read_bytes()

    def cut_power(self) -> None:
        """The chip is dead when this returns."""
        self._wait(self._in_turn(self._off))

    def power_on(self) -> None:
        """Power is back; what then runs depends on the lines and the flash."""
        self._wait(self._in_turn(self._on))

    def reset(self) -> None:
        """A press on the board's reset button."""
        self._wait(self._in_turn(self._stop))
        self._wait(self._in_turn(self._release))

    def wait_state(self, *states: State, timeout: float = 60.0) -> State:
        """The state once it is one of these; TimeoutError says which it is instead."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.state in states, timeout):
                said = self.words.text()[-300:]
                raise TimeoutError(f"board {self.name} is {self.state} after {timeout} s; it said {said!r}")
            return self.state

    def wait_hub(self, timeout: float = 60.0) -> Hub:
        """The hub that runs on it; TimeoutError if none begins to."""
        end = time.monotonic() + timeout
        self.wait_state("application", timeout=timeout)
        hub = self.hub
        if hub is None:
            return self.wait_hub(max(end - time.monotonic(), 0.0))
        self._wait(asyncio.wait_for(hub._started.wait(), timeout), timeout + 1)
        return hub

    def _wait(self, work: Coroutine[Any, Any, Any], timeout: float = TIMEOUT) -> None:
        try:
            asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)
        except (TimeoutError, concurrent.futures.TimeoutError):
            raise TimeoutError(f"board {self.name} is {self.state} after {timeout} s") from None

    # Orders are done one after the other, whoever gave them

    async def _start(self, number: int, power: bool) -> None:
        await self._port.open(number)
        self._worker = self._loop.create_task(self._work())
        if power:
            await self._in_turn(self._on)

    async def _work(self) -> None:
        while True:
            await (await self._orders.get())()

    def _order(self, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._orders.put_nowait(action)

    async def _in_turn(self, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        done = self._loop.create_future()

        async def act() -> None:
            try:
                await action()
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        self._order(act)
        await done

    def _be(self, state: State) -> None:
        with self._changed:
            self.state = state
            self._changed.notify_all()

    # Power and reset

    async def _off(self) -> None:
        self._plugged = False
        await self._supply()

    async def _on(self) -> None:
        self._plugged = True
        await self._supply()

    def _load_switch(self, closed: bool) -> None:
        """A switch in its supply, which somebody else has."""

        async def act() -> None:
            self._switch = closed
            await self._supply()

        self._order(act)

    async def _supply(self) -> None:
        powered = self._plugged and self._switch
        if powered and not self._powered:
            self._powered = True
            self._be("reset")
            if not self._low:
                await self._release()
        elif not powered:
            self._powered = False
            await self._stop()
            self._be("off")

    async def _stop(self) -> None:
        """EN is low: nothing runs."""
        if self._retry:
            self._retry.cancel()
            self._retry = None
        if self._run:
            await self._run.kill()
            self._run = None
        hub, self.hub = self.hub, None
        if hub:
            await hub._cut_power()
        if self._powered:
            self._be("reset")

    async def _release(self) -> None:
        """EN is high: the ROM runs, and looks at GPIO0."""
        if not self._powered or self._run or self.hub:
            return
        self.resets += 1
        if self._dtr and not self._rts:
            words = self._boot_words(self._kind.power_on, self._kind.from_uart)
            self._say(words + b"waiting for download\r\n")
            self._load()
        else:
            self._boot()

    def _boot_words(self, reset: str, boot: str) -> bytes:
        return f"{self._kind.rom}\r\n{reset},{boot}\r\n".encode()

    def _on_lines(self, dtr: bool, rts: bool) -> None:
        """Two transistors: RTS alone pulls EN low, DTR alone GPIO0; both together pull neither, and the
        capacitor at EN bridges the moment between the two steps of a reset into the loader."""
        self._dtr, self._rts = dtr, rts
        if rts and not dtr and not self._low:
            self._low = True
            self._order(self._stop)
        elif not rts and self._low:
            self._low = False
            self._order(self._release)

    # The loader

    def _load(self) -> None:
        self._run = self._loaders.start(
            self.chip, self._mac, self.image, self.cut_after, self._port.write, self._on_loader_end
        )
        self._be("rom")

    def _on_loader_end(self, why: str) -> None:
        if why == "cut":
            self.cut_after = None
            self._order(self._off)
        elif why == "boot":
            self._order(self._leave_loader)
        else:
            raise RuntimeError(f"board {self.name}: its ROM loader came to an end")

    async def _leave_loader(self) -> None:
        await self._stop()
        if not self._low:
            self._boot()

    # What is in the flash

    def _boot(self) -> None:
        self._retry = None
        words = self._boot_words(self._kind.power_on, self._kind.from_flash)
        try:
            with open(self.image, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as flash:
                layout = check(flash, self._kind)
        except NoImage as error:
            self._say(words + f"{error}\r\n".encode())
            self._be("no image")
            self._retry = self._loop.call_later(NO_IMAGE_PERIOD, self._boot)
            return
        self._say(words)
        hub = self._seat(self, layout, ChipNvs(self.image, *layout.nvs))
        hub._power_on()
        hub._spawn(raw=False)
        self.hub = hub
        self._be("application")

    def seat(self, layout: Layout, nvs: ChipNvs) -> Seat:
        """What the hub on this board has from it."""
        offset, size = layout.vfs
        volume = (offset, size - size % BLOCK)
        return Seat(self.url, self, self._mac, self.image, volume, nvs, self._say_reset, self._watched)

    def _watched(self, pin: int, level: int | None, when: float) -> None:
        for watch in self.watchers:
            watch(pin, level, when)

    def _say_reset(self, why: str) -> bytes:
        self.resets += 1
        return self._boot_words(RESETS.get(why, self._kind.power_on), self._kind.from_flash)

    # The UART

    def write(self, data: bytes) -> None:
        """From the application."""
        self._port.write(data)

    def close(self) -> None:
        """The hub is done with its port; the port is the board's."""

    def _say(self, data: bytes) -> None:
        self.words.append(data)
        self._port.write(data)

    def _on_input(self, data: bytes, baud: int) -> None:
        if self.bad_above_baud is not None and baud > self.bad_above_baud:
            data = self._damaged(data)
        if self._run:
            self._run.type(data)
        elif self.hub:
            self.hub._on_input(data)

    def _damaged(self, data: bytes) -> bytes:
        damaged = bytearray(data)
        for at in range(DAMAGE_EVERY - 1 - self._sent % DAMAGE_EVERY, len(damaged), DAMAGE_EVERY):
            if damaged[at] not in SLIP_MARKS and damaged[at] ^ DAMAGE not in SLIP_MARKS:
                damaged[at] ^= DAMAGE
        self._sent += len(data)
        return bytes(damaged)

    async def _close(self) -> None:
        await self._port.close()
        if self._worker:
            await self._in_turn(self._off)
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        for hub in self.hubs:
            await hub._close()
