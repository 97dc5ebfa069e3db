"""What can be wrong with a TCP connection, as values: a FaultProxy is told of them and asked to forget them.

The same fault set twice is two faults; each is lifted for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kanhu.errors import KanhuError


class LinkFaultError(KanhuError):
    """A fault with a parameter that makes no sense; says which it may be."""


@dataclass(frozen=True, eq=False)
class LinkFault:
    """One thing that is wrong, from FaultProxy.set() to FaultProxy.clear()."""

    @property
    def name(self) -> str:
        """cut, stall, reset, ...: as counted and shown."""
        return type(self).__name__.lower()


@dataclass(frozen=True, eq=False)
class Cut(LinkFault):
    """Every connection is reset at once; a new one is accepted and reset."""


@dataclass(frozen=True, eq=False)
class Stall(LinkFault):
    """Connections stay and carry nothing, either way; what waits goes through when it is lifted."""


@dataclass(frozen=True, eq=False)
class Reset(LinkFault):
    """Connections there are get a TCP reset once, or every_s seconds again and again; new ones go through."""

    every_s: float | None = None

    def __post_init__(self) -> None:
        if self.every_s is not None and not self.every_s > 0:
            raise LinkFaultError(f"every_s is more than 0 s, not {self.every_s}")


@dataclass(frozen=True, eq=False)
class Refuse(LinkFault):
    """Nobody listens: a new connection is refused by the operating system; those there are go on."""


@dataclass(frozen=True, eq=False)
class Slow(LinkFault):
    """At most so many bytes a second, each way and for each connection."""

    bytes_s: float

    def __post_init__(self) -> None:
        if not self.bytes_s > 0:
            raise LinkFaultError(
                f"bytes_s is more than 0, not {self.bytes_s}; for nothing at all there is Stall"
            )


@dataclass(frozen=True, eq=False)
class Lossy(LinkFault):
    """TCP hides a lost segment, or gives the connection up: here each segment has this chance of ending at a
    random byte, and its connection with it. The seed decides, segment by segment in order of arrival."""

    chance: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.chance <= 1:
            raise LinkFaultError(f"chance is 0 to 1, not {self.chance}")


@dataclass(frozen=True, eq=False)
class HalfOpen(LinkFault):
    """One end of the connections there are is gone and the other is not told: what it sends is dropped. New
    connections go through. When lifted, the end that was left is told, by a reset."""

    gone: Literal["server", "client"] = "server"

    @property
    def name(self) -> str:
        return "half-open"


@dataclass(frozen=True, eq=False)
class Mute(LinkFault):
    """An MQTT broker that accepts and never acknowledges: its PUBACKs are swallowed, the rest passes."""
