"""Faults and incidents in memory: what stands, where, what falls due next, what is only just over."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence

from kanhu.journal import Journal

from .fault_tasks import Counts, FaultTask, Key, Tally
from .incidents import EVERYWHERE, Incident, Incidents

REOPEN_MS = 600_000  # a fault that is back sooner is the same work: one that flaps makes no list

_TASK = (
    "SELECT id, hub, device, kind, opened_ms, due_ms, owner, overdue_ms, incident, closed_ms, closed_by, "
    "reason FROM faults WHERE "
)
_MEMBERS = "SELECT DISTINCT hub FROM faults WHERE incident=?"


class FaultBook:
    """All that is looked at; changed by Faults alone."""

    def __init__(
        self, journal: Journal, region_of: Callable[[str], str | None], incident_hubs: int, within_ms: int
    ) -> None:
        self._journal = journal
        self._region_of = region_of
        self._tasks: dict[Key, FaultTask] = {}  # open, or closed within REOPEN_MS
        self._keys: dict[int, Key] = {}  # of those, by id
        self._by_hub: dict[str, dict[Key, FaultTask]] = {}  # open
        self._tally = Tally()
        self._closed: deque[tuple[int, int]] = deque()  # (closed_ms, id), to be let go after REOPEN_MS
        self._due: list[tuple[int, int]] = []  # heap of (due_ms, id); stale entries are skipped
        (self._last_id,) = journal.reader.rows("SELECT coalesce(max(id), 0) FROM faults")[0]
        (last,) = journal.reader.rows("SELECT coalesce(max(id), 0) FROM incidents")[0]
        self._incidents = Incidents(incident_hubs, within_ms, last)
        self._load()

    def _load(self) -> None:
        rows = self._journal.reader.rows
        for row in rows(
            "SELECT id, kind, region, opened_ms, opened_ms FROM incidents WHERE closed_ms IS NULL"
        ):
            incident = Incident(*row)
            for (hub,) in rows(_MEMBERS, (incident.id,)):
                incident.add(hub, 0)
            self._incidents.restore(incident)
        since_ms = self._journal.clock() - REOPEN_MS
        for row in rows(_TASK + "closed_ms IS NULL OR closed_ms > ? ORDER BY closed_ms", (since_ms,)):
            self._swap(None, self._read(row))

    def _read(self, row: Sequence[object]) -> FaultTask:
        values = list(row)
        values.insert(6, self._region_of(str(row[1])))
        return FaultTask(*values)  # type: ignore[arg-type]  # columns as in the table

    # Looking

    def open(self, hub: str | None = None, limit: int | None = None) -> list[FaultTask]:
        """Faults that stand, of one hub or of all, the first due first; at most limit of them."""
        groups = self._by_hub.values() if hub is None else [self._by_hub.get(hub, {})]
        found = (task for tasks in groups for task in tasks.values())
        if limit is not None:
            return heapq.nsmallest(limit, found, key=lambda task: (task.due_ms, task.id))
        return sorted(found, key=lambda task: (task.due_ms, task.id))

    def counts(self, region: str = EVERYWHERE) -> Counts:
        """How many stand in a region and below it; costs nothing."""
        return self._tally.counts(region)

    def get(self, fault_id: int) -> FaultTask | None:
        """One fault, closed ones too."""
        key = self._keys.get(fault_id)
        if key is not None:
            return self._tasks[key]
        rows = self._journal.reader.rows(_TASK + "id=?", (fault_id,))
        return self._read(rows[0]) if rows else None

    def incidents(self) -> list[Incident]:
        """Incidents that are not over, the newest first."""
        return sorted(self._incidents.open.values(), key=lambda incident: -incident.id)

    def incident(self, incident_id: int) -> Incident | None:
        """One that is not over."""
        return self._incidents.open.get(incident_id)

    def region_of_incident(self, name: str) -> str | None:
        """Where an incident is or was, by its name in events; None: everywhere, or not known."""
        text = name.rpartition("-")[2]
        number = int(text) if text.isdecimal() else 0
        incident = self._incidents.open.get(number)
        if incident is not None:
            return incident.region or None
        rows = self._journal.reader.rows("SELECT region FROM incidents WHERE id=?", (number,))
        return (rows[0][0] or None) if rows else None

    def members(self, incident_id: int, after_id: int = 0, limit: int = 100) -> list[FaultTask]:
        """A page of the faults of an incident, over or not, mended ones too, by id."""
        sql = _TASK + "incident=? AND id > ? ORDER BY id LIMIT ?"
        return [self._read(row) for row in self._journal.reader.rows(sql, (incident_id, after_id, limit))]

    # Inside

    def _is_single(self, task: FaultTask) -> bool:
        return task.incident is None or task.incident not in self._incidents.open

    def _swap(self, before: FaultTask | None, task: FaultTask | None) -> None:
        if before is not None:
            self._count(before, -1)
            self._keys.pop(before.id, None)
            self._tasks.pop(before.key, None)
        if task is None:
            return
        self._count(task, 1)
        self._keys[task.id] = task.key
        self._tasks[task.key] = task
        if task.closed_ms is not None:
            self._closed.append((task.closed_ms, task.id))
            self._incidents.left(task.kind, task.hub, task.region)
        elif task.overdue_ms is None:
            heapq.heappush(self._due, (task.due_ms, task.id))

    def _count(self, task: FaultTask, by: int) -> None:
        if not task.open:
            return
        self._tally.add(task, self._is_single(task), by)
        tasks = self._by_hub.setdefault(task.hub, {})
        if by > 0:
            tasks[task.key] = task
        else:
            del tasks[task.key]
            if not tasks:
                del self._by_hub[task.hub]
        if task.incident is not None and (incident := self._incidents.open.get(task.incident)):
            incident.add(task.hub, by)
