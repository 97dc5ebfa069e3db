"""What the city received against what was pressed: the account of a run. Pure bookkeeping."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Received(Protocol):
    """An event as the platform's SDK hands it out."""

    @property
    def source(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def hub(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def event_class(self) -> str: ...
    @property
    def data(self) -> Mapping[str, Any]: ...


@dataclass
class Tally:
    """Events by class and presses by (hub_id, device index), each identity counted once."""

    by_class: Counter[str] = field(default_factory=Counter)
    calls: Counter[tuple[str, int]] = field(default_factory=Counter)
    tests: Counter[tuple[str, int]] = field(default_factory=Counter)  # presses that were to prove a button
    repeats: int = 0  # an identity handed out a second time
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def add(self, event: Received) -> bool:
        """Count one event; False when its identity was counted before."""
        identity = (event.source, event.id)
        if identity in self._seen:
            self.repeats += 1
            return False
        self._seen.add(identity)
        self.by_class[event.event_class.upper()] += 1
        if event.name == "call":
            self.calls[event.hub, event.data.get("device", 0)] += event.data.get("count", 1)
        elif event.name == "test.press":
            self.tests[event.hub, event.data.get("device", 0)] += 1
        return True

    def compare(self, pressed: Iterable[tuple[str, int]]) -> tuple[int, int]:
        """(lost, duplicates) against the bench's own list of presses as (hub_id, device index)."""
        wanted, came = Counter(pressed), self.calls + self.tests
        lost, doubled = (wanted - came).total(), (came - wanted).total()
        return lost, doubled + self.repeats


def arrivals(
    presses: Iterable[tuple[float, tuple[str, int]]], events: Iterable[tuple[float, Received]]
) -> list[float]:
    """Seconds from each press (time, (hub_id, device)) to the arrival of the event (time, event) that
    tells of it: a device's presses leave in order, several at once when an event counts them."""
    came: dict[tuple[str, int], list[tuple[tuple[int, ...], float]]] = {}
    for when, event in events:
        if event.name in ("call", "test.press"):
            identity = tuple(int(part) for part in event.id.split("-"))
            rows = came.setdefault((event.hub, event.data.get("device", 0)), [])
            rows += [(identity, when)] * event.data.get("count", 1)
    waits = []
    made: dict[tuple[str, int], list[float]] = {}
    for pressed, device in presses:
        made.setdefault(device, []).append(pressed)
    for device, times in made.items():
        told = sorted(came.get(device, []))
        waits += [when - pressed for pressed, (_, when) in zip(sorted(times), told, strict=False)]
    return waits


def percentiles(seconds: list[float]) -> dict[str, float | int | None]:
    """p50 and p99 in ms (nearest rank) with their n; None when n is 0."""
    ordered = sorted(seconds)
    count = len(ordered)

    def rank(share: float) -> float | None:
        if not count:
            return None
        return round(ordered[max(0, math.ceil(share * count) - 1)] * 1000, 1)

    return {"p50_ms": rank(0.50), "p99_ms": rank(0.99), "n": count}
