"""Parts of a page that renew themselves: server-sent events (HTML 9.2) with the HTML of what has changed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from kanhu.web.stream import Ending

from .visit import Problem, Visit
from .words import COMMON

log = structlog.get_logger("kanhu.family")

LOOK_EVERY_S = 0.5
LOOKS = 100  # pages a second that are looked at, whoever looks: alarms go first in this process
PING_S = 10.0
AGAIN_MS = 2000  # a browser that lost us asks again after this
MAX_STREAMS = 200
MAX_OF_HOME = 8

Parts = Callable[[], Mapping[str, str]]


class Live:
    """All pages that are looked at now."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()  # by home
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End all streams."""
        self._closing.set()

    def response(self, visit: Visit, parts: Parts, still: Callable[[], bool]) -> StreamingResponse:
        """What parts() says, {id of an element: its HTML}, now and whenever it changes, while still().

        "_to" in place of an id: the path at which the page goes on. Problem: too many are open."""
        home = visit.home.id
        if self._open[home] >= MAX_OF_HOME or self._open.total() >= MAX_STREAMS:
            raise Problem(COMMON["busy"], 503)
        self._open[home] += 1  # from now on: many may be asked for at once
        return _Counted(self._said(parts, still), lambda: self._over(home))

    def _over(self, home: str) -> None:
        self._open[home] -= 1
        if not self._open[home]:
            del self._open[home]

    async def _said(self, parts: Parts, still: Callable[[], bool]) -> AsyncGenerator[str, None]:
        shown: dict[str, str] = {}
        quiet_s = 0.0
        try:
            yield f"retry: {AGAIN_MS}\n\n"
            while still() and not self._closing.is_set():
                found = parts()
                new = {name: html for name, html in found.items() if shown.get(name) != html}
                if new:
                    shown.update(new)
                    quiet_s = 0.0
                    yield f"event: parts\ndata: {json.dumps(new, ensure_ascii=False)}\n\n"
                    if "_to" in new:
                        return
                elif quiet_s >= PING_S:
                    quiet_s = 0.0
                    yield "event: ping\ndata: \n\n"
                pause_s = max(LOOK_EVERY_S, self._open.total() / LOOKS)
                quiet_s += pause_s
                try:
                    await asyncio.wait_for(self._closing.wait(), pause_s)
                except TimeoutError:
                    continue
        except Exception:
            log.exception("a live page has failed")


class _Counted(Ending):
    """A stream of which somebody is told that it is over."""

    def __init__(self, said: AsyncGenerator[str, None], over: Callable[[], None]) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(said, media_type="text/event-stream", headers=headers)
        self._tell = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One stream (ASGI 3)."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._tell()
