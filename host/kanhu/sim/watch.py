"""When each press was heard, stored, delivered and accepted, as its hub's lamp showed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

STAGES = ("heard", "stored", "delivered", "accepted")


@dataclass
class Receipts:
    """One press: monotonic s of the press and of each stage the lamp reached before the next press."""

    pressed: float
    stages: dict[str, float] = field(default_factory=dict)

    def after(self, stage: str) -> float | None:
        """Seconds from the press to a stage; None when the lamp has not shown it."""
        shown = self.stages.get(stage)
        return None if shown is None else shown - self.pressed


def follow(presses: Sequence[float], lamp: Sequence[tuple[float, str]]) -> list[Receipts]:
    """Match the presses of one hub with its lamp's changes (time, pattern), both in order of time.

    A press while an alarm is open changes no lamp, so it has no stages; nothing is guessed."""
    result = []
    for number, pressed in enumerate(presses):
        until = presses[number + 1] if number + 1 < len(presses) else float("inf")
        one = Receipts(pressed)
        for when, pattern in lamp:
            if pressed <= when < until and pattern in STAGES:
                one.stages.setdefault(pattern, when)
        result.append(one)
    return result
