"""The live state for everybody who looks, as server-sent events (HTML 9.2): a slow reader delays nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from kanhu.registry.operators import Operator

from .board import Board
from .sessions import Sessions

PING_S = 10.0
AGAIN_MS = 1000  # a browser that lost us asks again after this
MAX_STREAMS = 400
MAX_OF_ONE = 8  # of one operator: windows that were left open
ROUND = 10  # readers told in one turn of the loop


class Ending(StreamingResponse):
    """A stream whose source ends with it, also when the reader is gone in the middle of a state."""

    body_iterator: AsyncGenerator[str, None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One stream (ASGI 3)."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.body_iterator.aclose()


class Streams:
    """All readers of one board."""

    def __init__(self, board: Board, sessions: Sessions, clock: Callable[[], int]) -> None:
        self._board, self._sessions, self._clock = board, sessions, clock
        self._readers: dict[asyncio.Event, str] = {}  # news for it: its operator
        self._telling: asyncio.Task[None] | None = None
        self.closing = False
        board.on_version.append(self._tell)

    @property
    def open(self) -> int:
        """How many read."""
        return len(self._readers)

    def may(self, operator: Operator) -> bool:
        """Whether one more may read."""
        own = sum(one == operator.id for one in self._readers.values())
        return not self.closing and own < MAX_OF_ONE and len(self._readers) < MAX_STREAMS

    def response(self, operator: Operator, until: float) -> StreamingResponse:
        """Everything from now on until the log-in ends (Unix time `until`)."""
        return Ending(
            self._said(operator, until),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    def close(self) -> None:
        """End all streams at once."""
        self.closing = True
        for news in self._readers:
            news.set()

    async def _said(self, operator: Operator, until: float) -> AsyncGenerator[str, None]:
        news = asyncio.Event()
        news.set()
        self._readers[news] = operator.id
        try:
            yield f"retry: {AGAIN_MS}\n\n"
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), PING_S)
                now = self._sessions.still(operator, until)
                if now is None or self.closing:
                    return
                operator = now
                if news.is_set():
                    news.clear()
                    yield f"event: state\ndata: {self._board.state(operator)}\n\n"
                else:
                    yield f"event: ping\ndata: {json.dumps({'now_ms': self._clock()})}\n\n"
        finally:
            del self._readers[news]

    def _tell(self) -> None:
        if self._telling is None or self._telling.done():
            self._telling = asyncio.ensure_future(self._tell_all())

    async def _tell_all(self) -> None:
        # A few at a time: five hundred answers in one turn of the loop would keep a call waiting.
        for at, news in enumerate(list(self._readers)):
            if at % ROUND == ROUND - 1:
                await asyncio.sleep(0.001)
            news.set()
