"""A recorded past of one home: what was heard, in order of time, and how it is put into a Past."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from kanhu.care.rules.coverage import HUB_LOST
from kanhu.care.rules.past import HUB_LIMIT_MS, Device, Past, Plan
from kanhu.care.rules.rhythm import Habit, learned

MOVEMENT, HEARD, OPEN, CLOSED, SILENT, BACK = "movement", "heard", "open", "closed", "silent", "back"
SHOWN_WRONG = 5  # wrong rows that a person gets to see


class Step(NamedTuple):
    """One thing that was heard of a device (0: the hub)."""

    at_ms: int  # UTC
    device: int
    what: str  # MOVEMENT .. BACK
    value: object = None  # what a source needs of it beside this


@dataclass(slots=True)
class Account:
    """What became of a source's rows: every row is in exactly one of the counts."""

    rows: int = 0
    used: int = 0
    ignored: Counter[str] = field(default_factory=Counter)  # by why; good rows that say nothing of movement
    wrong: Counter[str] = field(default_factory=Counter)  # by why
    shown: list[str] = field(default_factory=list)  # the first wrong ones, with their line numbers
    out_of_order: int = 0  # of those used
    repeated: int = 0  # in the hour that came twice
    skipped: int = 0  # in the hour that never was
    sensors: set[str] = field(default_factory=set)  # all names that rows have, used or not

    def refuse(self, line: int, why: str, text: str) -> None:
        """A wrong row."""
        self.wrong[why] += 1
        if len(self.shown) < SHOWN_WRONG:
            plain = "".join(char if char.isprintable() else "?" for char in text.strip()[:80])
            self.shown.append(f"line {line}: {why}: {plain}")

    @property
    def balanced(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows == self.used + self.ignored.total() + self.wrong.total()


@dataclass(slots=True)
class Recording:
    """One home's recorded past; steps in order of time."""

    name: str
    zone: ZoneInfo
    devices: tuple[Device, ...]
    steps: Sequence[Step]
    from_ms: int
    until_ms: int
    account: Account = field(default_factory=Account)
    plans: tuple[Plan, ...] = ()
    gap_ms: int = 0  # the longest time without a row that is not a gap
    supervised: bool = False  # its sensors say themselves that they are there
    made_up: bool = False
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)  # by rule, as the home has them

    @property
    def days(self) -> float:
        """How long it is."""
        return (self.until_ms - self.from_ms) / 86_400_000

    def habit(self) -> Habit | None:
        """When this person is usually up, learned from the whole of it; None: too short."""
        past = Past(self.zone, self.devices)
        for step in self.steps:
            if step.what == MOVEMENT:
                local = datetime.fromtimestamp(step.at_ms / 1000, self.zone)
                past.day(local.toordinal(), 1 << (local.hour * 4 + local.minute // 15))
        return learned(past, self.until_ms)

    def past(self) -> Past:
        """An empty past of this home. Where nobody supervised the sensors, the hub counts as heard from each
        row to the next, however long that is: a gap that is too long is a stretch of its own (gaps)."""
        return Past(self.zone, self.devices, self.plans, max(HUB_LIMIT_MS, self.gap_ms + 1))

    def put(self, past: Past, step: Step) -> None:
        """Let a past know of one step."""
        if step.what == MOVEMENT:
            past.moved(step.device, step.at_ms)
        elif step.what in (OPEN, CLOSED):
            past.door(step.device, step.at_ms, step.what == OPEN)
        elif step.what == SILENT:
            past.fault(step.device, "silent" if step.device else HUB_LOST, step.at_ms)
        elif step.what == BACK:
            past.mended(step.device, "silent" if step.device else HUB_LOST, step.at_ms)
            past.heard(step.device, step.at_ms)
        else:
            past.heard(step.device, step.at_ms)


def gaps(times: Iterable[int], longest_ms: int) -> list[Step]:
    """Nothing is known of what happened where nothing at all was recorded for longer than that; times in
    order."""
    steps = []
    for before, after in pairwise(times):
        if after - before > longest_ms:
            steps += [Step(before + 1, 0, SILENT), Step(after, 0, BACK)]
    return steps
