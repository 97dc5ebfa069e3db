"""Many faults with one cause: noticing that they come together, and where. Pure; time is an argument.

Of each kind of fault at most one incident grows at a time. Everything costs the same for each fault, however
many there are: a call waits for none of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

JOIN_MS = 120_000  # an incident that nobody has joined for so long does not grow any more
MENDED = 0.95  # of the members: then it is over, and the others are looked after one by one
EVERYWHERE = ""  # the region that holds all, hubs without a home's region too


@dataclass(slots=True)
class Incident:
    """Faults of one kind in one region subtree; times in host UTC ms."""

    id: int
    kind: int
    region: str  # a path such as cn/42/01, EVERYWHERE: all
    opened_ms: int
    joined_ms: int  # when the last member came
    closed_ms: int | None = None
    faulty: dict[str, int] = field(default_factory=dict)  # every member hub: its faults that stand
    restored: int = 0  # members without a fault that stands

    @property
    def name(self) -> str:
        """As events carry it: also after a restore, which gives out ids again, no other has it."""
        return f"{self.opened_ms // 1000}-{self.id}"

    @property
    def members(self) -> int:
        """Hubs, restored ones too."""
        return len(self.faulty)

    @property
    def standing(self) -> int:
        """Hubs whose fault stands."""
        return len(self.faulty) - self.restored

    def add(self, hub: str, by: int) -> None:
        """A member's faults that stand are so many more, or fewer; 0: it is a member all the same."""
        before = self.faulty.get(hub)
        now = self.faulty[hub] = (before or 0) + by
        self.restored += (now == 0) - (before == 0)

    def reopen(self) -> None:
        """Its end could not be kept."""
        self.closed_ms = None

    def forget(self, hub: str) -> None:
        """It is no member any more."""
        if self.faulty.pop(hub, None) == 0:
            self.restored -= 1


def prefixes(region: str | None) -> Iterator[str]:
    """The region and all that hold it, the deepest first, EVERYWHERE last."""
    path = region or EVERYWHERE
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield EVERYWHERE


def holds(region: str, other: str | None) -> bool:
    """Whether a region's subtree holds another."""
    return region == EVERYWHERE or other == region or (other or "").startswith(region + "/")


def common(one: str, other: str) -> str:
    """The deepest region that holds both."""
    return next(path for path in prefixes(one) if holds(path, other))


class Crowd:
    """Hubs with a fault of one kind that belong to no incident, by when each was last heard to have it."""

    def __init__(self, hubs: int, within_ms: int) -> None:
        """So many hubs within so long make an incident."""
        self._enough = hubs
        self._within_ms = within_ms
        self._at: dict[str, dict[str, int]] = {}  # region: its hubs and theirs below, oldest first

    def add(self, hub: str, region: str | None, now_ms: int) -> str | None:
        """A hub has the fault: the deepest region with enough of them, None when there is none."""
        found = None
        for path in prefixes(region):
            hubs = self._at.setdefault(path, {})
            hubs.pop(hub, None)
            hubs[hub] = now_ms
            while (oldest := next(iter(hubs))) != hub and now_ms - hubs[oldest] > self._within_ms:
                del hubs[oldest]
            if found is None and len(hubs) >= self._enough:
                found = path
        return found

    def drop(self, hub: str, region: str | None) -> None:
        """It has the fault no more, or belongs to an incident."""
        for path in prefixes(region):
            hubs = self._at.get(path)
            if hubs is not None:
                hubs.pop(hub, None)
                if not hubs:
                    del self._at[path]

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        for hubs in self._at.values():
            hubs.pop(hub, None)
        self._at = {path: hubs for path, hubs in self._at.items() if hubs}

    def within(self, region: str) -> list[str]:
        """The hubs in a region's subtree."""
        return list(self._at.get(region, ()))


class Joined(NamedTuple):
    """What a fault means for incidents: the one it belongs to, whether that is new, and the single hubs that
    it takes along because it is, or holds a wider region now."""

    incident: Incident | None = None
    opened: bool = False
    others: tuple[str, ...] = ()


class Incidents:
    """Those that are not over, and the crowds that may become one."""

    def __init__(self, hubs: int, within_ms: int, last_id: int) -> None:
        """So many hubs within so long make an incident; last_id: of all there have been."""
        self._hubs, self._within_ms, self._last_id = hubs, within_ms, last_id
        self._crowds: dict[int, Crowd] = {}  # by kind
        self._growing: dict[int, Incident] = {}  # by kind: the newest
        self.open: dict[int, Incident] = {}

    def restore(self, incident: Incident) -> None:
        """One that was not over at the last stop."""
        self.open[incident.id] = incident
        self._growing[incident.kind] = incident

    def joins(self, kind: int, hub: str, region: str | None, now_ms: int) -> Joined:
        """A hub has a fault that belongs to no incident yet."""
        growing = self._growing.get(kind)
        if growing is not None and not (growing.closed_ms is None and now_ms - growing.joined_ms <= JOIN_MS):
            growing = None
        if growing is not None and holds(growing.region, region):
            growing.joined_ms = now_ms
            return Joined(growing)
        crowd = self._crowds.setdefault(kind, Crowd(self._hubs, self._within_ms))
        where = crowd.add(hub, region, now_ms)
        if where is None:
            return Joined()
        opened = growing is None
        if growing is None:
            self._last_id += 1
            growing = self._growing[kind] = Incident(self._last_id, kind, where, now_ms, now_ms)
            self.open[growing.id] = growing
        else:
            growing.region, growing.joined_ms = common(growing.region, where), now_ms
        return Joined(growing, opened, tuple(crowd.within(growing.region)))

    def left(self, kind: int, hub: str, region: str | None) -> None:
        """It has the fault no more, or belongs to an incident now."""
        crowd = self._crowds.get(kind)
        if crowd is not None:
            crowd.drop(hub, region)

    def over(self, now_ms: int) -> list[Incident]:
        """Those whose members are nearly all restored, and which nobody has joined lately."""
        return [
            incident
            for incident in self.open.values()
            if incident.closed_ms is None
            and incident.restored >= MENDED * incident.members
            and now_ms - incident.joined_ms > JOIN_MS
        ]

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        for incident in self.open.values():
            incident.forget(hub)
        for crowd in self._crowds.values():
            crowd.forget(hub)
