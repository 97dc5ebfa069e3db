"""What is published and not yet acknowledged: bounded, except for what must never wait; published again when
overdue.

Pure bookkeeping: time is an argument, I/O is the caller's."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

RETRY_MAX_S = 300.0  # contracts, section 9
EXCUSED_MAX = 1000  # above it a fault of all events, and not of some, is what keeps them from going out


Key = tuple[str, int, int]


class Outgoing(Protocol):
    """An event of the journal: identity (hub_id, boot, seq), journal number n."""

    @property
    def identity(self) -> Key: ...
    @property
    def n(self) -> int: ...


E = TypeVar("E", bound=Outgoing)


def _by_number(event: Outgoing) -> int:
    return event.n


@dataclass(slots=True)
class _Waiting(Generic[E]):
    event: E
    due: float = 0.0
    delay: float = 0.0
    counted: bool = True  # takes room


class Window(Generic[E]):
    """Events awaiting acknowledgement, by identity. Time in seconds of one monotonic clock; of what is due
    at one moment, the lowest rank comes first."""

    def __init__(self, limit: int, retry_s: float, rank: Callable[[E], int] = _by_number) -> None:
        self._limit = limit
        self._retry_s = retry_s
        self._rank = rank
        self._waiting: dict[Key, _Waiting[E]] = {}
        self._due: list[tuple[float, int, Key]] = []  # heap; stale entries are skipped
        self._counted = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        """How many more events may be put in by who keeps to the limit."""
        return self._limit - self._counted

    def put(self, event: E, now: float) -> bool:
        """It is being published; False when it was in the window already."""
        if event.identity in self._waiting:
            return False
        waiting = self._waiting[event.identity] = _Waiting(event, delay=self._retry_s)
        self._counted += 1
        self._later(waiting, now)
        return True

    def _later(self, waiting: _Waiting[E], now: float) -> None:
        waiting.due = now + waiting.delay
        waiting.delay = min(waiting.delay * 2, RETRY_MAX_S)
        heapq.heappush(self._due, (waiting.due, self._rank(waiting.event), waiting.event.identity))

    def done(self, key: Key) -> E | None:
        """It was acknowledged; the event, or None when it was not in the window."""
        waiting = self._waiting.pop(key, None)
        if waiting is None:
            return None
        self._counted -= waiting.counted
        return waiting.event

    def soon(self, key: Key, due: float) -> None:
        """It could not be sent: due at this time already, and its waits start anew."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.due, waiting.delay = due, self._retry_s
            heapq.heappush(self._due, (due, self._rank(waiting.event), key))

    def excuse(self, key: Key, excused: bool = True) -> None:
        """It cannot be published as it is: it stays, and takes no room from others (of EXCUSED_MAX at most);
        or it can be after all."""
        waiting = self._waiting.get(key)
        if waiting is None or waiting.counted != excused:
            return
        if excused and len(self._waiting) - self._counted >= EXCUSED_MAX:
            return
        waiting.counted = not excused
        self._counted += 1 if waiting.counted else -1

    def overdue(self, now: float, limit: int) -> list[E]:
        """At most limit events to publish again now; each is scheduled anew."""
        again: list[E] = []
        while len(again) < limit and (due := self.next_due()) is not None and due <= now:
            waiting = self._waiting[heapq.heappop(self._due)[2]]
            again.append(waiting.event)
            self._later(waiting, now)
        return again

    def all_due(self, now: float) -> None:
        """After a reconnect: everything is due, and the waits start anew."""
        self._due.clear()
        for key in self._waiting:
            self.soon(key, now)

    def next_due(self) -> float | None:
        """When overdue() will next have something, or None."""
        while self._due:
            due, _, key = self._due[0]
            waiting = self._waiting.get(key)
            if waiting is not None and waiting.due == due:
                return due
            heapq.heappop(self._due)
        return None
