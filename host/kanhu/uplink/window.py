"""What is published and not yet acknowledged: bounded for all but P1, published again when overdue.

Pure bookkeeping: time is an argument, I/O is the caller's."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

RETRY_MAX_S = 300.0  # contracts, section 9


Key = tuple[str, int, int]


class Outgoing(Protocol):
    """An event of the journal: identity (hub_id, boot, seq), journal number n, class 1..5."""

    @property
    def identity(self) -> Key: ...
    @property
    def n(self) -> int: ...
    @property
    def cls(self) -> int: ...


E = TypeVar("E", bound=Outgoing)


@dataclass(slots=True)
class _Waiting(Generic[E]):
    event: E
    due: float = 0.0
    delay: float = 0.0


class Window(Generic[E]):
    """Events awaiting acknowledgement, by identity. Time in seconds of one monotonic clock."""

    def __init__(self, limit: int, retry_s: float) -> None:
        self._limit = limit
        self._retry_s = retry_s
        self._waiting: dict[Key, _Waiting[E]] = {}
        self._due: list[tuple[float, int, int, Key]] = []  # heap; stale entries are skipped
        self._bulk = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def get(self, key: Key) -> E | None:
        """The event awaiting acknowledgement under this identity."""
        waiting = self._waiting.get(key)
        return None if waiting is None else waiting.event

    @property
    def room(self) -> int:
        """How many more P2..P5 events may be put in."""
        return self._limit - self._bulk

    def put(self, event: E, now: float) -> bool:
        """It is being published; False when it was in the window already."""
        if event.identity in self._waiting:
            return False
        waiting = self._waiting[event.identity] = _Waiting(event, delay=self._retry_s)
        self._bulk += event.cls != 1
        self._later(waiting, now)
        return True

    def _later(self, waiting: _Waiting[E], now: float) -> None:
        waiting.due = now + waiting.delay
        waiting.delay = min(waiting.delay * 2, RETRY_MAX_S)
        event = waiting.event
        heapq.heappush(self._due, (waiting.due, event.cls, event.n, event.identity))

    def done(self, key: Key) -> E | None:
        """It was acknowledged; the event, or None when it was not in the window."""
        waiting = self._waiting.pop(key, None)
        if waiting is None:
            return None
        self._bulk -= waiting.event.cls != 1
        return waiting.event

    def overdue(self, now: float) -> list[E]:
        """Events to publish again now, P1 first; each is scheduled anew."""
        again: list[_Waiting[E]] = []
        while (due := self.next_due()) is not None and due <= now:
            again.append(self._waiting[heapq.heappop(self._due)[3]])
        for waiting in again:
            self._later(waiting, now)
        return _urgent_first(again)

    def everything(self, now: float) -> list[E]:
        """After a reconnect: all of it, P1 first, and the waits start anew."""
        self._due.clear()
        for waiting in self._waiting.values():
            waiting.delay = self._retry_s
            self._later(waiting, now)
        return _urgent_first(self._waiting.values())

    def next_due(self) -> float | None:
        """When overdue() will next have something, or None."""
        while self._due:
            due, _, _, key = self._due[0]
            waiting = self._waiting.get(key)
            if waiting is not None and waiting.due == due:
                return due
            heapq.heappop(self._due)
        return None


def _urgent_first(waiting: Iterable[_Waiting[E]]) -> list[E]:
    return sorted((one.event for one in waiting), key=lambda event: (event.cls != 1, event.n))
