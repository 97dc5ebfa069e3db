"""Things that can be known of a home. Plain values; every time is UTC in ms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

HOME, AWAY, HOSPITAL, VISITOR, SLEEP = 1, 2, 3, 4, 5  # names.MODES


@dataclass(frozen=True, slots=True)
class Device:
    """A sensor of the home, wired or BLE; index as in the hub's device table."""

    index: int
    role: str  # names.ROLES
    room: str = ""
    name: str = ""
    supervision_s: int = 0  # longest silence when well; 0: not known
    radio: bool = False  # not on the hub's own wires: it may die unnoticed for as long as it is supervised


class Fault(NamedTuple):
    """A stretch in which a device (0: the hub) could not be relied on; until_ms None: it lasts."""

    why: (
        str  # silent, stuck, line, tamper, doubted, battery, unproven; of the hub also lost (see coverage.py)
    )
    from_ms: int
    until_ms: int | None


class Mode(NamedTuple):
    """A mode that a person has set (names.MODES), and when it ends by itself."""

    mode: int
    from_ms: int
    until_ms: int


class Visit(NamedTuple):
    """Somebody is or was at the home."""

    who: str
    from_ms: int
    until_ms: int | None


class Plan(NamedTuple):
    """A visit due on these days (mask, Monday 1) between two minutes of the day, over midnight too."""

    days: int
    from_min: int
    until_min: int
    what: str
    since_ms: int = 0  # known since then: what was due before is not missed


class Reading(NamedTuple):
    """One vital sign: code of the quantity, value in its unit."""

    at_ms: int
    device: int
    code: int
    value: float
