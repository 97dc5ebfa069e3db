"""A window, what is heard in it, and a proof, as values."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from kanhu.errors import KanhuError
from kanhu.registry import Sensor
from kanhu_protocol import kinds as k

WINDOW_S, MAX_WINDOW_S = 120, 600
PROOF_S = 120  # the longest for which a hub takes a press for a test (contracts, section 12)
KEPT_S = 600.0  # a window or proof that is over can still be looked at
HEARD_MAX = 64  # a hub tells of 30 strangers and its own 28
FRESH_MS = 60_000  # a hub says every 15 s what it still hears
CALL = 1  # role

# What a sensor of each role says of itself when it senses; those that are not here would raise an alarm.
SENSES = {
    CALL: (k.TEST_PRESS,),
    2: (k.MOTION, k.MOTION_COUNT),
    3: (k.DOOR_OPEN, k.DOOR_CLOSED),
    4: (k.WINDOW_OPEN, k.WINDOW_CLOSED),
    10: (k.CHECK_IN, k.CHECK_OUT),
    **dict.fromkeys(range(11, 17), (k.VITALS, k.VITALS_INVALID)),
}
HEARING = (k.SENSOR_HEARD,)


class PairingError(KanhuError):
    """Pairing is not possible so; one line that says why and what to do. code: the same for other words."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class Why(str):
    """Why a window or proof is over, in one line; code: the same for whoever has other words for it."""

    code: str

    def __new__(cls, text: str, code: str) -> Why:
        """One of pairing's own codes."""
        made = super().__new__(cls, text)
        made.code = code
        return made


@dataclass
class Heard:
    """A sensor that a hub hears; role is a number of names.ROLES, address 6 bytes as printed."""

    address: bytes
    role: int | None = None  # what it seems to be
    name: str = ""
    rssi: int | None = None
    battery: int | None = None
    advertised: bytes | None = None  # BTHome service data of one that encrypts
    heard_ms: int = 0  # host UTC

    @property
    def mac(self) -> str:
        """The address as printed on the sensor."""
        return self.address.hex(":").upper()

    @property
    def strength(self) -> int:
        """dBm; the least where it is not known."""
        return -128 if self.rssi is None else self.rssi


@dataclass
class Window:
    """A hub listens for new sensors; times are host UTC ms."""

    hub: str
    ends_ms: int
    until: float  # the same in monotonic s: whichever comes first, should the clock be set
    state: Literal["asked", "open", "closed"] = "asked"
    why: str = ""  # it is closed: a name of names.DETAILS, or a sentence
    heard: dict[bytes, Heard] = field(default_factory=dict)
    answer: tuple[int, int] = (0, 0)  # (boot, seq) of the hub's: what it said before is of the time before
    gone: float = 0.0  # monotonic s: when it can be forgotten


@dataclass
class Proof:
    """A sensor that is being proven; times are host UTC ms. state: waiting until the hub holds the sensor,
    asked until the hub waits for the press, ready until it comes, stored, delivered; or failed, and why."""

    sensor: Sensor
    seconds: int
    asked_ms: int
    ends_ms: int
    until: float  # as a window's
    state: Literal["waiting", "asked", "ready", "stored", "delivered", "failed"] = "waiting"
    why: str = ""
    kind: int = 0  # of the event that proves it
    happened_ms: int | None = None
    stored_ms: int | None = None
    delivered_ms: int | None = None
    event: tuple[str, int, int] | None = None
    answer: tuple[int, int] = (0, 0)  # as a window's
    over: asyncio.Event = field(default_factory=asyncio.Event)
    gone: float = 0.0

    @property
    def kinds(self) -> tuple[int, ...]:
        """Events that prove it."""
        return SENSES.get(self.sensor.role, HEARING)

    @property
    def is_hubs(self) -> bool:
        """Whether the hub has to wait for it, too."""
        return self.kinds in (SENSES[CALL], HEARING)
