"""Further hubs beside the one under test: homes of the same simulated town, made without flashing."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from kanhu.qa import capabilities as c
from kanhu.qa.board import Board, BoardTrouble, Flashed, Pressed
from kanhu.qa.hands import BenchHands
from kanhu.qa.host import SERIAL_HOMES, Host
from kanhu.sim.town import Home

WELL_S = 90.0
BUTTONS, PIRS = {"button": 4, "button2": 17}, {"pir": 13}


class HomeBoard:
    """A hub of Town.add_home (kanhu.qa.board.Board): its port is a pty, and nothing is flashed."""

    chip, mac = "", ""

    def __init__(self, host: Host, home: Home) -> None:
        self.home = home
        self.name, self.hub_id = home.name, home.hub_id
        self._bench = host.town.bench
        self._hands = BenchHands(self._bench, lambda: home.hub, f"{home.name}/")

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do."""
        return self._hands.capabilities | {c.POWER, c.LOG} | c.SIMULATION

    @property
    def port(self) -> str:
        """Its console's pty."""
        return str(self.home.hub.tty)

    def reset(self) -> None:
        raise c.NeedsCapability(c.RESET)

    def power(self, on: bool) -> None:
        if on:
            self._bench.power(self.home.hub)
        else:
            self._bench.cut_power(self.home.hub)

    def flash(self) -> Flashed:
        raise c.NeedsCapability(c.FLASH)

    def exec(self, code: str, timeout: float = 30) -> str:
        raise c.NeedsCapability(c.EXEC)

    def log(self, after: int = 0) -> str:
        return self.home.hub.log(after)

    def log_position(self) -> int:
        return self.home.hub.log_position()

    def lines(self) -> list[tuple[float, str]]:
        return self.home.hub.lines()

    def wait_log(self, text: str, timeout: float = 10.0, after: int = 0) -> str:
        return self.home.hub.wait_log(text, timeout, after)

    def press(self, line: str = "button", seconds: float = 0.15) -> Pressed:
        return self._hands.press(line, seconds)

    def motion(self, line: str = "pir", seconds: float = 2.0) -> None:
        self._hands.motion(line, seconds)

    def mains(self, on: bool) -> None:
        self._hands.mains(on)

    def indicator(self) -> str:
        return self._hands.indication().pattern or ""

    def wait_indicator(self, pattern: str, timeout: float = 10.0) -> float:
        shown = self._bench.wait_indicator(self.home.hub, pattern, timeout)
        return shown.since or 0.0

    @contextlib.contextmanager
    def holding(self) -> Iterator[str]:
        yield self.port


class Homes:
    """Makes them, each well when it is given out; they end with the bench."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._names = {True: iter(SERIAL_HOMES), False: (f"home-{n}" for n in itertools.count(1))}

    def add(
        self,
        *,
        links: tuple[str, ...] | list[str] = ("mqtt",),
        buttons: Mapping[str, int] | None = None,
        pirs: Mapping[str, int] | None = None,
        **options: Any,
    ) -> Board:
        """Town.add_home's options; "serial" among the links: the daemon has its port."""
        name = self._name("serial" in links)
        home = self._host.town.add_home(
            name,
            links=links,
            buttons=BUTTONS if buttons is None else buttons,
            pirs=PIRS if pirs is None else pirs,
            **options,
        )
        board = HomeBoard(self._host, home)
        try:
            if options.get("speed", 1) == 1:
                board.wait_indicator("well", WELL_S)
            else:  # its lamp is too quick to be read
                board.wait_log("lamp well", WELL_S)
        except TimeoutError as error:
            raise BoardTrouble(f"{name} did not come up: {error}") from None
        return board

    def _name(self, serial: bool) -> str:
        name = next(self._names[serial], None)
        if name is None:
            raise BoardTrouble(f"the daemon has no port for another hub: it has {len(SERIAL_HOMES)} in all")
        return name
