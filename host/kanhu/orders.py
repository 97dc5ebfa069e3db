"""Commands to hubs: persisted, sent until confirmed, and what the host orders of its own accord: the
answer of a person, the time, the device table, events that are missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from kanhu.care import Alarm, AlarmName, Alarms, alarm_name
from kanhu.downlink import Command, Downlink
from kanhu.errors import KanhuError
from kanhu.identities import Identities
from kanhu.journal import Event, Journal
from kanhu.journal.commands import Command as Kept
from kanhu.journal.commands import Commands
from kanhu_protocol import kinds as k

log = structlog.get_logger("kanhu.orders")

MISSING_CHECK_S = 10.0  # a gap that lasts from one check to the next is asked for
MISSING_RANGES = 16  # ranges in one request
HUBS_AT_ONCE = 50  # looked at for gaps before others have their turn
TELL_AGAIN_S = 10.0  # an alarm's state that a hub seems not to know is said at most this often
TOLD_MAX = 1000  # alarms whose last telling is remembered


class Tables(Protocol):
    """The registry's device tables."""

    def refresh(self) -> bool:
        """Notice what another process changed; True when something did."""

    def knows(self, hub_id: str) -> bool:
        """Whether the hub is known and not revoked."""

    def device_table(self, hub_id: str) -> tuple[int, list[list[Any]]]:
        """(version, entries) as in contracts, section 5; version 0 when the hub has none."""

    def zone_s(self, hub_id: str) -> int | None:
        """The home's local time ahead of UTC that goes with it."""


class Orders:
    """Everything the host makes hubs do."""

    def __init__(
        self,
        journal: Journal,
        commands: Commands,
        alarms: Alarms,
        tables: Tables,
        downlink: Downlink,
        identities: Identities,
    ) -> None:
        self._journal = journal
        self._commands = commands
        self._alarms = alarms
        self._tables = tables
        self._downlink = downlink
        self._other_host = identities.other_host
        self.on_table: list[Callable[[str, int], None]] = []  # a hub holds this version of its table
        self._confirmed: dict[tuple[str, int], asyncio.Future[None]] = {}
        self._has_table: dict[str, int] = {}  # hub: version it last reported or was last sent
        self._gaps: dict[str, list[tuple[int, int, int]]] = {}
        self._told: dict[AlarmName, float] = {}  # monotonic s
        self._tasks: set[asyncio.Task[None]] = set()
        for hub in journal.hubs():
            if hub != journal.daemon_id:
                waiting = [self._ready(one) for one in commands.waiting(hub)]
                downlink.restore(hub, identities.boot(hub), waiting)
        commands.on_kept.append(self._send)
        for alarm in alarms.live():
            if self._was_answered(alarm):
                self._tell_again(alarm)

    async def order(self, hub_id: str, kind: int, fields: dict[int, Any]) -> asyncio.Future[None]:
        """Persist and send a command; the future ends when the hub has confirmed it."""
        command = await self._commands.create(hub_id, kind, fields)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._confirmed[hub_id, command.number] = done
        return done

    def _send(self, kept: Kept) -> None:
        self._downlink.command(kept.hub, self._ready(kept))

    def _ready(self, kept: Kept) -> Command:
        fields = kept.fields
        if kept.type == k.DEVICES and self._tables.knows(kept.hub):
            # The journal holds no table, because sensors' keys stay in the registry.
            version, entries = self._tables.device_table(kept.hub)
            fields = {**fields, k.VERSION_OF: version, k.TABLE: entries}
            if (zone_s := self._tables.zone_s(kept.hub)) is not None:
                fields[k.ZONE_S] = zone_s
        return Command(kept.number, kept.type, fields)

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        async def guarded() -> None:
            try:
                await work
            except KanhuError as error:
                log.error("a command could not be kept; it is tried again later", error=str(error))

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, hub: str) -> None:
        """A hub is being erased: nothing is ordered of it any more."""
        self._has_table.pop(hub, None)
        self._gaps.pop(hub, None)
        self._told = {name: at for name, at in self._told.items() if name[0] != hub}

    # Alarms: care orders ALARM_IS together with each change; this is for what was lost all the same

    def _was_answered(self, alarm: Alarm) -> bool:
        # A hub knows by itself that its new alarm is open; not that a person's answer was taken back.
        if alarm.state != k.OPEN:
            return alarm.state != k.PRE  # nothing was said yet but the asking, which waits or is confirmed
        return any(what in ("accepted", "closed") for _, what, *_ in self._alarms.history(alarm.name))

    def _tell_again(self, alarm: Alarm) -> None:
        name = [alarm.boot, alarm.seq]
        if not any(
            one.type in (k.ALARM_IS, k.ASK) and one.fields[k.ALARM_NAME] == name
            for one in self._commands.waiting(alarm.hub)
        ):
            self._start(self._alarms.tell(alarm))

    def _unanswered(self, event: Event) -> None:
        """A hub says that nobody has taken its alarm: tell it what it seems not to know."""
        alarm = self._alarms.get(alarm_name(event))
        if alarm is None:
            return
        if alarm.state == k.OPEN:
            self._say_delivered(alarm)
            return
        now = time.monotonic()
        if now - self._told.get(alarm.name, float("-inf")) >= TELL_AGAIN_S:
            if len(self._told) >= TOLD_MAX:
                self._told.clear()
            self._told[alarm.name] = now
            self._tell_again(alarm)

    def _say_delivered(self, alarm: Alarm) -> None:
        if alarm.delivered_ms is not None and not alarm.is_hosts:
            self._downlink.delivered(alarm.hub, [(alarm.boot, alarm.seq)])

    def stored(self, event: Event) -> None:
        """A hub's event is on disk: confirmations, boots, repetitions, clocks and table versions."""
        fields, hub = event.fields, event.hub
        if event.kind in (k.COMMAND_DONE, k.COMMAND_REFUSED):
            self._confirm(event, fields.get(k.COMMAND, 0))
        elif event.kind == k.CALL_UNANSWERED:
            self._unanswered(event)
        elif event.kind == k.BOOT:
            if event.boot == self._downlink.boot(hub):
                self._booted(event)
        elif event.kind == k.HEARTBEAT:
            if k.DOWNLINK in fields and self._downlink.reported(hub, *fields[k.DOWNLINK]):
                self._other_host(hub)
            self._table_reported(event)
        if k.UTC_MS not in fields and event.boot == self._downlink.boot(hub):
            self._start(self._say_time(hub))

    def _confirm(self, event: Event, number: int) -> None:
        hub = event.hub
        command = self._downlink.confirm(hub, number)
        if command is not None and command.type == k.DEVICES and event.kind == k.COMMAND_DONE:
            self._holds_table(hub, command.fields[k.VERSION_OF])
        if (
            command is not None
            and command.type in (k.ALARM_IS, k.ASK)
            and event.boot < self._downlink.boot(hub)
        ):
            # Done before the hub's restart, which comes first of what it says: it has forgotten since what it
            # showed of the host's alarms.
            alarm = self._alarms.get((hub, *command.fields[k.ALARM_NAME]))
            if alarm is not None and alarm.state != k.CLOSED:
                self._tell_again(alarm)
        done = self._confirmed.pop((hub, number), None)
        if done is not None and not done.done():
            done.set_result(None)

    async def _say_time(self, hub: str) -> None:
        if self._downlink.time_is_due(hub):
            self._downlink.say_time(hub, await self._commands.number(hub))

    def _booted(self, event: Event) -> None:
        self._downlink.booted(event.hub)
        for alarm in self._alarms.live(event.hub):
            self._tell_again(alarm)
            self._say_delivered(alarm)
        # A closing that its flash did not take is forgotten: the lamp would say for ever that somebody comes.
        for boot, seq in self._commands.refused_alarms(event.hub):
            refused = self._alarms.get((event.hub, boot, seq))
            if refused is not None and refused.state == k.CLOSED:
                self._tell_again(refused)
        self._table_reported(event)

    # Device tables

    def _table_reported(self, event: Event) -> None:
        versions = event.fields.get(k.VERSIONS)
        if versions is not None and event.boot == self._downlink.boot(event.hub):
            self._has_table[event.hub] = versions[1]
            self._holds_table(event.hub, versions[1])
            self._check_table(event.hub)

    def _holds_table(self, hub: str, version: int) -> None:
        for callback in self.on_table:
            callback(hub, version)

    def _check_table(self, hub: str) -> None:
        if not self._tables.knows(hub):
            return
        version, _ = self._tables.device_table(hub)
        waiting = any(
            one.type == k.DEVICES and one.fields[k.VERSION_OF] == version
            for one in self._commands.waiting(hub)
        )
        if version > self._has_table.get(hub, 0) and not waiting:
            self._has_table[hub] = version  # until the hub says otherwise
            self._start(self.order(hub, k.DEVICES, {k.VERSION_OF: version, k.TABLE: []}))

    async def watch_tables(self, every_s: float = 1.0) -> None:
        """Send tables that were changed in the registry, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            if self._tables.refresh():
                for hub in list(self._has_table):
                    self._check_table(hub)

    # Gaps

    async def watch_gaps(self, every_s: float = MISSING_CHECK_S) -> None:
        """Ask hubs for what has been missing for a while, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            for count, hub in enumerate(self._journal.hubs()):
                if count % HUBS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                if hub != self._journal.daemon_id:
                    self._check_gaps(hub)

    def _check_gaps(self, hub: str) -> None:
        missing = self._journal.missing(hub, MISSING_RANGES)
        before = self._gaps.pop(hub, None)
        if not missing:
            return
        self._gaps[hub] = missing
        asked = any(one.type == k.REQUEST_MISSING for one in self._commands.waiting(hub))
        if missing == before and not asked:
            self._start(self.order(hub, k.REQUEST_MISSING, {k.RANGES: [list(one) for one in missing]}))
