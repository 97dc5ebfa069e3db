"""What a rule is, what it may look at and what it says. Plain values; every time is UTC in ms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

from pydantic import BaseModel

from .past import Past, Reading

State = Literal["quiet", "raise", "cannot_tell", "hint", "off"]
Settings = TypeVar("Settings", bound=BaseModel)


class Words(NamedTuple):
    """One sentence a family understands."""

    en: str
    zh: str


class Evidence(NamedTuple):
    """One thing that was heard, and when."""

    device: int  # 0: the hub itself
    what: str  # movement, heard, door, fault, visit, reading, mode
    at_ms: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of one home at one moment.

    quiet: looked, and there is nothing. raise: an alarm is due. cannot_tell: what it would need to know is
    not known, which is never quiet and never raise. hint: worth a person's look, no alarm. off: not for this
    home, or not in this mode."""

    rule: str  # name and version: "inactivity/1"
    state: State
    next_ms: int  # without a new event it says nothing else before this moment
    words: Words
    since_ms: int | None = None  # what it counts from: one finding is raised once for one since_ms
    room: str = ""
    device: int = 0
    evidence: tuple[Evidence, ...] = ()
    reading: Reading | None = None  # of a vital sign: what the alarm's VALUES say


@dataclass(frozen=True, slots=True)
class Rule(Generic[Settings]):
    """A pure function over the past, with its version and what a person may set."""

    name: str
    version: int
    kind: int  # of the event that it raises (kinds.INACTIVITY, ...)
    asks: bool  # whether the elder is asked first (pre-alarm)
    settings: type[Settings]
    evaluate: Callable[[Past, Settings, int], Verdict]  # (past, settings, now_ms)
    title: Words = field(default=Words("", ""))
    explains: Words = field(default=Words("", ""))  # what it watches for, and on what it rests

    @property
    def id(self) -> str:
        """Name and version, as events carry it."""
        return f"{self.name}/{self.version}"
