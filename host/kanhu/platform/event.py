"""An event as the platform's code gets it, read from one MQTT message."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kanhu.uplink.identity import Identity, parse_identity

MAX_BYTES = 64 * 1024  # of one message; an event is about 1 KB at most before JSON
CLASSES = ("p1", "p2", "p3", "p4", "p5")
_PREFIX = "org.kanhu."
_NUMBER = re.compile(r"[0-9]{1,19}")


class NotAnEvent(ValueError):
    """The message is not one of Kanhu's CloudEvents; str() says why."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. type "org.kanhu.call.v1", event_class "p1".."p5", time None when unknown.

    redelivered: it was handed out before, and whether that was finished is not known."""

    identity: Identity
    type: str
    event_class: str
    data: dict[str, Any]
    time: datetime | None = None
    clock_status: str = "unknown"
    home: str | None = None
    region: str | None = None
    number: int | None = None
    redelivered: bool = False
    cloudevent: dict[str, Any] = field(default_factory=dict, repr=False)  # the whole message

    @property
    def source(self) -> str:
        """CloudEvents source; (source, id) is unique."""
        return self.identity.source

    @property
    def id(self) -> str:
        """CloudEvents id."""
        return self.identity.id

    @property
    def hub(self) -> str:
        """The hub the event is about, or the daemon's own id."""
        subject = self.data.get("subject")
        return subject if isinstance(subject, str) else self.identity.hub_id

    @property
    def name(self) -> str:
        """The type without prefix and version: "call", "motion.count"."""
        return self.type.removeprefix(_PREFIX).rpartition(".v")[0]

    @property
    def alarm(self) -> str | None:
        """Name of the alarm it belongs to, for accept and close."""
        alarm = self.data.get("alarm")
        return alarm if isinstance(alarm, str) else None


def _no_constant(name: str) -> Any:
    raise NotAnEvent(f"{name} is not JSON")


def _text(message: dict[str, Any], key: str) -> str | None:
    value = message.get(key)
    return value if isinstance(value, str) else None


def _time(message: dict[str, Any]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(message.get("time", ""))
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo is not None else None


def parse(payload: bytes, topic_class: str = "p5") -> Event:
    """Read one message; NotAnEvent for anything else. topic_class stands in for a missing kanhuclass."""
    if len(payload) > MAX_BYTES:
        raise NotAnEvent(f"{len(payload)} bytes")
    try:
        message = json.loads(payload.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise NotAnEvent(f"not JSON: {type(error).__name__}") from None
    if not isinstance(message, dict) or message.get("specversion") != "1.0":
        raise NotAnEvent("not a CloudEvent 1.0")
    identity = parse_identity(message.get("source"), message.get("id"))
    if identity is None:
        raise NotAnEvent("source or id are not Kanhu's")
    kind = _text(message, "type")
    if kind is None or not kind.startswith(_PREFIX) or len(kind) > 200:
        raise NotAnEvent("type is not Kanhu's")
    data = message.get("data")
    if not isinstance(data, dict):
        raise NotAnEvent("data is not an object")
    event_class = message.get("kanhuclass")
    number = _text(message, "kanhuseq")
    return Event(
        identity,
        kind,
        event_class if event_class in CLASSES else topic_class,
        data,
        _time(message),
        _text(message, "clockstatus") or "unknown",
        _text(message, "home"),
        _text(message, "region"),
        int(number) if number is not None and _NUMBER.fullmatch(number) else None,
        cloudevent=message,
    )
