"""One alarm as a value, and what can be told of alarms without looking anything up. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kanhu.care.rules.values import Words
from kanhu.errors import KanhuError
from kanhu.journal import Event
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import MAX_REASON, MAX_TEXT, VALID

AlarmName = tuple[str, int, int]  # hub_id, and boot and seq of the alarm's first event

HOST_BOOT = (
    1 << 30
)  # a daemon's boot is at least its Unix time, a hub's counts from 1 (contracts, section 10)
NEW_NEED_MS = 60_000  # contracts, section 8: how far a press and an answer are apart for certain
HELD = (k.ACCEPTED, k.DISPATCHED, k.ON_SCENE)  # a person has it


class AlarmError(KanhuError):
    """The alarm is not in a state that allows this; one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm; times are host UTC in ms, opened_ms that of its first event where that is known."""

    hub: str
    boot: int
    seq: int
    kind: int  # while the elder is being asked: of the event that follows
    device: int
    state: int  # kinds.PRE, OPEN, ACCEPTED, DISPATCHED, ON_SCENE or CLOSED
    opened_ms: int
    stored_ms: int | None = None  # None: its first event has not arrived, only later ones have
    delivered_ms: int | None = None
    accepted_ms: int | None = None  # by the first who took it; handing over leaves it
    accepted_by: str | None = None  # who has it now
    closed_ms: int | None = None
    closed_by: str | None = None  # an operator, or "home", "movement": who ended the asking
    reason: str | None = None
    presses: int = 0
    attempts: int = 0  # highest attempt the hub has counted
    raised_ms: int | None = None  # None: the elder is being asked, or was and is well
    asked_until_ms: int | None = None  # None: nobody was asked
    level: int = 1  # names.LEVELS
    dispatched_ms: int | None = None
    on_scene_ms: int | None = None
    rule: str | None = None  # name and version
    explanation: Words | None = None

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Alarm:
        """From a row of the table, all columns in order."""
        words = row[-1] and Words(*json.loads(row[-1]))
        values: tuple[Any, ...] = (*row[:-1], words)
        return cls(*values)

    @property
    def name(self) -> AlarmName:
        """(hub_id, boot, seq) of its first event."""
        return self.hub, self.boot, self.seq

    @property
    def cls(self) -> int:
        """Class 1..5 of its kind."""
        return int(k.class_of(self.kind))

    @property
    def is_hosts(self) -> bool:
        """Whether its first event is the daemon's, not the hub's."""
        return self.boot >= HOST_BOOT

    @property
    def answered_ms(self) -> int:
        """When a person last did something about it; 0: never."""
        return self.closed_ms or max(self.accepted_ms or 0, self.dispatched_ms or 0, self.on_scene_ms or 0)

    def __str__(self) -> str:
        return f"{self.hub}/{self.boot}-{self.seq}"


def alarm_name(event: Event) -> AlarmName:
    """Which alarm a P1 event belongs to: its ALARM, or its own identity when it is the first."""
    reference = event.fields.get(k.ALARM)
    if reference is None or tuple(reference) >= (event.boot, event.seq):
        return event.identity
    return event.hub, reference[0], reference[1]


def is_new_need(state: int, since_ms: int, utc_ms: int | None, received_ms: int) -> bool:
    """Whether a press that names an alarm answered at since_ms needs an answer of its own.

    utc_ms: when it was pressed, None: not known. Of an alarm that a person has somebody is taking care at
    this moment, so a press counts when it is clearly later; a closed one is over, so it counts unless clearly
    earlier (contracts, section 8)."""
    if state in HELD:
        pressed_ms = received_ms if utc_ms is None else min(utc_ms, received_ms)
        return pressed_ms >= since_ms + NEW_NEED_MS
    return state == k.CLOSED and (utc_ms is None or utc_ms >= since_ms - NEW_NEED_MS)


def check_text(what: str, text: str) -> None:
    """AlarmError unless it is what an event may carry as OPERATOR, or as REASON."""
    key, limit = (k.REASON, MAX_REASON) if what == "reason" else (k.OPERATOR, MAX_TEXT)
    if not text.isprintable() or not VALID[key](text):
        raise AlarmError(f"{what} must be 1 to {limit} bytes of printable text")


def cut(text: str, limit: int) -> str:
    """As much of text as has at most limit bytes of UTF-8."""
    return text if len(text) * 4 <= limit else text.encode()[:limit].decode(errors="ignore")
