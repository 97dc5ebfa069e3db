"""What the suite needs of a board under test, whatever it is made of, and the simulated one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from kanhu.sim import Bench
from kanhu.sim.town import Home


class Board(Protocol):
    """One hub under test. Times in s; what a board cannot do is missing from `capabilities`."""

    capabilities: frozenset[str]  # of: power, press, motion, indicator, flash
    port: str  # what mpremote and pyserial open
    hub_id: str

    def power(self, on: bool) -> None:
        """Cut or restore the supply."""

    def press(self, name: str) -> None:
        """Press and release a wired caller."""

    def motion(self, name: str, seconds: float) -> None:
        """Somebody moves before a PIR."""

    def indicator(self) -> str:
        """The pattern that lamp and buzzer show, decoded from their levels."""

    def wait_indicator(self, pattern: str, timeout: float) -> None:
        """Return once the pattern shows; TimeoutError."""

    def log(self) -> str:
        """The console's text so far."""

    def flash_files(self) -> dict[str, bytes]:
        """Path -> bytes on the board's filesystem."""


class SimBoard:
    """A hub of the simulated bench: proves protocol, logic and recovery; not radio, timing or flash wear."""

    capabilities = frozenset({"power", "press", "motion", "indicator", "flash"})

    def __init__(self, bench: Bench, home: Home) -> None:
        self._bench = bench
        self._home = home
        self.hub_id = home.hub_id
        self.port = str(Path(home.hub.tty))

    def power(self, on: bool) -> None:
        if on:
            self._bench.power(self._home.hub)
        else:
            self._bench.cut_power(self._home.hub)

    def press(self, name: str) -> None:
        self._bench.press(f"{self._home.name}/{name}")

    def motion(self, name: str, seconds: float) -> None:
        self._bench.motion(f"{self._home.name}/{name}", seconds)

    def indicator(self) -> str:
        return self._bench.indicator(self._home.hub).pattern or ""

    def wait_indicator(self, pattern: str, timeout: float) -> None:
        self._bench.wait_indicator(self._home.hub, pattern, timeout)

    def log(self) -> str:
        return self._home.hub.log()

    def flash_files(self) -> dict[str, bytes]:
        return self._home.hub.flash_files()
