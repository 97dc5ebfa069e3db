"""Technical faults as work (限期销号): each has a deadline, an owner where one is on duty, and an end; many
with one cause are one incident."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from kanhu.journal import Batch, Event, Journal
from kanhu.journal.plain import believed
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import MAX_REASON, MAX_TEXT, VALID

from .fault_book import REOPEN_MS, FaultBook
from .fault_tasks import DEADLINE_H, HOUR_MS, MENDS, FaultError, FaultTask, Key, key_of
from .incidents import Incident
from .ticking import tick_every

log = structlog.get_logger("kanhu.faults")

TICK_S = 1.0
AT_ONCE = 100  # faults said to be overdue in one tick
OWNER_FOR_MS = 30_000  # who is on duty is asked again after this

_KEEP = "INSERT OR REPLACE INTO faults VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
_KEEP_INCIDENT = "INSERT OR REPLACE INTO incidents VALUES (?,?,?,?,?,?)"
_LATER = "SELECT plain FROM events WHERE hub=? AND (boot, seq) > (?, ?) AND kind=?"

OnDuty = Callable[[int, str | None, int], Sequence[str]]  # (level, region, host UTC ms) -> operators


def _nobody(level: int, region: str | None, at_ms: int) -> Sequence[str]:
    return ()


class Faults(FaultBook):
    """All faults of one journal; in the thread of its loop. A fault costs the same whatever else stands."""

    def __init__(
        self,
        journal: Journal,
        region_of: Callable[[str], str | None],
        on_duty: OnDuty = _nobody,
        deadlines_h: Mapping[int, float] | None = None,
        incident_hubs: int = 20,
        incident_within_s: float = 60.0,
    ) -> None:
        """region_of: a hub's home's; deadlines_h: hours by kind, where they are not the usual ones."""
        super().__init__(journal, region_of, incident_hubs, int(incident_within_s * 1000))
        self._on_duty = on_duty
        hours = {**DEADLINE_H, **(deadlines_h or {})}
        self._deadline_ms = {kind: int(each * HOUR_MS) for kind, each in hours.items()}
        self.on_change: list[Callable[[FaultTask | Incident], None]] = []  # once the change is on disk
        self._owners: dict[str | None, tuple[int, str | None]] = {}  # region: until_ms, owner
        self._written: dict[int, tuple[str, int]] = {}  # region and members of incidents as on disk
        self._unsaid: set[int] = set()  # incidents whose opening could not be kept
        journal.on_own.append(self.note)

    # Events

    def note(self, batch: Batch, event: Event) -> None:
        """A new event, of a hub or our own about one: its fault begins or ends, in its transaction."""
        hub = event.hub if event.sealed is not None else event.fields.get(k.SUBJECT)
        key = key_of(event.kind, event.fields, hub) if hub is not None else None
        if key is None or self._is_late(event, key):
            return
        task = self._tasks.get(key)
        if event.kind not in MENDS:
            if task is None or not task.open:
                self._begun(batch, key, task, event)
            else:
                self._swap(task, replace(task, said=event.identity))
        elif task is not None and task.open:
            self._mended(batch, task, event)

    def _is_late(self, event: Event, key: Key) -> bool:
        """Whether what the hub has said of this fault since is here already."""
        task = self._tasks.get(key)
        if task is not None and task.said is not None and task.said[0] == event.hub:
            return task.said > event.identity
        if event.sealed is None or not self._journal.has_later(event.identity):
            return False
        other = MENDS.get(event.kind, event.kind + 1)
        return any(
            key_of(other, believed(plain), key[0]) == key
            for (plain,) in self._journal.reader.rows(_LATER, (*event.identity, other))
        )

    def _begun(self, batch: Batch, key: Key, before: FaultTask | None, event: Event) -> None:
        now, (hub, device, kind) = event.received_ms, key
        if before is not None and before.closed_ms is not None and now - before.closed_ms < REOPEN_MS:
            task = replace(before, closed_ms=None, closed_by=None, reason=None, said=event.identity)
        else:
            self._last_id += 1
            region = self._region_of(hub)
            utc_ms = self._journal.moment(event)[0]
            task = FaultTask(
                self._last_id, hub, device, kind, now if utc_ms is None else min(utc_ms, now),
                now + self._deadline_ms[kind], region, owner=self._owner(region, now), said=event.identity,
            )  # fmt: skip
        if self._is_single(task):
            task = self._join(batch, task, now)
        self._put(batch, task)
        if task.incident is None and task.owner is not None:
            self._say_assigned(batch, task)

    def _join(self, batch: Batch, task: FaultTask, now: int) -> FaultTask:
        """The task as a member, where faults like it come together; those that were single join with it."""
        joined = self._incidents.joins(task.kind, task.hub, task.region, now)
        incident = joined.incident
        if incident is None:
            return task
        for hub in joined.others:
            self._incidents.left(task.kind, hub, self._region_of(hub) if hub != task.hub else task.region)
            for other in list(self._by_hub.get(hub, {}).values()):
                if other.kind == task.kind and self._is_single(other):
                    self._incidents.left(task.kind, hub, other.region)
                    self._put(batch, replace(other, incident=incident.id))
        incident.add(task.hub, 0)
        if joined.opened:
            self._say_opened(batch, incident)
        elif joined.others:
            self._keep(batch, incident)
        return replace(task, incident=incident.id)

    def _mended(self, batch: Batch, task: FaultTask, event: Event) -> None:
        single = self._is_single(task)
        self._put(batch, replace(task, closed_ms=event.received_ms, said=event.identity))
        if single and (task.owner is not None or task.overdue_ms is not None):
            batch.add_own(k.FAULT_CLOSED, task.fields())  # who heard of the work hears of its end

    # In memory, and on disk

    def _put(self, batch: Batch, task: FaultTask) -> None:
        """The whole row each time: where an earlier batch was not written, this one says it all."""
        before = self._tasks.get(task.key)
        self._swap(before, task)
        batch.run(_KEEP, *task.row())

        def undo() -> None:
            if self._tasks.get(task.key) is task:
                self._swap(task, before)

        batch.then(lambda: self._tell(task))
        batch.otherwise(undo)

    def _tell(self, change: FaultTask | Incident) -> None:
        for callback in self.on_change:
            callback(change)

    def _keep(self, batch: Batch, incident: Incident) -> None:
        batch.run(
            _KEEP_INCIDENT, incident.id, incident.kind, incident.region, incident.opened_ms,
            incident.closed_ms, incident.members,
        )  # fmt: skip
        written = self._written[incident.id] = (incident.region, incident.members)

        def not_kept() -> None:
            if self._written.get(incident.id) == written:
                self._written[incident.id] = ("", 0)

        batch.otherwise(not_kept)
        batch.then(lambda: self._tell(incident))

    # Words to the platform

    def _say_assigned(self, batch: Batch, task: FaultTask, by: str | None = None) -> None:
        said = task.fields() | {k.DUE_MS: task.due_ms, k.OPERATOR: task.owner}
        batch.add_own(k.FAULT_ASSIGNED, said | ({} if by in (None, task.owner) else {k.REASON: by}))

    def _say_opened(self, batch: Batch, incident: Incident) -> None:
        batch.add_own(k.INCIDENT_OPENED, incident_fields(incident))
        self._keep(batch, incident)
        batch.otherwise(lambda: self._unsaid.add(incident.id))
        log.warning("an incident", id=incident.id, kind=incident.kind, region=incident.region)

    # People

    async def assign(self, fault_id: int, owner: str, due_ms: int | None, by: str) -> FaultTask:
        """Give a fault to somebody, and another deadline unless due_ms is None; FaultError."""
        _check(k.OPERATOR, owner, MAX_TEXT, "owner")
        _check(k.OPERATOR, by, MAX_TEXT, "operator")
        task = self._must(fault_id)
        if due_ms is not None and not VALID[k.DUE_MS](due_ms):
            raise FaultError("the deadline must be a moment in ms since 1970")
        if due_ms is not None and due_ms != task.due_ms:
            task = replace(task, due_ms=due_ms, overdue_ms=None)
        task = replace(task, owner=owner)
        batch = self._journal.batch()
        self._put(batch, task)
        self._say_assigned(batch, task, by)
        await batch.submit()
        return task

    async def close(self, fault_id: int, by: str, reason: str) -> FaultTask:
        """A person ends a fault that does not end itself; FaultError when it is over already."""
        _check(k.OPERATOR, by, MAX_TEXT, "operator")
        _check(k.REASON, reason, MAX_REASON, "reason")
        task = self._must(fault_id)
        task = replace(task, closed_ms=self._journal.clock(), closed_by=by, reason=reason)
        batch = self._journal.batch()
        self._put(batch, task)
        batch.add_own(k.FAULT_CLOSED, task.fields() | {k.OPERATOR: by, k.REASON: reason})
        await batch.submit()
        return task

    async def close_incident(self, incident_id: int, by: str, reason: str) -> Incident:
        """A person ends an incident; the faults that still stand are single work from then on. FaultError."""
        _check(k.OPERATOR, by, MAX_TEXT, "operator")
        _check(k.REASON, reason, MAX_REASON, "reason")
        incident = self._incidents.open.get(incident_id)
        if incident is None or incident.closed_ms is not None:
            raise FaultError(f"no incident {incident_id} is open")
        await self._end(incident, {k.OPERATOR: by, k.REASON: reason})
        return incident

    def _must(self, fault_id: int) -> FaultTask:
        task = self.get(fault_id)
        if task is None:
            raise FaultError(f"no fault {fault_id} is known here")
        if not task.open:
            raise FaultError(f"fault {fault_id} is over already: {task.reason or 'it is mended'}")
        return task

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        for task in [one for one in self._tasks.values() if one.hub == hub]:
            self._swap(task, None)
        self._incidents.forget(hub)

    # Time

    async def run(self) -> None:
        """Deadlines and the ends of incidents, until cancelled."""
        await tick_every(TICK_S, self._journal, self.tick, log, "deadlines wait for the disk")

    async def tick(self) -> None:
        """What time has brought by now. JournalUnavailable: said again the next time."""
        now = self._journal.clock()
        while self._closed and now - self._closed[0][0] >= REOPEN_MS:
            self._let_go(self._closed.popleft()[1], now)
        for incident in self._incidents.over(now):
            await self._end(incident, {})
        batch = self._journal.batch()
        for incident in self._incidents.open.values():
            if incident.closed_ms is not None:
                continue
            if incident.id in self._unsaid:
                self._say_again(batch, incident)
            elif self._written.get(incident.id) != (incident.region, incident.members):
                self._keep(batch, incident)
        self._say_overdue(batch, now)
        await batch.submit()

    def _let_go(self, fault_id: int, now: int) -> None:
        key = self._keys.get(fault_id)
        task = self._tasks[key] if key is not None else None
        if task is not None and task.closed_ms is not None and now - task.closed_ms >= REOPEN_MS:
            self._swap(task, None)

    def _say_overdue(self, batch: Batch, now: int) -> None:
        said = 0
        while self._due and self._due[0][0] <= now and said < AT_ONCE:
            due_ms, fault_id = heapq.heappop(self._due)
            key = self._keys.get(fault_id)
            task = self._tasks[key] if key is not None else None
            if task is None or not task.open or task.due_ms != due_ms or task.overdue_ms is not None:
                continue
            said += 1
            self._put(batch, replace(task, overdue_ms=now))
            owner = {} if task.owner is None else {k.OPERATOR: task.owner}
            batch.add_own(k.FAULT_OVERDUE, task.fields() | {k.DUE_MS: due_ms} | owner)

    def _say_again(self, batch: Batch, incident: Incident) -> None:
        self._unsaid.discard(incident.id)
        for hub in list(incident.faulty):
            for task in list(self._by_hub.get(hub, {}).values()):
                if task.kind == incident.kind and (self._is_single(task) or task.incident == incident.id):
                    self._put(batch, replace(task, incident=incident.id))
        self._say_opened(batch, incident)

    async def _end(self, incident: Incident, why: dict[int, str]) -> None:
        incident.closed_ms = self._journal.clock()
        batch = self._journal.batch()
        batch.add_own(k.INCIDENT_CLOSED, incident_fields(incident) | why)
        batch.then(lambda: self._ended(incident))
        batch.otherwise(incident.reopen)
        self._keep(batch, incident)
        await batch.submit()

    def _ended(self, incident: Incident) -> None:
        """What of its faults still stands is single work now."""
        self._unsaid.discard(incident.id)
        left = [task for hub in incident.faulty for task in self._by_hub.get(hub, {}).values()]
        left = [task for task in left if task.incident == incident.id]
        for task in left:
            self._tally.add(task, single=False, by=-1)
        self._incidents.open.pop(incident.id, None)
        for task in left:
            self._tally.add(task, single=True, by=1)

    def _owner(self, region: str | None, now: int) -> str | None:
        until_ms, owner = self._owners.get(region, (0, None))
        if not now < until_ms:
            found = self._on_duty(1, region, now)
            owner = found[0] if found else None
            self._owners[region] = (now + OWNER_FOR_MS, owner)
        return owner


def incident_fields(incident: Incident) -> dict[int, Any]:
    """Keys of an event that speaks of an incident."""
    return {k.INCIDENT: incident.name, k.DETAIL: incident.kind, k.MEMBERS: incident.members}


def _check(key: int, text: str, limit: int, what: str) -> None:
    if not text.isprintable() or not VALID[key](text):
        raise FaultError(f"{what} must be 1 to {limit} bytes of printable text")
