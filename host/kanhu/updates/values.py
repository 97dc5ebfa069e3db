"""A rollout and its hubs, as plain values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from kanhu.errors import KanhuError

# States of a hub in a rollout
WAITING = "waiting"  # for its turn
POSTPONED = "postponed"  # its turn came, and a person may need help there
ASKED = "asked"
FETCHING = "fetching"
TRYING = "trying"  # it runs the release, which has to prove itself
DONE = "done"
FAILED = "failed"
SKIPPED = "skipped"
STATES = (WAITING, POSTPONED, ASKED, FETCHING, TRYING, DONE, FAILED, SKIPPED)
FLYING = frozenset((ASKED, FETCHING, TRYING))
OVER = frozenset((DONE, FAILED, SKIPPED))

# States of a rollout
RUNNING, PAUSED, CANCELLED, ENDED = "running", "paused", "cancelled", "ended"

# Bytes of a release that a hub may hold beyond what it has said: what one answer to its wish brings.
CHUNK_BYTES = 900  # contracts, section 5
CHUNKS = 4
AHEAD = CHUNKS * CHUNK_BYTES

_VERSION = re.compile(r"(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})", re.ASCII)


class UpdateError(KanhuError):
    """An update cannot be done as it was asked for; one sentence that says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How carefully a release is brought to hubs."""

    canary: int = 1  # hubs that take it before all others
    soak_ms: int = 3_600_000  # how long each of them has to run well afterwards
    at_once: int = 20  # hubs on their way at a time
    pause_percent: float = 5.0  # of those that ended: so many failures pause it
    pause_min: int = 2  # but not fewer than this, once the canary has passed


@dataclass(frozen=True, slots=True)
class Rollout:
    """One release on its way to hubs; times are host UTC in ms."""

    id: int
    digest: str  # SHA-256 of the archive, hexadecimal
    version: str
    number: int
    size: int  # bytes
    settings: Settings
    state: str
    why: str  # of a pause, or of why nobody is asked: a sentence
    started_ms: int
    started_by: str
    passed_ms: int | None = None  # when the canary had run well for long enough
    ended_ms: int | None = None
    base_failed: int = 0  # failures, and hubs that ended, which a person knew of who let it go on
    base_ended: int = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """One hub of a rollout."""

    hub: str
    rank: int  # whose turn is first
    state: str
    changed_ms: int
    why: str = ""  # a word of words.WHY, or of names.DETAILS[UPDATE_FAILED]
    canary: bool = False
    command: int = 0  # number of the UPDATE that is not confirmed, or was last; 0: none
    taken: bool = False  # the hub fetches, or would if it were let
    received: int = 0  # bytes it has said to hold
    asks: int = 0

    @property
    def is_flying(self) -> bool:
        """Whether it counts against `at_once`."""
        return self.state in FLYING

    def nearly_whole(self, size: int) -> bool:
        """Whether it may hold all of the release, and go on by itself."""
        return self.taken and self.received + AHEAD >= size


class View(Protocol):
    """What the engine has to know of hubs at a moment."""

    def knows(self, hub: str) -> bool:
        """Whether the hub is registered and not revoked."""

    def heard(self, hub: str) -> bool:
        """Whether it is heard at present."""

    def heard_ms(self, hub: str) -> int:
        """Host UTC ms of the last sign of life since the daemon's start; 0: none."""

    def provable(self) -> bool:
        """Whether a test call would come through to the platform."""

    def alarm(self, hub: str) -> bool:
        """Whether an alarm or pre-alarm of its home is not closed."""

    def firmware(self, hub: str) -> str | None:
        """The version that it last said to run."""


def number_of(version: str) -> int | None:
    """A release's number, as kanhu.install.release has it (which would bring the compiler into the daemon);
    None: no release has this version."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return None
    major, minor, patch = (int(part) for part in match.groups())
    return major << 20 | minor << 10 | patch if max(major, minor, patch) < 1024 else None


def is_at(firmware: str | None, release: int) -> bool:
    """Whether a hub's version is this release's number or above; one that is no release's is below."""
    running = None if firmware is None else number_of(firmware)
    return running is not None and running >= release
