"""What a home of a world is fitted with, and what is watched there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BUTTONS, PIR = (4, 5), 13  # pins; devices 1 and 2, and 3
HEARTBEAT_S = 300


@dataclass(frozen=True)
class House:
    """A home as its registry has it; unless said otherwise one PIR and no rule."""

    time_zone: str = "Asia/Shanghai"
    pirs: Mapping[str, int] = field(default_factory=lambda: {"": PIR})  # room: pin
    warm_up_s: int = 0
    radio: Mapping[str, str] = field(default_factory=dict)  # room: kind of the BLE sensor there
    supervision_s: int = 600  # of those
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    knows_time: bool = False  # a right time server; else there may be none, or a wrong one

    def settings(self) -> dict[str, Any]:
        """The hub's, as the registry keeps them."""
        first = len(BUTTONS) + 1
        return {
            "buttons": [[device, pin, None] for device, pin in enumerate(BUTTONS, 1)],
            "pirs": [[device, pin] for device, pin in enumerate(self.pirs.values(), first)],
            "places": {str(device): [room, ""] for device, room in enumerate(self.pirs, first)},
            "pir_warm_up": self.warm_up_s,
            "heartbeat": HEARTBEAT_S,
        }
