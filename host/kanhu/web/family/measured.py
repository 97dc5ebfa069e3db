"""What health monitors of a home have said, from the journal: readings, measurements without one, faults.

Pure reading over connections of its own, to be run in a thread. Numbers are in the quantity's own unit
(names.QUANTITIES), moments in UTC ms."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import cbor2

from kanhu.care.rules import vitals
from kanhu.journal.plain import believed
from kanhu.journal.times import AHEAD_MS, EARLIEST_MS, Anchor, resolve
from kanhu_protocol import kinds as k
from kanhu_protocol import names
from kanhu_protocol.checks import VALID

DAY_MS = 86_400_000
LATE_MS = 7 * DAY_MS  # ours: a hub's memory holds no more; a monitor's own may come later, and says when
NOBODY = 255  # USER: nobody the monitor knows (Blood Pressure Profile)
MAX_ROWS = 3000  # looked at for the newest reading of a quantity
OUT_OF_BOUNDS = 5  # names.SPECIALS
CLOCK_NOT_SET = next(bit for bit, name in names.MEASUREMENT_STATUS.items() if name == "clock_not_set")

Clock = Literal["hub", "received", "corrected", "monitor", "unknown"]

_KINDS = (k.VITALS, k.VITALS_INVALID, k.MONITOR_FAULT, k.MONITOR_OK)
# The words after `kind NOT IN` are those of the index events_kinds (journal/schema.py).
_ROWS = (
    "SELECT hub, boot, seq, kind, plain, received_ms FROM events "
    "WHERE hub=? AND kind=? AND kind NOT IN (192,193,194,195) AND received_ms>=?"
)
_HAS_CLOCK = "instr(plain, x'182b') > 0"  # the key MEASURED_S, as CBOR
_PLAIN = {k.KIND, k.UP_MS, k.UTC_MS, k.CLOCK, k.DEVICE, k.VALUES}  # looked at where they are used


class Value(NamedTuple):
    """One number: code that limits are set for, the number, and the decimal places that were said."""

    code: int
    number: float
    places: int


class Measurement(NamedTuple):
    """One measurement; at_ms None: when it was taken is not known. values empty: there is no reading."""

    hub: str
    boot: int
    seq: int
    kind: int
    device: int
    at_ms: int | None
    clock: Clock  # how at_ms is known: received (when it came to the host), corrected or monitor (its clock)
    received_ms: int
    values: tuple[Value, ...]
    invalid: tuple[tuple[int, ...], ...]  # (code, names.SPECIALS)
    status: int
    user: int | None
    flags: int
    detail: int  # of a fault
    measured_s: int | None

    @property
    def relied_on(self) -> bool:
        """Whether its numbers may be compared and drawn: the monitor stands by them."""
        return not (self.status & vitals.DOUBTFUL or self.flags & k.UNVERIFIED)

    def value(self, *codes: int) -> Value | None:
        """The first number of one of these quantities."""
        for one in self.values:
            if one.code in codes:
                return one
        return None


def between(
    path: Path, hubs: Sequence[str], from_ms: int, until_ms: int, zone: ZoneInfo, codes: Collection[int]
) -> list[Measurement]:
    """Measurements of these quantities taken in from_ms..until_ms, oldest first; those of an unknown moment
    by when they came, at the end. A stored record that came twice stands once. sqlite3.Error."""
    sql = f"{_ROWS} AND (received_ms<? OR {_HAS_CLOCK}) AND {_of(codes)} ORDER BY received_ms"
    found: list[Measurement] = []
    wanted = set(codes)
    with closing(_open(path)) as db:
        for hub in hubs:
            anchors = _Anchors(db, hub)
            rows = db.execute(sql, (hub, k.VITALS, from_ms - AHEAD_MS, until_ms + LATE_MS))
            found += [
                one
                for one in _read(rows, anchors, zone)
                if from_ms <= (one.received_ms if one.at_ms is None else one.at_ms) < until_ms
                and not wanted.isdisjoint([value[0] for value in one.values])
            ]
    found.sort(key=lambda one: (one.at_ms is None, one.at_ms or one.received_ms))
    return _once(found)


def newest(
    path: Path, hubs: Sequence[str], zone: ZoneInfo, codes: Collection[int],
    whose: Callable[[Measurement], str | None] = lambda one: "", people: Collection[str] = (),
) -> list[Measurement]:  # fmt: skip
    """The latest measurements of these quantities, the latest first: of each hub so many that the newest of
    each of these people (or of anybody) is among them, or MAX_ROWS."""
    sql = f"{_ROWS} AND {_of(codes)} ORDER BY received_ms DESC LIMIT {MAX_ROWS}"
    found: list[Measurement] = []
    with closing(_open(path)) as db:
        for hub in hubs:
            seen: dict[str | None, int] = {}
            for one in _read(db.execute(sql, (hub, k.VITALS, 0)), _Anchors(db, hub), zone):
                wanted = people or seen
                if wanted and all(one.received_ms + AHEAD_MS < seen.get(who, 0) for who in wanted):
                    break  # nothing that came before can be newer
                if one.value(*codes) is None:
                    continue
                found.append(one)
                if one.at_ms is not None:
                    who = whose(one)
                    seen[who] = max(one.at_ms, seen.get(who, 0))
    found.sort(key=lambda one: (one.at_ms is not None, one.at_ms or one.received_ms), reverse=True)
    return _once(found)


def failures(path: Path, hubs: Sequence[str], since_ms: int, zone: ZoneInfo) -> list[Measurement]:
    """Measurements without a reading, monitors' faults and their ends since then, newest first."""
    found: list[Measurement] = []
    with closing(_open(path)) as db:
        for hub in hubs:
            anchors = _Anchors(db, hub)
            for kind in (k.VITALS_INVALID, k.MONITOR_FAULT, k.MONITOR_OK):
                found += _read(db.execute(_ROWS, (hub, kind, since_ms)), anchors, zone)
    return sorted(found, key=_when, reverse=True)


def of_device(
    path: Path, hub: str, device: int, since_ms: int, zone: ZoneInfo, limit: int = MAX_ROWS
) -> list[Measurement]:
    """Readings of one device that came since then, the latest first."""
    with closing(_open(path)) as db:
        sql = f"{_ROWS} AND {_by(device)} ORDER BY received_ms DESC LIMIT {limit}"
        rows = db.execute(sql, (hub, k.VITALS, since_ms))
        return [one for one in _read(rows, _Anchors(db, hub), zone) if one.device == device and one.values]


def find(path: Path, hub: str, boot: int, seq: int, zone: ZoneInfo) -> Measurement | None:
    """One measurement with a reading."""
    sql = "SELECT hub, boot, seq, kind, plain, received_ms FROM events WHERE hub=? AND boot=? AND seq=?"
    with closing(_open(path)) as db:
        found = list(_read(db.execute(sql, (hub, boot, seq)), _Anchors(db, hub), zone))
    return found[0] if found and found[0].values else None


def _when(one: Measurement) -> int:
    return one.received_ms if one.at_ms is None else one.at_ms


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)


def _of(codes: Collection[int]) -> str:
    """SQL: the bytes of a quantity's code, or of one that is compared as it is, stand in the event."""
    alike = [code for code in names.QUANTITIES if vitals.comparable(code, 0, 0)[0] in codes]  # type: ignore[index]
    wanted = sorted({*codes, *alike})
    return "(" + " OR ".join(f"instr(plain, x'1a{code:08x}') > 0" for code in wanted) + ")"


def _by(device: int) -> str:
    """SQL: the bytes of a device's index stand in the event, under its key."""
    return f"instr(plain, x'{'04' if device < 24 else '0418'}{device:02x}') > 0"


class _Anchors:
    """A hub's time anchors, read when an event without a time of its own asks for them."""

    def __init__(self, db: sqlite3.Connection, hub: str) -> None:
        self._db, self._hub = db, hub
        self._known: dict[int, list[Anchor]] = {}

    def of(self, boot: int) -> list[Anchor]:
        if boot not in self._known:
            rows = self._db.execute(
                "SELECT up_ms, utc_ms, source FROM anchors WHERE hub=? AND boot=? ORDER BY up_ms",
                (self._hub, boot),
            )
            self._known[boot] = [Anchor(*row) for row in rows]
        return self._known[boot]


def _read(rows: Iterator[Any], anchors: _Anchors, zone: ZoneInfo) -> Iterator[Measurement]:
    for hub, boot, seq, kind, plain, received_ms in rows:
        if kind not in _KINDS:
            continue
        # What is on disk has been through the protocol's own, strict and slower, reader (kanhu.intake).
        try:
            fields: dict[int, Any] = cbor2.loads(plain)
        except cbor2.CBORDecodeError:  # where the two should ever disagree
            fields = believed(plain)
        get = fields.get
        utc_ms: Any = get(k.UTC_MS)
        if fields.keys() != _PLAIN:
            for key in fields.keys() - _PLAIN:
                if key in VALID and not VALID[key](fields[key]):
                    del fields[key]
        flags = get(k.FLAGS, 0)
        if flags & k.TEST:
            continue  # of no person
        clock: Clock = "hub"
        at_ms: int | None = utc_ms
        # Nearly always so; what is to be thought of all else, resolve() knows.
        if type(utc_ms) is not int or not EARLIEST_MS <= utc_ms <= received_ms or k.CLOCK not in fields:
            at_ms, clock = _got(fields, received_ms, anchors, boot)
        if flags & k.HISTORICAL:
            at_ms, clock = _remembered(fields, at_ms or received_ms, zone)
        try:
            values, refused = _values(*map(tuple, get(k.VALUES, ())))
        except TypeError:  # no list of lists
            values, refused = (), ()
        if k.INVALID in fields:
            refused += tuple(map(tuple, fields[k.INVALID]))
        user, device = get(k.USER), get(k.DEVICE, 0)
        if type(device) is not int or not 0 < device <= 255:
            device = 0
        yield Measurement(
            hub, boot, seq, kind, device, at_ms, clock, received_ms, values,
            refused, get(k.STATUS, 0), None if user == NOBODY else user, flags, get(k.DETAIL, 0),
            get(k.MEASURED_S),
        )  # fmt: skip


def _got(fields: dict[int, Any], received_ms: int, anchors: _Anchors, boot: int) -> tuple[int, Clock]:
    """When the hub got it."""
    well = all(key in fields and VALID[key](fields[key]) for key in (k.UTC_MS, k.CLOCK))
    known = fields if well else {key: fields[key] for key in fields.keys() - {k.UTC_MS, k.CLOCK}}
    moment, _ = resolve(known, received_ms, [])
    if moment is None:
        moment, _ = resolve(known, received_ms, anchors.of(boot))
    return (received_ms, "received") if moment is None else (moment, "hub")


def _remembered(fields: dict[int, Any], got_ms: int, zone: ZoneInfo) -> tuple[int | None, Clock]:
    """When a record from a monitor's memory was taken: by its clock, which may be wrong, less how wrong it
    was when the hub looked at it."""
    measured_s, offset_s = fields.get(k.MEASURED_S), fields.get(k.CLOCK_OFFSET_S)
    if measured_s is None or fields.get(k.STATUS, 0) & CLOCK_NOT_SET:
        return None, "unknown"
    try:
        wall = datetime.fromtimestamp(0, UTC) + timedelta(seconds=measured_s - (offset_s or 0))
        at_ms = round(wall.replace(tzinfo=zone).timestamp() * 1000)
    except (OverflowError, ValueError):
        return None, "unknown"
    if not EARLIEST_MS <= at_ms <= got_ms + AHEAD_MS:
        return None, "unknown"
    return at_ms, "monitor" if offset_s is None else "corrected"


@lru_cache(maxsize=4096)
def _values(*items: tuple[int, ...]) -> tuple[tuple[Value, ...], tuple[tuple[int, ...], ...]]:
    """VALUES in the quantities' own units, and what of them can be of no living person."""
    if not items or not VALID[k.VALUES](list(map(list, items))):
        return (), ()
    found, refused = [], []
    for item in items:
        known = vitals.comparable(*item)
        if known is None:
            continue
        code, number = known
        quantity = vitals.QUANTITIES.get(code)
        if not math.isfinite(number) or (quantity and not quantity.least <= number <= quantity.most):
            refused.append((code, OUT_OF_BOUNDS))
        else:
            own = len(item) == 3 or names.UNITS.get(item[3]) == _own_unit(item[0])
            found.append(Value(code, number, max(0, -item[2]) if own else 1))
    return tuple(found), tuple(refused)


def _own_unit(code: int) -> str:
    return names.UNITS[names.QUANTITIES[code][1]] if code in names.QUANTITIES else ""


def _once(found: list[Measurement]) -> list[Measurement]:
    """Without the second copy of a record: a meter that cannot be asked for new ones gives all each time."""
    seen = set()
    kept = []
    for one in found:
        if one.measured_s is not None:
            key = one.hub, one.device, one.user, one.measured_s, one.values
            if key in seen:
                continue
            seen.add(key)
        kept.append(one)
    return kept
