"""What is wired to a hub's pins: call buttons (with or without a supervised line), PIR sensors, mains sense."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Line = Literal["ok", "open", "short"]
# Millivolts at the supervised line's ADC: 10 kOhm to 3.3 V, 10 kOhm at the end of the line, the button across it
LINE_MV: Mapping[Line, int] = {"ok": 1650, "open": 3290, "short": 0}
# ms between the changes of a cheap contact that closes or opens, first change at 0
BOUNCE_MS = (0.0, 0.4, 0.9, 1.7, 2.1, 3.6, 4.0)
PRESS_MS = 150


@dataclass
class Wire:
    """One input of a hub; kind is "button" (active low), "pir" or "mains" (active high)."""

    pin: int
    kind: Literal["button", "pir", "mains"] = "button"
    adc: int | None = None
    line_mv: Mapping[Line, int] = field(default_factory=lambda: dict(LINE_MV))
    pressed: bool = False
    line: Line = "ok"

    def level(self) -> int | None:
        """What drives the pin: 0, 1 or nothing (the hub's pull-up decides)."""
        if self.kind == "button":
            if self.line == "short" or (self.pressed and self.line == "ok"):
                return 0
            return None
        return int(self.pressed)

    def microvolts(self) -> int:
        return self.line_mv[self.line] * 1000

    async def contact(self, closed: bool, drive: Callable[[int | None], None], pace: float) -> None:
        """Close or open a bouncing contact; drive gets each level, pace divides the times."""
        self.pressed = not closed
        for number, moment in enumerate(BOUNCE_MS):
            if number:
                await asyncio.sleep((moment - BOUNCE_MS[number - 1]) / 1000 / pace)
            self.pressed = not self.pressed
            drive(self.level())


def wire(name: str, where: int | Wire, config: Mapping[str, Any]) -> Wire:
    """A Wire for this pin: its kind and ADC from the hub's config, else from its name; it may also be given whole."""
    if isinstance(where, Wire):
        return where
    for _, pin, adc in config.get("buttons", ()):
        if pin == where:
            return Wire(pin, "button", adc)
    if any(pin == where for _, pin in config.get("pirs", ())) or "pir" in name.lower():
        return Wire(where, "pir")
    return Wire(where, "mains", pressed=True) if config.get("mains") == where or name == "mains" else Wire(where)
