"""A technical fault as work: what it is, by when, how many there are and where. Plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kanhu.errors import KanhuError
from kanhu.journal import Identity
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from .incidents import prefixes

HOUR_MS = 3_600_000
# By when a fault is to be mended where [care.deadlines] says nothing else: hours. Whatever leaves a home
# without a way to call is a day's work, what only dulls the picture two or three, a battery a week's.
DEADLINE_H: dict[int, float] = {
    k.MAINS_LOST: 24, k.BATTERY_LOW: 168, k.SENSOR_SILENT: 48, k.TAMPER: 24, k.LINK_LOST: 48,
    k.CLOCK_FAULT: 72, k.STORAGE_FULL: 72, k.IDENTITY_FAULT: 24, k.LINE_FAULT: 48, k.CONTACT_STUCK: 48,
    k.HUB_SILENT: 24, k.SENSOR_DOUBTED: 72, k.PATH_FAULT: 24, k.SENSOR_UNPROVEN: 72,
    k.MONITOR_FAULT: 72, k.SAFE_MODE: 48,
}  # fmt: skip
KINDS = frozenset(DEADLINE_H)  # faults that are somebody's work; the others of P3 are records
MENDS = {names.RESTORAL[kind]: kind for kind in KINDS if kind in names.RESTORAL}
_OF_THE_HUB = (k.IDENTITY_FAULT, k.HUB_SILENT, k.PATH_FAULT)  # whatever device they name

Key = tuple[str, int, int]  # hub, device, kind


class FaultError(KanhuError):
    """The fault is not in a state that allows this; one sentence for a person."""


@dataclass(frozen=True, slots=True)
class FaultTask:
    """One fault; times in host UTC ms. device: index, 0 the hub itself, negative one of the hub's links."""

    id: int
    hub: str
    device: int
    kind: int
    opened_ms: int
    due_ms: int
    region: str | None
    owner: str | None = None
    overdue_ms: int | None = None  # when it was said to be overdue
    incident: int | None = None
    closed_ms: int | None = None
    closed_by: str | None = None  # None and closed: it mended itself
    reason: str | None = None
    said: Identity | None = None  # of the event that changed it last; not kept over a restart

    @property
    def key(self) -> Key:
        """(hub, device, kind): one of them is open at a time."""
        return self.hub, self.device, self.kind

    @property
    def open(self) -> bool:
        """Not mended, and not closed by a person."""
        return self.closed_ms is None

    def row(self) -> tuple[Any, ...]:
        """As the journal's table has it."""
        return (
            self.id, self.hub, self.device, self.kind, self.opened_ms, self.owner, self.due_ms,
            self.overdue_ms, self.incident, self.closed_ms, self.closed_by, self.reason,
        )  # fmt: skip

    def fields(self) -> dict[int, Any]:
        """Keys of an event that speaks of it."""
        said: dict[int, Any] = {k.SUBJECT: self.hub, k.DETAIL: self.kind}
        return said | {k.DEVICE: self.device} if self.device > 0 else said


class Counts(NamedTuple):
    """Faults that stand in a region's subtree; single: those that no open incident stands for."""

    open: int
    overdue: int
    single: int


class Tally:
    """Counts of every region, kept as tasks change."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._overdue: Counter[str] = Counter()
        self._single: Counter[str] = Counter()

    def add(self, task: FaultTask, single: bool, by: int) -> None:
        """An open task comes (1) or goes (-1)."""
        for path in prefixes(task.region):
            self._open[path] += by
            if task.overdue_ms is not None:
                self._overdue[path] += by
            if single:
                self._single[path] += by

    def counts(self, region: str) -> Counts:
        """Of a region and all below it."""
        return Counts(self._open[region], self._overdue[region], self._single[region])


def key_of(kind: int, fields: Mapping[int, Any], hub: str) -> Key | None:
    """Which fault an event of a hub, or about it, begins or ends; None for an event of another kind."""
    fault = kind if kind in KINDS else MENDS.get(kind)
    if fault is None:
        return None
    device: int = 0 if fault in _OF_THE_HUB else fields.get(k.DEVICE, 0)
    if fault == k.LINK_LOST:  # two links of one hub are two faults
        device = -fields.get(k.DETAIL, 0)
    return hub, device, fault
