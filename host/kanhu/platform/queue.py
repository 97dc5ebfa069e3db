"""Events that wait for the caller: P1 first, otherwise as they came; bounded."""

from __future__ import annotations

import asyncio
from collections import deque

from kanhu.platform.event import Event


class Closed(Exception):
    """Nothing more will come."""


class EventQueue:
    """At most `limit` events of P1 and as many others; when full, put() refuses the newest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._urgent: deque[Event] = deque()
        self._others: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._end: BaseException | None = None

    def __len__(self) -> int:
        return len(self._urgent) + len(self._others)

    def put(self, event: Event) -> bool:
        """False when there is no room for it."""
        lane = self._urgent if event.event_class == "p1" else self._others
        if len(lane) >= self._limit:
            return False
        lane.append(event)
        self._changed.set()
        return True

    def put_back(self, event: Event) -> None:
        """Return what get() gave, to the front."""
        (self._urgent if event.event_class == "p1" else self._others).appendleft(event)
        self._changed.set()

    async def get(self) -> Event:
        """The next event; raises what close() was given once closed."""
        while True:
            if self._end is not None:
                raise self._end
            if self._urgent:
                return self._urgent.popleft()
            if self._others:
                return self._others.popleft()
            self._changed.clear()
            await self._changed.wait()

    def close(self, end: BaseException | None = None) -> None:
        """Whoever waits gets `end`, by default Closed."""
        self._end = self._end or end or Closed()
        self._changed.set()
