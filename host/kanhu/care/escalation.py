"""Escalation: an alarm that nobody accepts is put to the next level, by the time since it was raised."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

import structlog

from kanhu.config import Escalation as Settings
from kanhu.journal import JournalUnavailable
from kanhu.registry import Home
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from .alarm import Alarm, AlarmError, AlarmName
from .alarms import Alarms
from .duty import Duty

log = structlog.get_logger("kanhu.escalation")

PAUSE_S = 0.2  # between two looks, however many alarms are raised meanwhile
CHECK_S = 30.0  # a shift or a quiet hour that ends is noticed within this time
RETRY_S = 2.0  # after a write that failed
TOP = max(names.LEVELS)


class Homes(Protocol):
    """Where a hub is."""

    def home_of(self, hub_id: str) -> Home | None:
        """The home of a hub; None for an unknown one."""


def _monotonic() -> float:
    return time.monotonic()


class Escalation:
    """Looks at every alarm that waits for a person; ages are of the clock that nobody can set."""

    def __init__(
        self,
        alarms: Alarms,
        duty: Duty,
        homes: Homes,
        settings: Settings,
        utc_ms: Callable[[], int],
        now: Callable[[], float] = _monotonic,
    ) -> None:
        self._alarms = alarms
        self._duty = duty
        self._homes = homes
        self._settings = settings
        self._utc_ms = utc_ms
        self._now = now
        self._since: dict[tuple[AlarmName, int], float] = {}  # alarm and raised_ms: when that was
        self._due: dict[tuple[AlarmName, int], float] = {}  # when it is worth a look again
        self._wake = asyncio.Event()
        alarms.on_change.append(self._changed)

    def _changed(self, alarm: Alarm) -> None:
        if alarm.state == k.OPEN:
            self._due.pop(_key(alarm), None)
            self._wake.set()

    def _age_s(self, alarm: Alarm) -> float:
        key = _key(alarm)
        if key not in self._since:
            self._since[key] = self._now() - max(0, self._utc_ms() - key[1]) / 1000
        return self._now() - self._since[key]

    async def step(self) -> float:
        """Put to the next level what is due; returns the seconds until something may be again."""
        waiting = [alarm for alarm in self._alarms.live() if alarm.state == k.OPEN]
        if len(self._since) > 2 * len(waiting) + 100:
            names_ = {alarm.name for alarm in waiting}
            self._since = {key: since for key, since in self._since.items() if key[0] in names_}
            self._due = {key: due for key, due in self._due.items() if key[0] in names_}
        left_s = CHECK_S
        now = self._now()
        for alarm in waiting:
            key = _key(alarm)
            due = self._due.get(key, now)
            if due > now:
                left_s = min(left_s, due - now)
                continue
            try:
                wait_s = min(CHECK_S, await self._look(alarm))
                self._due[key] = self._now() + wait_s
                left_s = min(left_s, wait_s)
            except AlarmError:
                continue  # erased meanwhile
            except JournalUnavailable as error:
                log.error("an alarm could not be escalated; tried again", alarm=str(alarm), error=str(error))
                return RETRY_S
        return left_s

    async def _look(self, alarm: Alarm) -> float:
        age_s = self._age_s(alarm)
        home = self._homes.home_of(alarm.hub)
        if alarm.cls > k.P2 and self._is_quiet(home):
            return CHECK_S
        region = home.region if home is not None else None
        limits = self._settings.of(alarm.cls)
        by_time = 1 + sum(age_s >= limit for limit in limits)
        left_s = limits[by_time - 1] - age_s if by_time < TOP else CHECK_S
        for level in range(alarm.level, TOP):
            reason = None
            if level >= by_time:
                if self._is_manned(level, region):
                    break
                reason = f"nobody on duty: {names.LEVELS[level]}"
            alarm = await self._alarms.escalate(alarm.name, level + 1, reason)
            if alarm.state != k.OPEN:
                break
            log.warning("an alarm was escalated", alarm=str(alarm), level=alarm.level, reason=reason)
        return left_s

    def _is_manned(self, level: int, region: str | None) -> bool:
        return bool(self._duty.on_duty(level, region, self._utc_ms())) or not self._duty.has_lists(region)

    def _is_quiet(self, home: Home | None) -> bool:
        zone = ZoneInfo(home.time_zone) if home is not None else UTC
        local = datetime.fromtimestamp(self._utc_ms() / 1000, zone)
        return self._settings.is_quiet(local.hour * 60 + local.minute)

    async def run(self) -> None:
        """Escalate, until cancelled."""
        while True:
            self._wake.clear()
            left_s = await self.step()
            await asyncio.sleep(PAUSE_S)
            try:
                async with asyncio.timeout(max(0.01, left_s)):
                    await self._wake.wait()
            except TimeoutError:
                continue


def _key(alarm: Alarm) -> tuple[AlarmName, int]:
    return alarm.name, alarm.opened_ms if alarm.raised_ms is None else alarm.raised_ms
