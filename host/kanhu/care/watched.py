"""One hub under watch, as a value, and its past read back from the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from kanhu.journal import Event, Journal
from kanhu_protocol import kinds as k

from . import recall
from .alarm import Alarm, AlarmName
from .condition import SensorFact
from .homes import HubPast
from .rules.values import Rule, Verdict

RECALL_AT_ONCE = 20  # hubs read back in one go
RHYTHM_PAUSE_S = 0.02  # between hubs whose days are read back: that is in no hurry

On = list[tuple[Rule[Any], BaseModel]]


class Watched:
    """One hub under watch."""

    def __init__(self, home: str, past: HubPast, read: bool) -> None:
        self.home = home
        self.past = past
        self.read = read  # its past has been read back from the journal
        self.waiting: list[Event] = []  # came meanwhile
        self.rules: On = []
        self.verdicts: dict[str, Verdict] = {}  # by the rule's name
        self.settled = False  # when last looked at, all that the hub has seen had arrived
        self.sensors: tuple[SensorFact, ...] = ()  # as they were then
        self.due_ms = 0
        self.tidied_ms = 0  # when what is too old was let go
        self.alarms: dict[AlarmName, Alarm] = {}  # not closed


async def read_back(
    hubs: Mapping[str, Watched],
    journal: Journal,
    limit_ms: int,
    enter: Callable[[Watched, Event], None],
    wake: Callable[[str], None],
) -> None:
    """Read back what the journal holds of hubs that are not read: of watched homes all that rules look at, of
    others what came last; then what was longer ago of watched homes: their days, for their rhythm, and when
    each sensor last saw somebody. Hubs may come and go meanwhile."""
    unread = [hub for hub, one in hubs.items() if not one.read]
    unread.sort(key=lambda hub: not hubs[hub].rules)
    for start in range(0, len(unread), RECALL_AT_ONCE):
        some = {hub: hubs[hub] for hub in unread[start : start + RECALL_AT_ONCE] if hub in hubs}
        now = journal.clock()
        spans = {hub: recall.RAW_MS if one.rules else recall.SHORT_MS for hub, one in some.items()}
        found = await asyncio.to_thread(recall.recent, journal.path, spans, now, limit_ms)
        for hub, events in found.items():
            if hubs.get(hub) is some[hub] and not some[hub].read:  # else it was set up anew
                fill(some[hub], events, enter)
                wake(hub)
            await asyncio.sleep(0)
    for hub in unread:
        one = hubs.get(hub)
        if one is not None and one.rules:
            now = journal.clock()
            events = await asyncio.to_thread(
                recall.motions, journal.path, hub, now - recall.RHYTHM_MS, now - recall.RAW_MS
            )
            one.past.lived((event.fields.get(k.DEVICE, 0), journal.moment(event)[0]) for event in events)
            if any(verdict.state == "cannot_tell" for verdict in one.verdicts.values()):
                wake(hub)
            await asyncio.sleep(RHYTHM_PAUSE_S)


def fill(one: Watched, events: list[Event], enter: Callable[[Watched, Event], None]) -> None:
    """Its past is this, and what came while it was read."""
    for event in events:
        enter(one, event)
    last_n = one.past.last_n
    waiting, one.waiting, one.read = one.waiting, [], True
    for event in waiting:
        if event.n > last_n or event.sealed is None:
            enter(one, event)
