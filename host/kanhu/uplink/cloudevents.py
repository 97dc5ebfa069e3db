"""An event as the city platform sees it: CloudEvents 1.0, structured JSON (contracts, section 9).

Pure. A field that cannot be read, or that its kind must have and has not, is left out and named in
data.unreadable; nothing here raises on what a hub sent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Literal, Protocol, cast

from kanhu.uplink.identity import MAX_U32
from kanhu_protocol import cbor, checks, names
from kanhu_protocol import kinds as k

ClockStatus = Literal["synced", "resolved", "unknown"]

CONTENT_TYPE = "application/cloudevents+json"
SAFE_INTEGER = 2**53 - 1  # the largest a JSON reader is sure to keep (RFC 8259 section 6)
MAX_REASON = 200  # characters of a person's reason for closing
MOMENT_END = 253_402_300_800_000  # ms: the year 10000, which RFC 3339 cannot write

# An alarm is named by its first event, which is of one of these kinds (contracts, section 7).
ALARM_OPENERS = frozenset({k.CALL, k.FALL, k.SMOKE, k.GAS, k.CARBON_MONOXIDE})
# And by what a rule of the host finds; a hub's own pre-alarm is a suspected fall's (contracts, section 10).
_WELFARE_OPENERS = frozenset(
    {
        k.PRE_ALARM, k.INACTIVITY, k.VITALS_OUT_OF_RANGE, k.WANDERING,
        k.NO_RETURN, k.DOOR_LEFT_OPEN, k.MISSED_VISIT, k.OVERSTAY,
    }
)  # fmt: skip


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


@lru_cache(maxsize=4096)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def rfc3339(moment: int) -> str:
    """UTC ms since 1970 as text with milliseconds; moment in 0..MOMENT_END - 1."""
    return f"{_to_the_second(moment // 1000)}.{moment % 1000:03d}Z"


# One reader per key: the value in plain units, ValueError when it is not what events.cddl says.


def _int(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError
        return value

    return read


def _named(table: Mapping[int, str], low: int = 0, high: int = 255) -> Callable[[Any], str | int]:
    def read(value: Any) -> str | int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError
        return table.get(value, value)

    return read


def _items(value: Any, count: int) -> list[Any]:
    if type(value) is not list or len(value) != count:
        raise ValueError
    return value


def _u32s(*labels: str) -> Callable[[Any], dict[str, int]]:
    def read(value: Any) -> dict[str, int]:
        for item in _items(value, len(labels)):
            if type(item) is not int or not 0 <= item <= MAX_U32:
                raise ValueError
        return dict(zip(labels, value, strict=True))

    return read


def _text(max_bytes: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if type(value) is not str or not 0 < len(value.encode()) <= max_bytes:
            raise ValueError
        return value

    return read


def _flags(value: Any) -> list[str]:
    if type(value) is not int or not 0 < value <= 0xFFFF:
        raise ValueError
    return [names.FLAGS.get(1 << bit, f"bit{bit}") for bit in range(16) if value >> bit & 1]


def _name(value: Any) -> str:
    boot, seq = _items(value, 2)
    return f"{_boot(boot)}-{_u32(seq)}"


def _radio(value: Any) -> dict[str, int]:
    duty, heard = _items(value, 2)
    return {"scan_percent": _percent(duty), "advertisements": _u32(heard)}


def _power(value: Any) -> dict[str, bool | int | None]:
    mains, percent = _items(value, 2)
    if mains is not None and type(mains) is not bool:
        raise ValueError
    return {"mains": mains, "battery_percent": None if percent is None else _percent(percent)}


def _lost(value: Any) -> list[list[int]]:
    if type(value) is not list or not 0 < len(value) <= checks.MAX_LIST:
        raise ValueError
    for span in value:
        boot, first, last = _items(span, 3)
        if not _boot(boot) or not _u32(first) <= _u32(last):
            raise ValueError
    return value


def _values(value: Any) -> list[dict[str, Any]]:
    if type(value) is not list or not 0 < len(value) <= checks.MAX_LIST:
        raise ValueError
    measured = []
    for reading in value:
        if type(reading) is not list or not 3 <= len(reading) <= 4:
            raise ValueError
        code, mantissa, exponent, *unit = reading
        # Through decimal text, so that 366 x 10^-1 is 36.6 and not 36.6 with a binary fraction's noise.
        number = float(f"{_i32(mantissa)}e{_exponent(exponent)}")
        whole = number.is_integer() and abs(number) <= SAFE_INTEGER
        one = _quantity(code) | {"value": int(number) if whole else number}
        if unit:
            one["unit"] = _unit(unit[0])
        elif code in names.QUANTITIES:
            one["unit"] = names.UNITS[names.QUANTITIES[code][1]]
        measured.append(one)
    return measured


def _quantity(code: Any) -> dict[str, Any]:
    known = names.QUANTITIES.get(_boot(code))
    return {"code": code} if known is None else {"code": code, "name": known[0]}


def _invalid(value: Any) -> list[dict[str, Any]]:
    if type(value) is not list or not 0 < len(value) <= checks.MAX_LIST:
        raise ValueError
    pairs = [_items(one, 2) for one in value]
    return [_quantity(code) | {"special": _special(special)} for code, special in pairs]


def _status(value: Any) -> list[str]:
    if type(value) is not int or not 0 < value <= MAX_U32:
        raise ValueError
    bits = [bit for bit in range(32) if value >> bit & 1]
    return [names.MEASUREMENT_STATUS.get(1 << bit, f"bit{bit}") for bit in bits]


def _local(value: Any) -> str:
    # The wall time of the monitor: without an offset, because nobody knows which it has.
    return _to_the_second(_int(0, MOMENT_END // 1000 - 1)(value))


def _address(value: Any) -> str:
    if type(value) is not bytes or len(value) not in (1, 6):
        raise ValueError
    return value.hex(":")


def _moment(value: Any) -> str:
    return rfc3339(_int(0, MOMENT_END - 1)(value))


def _explanation(value: Any) -> dict[str, str]:
    english, chinese = _items(value, 2)
    return {"en": _words(english), "zh": _words(chinese)}


def _hub(value: Any) -> str:
    if not checks.is_id(value):
        raise ValueError
    return str(value)


def _advertised(value: Any) -> str:
    if type(value) is not bytes or not 0 < len(value) <= 31:
        raise ValueError
    return value.hex()


def _slots(value: Any) -> dict[str, str]:
    running, permanent = _items(value, 2)
    return {"running": _slot(running), "permanent": _slot(permanent)}


def _levels(value: Any) -> dict[str, int]:
    weakest, median, strongest = (_exponent(one) for one in _items(value, 3))
    return {"weakest": weakest, "median": median, "strongest": strongest}


def _record(value: Any) -> str:
    if not checks.VALID[k.RECORD](value):
        raise ValueError
    return str(value)


def _slot(value: Any) -> str:
    return names.SLOTS[_int(1, 3)(value)]


_u32 = _int(0, MAX_U32)
_boot = _int(1, MAX_U32)
_percent = _int(0, 100)
_i32 = _int(-0x80000000, 0x7FFFFFFF)
_exponent = _int(-128, 127)
_exact = _int(0, SAFE_INTEGER)
_words = _text(checks.MAX_WORDS)
_unit = _named(names.UNITS, 1)
_special = _named(names.SPECIALS, 1)

_READERS: dict[int, tuple[str, Callable[[Any], Any]]] = {
    key: (names.KEYS[key], reader)
    for key, reader in {
        k.UP_MS: _exact,
        k.UTC_MS: _int(0, MOMENT_END - 1),
        k.CLOCK: _named(names.CLOCKS, 1),
        k.DEVICE: _int(1, 255),
        k.FLAGS: _flags,
        k.BATTERY: _percent,
        k.RSSI: _int(-128, 127),
        k.ALARM: _name,
        k.COUNT: _int(2, MAX_U32),
        k.ATTEMPT: _boot,
        k.SPAN_MS: _exact,
        k.VALUES: _values,
        k.DETAIL: _int(0, 0xFFFF),
        k.PREVIOUS: _name,
        k.RESET: _named(names.RESETS),
        k.HEAP: _u32s("free", "largest_block"),
        k.LINK: _named(names.LINKS),
        k.OUTBOX: _u32s("urgent", "bulk"),
        k.DROPS: _u32s("p1", "p2", "p3", "p4", "p5"),
        k.RADIO: _radio,
        k.FIRMWARE: _text(checks.MAX_TEXT),
        k.POWER: _power,
        k.VERSIONS: _u32s("config", "devices"),
        k.DOWNLINK: _u32s("epoch", "counter"),
        k.LOST: _lost,
        k.COMMAND: _boot,
        k.STATE: _named(names.STATES, 1),
        k.SUBJECT: _hub,
        k.OPERATOR: _text(64),
        k.REASON: _text(MAX_REASON * 4),
        k.REFUSED: _u32s("forged", "replayed", "malformed"),
        k.FAULTS: _u32s("task_crashes", "radio_overflows", "damaged_files"),
        k.RULE: _text(checks.MAX_TEXT),
        k.EXPLANATION: _explanation,
        k.LEVEL: _named(names.LEVELS, 1, 4),
        k.DUE_MS: _moment,
        k.MODE: _named(names.MODES, 1),
        k.MEMBERS: _boot,
        k.NEED: _text(checks.MAX_TEXT),
        k.INCIDENT: _text(checks.MAX_TEXT),
        k.STATUS: _status,
        k.USER: _int(0, 255),
        k.MEASURED_S: _local,
        k.CLOCK_OFFSET_S: _int(1 - MOMENT_END // 1000, MOMENT_END // 1000 - 1),
        k.INVALID: _invalid,
        k.ADDRESS: _address,
        k.ROLE: _named(names.ROLES, 1),
        k.NAME: _text(checks.MAX_TEXT),
        k.ADVERTISED: _advertised,
        k.OFFSET: _u32,
        k.SIZE: _boot,
        k.SLOT: _slots,
        k.INTERVAL_MS: _boot,
        k.LEVELS_DBM: _levels,
        k.RECORD: _record,
        k.VERDICT: _named(names.VERDICTS, 1),
    }.items()
}
# What radios nearby call themselves stays on the host: they may be a neighbour's.
AT_HOME = frozenset(names.KEYS[key] for key in (k.ADDRESS, k.NAME, k.ADVERTISED))
_TYPES = {kind: f"org.kanhu.{name}.v1" for kind, name in names.KINDS.items()}


def _data(row: Row, kind: int, bad: Collection[int]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    unreadable = []
    event = row.event
    for key, value in event.items():
        if key in _READERS:
            name, reader = _READERS[key]
            if key in bad:
                unreadable.append(name)
                continue
            try:
                read = reader(value)
            except ValueError:
                unreadable.append(name)
            else:
                if name not in AT_HOME:
                    data[name] = read
        elif type(key) is int and key != k.KIND:
            unknown[str(key)] = cbor.dumps(value).hex()
    if ("utc_ms" in data) != ("clock" in data):
        # The time is worth nothing without its source, and the other way round.
        unreadable.append("utc_ms" if data.pop("utc_ms", None) is not None else "clock")
        data.pop("clock", None)
    if "detail" in data:
        data["detail"] = names.DETAILS.get(kind, {}).get(data["detail"], data["detail"])
    if "alarm" in data:
        data["alarm"] = f"{data.get('subject', row.hub_id)}/{data['alarm']}"
    elif kind in ALARM_OPENERS or (kind == k.PRE_ALARM and not row.daemon):
        data["alarm"] = f"{row.hub_id}/{row.boot}-{row.seq}"
    elif kind in _WELFARE_OPENERS and row.daemon and "subject" in data:
        data["alarm"] = f"{data['subject']}/{row.boot}-{row.seq}"
    if kind in checks.REQUIRED:
        unreadable += [names.KEYS[key] for key in checks.REQUIRED[kind] if key not in event]
    if unknown:
        data["unknown"] = unknown
    if unreadable:
        data["unreadable"] = unreadable
    return data


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@lru_cache(maxsize=65536)
def _place(home: str | None, region: str | None) -> str:
    region_text = "" if region is None else f',"region":{_encode(region)}'
    return region_text + ("" if home is None else f',"home":{_encode(home)}')


def to_json(
    row: Row,
    *,
    home: str | None,
    region: str | None,
    moment: int | None,
    clockstatus: ClockStatus,
    bad: Collection[int] = (),
) -> bytes:
    """The message of a journal row: CloudEvents JSON in UTF-8. moment is UTC in ms; bad are keys to leave out
    beside those that are not what events.cddl says. ValueError only when the event has no kind 1..255."""
    kind = row.event.get(k.KIND)
    if type(kind) is not int:
        raise ValueError("kind")
    cls = k.class_of(kind)
    if moment is not None and clockstatus != "unknown" and 0 <= moment < MOMENT_END:
        when = f'"time":"{rfc3339(moment)}","clockstatus":"{clockstatus}"'
    else:
        when = '"clockstatus":"unknown"'
    # kanhuseq is text because a CloudEvents integer has 32 bits, and padded so that it sorts as text too.
    return (
        f'{{"specversion":"1.0","id":"{row.boot}-{row.seq}",'
        f'"source":"/kanhu/{"daemons" if row.daemon else "hubs"}/{row.hub_id}",'
        f'"type":"{_TYPES.get(kind) or f"org.kanhu.unknown.{kind}.v1"}",{when},'
        f'"datacontenttype":"application/json","kanhuclass":"p{cls}","kanhuseq":"{row.n:016d}"'
        f'{_place(home, region)},"data":{_encode(_data(row, kind, bad))}}}'
    ).encode()


def to_cloudevent(
    row: Row, *, home: str | None, region: str | None, moment: int | None, clockstatus: ClockStatus
) -> dict[str, Any]:
    """As to_json, as a value."""
    message = to_json(row, home=home, region=region, moment=moment, clockstatus=clockstatus)
    return cast("dict[str, Any]", json.loads(message))
