"""How many homes, faults and members of incidents there are in each region: counted off the loop, seldom."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kanhu_protocol import names

from .regions import above

CLOSED_SHOWN_MS = 3_600_000  # a closed incident stays in sight this long
_FAULTS = "SELECT hub, due_ms FROM faults WHERE closed_ms IS NULL"
_INCIDENTS = """
SELECT id, kind, region, opened_ms, closed_ms FROM incidents WHERE closed_ms IS NULL OR closed_ms >= ?
ORDER BY id DESC LIMIT 200
"""
_MEMBERS = "SELECT hub, max(closed_ms IS NULL) FROM faults WHERE incident=? GROUP BY hub"
_FAULTS_OF = (
    "SELECT id, hub, device, kind, opened_ms, closed_ms, owner, due_ms FROM faults "
    "WHERE incident=? AND id>? AND (closed_ms IS NULL OR NOT ?) ORDER BY id"
)

Conditions = dict[str, int]  # well, attention, cannot_tell: homes


class Members(NamedTuple):
    """Hubs of an incident in a region and below it, and how many of them are not back."""

    hubs: int = 0
    standing: int = 0


@dataclass(frozen=True)
class Incident:
    """Many faults with one cause; members by region, of which each is counted in all above it."""

    id: int
    kind: str
    region: str  # that holds all members; "": everywhere
    opened_ms: int
    closed_ms: int | None
    members: Mapping[str, Members]


@dataclass(frozen=True)
class Tallies:
    """Counts by region path; "" is everywhere. An absent region has none."""

    homes: Mapping[str, Conditions] = field(default_factory=dict)
    faults: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # open, overdue
    incidents: tuple[Incident, ...] = ()

    def just(self, place: str) -> Conditions:
        """Counts of the homes at a place itself, without what lies below it."""
        below = [one for at, one in self.homes.items() if at and at.rpartition("/")[0] == place]
        return {state: n - sum(one[state] for one in below) for state, n in self.homes[place].items()}


def no_homes() -> Conditions:
    """Counts of a region without homes."""
    return {"well": 0, "attention": 0, "cannot_tell": 0}


def of_homes(homes: Mapping[str, tuple[str | None, str]]) -> dict[str, Conditions]:
    """Counts of homes by region. homes: (region, state of its condition) by home."""
    conditions: dict[str, Conditions] = {}
    for region, state in homes.values():
        for place in above(region):
            conditions.setdefault(place, no_homes())[state] += 1
    return conditions


def count(
    journal: Path, now_ms: int, region_of_hub: Mapping[str, str | None],
    homes: Mapping[str, tuple[str | None, str]],
) -> Tallies:  # fmt: skip
    """Count; homes as of_homes takes them. Runs in a thread, on copies of its own. sqlite3.Error."""
    with closing(sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
        faults: dict[str, tuple[int, int]] = {}
        for hub, due_ms in db.execute(_FAULTS):
            for place in above(region_of_hub.get(hub)):
                opened, overdue = faults.get(place, (0, 0))
                faults[place] = (opened + 1, overdue + (due_ms <= now_ms))
        incidents = tuple(
            Incident(
                number,
                names.KINDS.get(kind, str(kind)),
                region,
                opened_ms,
                closed_ms,
                _members(db, number, region_of_hub),
            )
            for number, kind, region, opened_ms, closed_ms in db.execute(
                _INCIDENTS, (now_ms - CLOSED_SHOWN_MS,)
            ).fetchall()
        )
    return Tallies(of_homes(homes), faults, incidents)


def _members(
    db: sqlite3.Connection, number: int, region_of_hub: Mapping[str, str | None]
) -> dict[str, Members]:
    found: dict[str, Members] = {}
    for hub, standing in db.execute(_MEMBERS, (number,)):
        for place in above(region_of_hub.get(hub)):
            hubs, stand = found.get(place, Members())
            found[place] = Members(hubs + 1, stand + standing)
    return found


def faults_of(
    journal: Path, number: int, after: int, limit: int, hubs: Container[str], standing: bool
) -> list[dict[str, Any]]:
    """Faults of an incident at these hubs, by id above `after`; standing: only those. Runs in a thread."""
    found: list[dict[str, Any]] = []
    with closing(sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
        for fault, hub, device, kind, opened_ms, closed_ms, owner, due_ms in db.execute(
            _FAULTS_OF, (number, after, standing)
        ):
            if hub not in hubs:
                continue
            found.append(
                {
                    "id": fault, "hub": hub, "device": device, "kind": names.KINDS.get(kind, str(kind)),
                    "opened_ms": opened_ms, "closed_ms": closed_ms, "owner": owner, "due_ms": due_ms,
                }
            )  # fmt: skip
            if len(found) == limit:
                break
    return found
