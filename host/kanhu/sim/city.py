"""A city for the bench: the platform's SDK in a thread of its own, and an operator who accepts calls."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import kanhu.platform as sdk
from kanhu.platform import Event
from kanhu.sim.tally import Tally

OPERATOR = "op-7"
CLOSE_AFTER_S = 1.5  # the operator has dealt with the call
ANSWER_S = 2.0  # ask again when the daemon was away
CLASSES = ("p1", "p2")  # of events that may open an alarm
ASKING = ("pre_alarm", "pre_alarm.cancelled")  # of an alarm, and not yet one that a person takes
LOG_LIMIT = 20_000  # events kept


class City(threading.Thread):
    """Receives, acknowledges, accepts. `tell(text)` gets lines for the live view."""

    def __init__(self, url: str, state: Path, tell: Callable[[str], None] = lambda text: None) -> None:
        super().__init__(name="city", daemon=True)
        self.tally = Tally()
        self.lock = threading.Lock()  # guards tally, waiting and log
        self.waiting: dict[str, float] = {}  # alarm name: monotonic s of its arrival
        self.log: list[tuple[float, Event]] = []  # (monotonic s, event) in order of arrival, each once
        self._opened: set[str] = set()
        self.accepted = 0
        self.auto_accept = True
        self.close_after_s = CLOSE_AFTER_S
        self.error: str | None = None
        self.up = threading.Event()
        self._url = url
        self._state = state
        self._tell = tell
        self._loop = asyncio.new_event_loop()
        self._attending = asyncio.Event()
        self._attending.set()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        except Exception as error:  # shown by the scenario, which fails by it
            self.error = f"{type(error).__name__}: {error}"
        finally:
            self.up.set()

    def stop(self) -> None:
        """Leave the platform; returns when the thread has ended."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self.join(10)

    def mute(self, on: bool = True) -> None:
        """A platform that hangs: what it is sent it neither acknowledges nor answers until mute(False)."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._attending.clear if on else self._attending.set)

    def events(self, name: str = "") -> list[Event]:
        """What arrived so far, in order, of one name ("call") or of all."""
        with self.lock:
            return [event for _, event in self.log if not name or event.name == name]

    def wait(self, wanted: Callable[[Event], bool], timeout: float = 15.0) -> Event:
        """The first event that is wanted, now or within timeout seconds; TimeoutError tells what came."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events():
                if wanted(event):
                    return event
            if time.monotonic() > deadline:
                came = ", ".join(f"{event.hub} {event.id} {event.name}" for event in self.events()[-30:])
                raise TimeoutError(f"no such event in {timeout} s; the last ones: {came or 'none'}")
            time.sleep(0.02)

    def accept_all(self) -> None:
        """A person takes every waiting call."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._accept_all)

    def _accept_all(self) -> None:
        with self.lock:
            names = list(self.waiting)
        for name in names:
            self._start(self._accept(name))

    async def _run(self) -> None:
        async with sdk.connect(self._url, state=self._state, wait_for_broker=True) as platform:
            self._platform = platform
            self.up.set()
            reader = asyncio.create_task(self._read())
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([reader, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in [*self._tasks, reader, stopping]:
                task.cancel()
            results = await asyncio.gather(reader, return_exceptions=True)
            if isinstance(results[0], Exception):
                raise results[0]

    async def _read(self) -> None:
        async for event in self._platform:
            await self._attending.wait()
            with self.lock:
                fresh = self.tally.add(event)
                if fresh:
                    self.log.append((time.monotonic(), event))
                    del self.log[:-LOG_LIMIT]
                opened = fresh and self._opens(event)
                if opened and event.alarm:
                    self.waiting[event.alarm] = time.monotonic()
            await self._platform.done(event)
            if opened and event.alarm and self.auto_accept:
                self._start(self._accept(event.alarm))

    def _opens(self, event: Event) -> bool:
        """Whether it is the first that a person has to do with of an alarm."""
        alarm = event.alarm
        if event.event_class not in CLASSES or event.name in ASKING or alarm is None or alarm in self._opened:
            return False
        self._opened.add(alarm)
        return True

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, alarm: str) -> None:
        if await self._insist(lambda: self._platform.accept(alarm, operator=OPERATOR, timeout=ANSWER_S)):
            with self.lock:
                self.waiting.pop(alarm, None)
            self.accepted += 1
            self._tell(f"{OPERATOR} has taken {alarm}")
            await asyncio.sleep(self.close_after_s)
            await self._insist(
                lambda: self._platform.close(alarm, operator=OPERATOR, reason="visited", timeout=ANSWER_S)
            )

    async def _insist(self, ask: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        while True:
            try:
                await ask()
            except sdk.NoAnswer:
                continue
            except sdk.CommandRefused as refusal:
                self._tell(str(refusal))
                return False
            return True
