"""What a health monitor is and says over GATT, as data: the bytes are those of the simulator's own."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kanhu.qa.scripts import ScriptError
from kanhu.sim.monitors.manners import Manners
from kanhu.sim.sensors import parse_address

if TYPE_CHECKING:
    from kanhu.sim.monitors.base import Monitor

# A glucose meter is left out: its records are asked for at a control point and answered by a dialogue, which
# is no script; kanhu.sim.monitors has one.
KINDS: Mapping[str, str] = {
    "blood_pressure": "BloodPressure",
    "thermometer": "Thermometer",
    "pulse_oximeter": "PulseOximeter",
    "weight_scale": "WeightScale",
    "heart_rate": "HeartRate",
}
READ, WRITE, NOTIFY, INDICATE = 0x02, 0x08, 0x10, 0x20  # Core specification, Vol 3 Part G 3.3.1.1
NOWHERE = "00:00:00:00:00:00"


@dataclass(frozen=True)
class Value:
    """A characteristic: uuid as "2a35", its properties' bits, what it reads as."""

    uuid: str
    properties: int
    data: bytes = b""
    bonded: bool = False  # writing it and being told of it needs an encrypted link


@dataclass(frozen=True)
class Saying:
    """Said to whoever has subscribed: indicated once, or notified so many times."""

    uuid: str
    data: bytes
    times: int = 1
    every_ms: int = 1000


@dataclass(frozen=True)
class MonitorScript:
    """A monitor after it was used: it advertises, says what it has to say, and hangs up."""

    kind: str
    address: bytes  # 6, as printed
    advertising: bytes
    services: tuple[tuple[str, tuple[Value, ...]], ...]
    sayings: tuple[Saying, ...]
    writes: tuple[str, ...]  # what a hub is to write: the clock
    manners: Manners

    def to_json(self) -> dict[str, Any]:
        """As a stimulus takes it; times in ms."""
        manners = self.manners
        hang_up_s = manners.linger_s if manners.hang_up_s is None else manners.hang_up_s
        return {
            "address": self.address.hex(),
            "advertising": self.advertising.hex(),
            "services": [
                [uuid, [[one.uuid, one.properties, one.data.hex(), int(one.bonded)] for one in values]]
                for uuid, values in self.services
            ],
            "sayings": [[one.uuid, one.data.hex(), one.times, one.every_ms] for one in self.sayings],
            "bonded": int(manners.bonding),
            "asks": int(manners.asks_for_security),
            "advertise_ms": round(manners.advertise_s * 1000),
            "settle_ms": round(manners.settle_s * 1000),
            "linger_ms": round(manners.linger_s * 1000),
            "hang_up_ms": round(hang_up_s * 1000),
        }


def monitor(
    kind: str,
    address: bytes | str,
    *measurements: Mapping[str, Any],
    worn: Mapping[str, Any] | None = None,
    seconds: int = 10,
    **manners: Any,
) -> MonitorScript:
    """A monitor that has taken these measurements (fields of its encode(); none: a plausible one).

    worn: what a pulse oximeter or a heart rate strap sees once a second for so many seconds."""
    raw = parse_address(address) if isinstance(address, str) else address
    one = _made(kind, raw.hex(":"), manners)
    sayings = []
    stream = kind == "heart_rate"
    if stream or worn is not None:
        if kind not in ("heart_rate", "pulse_oximeter"):
            raise ScriptError(f"a {kind} is not worn")
        encode: Callable[..., bytes] = one.encode if stream else one.encode_continuous  # type: ignore[attr-defined]
        data = encode(**(worn or (measurements[0] if measurements else one.example())))
        sayings = [Saying("2a37" if stream else "2a5f", data, seconds)]
    if not stream and (measurements or not sayings):
        for fields in measurements or (one.example(),):
            one.keep(**fields)
        sayings = [*(Saying(_uuid(one.value), data) for data in one.stored), *sayings]
    services = tuple(
        (_uuid(service), _values(service.characteristics, one.manners)) for service in one.services()
    )
    writes = tuple(value.uuid for _, values in services for value in values if value.properties & WRITE)
    return MonitorScript(kind, raw, one.advertising(), services, tuple(sayings), writes, one.manners)


def _made(kind: str, address: str, manners: Mapping[str, Any]) -> Monitor:
    if kind not in KINDS:
        raise ScriptError(f"no script of a {kind!r}: there is {', '.join(KINDS)}")
    try:
        how = Manners(**manners)
    except TypeError as error:
        raise ScriptError(f"a monitor has no such manners: {error}") from None
    from kanhu.sim.gatt import Link

    made: Monitor = getattr(importlib.import_module(f"kanhu.sim.monitors.{kind}"), KINDS[kind])(
        Link(lambda advert: None), address.upper(), 0, how
    )
    return made


def _values(characteristics: Sequence[Any], manners: Manners) -> tuple[Value, ...]:
    found = []
    for one in characteristics:
        properties = int(one.properties)
        read = getattr(one.value, "read", None)  # a value that is made when it is read
        data = bytes(read(None) if read else one.value or b"") if properties & READ else b""
        bonded = manners.bonding and bool(properties & (WRITE | NOTIFY | INDICATE))
        found.append(Value(_uuid(one), properties, data, bonded))
    return tuple(found)


def _uuid(attribute: Any) -> str:
    return bytes(reversed(bytes(attribute.uuid))).hex()
