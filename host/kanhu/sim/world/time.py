"""Virtual time and seeded chance in the place of the modules that the host's code asks for them."""

from __future__ import annotations

import random
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

EPOCH_S = 1_760_000_000.0  # UTC when a world begins: 2025-10-09, later than any clock that was never set


class Clock:
    """The host's clocks: monotonic() cannot be changed, time() is what somebody has set."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.wrong_s = 0.0  # by how much the wall clock is off

    def monotonic(self) -> float:
        return self._now()

    def time(self) -> float:
        return EPOCH_S + self._now() + self.wrong_s

    def time_ns(self) -> int:
        return int(self.time() * 1e9)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class Secrets:
    """Of the module secrets what the host uses, repeatable."""

    def __init__(self, chance: random.Random) -> None:
        self.choice = chance.choice
        self.randbelow = random.Random(0).randrange  # apart from `chance`, so that it shifts nothing else
        self.token_bytes = chance.randbytes

    def token_hex(self, size: int) -> str:
        return self.token_bytes(size).hex()

    def __getattr__(self, name: str) -> Any:
        return getattr(secrets, name)


@contextmanager
def installed(clock: Clock, chance: random.Random) -> Iterator[None]:
    """Every loaded module of kanhu sees this clock and this chance until the block ends."""
    stand_ins: dict[ModuleType, Any] = {time: clock, random: chance, secrets: Secrets(chance)}
    changed: list[tuple[ModuleType, str, ModuleType]] = []
    for name, module in list(sys.modules.items()):
        if name.startswith("kanhu.") and not name.startswith("kanhu.sim."):
            for attribute, value in list(vars(module).items()):
                if isinstance(value, ModuleType) and value in stand_ins:
                    changed.append((module, attribute, value))
                    setattr(module, attribute, stand_ins[value])
    try:
        yield
    finally:
        for module, attribute, value in changed:
            setattr(module, attribute, value)
