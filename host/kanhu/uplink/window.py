"""What is published and not yet acknowledged: bounded for all but P1, published again when overdue.

Pure bookkeeping: time is an argument, I/O is the caller's."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

RETRY_MAX_S = 300.0  # contracts, section 9


Key = tuple[str, int, int]


@dataclass(slots=True)
class Outgoing:
    """One event on its way: key (hub_id, boot, seq), journal number n, class 1..5, its message."""

    key: Key
    n: int
    cls: int
    message: bytes
    due: float = 0.0
    delay: float = 0.0


class Window:
    """Events awaiting acknowledgement, by identity. Time in seconds of one monotonic clock."""

    def __init__(self, limit: int, retry_s: float) -> None:
        self._limit = limit
        self._retry_s = retry_s
        self._events: dict[Key, Outgoing] = {}
        self._due: list[tuple[float, int, int, Key]] = []  # heap; stale entries are skipped
        self._bulk = 0

    def __len__(self) -> int:
        return len(self._events)

    def __contains__(self, key: Key) -> bool:
        return key in self._events

    @property
    def room(self) -> int:
        """How many more P2..P5 events may be put in."""
        return self._limit - self._bulk

    def put(self, event: Outgoing, now: float) -> None:
        """It has just been published."""
        if event.key in self._events:
            return
        self._events[event.key] = event
        self._bulk += event.cls != 1
        event.delay = self._retry_s
        self._later(event, now)

    def _later(self, event: Outgoing, now: float) -> None:
        event.due = now + event.delay
        event.delay = min(event.delay * 2, RETRY_MAX_S)
        heapq.heappush(self._due, (event.due, event.cls, event.n, event.key))

    def done(self, key: Key) -> bool:
        """It was acknowledged; False when it was not in the window."""
        event = self._events.pop(key, None)
        if event is None:
            return False
        self._bulk -= event.cls != 1
        return True

    def overdue(self, now: float) -> list[Outgoing]:
        """Events to publish again now, P1 first; each is scheduled anew."""
        again: list[Outgoing] = []
        while self._due and self._due[0][0] <= now:
            due, _, _, key = heapq.heappop(self._due)
            event = self._events.get(key)
            if event is not None and event.due == due:
                again.append(event)
        for event in again:
            self._later(event, now)
        again.sort(key=lambda event: (event.cls != 1, event.n))
        return again

    def everything(self, now: float) -> list[Outgoing]:
        """After a reconnect: all of it, P1 first, and the waits start anew."""
        events = sorted(self._events.values(), key=lambda event: (event.cls != 1, event.n))
        self._due.clear()
        for event in events:
            event.delay = self._retry_s
            self._later(event, now)
        return events

    def next_due(self) -> float | None:
        """When overdue() will next have something, or None."""
        while self._due:
            due, _, _, key = self._due[0]
            event = self._events.get(key)
            if event is not None and event.due == due:
                return due
            heapq.heappop(self._due)
        return None
