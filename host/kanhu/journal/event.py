"""One event as the host holds it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from kanhu_protocol import kinds as k

Identity = tuple[str, int, int]  # hub_id, boot, seq


@dataclass(slots=True, eq=False)
class Event:
    """An authentic event: identity, class 1..5, sealed and plain bytes, decoded fields, how it came."""

    hub: str
    boot: int
    seq: int
    cls: int
    kind: int
    sealed: bytes | None  # None: the daemon's own
    plain: bytes
    fields: dict[int, Any]  # what of plain can be believed (kanhu_protocol.checks)
    received_ms: int  # host UTC
    link: str
    n: int = 0  # journal number; 0 until it has one
    delivered_ms: int | None = None

    @property
    def identity(self) -> Identity:
        """(hub_id, boot, seq)."""
        return self.hub, self.boot, self.seq

    @property
    def names(self) -> Identity:
        """The alarm that it names when it is an alarm's first event: the daemon's own speak of a hub."""
        hub = self.hub if self.sealed is not None else self.fields.get(k.SUBJECT, self.hub)
        return hub, self.boot, self.seq


class Outcome(Enum):
    """What became of an event handed to the journal."""

    STORED = "stored"  # new, and on disk
    KNOWN = "known"  # on disk before, same bytes
    CONFLICT = "conflict"  # its identity is on disk with other bytes
