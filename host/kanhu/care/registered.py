"""What the registry says of homes, as the watch takes it over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from kanhu.journal import Journal
from kanhu.registry import Registry

from . import recall
from .homes import HubPast
from .modes import Modes
from .rules.past import Device, Plan
from .rules.values import Rule
from .settings import switched_on
from .watched import On

log = structlog.get_logger("kanhu.watch")

Standing = Mapping[str, Mapping[tuple[int, int], int]]  # hub: (device, kind) and since when


class Registered:
    """Homes, hubs, devices, rules and visits of one registry; and a hub's past as it begins."""

    def __init__(
        self,
        journal: Journal,
        registry: Registry,
        modes: Modes,
        limit_ms: int,
        rules: Mapping[str, Rule[Any]],
    ) -> None:
        self._journal, self._registry, self._modes = journal, registry, modes
        self._limit_ms = limit_ms
        self._rules = rules
        self._seen = -1  # version of the registry
        self._complained: set[str] = set()

    @property
    def changed(self) -> bool:
        """Whether homes() would say something else than the last time."""
        return self._registry.version != self._seen

    def homes(self) -> dict[str, list[str]]:
        """Homes and their hubs that can be watched."""
        registry = self._registry
        self._seen = registry.version
        found: dict[str, list[str]] = {}
        for hub in registry.hubs():
            if registry.knows(hub.id):
                found.setdefault(hub.home, []).append(hub.id)
        return found

    def rules(self, home: str) -> On:
        """The rules that are on for a home; what cannot be looked at is logged, once."""
        on, wrong = switched_on(self._registry.rules(home), self._rules)
        for text in wrong:
            if text not in self._complained:
                self._complained.add(text)
                log.error("a rule is not looked at", home=home, why=text)
        return on

    def plans(self, home: str) -> tuple[Plan, ...]:
        """Visits that are due there."""
        return tuple(
            Plan(plan.days, plan.from_min, plan.until_min, plan.what) for plan in self._registry.plans(home)
        )

    def devices(self, hub: str) -> dict[int, Device]:
        """Inputs of a hub, by index."""
        return {device.index: device for device in self._registry.devices_of(hub)}

    def zone(self, home: str) -> ZoneInfo:
        """Where it is."""
        return ZoneInfo(self._registry.home(home).time_zone)

    def past(
        self,
        hub: str,
        zone: ZoneInfo,
        devices: Mapping[int, Device],
        plans: tuple[Plan, ...],
        standing: Standing,
    ) -> HubPast:
        """A hub's past with what is known besides its own events: faults that stood, modes, visits."""
        warm_up_ms = self._registry.pir_warm_up_s(hub) * 1000
        past = HubPast(hub, zone, devices.values(), plans, self._limit_ms, warm_up_ms)
        for (device, kind), since_ms in standing.get(hub, {}).items():
            past.stood(device, kind, since_ms)
        for mode in self._modes.of(hub):
            past.past.mode(mode)
        for what, who, at_ms in recall.visits(self._journal, hub):
            past.visited(what == "in", who, at_ms)
        return past
