"""An alarm and its place as everybody at the desk is told of them (kanhu.web.api)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kanhu.care import Alarm
from kanhu.care.rules.values import Words
from kanhu.registry import Registry
from kanhu.registry.operators import Operators
from kanhu_protocol import names

from .regions import known
from .sources import Sources


class Rows:
    """Puts together what is known of each."""

    def __init__(
        self, registry: Registry, operators: Operators, sources: Sources, region_names: Mapping[str, Words],
        clock: Callable[[], int],
    ) -> None:  # fmt: skip
        self._registry, self._operators, self._sources = registry, operators, sources
        self._region_names, self._clock = region_names, clock

    def region_of(self, hub: str) -> str | None:
        """Where a hub is."""
        home = self._registry.home_of(hub)
        return None if home is None else home.region

    def region_name(self, region: str | None) -> dict[str, str] | None:
        """What people call a region; None: nobody has given it a name."""
        found = self._region_names.get(region or "")
        return found and found._asdict()

    def place(self, region: str | None) -> dict[str, Any]:
        """Keys that say where something is."""
        return {"region": region, "region_name": self.region_name(region)}

    def operator_name(self, operator_id: str | None) -> str | None:
        """What people call an operator; of the city's own only the id is known."""
        found = self._operators.get(operator_id) if operator_id else None
        return (found.name or None) if found else None

    def alarm(self, alarm: Alarm, region: str) -> dict[str, Any]:
        """One alarm for an operator of `region`, without "mine"."""
        home = self._registry.home_of(alarm.hub)
        raised_ms = alarm.raised_ms or alarm.opened_ms
        return {
            "name": str(alarm),
            "kind": names.KINDS.get(alarm.kind, str(alarm.kind)),
            "state": names.STATES.get(alarm.state, str(alarm.state)),
            "class": f"p{alarm.cls}",
            "level": alarm.level,
            **self.place(home.region if home else None),
            "home": home.id if home else None,
            "raised_ms": raised_ms,
            "age_s": max(0, (self._clock() - raised_ms) // 1000),
            "presses": alarm.presses,
            "delivered": alarm.delivered_ms is not None,
            "accepted_by": alarm.accepted_by,
            "accepted_by_name": self.operator_name(alarm.accepted_by),
            "accepted_ms": alarm.accepted_ms,
            "dispatched_ms": alarm.dispatched_ms,
            "on_scene_ms": alarm.on_scene_ms,
            "closed_ms": alarm.closed_ms,
            "closed_by": alarm.closed_by,
            "reason": alarm.reason,
            "rule": alarm.rule,
            "explanation": alarm.explanation and alarm.explanation._asdict(),
            "ask_until_ms": alarm.asked_until_ms,
            "incident": self._incident(alarm.hub, region),
        }

    def _incident(self, hub: str, region: str) -> dict[str, Any] | None:
        for one in self._sources.incidents():
            if one.closed_ms is None and one.faulty.get(hub):  # a member that is not back
                kind = names.KINDS.get(one.kind, str(one.kind))
                return {"id": one.id, "kind": kind, **self.place(known(region, one.region))}
        return None
