"""Names on the platform's side: an event's source and id, an alarm's name (contracts, section 9)."""

from __future__ import annotations

import re
from typing import NamedTuple

from kanhu_protocol.checks import ID_ALPHABET, ID_LENGTH

MAX_U32 = 2**32 - 1  # boot and seq (contracts, section 2)
_HUB_ID = f"[{ID_ALPHABET}]{{{ID_LENGTH}}}"
_SOURCE = re.compile(rf"/kanhu/(hubs|daemons)/({_HUB_ID})")
_EVENT_ID = re.compile(r"(0|[1-9][0-9]{0,9})-(0|[1-9][0-9]{0,9})")
_ALARM = re.compile(rf"({_HUB_ID})/([^/]*)")


class Identity(NamedTuple):
    """(hub_id, boot, seq) names an event, and an alarm by its first; daemon: hub_id is a daemon's id."""

    hub_id: str
    boot: int
    seq: int
    daemon: bool = False

    @property
    def source(self) -> str:
        """The CloudEvents source."""
        return f"/kanhu/{'daemons' if self.daemon else 'hubs'}/{self.hub_id}"

    @property
    def id(self) -> str:
        """The CloudEvents id, unique within source."""
        return f"{self.boot}-{self.seq}"

    @property
    def alarm(self) -> str:
        """The alarm's name, as in data.alarm and in commands."""
        return f"{self.hub_id}/{self.boot}-{self.seq}"


def parse_identity(source: object, event_id: object) -> Identity | None:
    """The identity behind a CloudEvents source and id, or None when they are not Kanhu's."""
    if not isinstance(source, str) or not isinstance(event_id, str):
        return None
    where, which = _SOURCE.fullmatch(source), _EVENT_ID.fullmatch(event_id)
    if where is None or which is None:
        return None
    boot, seq = int(which[1]), int(which[2])
    if not 0 < boot <= MAX_U32 or seq > MAX_U32:
        return None
    return Identity(where[2], boot, seq, where[1] == "daemons")


def parse_alarm(name: object) -> Identity | None:
    """The first event of the alarm named "{hub_id}/{boot}-{seq}", or None."""
    if not isinstance(name, str):
        return None
    match = _ALARM.fullmatch(name)
    return None if match is None else parse_identity(f"/kanhu/hubs/{match[1]}", match[2])
