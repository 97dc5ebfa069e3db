"""What the suite needs of a hub under test, whatever it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from kanhu.errors import KanhuError


class BoardTrouble(KanhuError):
    """The board does not do what it was asked to: one sentence that says what to do."""


@dataclass(frozen=True)
class Flashed:
    """What was written and what then proved to run: trees are the self-test's SHA-256, by path.

    program_sha256: of the program's files; the same for the same source, whoever signed it."""

    version: str
    program_sha256: str
    micropython: str
    chip: str
    mac: str
    trees: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pressed:
    """A press that happened; at: monotonic s of the contact, error: s that it may be off."""

    at: float
    error: float = 0.0


class Board(Protocol):
    """One hub under test; times in s; BoardTrouble. What it cannot do is missing from `capabilities`."""

    name: str
    chip: str
    mac: str
    hub_id: str  # after flashing

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do, of kanhu.qa.capabilities.KNOWN."""

    @property
    def port(self) -> str:
        """Its console: any pyserial URL."""

    def reset(self) -> None:
        """Pull EN low and let go; returns at once."""

    def power(self, on: bool) -> None:
        """Cut or restore the supply."""

    def flash(self) -> Flashed:
        """Write the bundle as `kanhu flash` does, and prove by the self-test what runs."""

    def exec(self, code: str, timeout: float = 30) -> str:
        """What code prints at the raw REPL; the application is started again afterwards."""

    def log(self, after: int = 0) -> str:
        """The console's text after that position (log_position())."""

    def log_position(self) -> int:
        """How much text the console has said: pass it to log() to read only what comes later."""

    def lines(self) -> list[tuple[float, str]]:
        """(monotonic s, line) of the newest lines of the console."""

    def wait_log(self, text: str, timeout: float = 10.0, after: int = 0) -> str:
        """The console's text once text stands in it; TimeoutError says what it said instead."""

    def press(self, line: str = "button", seconds: float = 0.15) -> Pressed:
        """Press and release a wired button."""

    def motion(self, line: str = "pir", seconds: float = 2.0) -> None:
        """Somebody moves before a PIR for that long; returns at once."""

    def mains(self, on: bool) -> None:
        """The mains sense."""

    def indicator(self) -> str:
        """The pattern that lamp and buzzer show; "" while none is known."""

    def wait_indicator(self, pattern: str, timeout: float = 10.0) -> float:
        """Monotonic s since when the pattern shows; TimeoutError says what it showed."""

    def holding(self) -> AbstractContextManager[str]:
        """Exclusive use of the console port, whose URL it gives; the log is not read meanwhile."""
