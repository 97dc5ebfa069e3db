"""How each sensor of a home is: when it was last heard, its battery and signal, and what is wrong with it.

Read from the journal each time it is asked, in a thread, newest first and bounded; nothing is kept here."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kanhu.care.rules.coverage import MISSED_MS
from kanhu.care.rules.past import HUB_LIMIT_MS, Device, Past
from kanhu.care.rules.values import Words
from kanhu.journal import Event, Journal
from kanhu.journal.plain import believed
from kanhu.registry import Registry, Sensor
from kanhu.registry.sensors import MONITORS
from kanhu.web.person import ago_words
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from . import words_sensors as words

State = Literal["well", "attention", "cannot_tell"]
STATES: tuple[State, ...] = ("attention", "cannot_tell", "well")  # who needs a person stands first
DAY_MS = 86_400_000
RECENT = 3000  # newest rows of a hub that are looked at: of an ordinary home three days or more
OF_A_KIND = 100  # and of each kind that is seldom, so many more, however long ago
CALL = "call"
# EN 50134-2: a radio trigger lets itself be heard once a day at least.
UNHEARD_MS = DAY_MS
# Ours: monitors are used when somebody measures. Beyond a week nobody knows whether they still would.
UNUSED_MS = 7 * DAY_MS
# Ours, as telecare asks of its users: one test press a month, where nothing else watches the wire.
UNTESTED_MS = 31 * DAY_MS
UNMOVED_MS = 7 * DAY_MS  # as long as rules rely on a wired movement sensor that says nothing (proven_hours)
LOW_PERCENT = 15  # as the hub's own battery.low (its sensor.py)
SLACK_MS = 15_000  # a hub's clock is behind ours by so much at most, as in kanhu.pairing

# What shows that a sensor lives. Neither what the hub says of one it does not hear, nor "still", which it
# says of one that may be dead, nor "call not answered yet", which it says by itself.
SELDOM = (
    k.CALL, k.FALL, k.SMOKE, k.GAS, k.CARBON_MONOXIDE, k.WATER_LEAK, k.BATTERY_LOW, k.BATTERY_OK,
    k.SENSOR_BACK, k.TAMPER, k.TAMPER_RESTORED, k.TEST_PRESS, k.CHECK_IN, k.CHECK_OUT, k.SERVICE_REQUEST,
    k.SMOKE_CLEAR, k.GAS_CLEAR, k.CARBON_MONOXIDE_CLEAR, k.WATER_LEAK_CLEAR, k.DOOR_OPEN, k.DOOR_CLOSED,
    k.WINDOW_OPEN, k.WINDOW_CLOSED, k.SENSOR_HEARD, k.VITALS, k.VITALS_INVALID, k.MONITOR_FAULT, k.BOOT,
)  # fmt: skip
SIGNS = frozenset(SELDOM) - {k.MONITOR_FAULT, k.BOOT} | {k.MOTION, k.MOTION_COUNT}
WEAK = frozenset((k.BATTERY_LOW, k.SENSOR_UNPROVEN))  # it works, as far as anybody knows

_TOLD = {"silent": k.SENSOR_SILENT, "stuck": k.CONTACT_STUCK, "line": k.LINE_FAULT, "tamper": k.TAMPER}
_COLUMNS = "n, hub, boot, seq, class, kind, sealed IS NOT NULL, plain, received_ms, link, delivered_ms"
_RECENT = f"SELECT {_COLUMNS} FROM events WHERE hub=? ORDER BY boot DESC, seq DESC LIMIT ?"  # noqa: S608  # fixed names
_KIND = (
    f"SELECT {_COLUMNS} FROM events WHERE hub=? AND kind=? AND kind NOT IN (192,193,194,195) "  # noqa: S608  # fixed names
    "ORDER BY received_ms DESC LIMIT ?"
)
_FAULTS = "SELECT device, kind, opened_ms FROM faults WHERE hub=? AND closed_ms IS NULL ORDER BY opened_ms"
_EXPIRED = "SELECT 1 FROM expired WHERE hub=? LIMIT 1"


@dataclass
class Trace:
    """The newest events that say something of a device."""

    heard: Event | None = None
    battery: Event | None = None
    signal: Event | None = None
    tested: Event | None = None  # a press that reached the platform
    fault: Event | None = None  # monitor.fault


@dataclass
class Traces:
    """What the journal holds of a hub's devices. Times are host UTC ms."""

    devices: dict[int, Trace] = field(default_factory=dict)
    faults: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # by device: (kind, since)
    heard_ms: int | None = None  # the hub itself
    boot_ms: int | None = None  # its newest start
    since_ms: int | None = None  # nothing before this was looked at; None: there is nothing before


@dataclass(frozen=True, slots=True)
class Facts:
    """What one sensor's state is judged by; times are UTC ms."""

    role: str
    radio: bool
    supervision_s: int = 0
    in_table: bool = True
    watched_wire: bool = False  # a wire whose break the hub notices
    heard_ms: int | None = None
    proven_ms: int | None = None
    battery: int | None = None
    faults: tuple[tuple[int, int, int], ...] = ()  # (kind, since, DETAIL or 0)
    hub_heard_ms: int | None = None
    hub_limit_ms: int = HUB_LIMIT_MS
    boot_ms: int | None = None
    paired_ms: int | None = None
    since_ms: int | None = None  # nothing before this is known; None: all there is

    @property
    def known_ms(self) -> int | None:
        """The newest moment in which it certainly lived, when no fault of it stands."""
        own = max((at for at in (self.heard_ms, self.proven_ms) if at is not None), default=None)
        if not self.radio or not self.supervision_s or self.hub_heard_ms is None:
            return own
        # A hub says sensor.silent of whom it has not heard for so long; it counts from its start, and from
        # when it was told of the sensor. While it says nothing, the sensor lived so long ago.
        silent_ms = self.supervision_s * MISSED_MS
        from_ms = max(self.boot_ms or 0, self.paired_ms or 0)
        if self.boot_ms is None or self.hub_heard_ms - from_ms < silent_ms:
            return own
        return max(own or 0, self.hub_heard_ms - silent_ms)


@dataclass(frozen=True, slots=True)
class Seen:
    """One sensor as a family sees it; times are UTC ms."""

    hub: str
    device: Device
    sensor: Sensor | None  # None: on the hub's own wires
    state: State
    why: Words  # one sentence
    heard_ms: int | None
    proven_ms: int | None
    battery: int | None  # percent
    rssi: int | None  # dBm

    @property
    def bars(self) -> int:
        """Of its signal, 1 to 4; 0: not known."""
        return bars(self.rssi)

    @property
    def is_monitor(self) -> bool:
        """Whether somebody wears it or measures with it."""
        return self.sensor is not None and self.sensor.role in MONITORS


def bars(rssi: int | None) -> int:
    """Strength of a signal in dBm as 1 to 4 bars; 0: not known."""
    if rssi is None:
        return 0
    return 1 + sum(rssi >= least for least in (-88, -78, -66))


async def look(
    registry: Registry,
    journal: Journal,
    hubs: Iterable[str],
    past_of: Callable[[str], Past | None],
    now_ms: int,
) -> list[Seen]:
    """All sensors of these hubs, those that need a person first. past_of: kanhu.web.sources.Sources.past."""
    found: list[Seen] = []
    for hub in hubs:
        sensors = {one.index: one for one in registry.sensors(hub)}
        plain = frozenset(one.index for one in sensors.values() if not one.encrypted)
        traces = await asyncio.to_thread(read, journal.path, hub, plain)
        past = past_of(hub)
        proven = {one.index: one.proven_ms for one in (*registry.wired_inputs(hub), *sensors.values())}
        added = registry.added_ms(hub)
        lines = {row[0] for row in registry.settings(hub).get("buttons", ()) if row[2] is not None}
        for device in registry.devices_of(hub):
            index = device.index
            one = _seen(
                journal, hub, traces, past, device, sensors.get(index), proven.get(index),
                added.get(index, 0), index in lines, now_ms,
            )  # fmt: skip
            found.append(one)
    found.sort(key=lambda one: STATES.index(one.state))
    return found


def _seen(
    journal: Journal, hub: str, traces: Traces, past: Past | None, device: Device, sensor: Sensor | None,
    waited_ms: int | None, added_ms: int, line: bool, now_ms: int,
) -> Seen:  # fmt: skip
    trace = traces.devices.get(device.index, Trace())

    def own(event: Event | None) -> int | None:
        """When it happened; None where it was of the sensor that had this index before."""
        at_ms = journal.moment(event)[0] if event is not None else None
        return None if at_ms is None or at_ms < added_ms - SLACK_MS else min(at_ms, now_ms)

    heard_ms, tested_ms = own(trace.heard), own(trace.tested)
    if past is not None and device.role == "motion":  # days of movement that are further back
        moved_ms = past.movement_before(device.index, now_ms)
        if moved_ms is not None and moved_ms >= added_ms:
            heard_ms = max(moved_ms, heard_ms or 0)
    proven_ms = max((at for at in (tested_ms, waited_ms) if at is not None), default=None)
    battery = (
        trace.battery.fields.get(k.BATTERY) if own(trace.battery) is not None and trace.battery else None
    )
    rssi = trace.signal.fields.get(k.RSSI) if own(trace.signal) is not None and trace.signal else None
    detail = trace.fault.fields.get(k.DETAIL, 0) if trace.fault is not None else 0
    facts = Facts(
        device.role, device.radio, device.supervision_s,
        in_table=sensor is None or sensor.paired_ms is not None,
        watched_wire=line,
        heard_ms=heard_ms,
        proven_ms=proven_ms,
        battery=battery,
        faults=tuple(
            (kind, since_ms, detail if kind == k.MONITOR_FAULT else 0)
            for kind, since_ms in traces.faults.get(device.index, []) + _standing(past, device.index, now_ms)
            if since_ms >= added_ms - SLACK_MS
        ),
        hub_heard_ms=traces.heard_ms,
        hub_limit_ms=past.hub_limit_ms if past is not None else HUB_LIMIT_MS,
        boot_ms=traces.boot_ms,
        paired_ms=sensor.paired_ms if sensor else None,
        since_ms=traces.since_ms if (traces.since_ms or 0) > added_ms else None,
    )  # fmt: skip
    state, why = judge(facts, now_ms)
    return Seen(hub, device, sensor, state, why, heard_ms, proven_ms, battery, rssi)


def _standing(past: Past | None, device: int, now_ms: int) -> list[tuple[int, int]]:
    """Faults whose end the hub has not said: they stand, though a person may have put the work aside."""
    if past is None:
        return []
    return [(_TOLD[fault.why], fault.from_ms) for fault in past.faults(device, now_ms) if fault.why in _TOLD]


def judge(facts: Facts, now_ms: int) -> tuple[State, Words]:
    """How a sensor is, and why in one sentence. Well only on evidence that is fresh enough for what it is."""
    if facts.hub_heard_ms is None:
        return "cannot_tell", words.HUB_NEVER
    if now_ms - facts.hub_heard_ms > facts.hub_limit_ms:
        return "cannot_tell", words.HUB_SILENT
    for kind, _, detail in facts.faults:
        if kind not in WEAK:
            return "attention", words.fault(kind, detail)
    if not facts.in_table:
        return "cannot_tell", words.BEING_TOLD
    if any(kind == k.BATTERY_LOW for kind, _, _ in facts.faults) or (
        facts.battery is not None and facts.battery <= LOW_PERCENT
    ):
        return "attention", words.fault(k.BATTERY_LOW, 0)
    if any(kind == k.SENSOR_UNPROVEN for kind, _, _ in facts.faults):
        return "cannot_tell", words.fault(k.SENSOR_UNPROVEN, 0)
    return _by_evidence(facts, now_ms)


def _by_evidence(facts: Facts, now_ms: int) -> tuple[State, Words]:
    known_ms = facts.known_ms
    if not facts.radio and facts.role == CALL:
        if facts.watched_wire or (known_ms is not None and now_ms - known_ms <= UNTESTED_MS):
            return "well", words.WIRED
        return "cannot_tell", words.UNTESTED
    if known_ms is None:
        return "cannot_tell", words.NEVER if facts.since_ms is None else words.not_since(
            ago_words(now_ms - facts.since_ms)
        )
    if not facts.radio:  # a wire that is cut says as little as an empty room
        if now_ms - known_ms > UNMOVED_MS:
            return "cannot_tell", words.unheard(ago_words(now_ms - known_ms))
        return "well", words.WIRED
    monitor = facts.role in {names.ROLES[role] for role in MONITORS}
    limit_ms = facts.supervision_s * MISSED_MS or (UNUSED_MS if monitor else UNHEARD_MS)
    unheard_ms = now_ms - known_ms
    # What the hub vouches for is a little older than its own last word.
    slack_ms = now_ms - facts.hub_heard_ms if facts.supervision_s and facts.hub_heard_ms else 0
    if unheard_ms > limit_ms + slack_ms:
        ago = ago_words(unheard_ms)
        return "cannot_tell", words.unused(ago) if monitor else words.unheard(ago)
    if facts.heard_ms is None and facts.proven_ms is None:
        return "well", words.HUB_HEARS
    return "well", words.WORKS


# Reading


def read(path: Path, hub: str, plain: frozenset[int] = frozenset()) -> Traces:
    """What the journal at path holds of a hub's devices; plain: those whose word needs no key."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
        found = Traces()
        rows = db.execute(_RECENT, (hub, RECENT)).fetchall()
        for row in rows:
            found.heard_ms = max(row[8], found.heard_ms or 0)
            if row[5] in SIGNS or row[5] in (k.MONITOR_FAULT, k.BOOT):
                _enter(found, row, plain)
        if len(rows) == RECENT:
            found.since_ms = rows[-1][8]
            for kind in SELDOM:
                for row in db.execute(_KIND, (hub, kind, OF_A_KIND)):
                    _enter(found, row, plain)
        elif rows and db.execute(_EXPIRED, (hub,)).fetchone():
            found.since_ms = rows[-1][8]
        for device, kind, since_ms in db.execute(_FAULTS, (hub,)):
            found.faults.setdefault(max(0, device), []).append((kind, since_ms))
        return found


def _enter(found: Traces, row: tuple[Any, ...], plain: frozenset[int]) -> None:
    n, hub, boot, seq, cls, kind, sealed, data, received_ms, link, delivered_ms = row
    if not sealed:
        return
    if kind == k.BOOT:
        found.boot_ms = max(received_ms, found.boot_ms or 0)
        return
    fields = believed(data)
    device = fields.get(k.DEVICE, 0)
    if not device:
        return
    trace = found.devices.setdefault(device, Trace())
    event = Event(hub, boot, seq, cls, kind, b"", data, fields, received_ms, link, n, delivered_ms)
    if kind == k.MONITOR_FAULT:
        trace.fault = _newer(trace.fault, event)
        return
    if fields.get(k.FLAGS, 0) & k.UNVERIFIED and not (kind == k.SENSOR_HEARD and device in plain):
        return
    trace.heard = _newer(trace.heard, event)
    if k.BATTERY in fields:
        trace.battery = _newer(trace.battery, event)
    if k.RSSI in fields:
        trace.signal = _newer(trace.signal, event)
    if kind in (k.TEST_PRESS, k.CALL) and delivered_ms is not None:
        trace.tested = _newer(trace.tested, event)


def _newer(one: Event | None, other: Event) -> Event:
    return other if one is None or other.identity > one.identity else one
