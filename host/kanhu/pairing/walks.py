"""Walks through homes: which sensors of movement have seen somebody since one was begun."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kanhu.journal import Event, Journal
from kanhu.registry import Registry
from kanhu_protocol import kinds as k

WALK_MS = 300_000
KEPT_MS = 600_000  # after its end the result can still be looked at
SLACK_MS = 5000  # ours: clocks of hub and host differ a little


@dataclass
class Walk:
    """One walk through a home; times are host UTC ms."""

    hub: str  # from whose label it was begun
    begun_ms: int
    ends_ms: int
    seen: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)  # (hub, device): count, last


class Walks:
    """At most one a home; they live in memory only."""

    def __init__(self, registry: Registry, journal: Journal) -> None:
        self._registry = registry
        self._journal = journal
        self._walks: dict[str, Walk] = {}  # by home
        journal.on_stored.append(self._take)

    def begin(self, home: str, hub: str, ms: int = WALK_MS) -> Walk:
        """A new one, in place of what the home had."""
        now_ms = self._journal.clock()
        walk = self._walks[home] = Walk(hub, now_ms, now_ms + ms)
        return walk

    def of(self, home: str) -> Walk | None:
        """A home's newest walk; None when there was none lately."""
        return self._walks.get(home)

    def end(self, home: str) -> None:
        """Forget a home's walk."""
        self._walks.pop(home, None)

    def lasts(self, walk: Walk) -> bool:
        """Whether it goes on."""
        return self._journal.clock() < walk.ends_ms

    def _take(self, events: Iterable[Event]) -> None:
        if not self._walks:
            return
        now_ms = self._journal.clock()
        for home, one in list(self._walks.items()):
            if now_ms >= one.ends_ms + KEPT_MS or not self._registry.knows(one.hub):  # erased
                del self._walks[home]
        for event in events:
            if event.kind in (k.MOTION, k.MOTION_COUNT) and event.sealed is not None:
                home_of = self._registry.home_of(event.hub)
                walk = self._walks.get(home_of.id) if home_of is not None else None
                if walk is not None and now_ms < walk.ends_ms:
                    self._moved(walk, event)

    def _moved(self, walk: Walk, event: Event) -> None:
        """Movement that is surely of this walk: a count is of the whole stretch before it."""
        at_ms = self._journal.moment(event)[0]
        if at_ms is None or event.fields.get(k.FLAGS, 0) & k.UNVERIFIED:
            return
        counted = event.kind == k.MOTION_COUNT
        from_ms = at_ms - (event.fields.get(k.SPAN_MS, 0) if counted else 0)
        if from_ms < walk.begun_ms - SLACK_MS:
            return
        name = event.hub, event.fields.get(k.DEVICE, 0)
        count, last_ms = walk.seen.get(name, (0, 0))
        more = event.fields.get(k.COUNT, 1) if counted else 1
        walk.seen[name] = count + more, max(last_ms, at_ms)
