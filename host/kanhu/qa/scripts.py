"""What a sensor says on the air, as data: the bytes are those of the simulator's own sensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kanhu.errors import KanhuError
from kanhu.sim.sensors import REPEAT_SPAN, REPEATS, Sensor, parse_address

EVERY_MS = round(REPEAT_SPAN / REPEATS * 1000)  # between two copies of one message
MIN_MS, MAX_MS = 100, 10240  # Bluetooth 4.2, Vol 6 Part B 4.4.2.2: not connectable
MOST_DATA = 31  # bytes of advertising data


class ScriptError(KanhuError):
    """No radio can play it; says why."""


@dataclass(frozen=True)
class Advertisement:
    """One message: so many copies, the first at once, then a pause."""

    data: bytes
    copies: int = REPEATS
    every_ms: int = EVERY_MS
    pause_ms: int = 0

    def __post_init__(self) -> None:
        if not 0 < len(self.data) <= MOST_DATA:
            raise ScriptError(f"advertising data has 1 to {MOST_DATA} bytes, not {len(self.data)}")
        if not MIN_MS <= self.every_ms <= MAX_MS:
            raise ScriptError(f"copies come every {MIN_MS} to {MAX_MS} ms, not {self.every_ms}")
        if self.copies < 1 or self.pause_ms < 0:
            raise ScriptError("an advertisement has at least one copy, and no pause below 0")

    @property
    def lasts_ms(self) -> int:
        """Its last copy is out by then."""
        return self.copies * self.every_ms + self.pause_ms


@dataclass(frozen=True)
class Script:
    """Advertisements of one address, one after the other, in rounds; address: 6 bytes as printed."""

    address: bytes
    advertisements: tuple[Advertisement, ...]
    rounds: int = 1

    def __post_init__(self) -> None:
        if len(self.address) != 6:
            raise ScriptError("a BLE address has six bytes")
        if not self.advertisements or self.rounds < 1:
            raise ScriptError("a script has at least one advertisement and one round")

    @property
    def lasts_s(self) -> float:
        return self.rounds * sum(one.lasts_ms for one in self.advertisements) / 1000

    def then(self, *others: Script, pause_ms: int = 0) -> Script:
        """This one and the others after it, each after a pause; ScriptError for another's address."""
        rows = list(self.advertisements) * self.rounds
        for other in others:
            if other.address != self.address:
                raise ScriptError("scripts of different addresses are different scripts")
            rows[-1] = replace(rows[-1], pause_ms=rows[-1].pause_ms + pause_ms)
            rows.extend(other.advertisements * other.rounds)
        return Script(self.address, tuple(rows))

    def to_json(self) -> dict[str, Any]:
        """As a stimulus takes it."""
        return {
            "address": self.address.hex(),
            "rounds": self.rounds,
            "adverts": [
                [one.data.hex(), one.copies, one.every_ms, one.pause_ms] for one in self.advertisements
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Script:
        """ScriptError."""
        try:
            rows = tuple(
                Advertisement(bytes.fromhex(text), int(copies), int(every), int(pause))
                for text, copies, every, pause in data["adverts"]
            )
            return cls(bytes.fromhex(data["address"]), rows, int(data.get("rounds", 1)))
        except (KeyError, TypeError, ValueError) as error:
            raise ScriptError(f"no script of advertisements: {error!r}") from None


def sensor(kind: str, address: bytes | str, bind_key: bytes | None = None, **options: Any) -> Sensor:
    """A sensor whose messages become scripts; its packet id and counter go on from one to the next."""
    raw = parse_address(address) if isinstance(address, str) else address
    return Sensor("script", kind, raw, bind_key=bind_key, **options)


def press(one: Sensor, how: str = "press") -> Script:
    """A press of a caller; how: kanhu.sim.sensors.PRESSES."""
    return _said(one, one.pressed(how))


def state(one: Sensor, on: bool) -> Script:
    """A new state: motion, an open door, smoke."""
    return _said(one, one.changed(on))


def battery(one: Sensor, percent: int) -> Script:
    """A new battery level."""
    return _said(one, one.drained(percent))


def alive(one: Sensor) -> Script:
    """What is said when nothing has happened."""
    return _said(one, one.unchanged())


def _said(one: Sensor, data: bytes) -> Script:
    return Script(one.address, (Advertisement(data, one.repeats),))


def rotating(scripts: Sequence[Script], rounds: int) -> Script:
    """One copy of each in turn, as callers that interleave their messages send them."""
    rows = [replace(row, copies=1) for one in scripts for row in one.advertisements]
    addresses = {one.address for one in scripts}
    if len(addresses) != 1:
        raise ScriptError("a radio has one address at a time: rotate scripts of one address")
    return Script(addresses.pop(), tuple(rows), rounds)
