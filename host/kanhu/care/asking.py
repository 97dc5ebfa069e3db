"""Pre-alarms that nobody cancels become alarms, across restarts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from kanhu.journal import JournalUnavailable
from kanhu_protocol import kinds as k

from .alarm import Alarm, AlarmError, AlarmName
from .alarms import Alarms
from .book import MAX_ASK_MS

log = structlog.get_logger("kanhu.asking")

ANSWER_S = 15.0  # after the asking, for a cancel that is on its way (contracts, section 10)
# After a start a cancel may still wait in a hub that looks for us with its back-off, at most 60 s (firmware
# links/mqtt.py) and the time to connect. As long as hubs have to come back before they count as silent.
RESTART_S = 90.0
RETRY_S = 2.0  # after a write that failed
MAX_SLEEP_S = 60.0


def _monotonic() -> float:
    return time.monotonic()


class Asking:
    """Raises each pre-alarm when its time is over; deadlines are of the clock that nobody can set."""

    def __init__(
        self, alarms: Alarms, utc_ms: Callable[[], int], now: Callable[[], float] = _monotonic
    ) -> None:
        self._alarms = alarms
        self._utc_ms = utc_ms
        self._now = now
        self._due: dict[AlarmName, float] = {}
        self._wake = asyncio.Event()
        for alarm in alarms.live():
            if alarm.state == k.PRE:
                self._due[alarm.name] = now() + max(self._left_s(alarm), RESTART_S)
        alarms.on_change.append(self._changed)

    def _left_s(self, alarm: Alarm) -> float:
        until_ms = alarm.asked_until_ms or 0
        # A host that starts with its clock behind must not wait longer than was asked for.
        span_ms = min(until_ms - (alarm.stored_ms or alarm.opened_ms), MAX_ASK_MS)
        return max(0.0, min(until_ms - self._utc_ms(), span_ms) / 1000) + ANSWER_S

    def _changed(self, alarm: Alarm) -> None:
        if alarm.state != k.PRE:
            self._due.pop(alarm.name, None)
        elif alarm.name not in self._due:
            self._due[alarm.name] = self._now() + self._left_s(alarm)
            self._wake.set()

    async def step(self) -> float:
        """Raise what is due; returns the seconds until something is again."""
        now = self._now()
        for name in [name for name, due in self._due.items() if due <= now]:
            alarm = self._alarms.get(name)
            if alarm is None or alarm.state != k.PRE:  # erased, or over
                self._due.pop(name, None)
                continue
            try:
                await self._alarms.raise_asked(name)
            except AlarmError:
                self._due.pop(name, None)  # erased meanwhile
            except JournalUnavailable as error:
                self._due[name] = now + RETRY_S
                log.error("a pre-alarm could not be raised; tried again", alarm=str(alarm), error=str(error))
            else:
                self._due.pop(name, None)
        return max(0.0, min([due - self._now() for due in self._due.values()], default=MAX_SLEEP_S))

    async def run(self) -> None:
        """Raise pre-alarms as they fall due, until cancelled."""
        while True:
            self._wake.clear()
            left_s = await self.step()
            try:
                async with asyncio.timeout(min(max(0.01, left_s), MAX_SLEEP_S)):
                    await self._wake.wait()
            except TimeoutError:
                continue
