"""What is wired to a hub's pins: call buttons, their lines supervised or not, PIR sensors, mains sense."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Line = Literal["ok", "open", "short"]
# mV at a supervised line's ADC: resistors at the line's end and before the button tell a press from a short
LINE_MV: Mapping[str, int] = {"ok": 2600, "pressed": 800, "open": 3290, "short": 20}
# ms between the changes of a cheap contact that closes or opens, first change at 0
BOUNCE_MS = (0.0, 0.4, 0.9, 1.7, 2.1, 3.6, 4.0)
PRESS_MS = 150
LATEST_MS = 20  # a bounce later than this would be a press or a release of its own: it is left out


@dataclass
class Wire:
    """One input of a hub; "button" and "cancel" are active low, "pir" and "mains" active high."""

    pin: int
    kind: Literal["button", "cancel", "pir", "mains"] = "button"
    adc: int | None = None
    line_mv: Mapping[str, int] = field(default_factory=lambda: dict(LINE_MV))
    pressed: bool = False
    line: Line = "ok"
    plugged: bool = True

    def level(self) -> int | None:
        """What drives the pin: 0, 1 or nothing (the hub's pull-up decides)."""
        if not self.plugged:
            return None
        if self.kind in ("button", "cancel"):
            if self.line == "short" or (self.pressed and self.line == "ok"):
                return 0
            return None
        return int(self.pressed)

    @property
    def heard(self) -> bool:
        """Whether a press gets to the hub."""
        return self.plugged and self.line == "ok"

    def microvolts(self) -> int:
        state = "pressed" if self.pressed and self.line == "ok" else self.line
        return self.line_mv[state] * 1000

    async def contact(self, closed: bool, show: Callable[[], None], pace: float) -> None:
        """Close or open a bouncing contact; show is called at each change, pace divides the times."""
        clock = asyncio.get_running_loop().time
        begin = clock()
        self.pressed = not closed
        for moment in BOUNCE_MS:
            if (wait_s := begin + moment / 1000 / pace - clock()) > 0:
                await asyncio.sleep(wait_s)
            if clock() - begin > LATEST_MS / 1000 / pace:  # this computer had other things to do
                break
            self.pressed = not self.pressed
            show()
        if self.pressed != closed:
            self.pressed = closed
            show()


@dataclass(eq=False)
class Lead(Wire):
    """A wire whose other end is a pin of another board, or what a person's hand adds to it."""

    driven: int | None = None

    def level(self) -> int | None:
        if not self.plugged:
            return None
        if self.kind == "mains":  # pressed: there is mains
            return self.driven if self.pressed else 0
        if self.pressed:
            return 1 if self.kind == "pir" else 0
        return self.driven


def wire(name: str, where: int | Wire, config: Mapping[str, Any]) -> Wire:
    """A Wire for this pin: kind and ADC from the hub's config, else from its name; or given whole."""
    if isinstance(where, Wire):
        return where
    for _, pin, adc in config.get("buttons", ()):
        if pin == where:
            return Wire(pin, "button", adc)
    if any(pin == where for _, pin in config.get("pirs", ())) or "pir" in name.lower():
        return Wire(where, "pir")
    if config.get("mains") == where or name == "mains":
        return Wire(where, "mains", pressed=True)
    return Wire(where)
