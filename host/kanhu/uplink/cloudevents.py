"""An event as the city platform sees it: CloudEvents 1.0, structured JSON (contracts, section 9).

Pure. A field that cannot be read, or that its kind must have and has not, is left out and named in
data.unreadable; nothing here raises on what a hub sent."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

from kanhu_protocol import cbor, checks, names
from kanhu_protocol import kinds as k

ClockStatus = Literal["synced", "resolved", "unknown"]

CONTENT_TYPE = "application/cloudevents+json"
SAFE_INTEGER = 2**53 - 1  # the largest a JSON reader is sure to keep (RFC 8259 section 6)
MAX_U32 = 2**32 - 1  # boot and seq (contracts, section 2)
MOMENT_END = 253_402_300_800_000  # ms: the year 10000, which RFC 3339 cannot write

HUB_ID = "[0-9abcdefghjkmnpqrstvwxyz]{10}"  # Crockford base32, lower case
_SOURCE = re.compile(rf"/kanhu/(hubs|daemons)/({HUB_ID})")
_EVENT_ID = re.compile(r"(0|[1-9][0-9]{0,9})-(0|[1-9][0-9]{0,9})")
_ALARM = re.compile(rf"({HUB_ID})/([^/]*)")
_HUB_ID = re.compile(HUB_ID)

# An alarm is named by its first event, which is of one of these kinds (contracts, section 7).
ALARM_OPENERS = frozenset({k.CALL, k.FALL, k.SMOKE, k.GAS, k.CARBON_MONOXIDE})


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


class Row(Protocol):
    """What is needed of a journal row: its number, identity and decoded event map."""

    @property
    def n(self) -> int: ...
    @property
    def hub_id(self) -> str: ...
    @property
    def boot(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def daemon(self) -> bool: ...
    @property
    def event(self) -> Mapping[Any, Any]: ...


def is_hub_id(text: object) -> bool:
    """Whether text is a hub's (or daemon's) id."""
    return isinstance(text, str) and _HUB_ID.fullmatch(text) is not None


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


@lru_cache(maxsize=4096)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def rfc3339(moment: int) -> str:
    """UTC ms since 1970 as text with milliseconds; moment in 0..MOMENT_END - 1."""
    return f"{_to_the_second(moment // 1000)}.{moment % 1000:03d}Z"


# One reader per key: the value in plain units; ValueError, TypeError, IndexError, KeyError for another shape.


def _int(value: Any) -> int:
    if type(value) is not int or not -SAFE_INTEGER <= value <= SAFE_INTEGER:
        raise ValueError
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= SAFE_INTEGER:
        raise ValueError
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError
    return value


def _within(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError
        return value

    return read


def _named(table: Mapping[int, str]) -> Callable[[Any], str | int]:
    # A number without a name yet is relayed as it is.
    def read(value: Any) -> str | int:
        number = _count(value)
        return table.get(number, number)

    return read


def _counts(*labels: str) -> Callable[[Any], dict[str, int]]:
    # A later version may append to a list; its first items keep their meaning.
    def read(value: Any) -> dict[str, int]:
        if type(value) is not list:
            raise ValueError
        return {label: _count(value[index]) for index, label in enumerate(labels)}

    return read


def _flags(value: Any) -> list[str]:
    bits = _count(value)
    if bits >> 32:
        raise ValueError
    return [names.FLAGS.get(1 << bit, f"bit{bit}") for bit in range(bits.bit_length()) if bits >> bit & 1]


def _power(value: Any) -> dict[str, bool | int | None]:
    mains, percent = value[0], value[1]
    if not (mains is None or type(mains) is bool) or not (percent is None or 0 <= _count(percent) <= 100):
        raise ValueError
    return {"mains": mains, "battery_percent": percent}


def _previous(value: Any) -> str:
    boot, seq = value[0], value[1]
    if not 0 < _count(boot) <= MAX_U32 or _count(seq) > MAX_U32:
        raise ValueError
    return f"{boot}-{seq}"


def _lost(value: Any) -> list[list[int]]:
    if type(value) is not list:
        raise ValueError
    return [[_count(boot), _count(first), _count(last)] for boot, first, last in value]


def _values(value: Any) -> list[dict[str, Any]]:
    # value x 10^exponent, written without a binary fraction's noise: 366 x 10^-1 is 36.6.
    measured = []
    for code, mantissa, exponent in value:
        if not -128 <= _int(exponent) <= 127:
            raise ValueError
        number = float(f"{_int(mantissa)}e{exponent}")
        whole = number.is_integer() and abs(number) <= SAFE_INTEGER
        measured.append({"code": _count(code), "value": int(number) if whole else number})
    return measured


def _hub(value: Any) -> str:
    if not is_hub_id(value):
        raise ValueError
    return str(value)


_READERS: dict[int, tuple[str, Callable[[Any], Any]]] = {
    key: (names.KEYS[key], reader)
    for key, reader in {
        k.UP_MS: _count,
        k.UTC_MS: _count,
        k.CLOCK: _named(names.CLOCKS),
        k.DEVICE: _within(0, 255),
        k.FLAGS: _flags,
        k.BATTERY: _within(0, 100),
        k.RSSI: _within(-128, 127),
        k.COUNT: _count,
        k.ATTEMPT: _count,
        k.SPAN_MS: _count,
        k.VALUES: _values,
        k.PREVIOUS: _previous,
        k.RESET: _named(names.RESETS),
        k.HEAP: _counts("free", "largest_block"),
        k.LINK: _named(names.LINKS),
        k.OUTBOX: _counts("urgent", "bulk"),
        k.DROPS: _counts("p1", "p2", "p3", "p4", "p5"),
        k.RADIO: _counts("scan_percent", "advertisements"),
        k.FIRMWARE: _text,
        k.POWER: _power,
        k.VERSIONS: _counts("config", "devices"),
        k.DOWNLINK: _counts("epoch", "counter"),
        k.LOST: _lost,
        k.COMMAND: _count,
        k.STATE: _named(names.STATES),
        k.SUBJECT: _hub,
        k.OPERATOR: _text,
        k.REASON: _text,
        k.REFUSED: _counts("forged", "replayed", "malformed"),
    }.items()
}
_DETAIL_READERS = {kind: _named(table) for kind, table in names.DETAILS.items()}
_TYPES = {kind: (f"org.kanhu.{name}.v1", f"p{k.class_of(kind)}") for kind, name in names.KINDS.items()}


def _data(row: Row, kind: int, bad: Collection[int]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    event = row.event
    unreadable = [names.KEYS[key] for key in bad if key in names.KEYS and key != k.KIND]
    required = checks.REQUIRED.get(kind, ())
    unreadable += [names.KEYS[key] for key in required if key not in event and key not in bad]
    for key, value in event.items():
        if key == k.KIND or key in bad:
            continue
        try:
            if key in _READERS:
                name, reader = _READERS[key]
                data[name] = reader(value)
            elif key == k.DETAIL:
                name = "detail"
                data[name] = _DETAIL_READERS[kind](value) if kind in _DETAIL_READERS else _count(value)
            elif key == k.ALARM:
                name = "alarm"
                subject = event.get(k.SUBJECT)
                data[name] = f"{_hub(subject) if subject is not None else row.hub_id}/{_previous(value)}"
            elif type(key) is int:
                name = str(key)
                unknown[name] = cbor.dumps(value).hex()
        except (ValueError, TypeError, IndexError, KeyError):
            unreadable.append(name)
    if kind in ALARM_OPENERS and "alarm" not in data:
        data["alarm"] = f"{row.hub_id}/{row.boot}-{row.seq}"
    if unknown:
        data["unknown"] = unknown
    if unreadable:
        data["unreadable"] = unreadable
    return data


def to_cloudevent(
    row: Row,
    *,
    home: str | None,
    region: str | None,
    moment: int | None,
    clockstatus: ClockStatus,
    bad: Collection[int] = (),
) -> dict[str, Any]:
    """The CloudEvent of a journal row; moment is UTC in ms, bad any further keys to leave out. ValueError
    only when the event has no kind 1..255."""
    kind = row.event.get(k.KIND)
    if type(kind) is not int:
        raise ValueError("kind")
    named = _TYPES.get(kind)
    if named is None:
        named = (f"org.kanhu.unknown.{kind}.v1", f"p{k.class_of(kind)}")
    identity = Identity(row.hub_id, row.boot, row.seq, row.daemon)
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": identity.id,
        "source": identity.source,
        "type": named[0],
    }
    if moment is not None and clockstatus != "unknown" and 0 <= moment < MOMENT_END:
        event["time"] = rfc3339(moment)
        event["clockstatus"] = clockstatus
    else:
        event["clockstatus"] = "unknown"
    event["datacontenttype"] = "application/json"
    event["kanhuclass"] = named[1]
    # Text, because a CloudEvents integer has 32 bits; padded, so that it sorts as text too.
    event["kanhuseq"] = f"{row.n:016d}"
    if region is not None:
        event["region"] = region
    if home is not None:
        event["home"] = home
    event["data"] = _data(row, kind, bad)
    return event


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def to_json(
    row: Row,
    *,
    home: str | None,
    region: str | None,
    moment: int | None,
    clockstatus: ClockStatus,
    bad: Collection[int] = (),
) -> bytes:
    """As to_cloudevent, encoded: one message's payload."""
    event = to_cloudevent(row, home=home, region=region, moment=moment, clockstatus=clockstatus, bad=bad)
    return _encode(event).encode()
