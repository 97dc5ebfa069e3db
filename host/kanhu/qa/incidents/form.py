"""The form of an incident file, version 1: what a hub, its host and its people did in one span, no secrets.

All times `.._ms` that are no lengths are ms since `begin_utc_ms`; docs/flight-recorder.md explains all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kanhu.errors import KanhuError
from kanhu.registry import checks

FORMAT = 1
MAX_BYTES = 16 << 20  # of a file: replay reads it whole
MAX_EVENTS = 20_000
MAX_LINES = 20_000
MAX_SPAN_MS = 7 * 86_400_000  # virtual time costs real time too

Millis = Annotated[int, Field(ge=-MAX_SPAN_MS, le=60 * MAX_SPAN_MS)]
Count = Annotated[int, Field(ge=0, le=(1 << 53) - 1)]
Number = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
Device = Annotated[int, Field(ge=0, le=255)]
Kind = Annotated[int, Field(ge=1, le=255)]
Word = Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,40}$")]
Text = Annotated[str, Field(max_length=400)]
Version = Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,40}$")]
Address = Annotated[str, Field(pattern=r"^02(:[0-9a-f]{2}){5}$")]  # locally administered: nobody's
HubName = Annotated[str, Field(pattern=r"^[0-9a-hjkmnp-tv-z]{10}$")]
Name = tuple[Number, Number]  # boot, seq


class IncidentError(KanhuError):
    """An incident cannot be taken, read or replayed; one sentence that says what to do."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Event(_Strict):
    """One event of the hub, or of the daemon about it (its boot and seq are then the daemon's)."""

    boot: Number
    seq: Number
    kind: Kind
    name: Word  # of the kind, for people
    up_ms: Count
    at_ms: Millis  # when it happened, as well as that is known
    clock: Literal["synced", "resolved", "boot", "received"]  # how: own clock, an anchor, its boot's, none
    received_ms: Millis
    delivered_ms: Millis | None
    link: Word
    data: dict[Word, Any]  # the keys that tell nothing of persons, by name (kanhu_protocol.names.KEYS)

    @property
    def device(self) -> int:
        """0: the hub itself."""
        value = self.data.get("device", 0)
        return value if isinstance(value, int) else 0

    def number(self, key: str, default: int) -> int:
        """A whole number among the data."""
        value = self.data.get(key, default)
        return value if type(value) is int and 0 <= value < 1 << 53 else default


class Boot(_Strict):
    """A start of the hub that the span touches."""

    boot: Number
    started_ms: Millis | None  # when its up_ms was 0; None: nothing tells
    by: Literal["anchor", "receipt", "unknown"]
    in_span: bool  # its boot event is among the events
    reset: Annotated[int, Field(ge=0, le=255)] | None
    previous: Name | None
    firmware: Version | None


class Step(_Strict):
    """What happened to an alarm: opened, accepted, dispatched, on_scene, closed, reopened, ..."""

    at_ms: Millis
    what: Word
    by: Word | None  # op1, op2, ...: the same person is the same name within the file


class Alarm(_Strict):
    """An alarm that was live in the span."""

    boot: Number
    seq: Number
    kind: Kind
    device: Device
    opened_ms: Millis
    stored_ms: Millis | None
    delivered_ms: Millis | None
    accepted_ms: Millis | None
    closed_ms: Millis | None
    steps: Annotated[list[Step], Field(max_length=1000)]


class Loss(_Strict):
    """Seqs of one boot that no host has. reason: names.DETAILS of events.lost; 0: nobody has said why."""

    boot: Number
    first: Number
    last: Number
    reason: Annotated[int, Field(ge=0, le=255)]


class Command(_Strict):
    """What the host asked of the hub; its content stays at the host."""

    type: Annotated[int, Field(ge=0, le=255)]
    state: Word
    created_ms: Millis
    confirmed_ms: Millis | None


class Sensor(_Strict):
    """An entry of the device table; its address is a stand-in, its key stays in the registry."""

    device: Annotated[int, Field(ge=1, le=255)]
    role: Word
    address: Address
    supervision_s: Annotated[int, Field(ge=0, le=30 * 86_400)]
    encrypted: bool


class Line(_Strict):
    """A line of the hub's console; boot and time where they are known."""

    boot: Number | None
    at_ms: Millis | None
    text: Text


class Press(_Strict):
    """A press that somebody has told of; the record may know nothing of it."""

    at_ms: Millis
    device: Annotated[int, Field(ge=1, le=255)]


class Firmware(_Strict):
    """What the hub ran; tree: digest of the compiled program, None: not known."""

    version: Version
    slot: tuple[int, int] | None
    tree: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    tree_from: Literal["archive", "installed"] | None


class Bad(_Strict):
    """Something that must not be: what kind, of which device, when, in words."""

    what: Word
    device: Device
    at_ms: Millis
    text: Text


class Kept(_Strict):
    """How an adopted incident is tested."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
    expect: Literal["reproduced", "fixed"]
    bad: Annotated[list[Bad], Field(max_length=1000)]  # as the record shows it, when it was adopted


class Incident(_Strict):
    """One incident; the root of the file."""

    kanhu_incident: Literal[1]
    hub: HubName  # a stand-in, the same for the same hub
    begin_utc_ms: Annotated[int, Field(ge=1_577_836_800_000, le=4_102_444_800_000)]
    length_ms: Annotated[int, Field(gt=0, le=2 * MAX_SPAN_MS)]
    schema_version: Annotated[int, Field(ge=1, le=1000)]  # of the journal it was taken from
    firmware: Firmware
    settings: dict[Word, Any]
    config_version: Number
    table: Annotated[list[Sensor], Field(max_length=28)]
    boots: Annotated[list[Boot], Field(max_length=5000)]
    events: Annotated[list[Event], Field(max_length=MAX_EVENTS)]
    host_events: Annotated[list[Event], Field(max_length=MAX_EVENTS)]
    host_starts_ms: Annotated[list[Millis], Field(max_length=5000)]
    alarms: Annotated[list[Alarm], Field(max_length=5000)]
    losses: Annotated[list[Loss], Field(max_length=5000)]
    refused: dict[Word, Count]  # authentic events that were not stored, by reason
    commands: Annotated[list[Command], Field(max_length=5000)]
    log: Annotated[list[Line], Field(max_length=MAX_LINES)]
    pressed: Annotated[list[Press], Field(max_length=1000)]
    left_out: dict[Text, Count]  # what was in the record and is not here, by why
    notes: Annotated[list[Text], Field(max_length=200)]
    kept: Kept | None = None

    @model_validator(mode="after")
    def _whole(self) -> Incident:
        try:
            checks.settings(self.settings)
        except checks.RegistryError as error:
            raise ValueError(str(error)) from None
        numbers = [(one.boot, one.seq) for one in self.events]
        if len(set(numbers)) != len(numbers):
            raise ValueError("an identity stands twice")
        if {boot for boot, _ in numbers} - {one.boot for one in self.boots}:
            raise ValueError("an event is of a boot that is not listed")
        return self


def dumps(incident: Incident) -> str:
    """The file's text: same incident, same bytes; IncidentError when it is too large."""
    text = json.dumps(incident.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    if len(text.encode()) > MAX_BYTES:
        raise IncidentError(f"the incident is larger than {MAX_BYTES >> 20} MB: take a shorter span")
    return text


def loads(data: bytes, where: str = "the incident") -> Incident:
    """The incident in a file's bytes; IncidentError names the field that is wrong."""
    if len(data) > MAX_BYTES:
        raise IncidentError(f"{where} is larger than {MAX_BYTES >> 20} MB: take it again with a shorter span")
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        raise IncidentError(f"{where} is no JSON: copy it again") from None
    version = plain.get("kanhu_incident") if isinstance(plain, dict) else None
    if type(version) is not int:
        raise IncidentError(f"{where} is no incident: make one with kanhu qa incident extract")
    if version != FORMAT:
        raise IncidentError(f"{where} is of format {version}, this kanhu knows {FORMAT}: install a newer one")
    try:
        return Incident.model_validate_json(data)
    except (ValidationError, RecursionError) as error:
        raise IncidentError(f"{where}: {first_error(error)}") from None


def load(path: Path) -> Incident:
    """The incident in a file; IncidentError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise IncidentError(f"{path} is larger than {MAX_BYTES >> 20} MB: take a shorter span")
        return loads(path.read_bytes(), str(path))
    except OSError as error:
        raise IncidentError(f"{path}: {error.strerror}") from None


def first_error(error: ValidationError | RecursionError) -> str:
    """Where a form is wrong first, in words."""
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "all of it"
    return f"{where[:80]}: {first['msg'].removeprefix('Value error, ')}; take it again, or mend that field"
