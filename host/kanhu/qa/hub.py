"""A hub under test at a serial port: the same driver for simulated boards and for real ones."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from mpremote.transport import TransportError, TransportExecError

from kanhu.errors import KanhuError
from kanhu.install.flash.console import Console as Repl
from kanhu.install.flash.ports import Port
from kanhu.install.flash.troubles import Trouble
from kanhu.qa import capabilities as c
from kanhu.qa.board import BoardTrouble, Flashed, Pressed
from kanhu.qa.console import Console
from kanhu.qa.installing import Installer
from kanhu.sim.lamp import Indication

LISTENS_S = 90.0  # from flashed to listening, on a busy computer
POLL_S = 0.03
SEEN_MAX = 40  # patterns named in a failure
WATCHDOG = "import machine\nmachine.WDT(timeout=120000)\n"  # the hub's own brings the board back in 30 s


class Hands(Protocol):
    """Who presses, moves and looks: the stimulus board."""

    capabilities: frozenset[str]

    def press(self, line: str, seconds: float) -> Pressed: ...
    def motion(self, line: str, seconds: float) -> None: ...
    def mains(self, on: bool) -> None: ...
    def indication(self) -> Indication: ...
    def forget(self) -> None:
        """What lamp and buzzer showed before says nothing any more: the hub starts anew."""

    def settle(self) -> None:
        """All lines as they are when nobody touches anything."""


class Hub:
    """One board (kanhu.qa.board.Board); `switch` cuts its supply, None: nothing can."""

    def __init__(
        self,
        name: str,
        board: str,
        port: Port,
        installer: Installer,
        hands: Hands | None,
        switch: Callable[[bool], None] | None,
        chip: str,
        mac: str = "",
        capabilities: frozenset[str] = frozenset(),
        *,
        drain_s: float = 0.0,
        may_flash: bool = True,
    ) -> None:
        self.name, self.kind, self.chip, self.mac = name, board, chip, mac
        self.hub_id = ""
        self.flashed: Flashed | None = None
        self.console = Console(port, mac)
        self.hands = hands
        self.mark: Callable[[str, float], None] = lambda name, at: None  # is told of each press
        self._installer, self._switch = installer, switch
        self._own = capabilities
        self._powered = True
        self._drain_s = drain_s  # for what is left in the capacitors of a board without supply
        self._cut_at = 0.0
        self._may_flash = may_flash

    def give(self, hands: Hands, switch: Callable[[bool], None]) -> None:
        """Somebody has come who can touch it."""
        self.hands, self._switch = hands, switch

    @property
    def capabilities(self) -> frozenset[str]:
        """What this board can do now."""
        found = self._own | {c.EXEC, c.LOG, c.FLASH_FULL}
        if not self.port.startswith("socket://"):  # such a port has no lines
            found |= {c.RESET, c.FLASH} if self._may_flash else {c.RESET}
        if self._switch:
            found |= {c.POWER}
        return found | (self.hands.capabilities if self.hands else frozenset())

    @property
    def port(self) -> str:
        """Its console, as pyserial opens it."""
        return self.console.port.url

    @property
    def powered(self) -> bool:
        """Whether its supply was left on."""
        return self._powered

    # Supply and serial port

    def reset(self) -> None:
        """Pull EN low and let go."""
        self.console.pulse()
        self._forget()

    def power(self, on: bool) -> None:
        """Cut or restore the supply; NeedsCapability."""
        if self._switch is None:
            raise c.NeedsCapability(c.POWER)
        if on and not self._powered:
            time.sleep(max(0.0, self._cut_at + self._drain_s - time.monotonic()))
        self._switch(on)
        if self._powered and not on:
            self._cut_at = time.monotonic()
            self._forget()
        self._powered = on

    def flash(self) -> Flashed:
        """Write the bundle, prove what runs, and give it its network; returns when the lamp says well."""
        with self.console.held() as port:
            self.hub_id, self.flashed = self._installer.flash(self.kind, port, self.mac)
            self.mac = self.console.mac = self.flashed.mac
            self.chip = self.flashed.chip
            self._installer.provision(self.hub_id, port)
        # It would start again by itself, at the next quiet moment, which may be a test's.
        if c.RESET in self.capabilities:
            self.reset()
        self._forget()
        return self.flashed

    def adopt(self) -> None:
        """Take the board as it is: the hub that this bench made of it before."""
        self.hub_id = self._installer.known(self.mac)

    def exec(self, code: str, timeout: float = 30) -> str:
        """What code prints at the raw REPL; the application is started again afterwards."""
        with self.console.held() as port:
            try:
                repl = Repl(port, threading.Event())
            except Trouble as error:
                raise BoardTrouble(str(error)) from None
            try:
                repl.raw()
                repl.exec_raw_no_follow(WATCHDOG + code)
                said, failed = repl.follow(timeout)
                repl.reset()
            except (TransportError, TransportExecError, KanhuError, OSError) as error:
                with contextlib.suppress(OSError):
                    repl.reset()
                raise BoardTrouble(f"{port.url}: the console breaks off: {error}") from None
            finally:
                repl.close()
        self._forget()
        if failed:
            last = failed.decode(errors="replace").strip().splitlines()[-1:]
            raise BoardTrouble(f"{self.name}: the code ended with {''.join(last)}")
        return bytes(said).decode(errors="replace").replace("\r\n", "\n")

    @contextlib.contextmanager
    def holding(self) -> Iterator[str]:
        """Exclusive use of the console port, whose URL it gives; the log is not read meanwhile."""
        with self.console.held() as port:
            yield port.url

    # Console

    def log(self, after: int = 0) -> str:
        """The console's text after that position."""
        return self.console.log.text(after)

    def log_position(self) -> int:
        """How much text the console has said."""
        return self.console.log.position

    def lines(self) -> list[tuple[float, str]]:
        """(monotonic s, line) of the newest lines."""
        return self.console.log.lines()

    def wait_log(self, text: str, timeout: float = 10.0, after: int = 0) -> str:
        """The console's text once text stands in it; TimeoutError says what it said instead."""
        if not self.console.log.wait(text, timeout, after):
            why = f" ({self.console.trouble})" if self.console.trouble else ""
            raise TimeoutError(
                f"{self.name} did not say {text!r} in {timeout} s{why}, but: ...{self.log(after)[-2000:]}"
            )
        return self.log(after)

    # Pins

    def press(self, line: str = "button", seconds: float = 0.15) -> Pressed:
        """Press and release a wired button; NeedsCapability."""
        pressed = self._hands(c.PRESS).press(line, seconds)
        self.mark(f"press {line}", pressed.at)
        return pressed

    def motion(self, line: str = "pir", seconds: float = 2.0) -> None:
        """Somebody moves before a PIR for that long; returns at once; NeedsCapability."""
        self._hands(c.MOTION).motion(line, seconds)

    def mains(self, on: bool) -> None:
        """The mains sense; NeedsCapability."""
        self._hands(c.MAINS).mains(on)

    def indicator(self) -> str:
        """The pattern that lamp and buzzer show; "" while none is known; NeedsCapability."""
        return self._hands(c.INDICATOR).indication().pattern or ""

    def wait_indicator(self, pattern: str, timeout: float = 10.0) -> float:
        """Monotonic s since when the pattern shows; TimeoutError says what it showed."""
        hands = self._hands(c.INDICATOR)
        end = time.monotonic() + timeout
        seen: list[str | None] = []
        while True:
            shown = hands.indication()
            if shown.pattern == pattern and shown.since is not None:
                return shown.since
            if seen[-1:] != [shown.pattern]:
                seen.append(shown.pattern)
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{self.name}: no {pattern!r} on the lamp in {timeout} s; it showed {seen[-SEEN_MAX:]}"
                )
            time.sleep(POLL_S)

    def _hands(self, capability: str) -> Hands:
        if self.hands is None or capability not in self.hands.capabilities:
            raise c.NeedsCapability(capability)
        return self.hands

    def _forget(self) -> None:
        if self.hands:
            self.hands.forget()
