"""An asyncio event loop on virtual time, whose tasks belong to processes that can be killed."""

from __future__ import annotations

import asyncio
import contextvars
import math
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NamedTuple, Protocol, TypeVarTuple, Unpack, cast


class Slack(NamedTuple):
    """Timers of a process at least from_s away end on a grid of by_s, as with the timer slack of an operating
    system: fewer turns of the world. A hub's waits of 50 ms and more end on a grid of hub_ms (0: on none).
    The world itself is exact."""

    from_s: float
    by_s: float
    hub_ms: int


FINE = Slack(0.5, 0.1, 0)
COARSE = Slack(0.1, 10.0, 5000)  # for days; a hub's tasks may rest for 5 s (its supervisor), and no longer

_Ts = TypeVarTuple("_Ts")


class Process:
    """Who runs a task. What a killed one had under way never goes on, not even to clean up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.context = contextvars.copy_context()
        self.context.run(_owner.set, self)
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()


_owner: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


def owner_of(context: contextvars.Context) -> Process | None:
    """The process that a context belongs to; None: the world itself."""
    return context.get(_owner)


class Surroundings(Protocol):
    """What happens outside the loop while it waits."""

    def advance(self, horizon: float) -> float:
        """Let the outside run up to horizon (s, may be infinite); the time at which the loop goes on."""


class Network(Protocol):
    """Where create_connection() leads."""

    async def connect(self, factory: Callable[[], Any], host: str, port: int) -> tuple[Any, Any]: ...


class _Selector:
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        self._loop.wait(math.inf if timeout is None else timeout)
        return []


def _made(
    loop: asyncio.AbstractEventLoop, work: Any, context: contextvars.Context | None = None
) -> asyncio.Task[Any]:
    owner = _owner.get() if context is None else owner_of(context)
    task = asyncio.Task(work, loop=loop, context=context)
    if owner is not None:
        owner.tasks.add(task)
    return task


class VirtualLoop(asyncio.BaseEventLoop):
    """time() is virtual seconds since the world began; waiting costs nothing."""

    def __init__(self, surroundings: Surroundings, network: Network, slack: Slack = FINE) -> None:
        super().__init__()
        self._slack = slack
        self._now = 0.0
        self._surroundings = surroundings
        self._network = network
        self._selector = _Selector(self)
        self._buried: list[asyncio.Task[Any]] = []  # a task that is collected runs its finally blocks
        self.set_task_factory(_made)

    def time(self) -> float:
        return self._now

    def wait(self, timeout: float) -> None:
        """Pass time, at most timeout seconds."""
        if timeout > 0:
            self._now = max(self._now, self._surroundings.advance(self._now + timeout))

    def reach(self, when: float) -> None:
        """It is at least this late: something outside has happened then."""
        self._now = max(self._now, when)

    # Processes

    def spawn(self, process: Process, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine as a part of a process."""
        return self.create_task(work, context=process.context)

    def kill(self, process: Process) -> None:
        """SIGKILL: nothing of it runs again."""
        process.alive = False
        self._buried += process.tasks
        ready: Any = self._ready  # type: ignore[attr-defined]  # no other way to find what is scheduled
        scheduled: Any = self._scheduled  # type: ignore[attr-defined]
        for handle in [*ready, *scheduled]:
            if self._dead(handle._context):
                handle.cancel()

    def bury(self) -> None:
        """At the very end: let go of what was killed, without its finally blocks having any effect."""
        self.set_exception_handler(lambda loop, context: None)
        for task in self._buried:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with suppress(BaseException):
                task.get_coro().close()
        self._buried.clear()

    @staticmethod
    def _dead(context: contextvars.Context | None) -> bool:
        owner = None if context is None else owner_of(context)
        return owner is not None and not owner.alive

    def _call_soon(self, callback: Any, args: Any, context: contextvars.Context | None) -> asyncio.Handle:
        handle: Any = super()._call_soon(callback, args, context)  # type: ignore[misc]
        if self._dead(handle._context):
            handle.cancel()
        return cast("asyncio.Handle", handle)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        owner = _owner.get() if context is None else owner_of(context)
        if owner is not None and when - self._now >= self._slack.from_s:
            when = math.ceil(when / self._slack.by_s) * self._slack.by_s
        handle: Any = super().call_at(when, callback, *args, context=context)
        if self._dead(handle._context):
            handle.cancel()
        return cast("asyncio.TimerHandle", handle)

    # What BaseEventLoop leaves to the platform

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Threads would make a run unrepeatable: the work is done at once."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> tuple[Any, Any]:
        """TCP in memory."""
        return await self._network.connect(protocol_factory, host, port)
