"""Hypothesis strategies for values on the wire: CBOR items of the subset, events and down messages."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from kanhu_protocol import kinds as k
from kanhu_protocol import names
from kanhu_protocol.checks import ID_ALPHABET

U32 = st.integers(0, 2**32 - 1)
POSITIVE = st.integers(1, 2**32 - 1)
EXACT = st.integers(0, 2**53 - 1)
UTC_MS = st.integers(0, 253402300799999)
PERCENT = st.integers(0, 100)
U8 = st.integers(0, 255)
U16 = st.integers(0, 65535)
NAME = st.tuples(POSITIVE, U32).map(list)
SPAN = st.tuples(POSITIVE, U32, U32).map(lambda s: [s[0], min(s[1:]), max(s[1:])])
HUB_ID = st.text(ID_ALPHABET, min_size=10, max_size=10)
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=16)

# Integers crowd around the lengths of a CBOR head.
INTEGERS = st.one_of(
    st.integers(-(2**64), 2**64 - 1),
    st.sampled_from([0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]),
    st.sampled_from([-1, -24, -25, -256, -257, -65537, -(2**32), -(2**32) - 1, -(2**63) - 1, -(2**64)]),
)
SCALARS = st.one_of(st.none(), st.booleans(), INTEGERS, st.binary(max_size=40), st.text(max_size=20))
KEYS = st.one_of(INTEGERS, st.text(max_size=8))


def items(depth: int = 4) -> st.SearchStrategy[Any]:
    """One item of the CBOR subset, nested at most depth."""
    found: st.SearchStrategy[Any] = SCALARS
    for _ in range(depth):
        inner = found
        found = st.one_of(SCALARS, st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4))
    return found


def pair(*parts: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.tuples(*parts).map(list)


READING = (POSITIVE, st.integers(-(2**31), 2**31 - 1), st.integers(-128, 127))
LAST_S = 253402300799
ADDRESS = st.one_of(st.binary(min_size=6, max_size=6), st.binary(min_size=1, max_size=1))

VALUES = {
    k.DEVICE: st.integers(1, 255),
    k.FLAGS: st.integers(1, 65535),
    k.BATTERY: PERCENT,
    k.RSSI: st.integers(-128, 127),
    k.ALARM: NAME,
    k.COUNT: st.integers(2, 2**32 - 1),
    k.ATTEMPT: POSITIVE,
    k.SPAN_MS: EXACT,
    k.VALUES: st.lists(
        st.one_of(pair(*READING), pair(*READING, st.integers(1, 255))), min_size=1, max_size=4
    ),
    k.DETAIL: U16,
    k.PREVIOUS: NAME,
    k.RESET: U8,
    k.HEAP: pair(U32, U32),
    k.LINK: U8,
    k.OUTBOX: pair(U32, U32),
    k.DROPS: pair(U32, U32, U32, U32, U32),
    k.RADIO: pair(PERCENT, U32),
    k.FIRMWARE: TEXT,
    k.POWER: pair(st.one_of(st.none(), st.booleans()), st.one_of(st.none(), PERCENT)),
    k.VERSIONS: pair(U32, U32),
    k.DOWNLINK: pair(U32, U32),
    k.LOST: st.lists(SPAN, min_size=1, max_size=4),
    k.COMMAND: POSITIVE,
    k.STATE: st.integers(1, 255),
    k.SUBJECT: HUB_ID,
    k.OPERATOR: TEXT,
    k.REASON: TEXT,
    k.REFUSED: pair(U32, U32, U32),
    k.FAULTS: pair(U32, U32, U32),
    k.RULE: TEXT,
    k.EXPLANATION: pair(TEXT, TEXT),
    k.LEVEL: st.integers(1, 4),
    k.DUE_MS: UTC_MS,
    k.MODE: st.integers(1, 255),
    k.MEMBERS: POSITIVE,
    k.NEED: TEXT,
    k.INCIDENT: TEXT,
    k.STATUS: POSITIVE,
    k.USER: U8,
    k.MEASURED_S: st.integers(0, LAST_S),
    k.CLOCK_OFFSET_S: st.integers(-LAST_S, LAST_S),
    k.INVALID: st.lists(pair(POSITIVE, st.integers(1, 255)), min_size=1, max_size=4),
    k.ADDRESS: ADDRESS,
    k.ROLE: st.integers(1, 255),
    k.NAME: TEXT,
    k.ADVERTISED: st.binary(min_size=1, max_size=31),
    k.OFFSET: U32,
    k.SIZE: POSITIVE,
    k.SLOT: pair(st.integers(1, 3), st.integers(1, 3)),
    k.INTERVAL_MS: POSITIVE,
    k.LEVELS_DBM: pair(*[st.integers(-128, 127)] * 3),
    k.RECORD: st.text("0123456789abcdef", min_size=64, max_size=64),
    k.VERDICT: st.integers(1, 255),
}

SENSOR = (k.DEVICE, k.BATTERY, k.RSSI)
HEARTBEAT = (
    *(k.RESET, k.HEAP, k.LINK, k.OUTBOX, k.DROPS, k.RADIO, k.FIRMWARE, k.POWER, k.VERSIONS, k.REFUSED),
)
BY_RULE = (k.SUBJECT, k.ALARM, k.RULE, k.EXPLANATION)
FOUND = (k.SUBJECT, k.RULE, k.EXPLANATION)
MEASURED = (k.STATUS, k.USER, k.MEASURED_S, k.CLOCK_OFFSET_S)
FAULT = (k.SUBJECT, k.DETAIL)
FAULT_TOO = (k.DEVICE, k.OPERATOR, k.REASON)

# (required, optional) keys by kind, after docs/contracts.md, sections 1 and 10; others only name a sensor.
KEYS_OF: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    **dict.fromkeys((k.CALL, k.FALL, k.SMOKE, k.GAS, k.CARBON_MONOXIDE), ((), (*SENSOR, k.ALARM, k.COUNT))),
    k.CALL_UNANSWERED: ((k.ALARM, k.ATTEMPT), (k.DEVICE,)),
    k.VITALS: ((k.VALUES,), (*SENSOR, *MEASURED, k.INVALID)),
    k.VITALS_INVALID: ((k.INVALID,), (*SENSOR, *MEASURED)),
    k.MONITOR_FAULT: ((k.DETAIL,), SENSOR),
    k.MONITOR_OK: ((), (*SENSOR, k.DETAIL)),
    k.PAIRING_OPENED: ((k.SPAN_MS,), ()),
    k.PAIRING_CLOSED: ((k.DETAIL,), ()),
    k.SENSOR_HEARD: ((k.ADDRESS,), (*SENSOR, k.ROLE, k.NAME, k.ADVERTISED)),
    k.PAIRED: ((), (*SENSOR, k.COUNT, k.ADDRESS, k.ROLE)),
    k.UNPAIRED: ((k.ADDRESS,), (*SENSOR, k.ROLE)),
    k.UPDATE_FAILED: ((k.FIRMWARE, k.DETAIL), (k.COMMAND,)),
    **dict.fromkeys((k.SAFE_MODE, k.SAFE_MODE_ENDED), ((), (k.FIRMWARE, k.DETAIL))),
    k.UPDATE_PROGRESS: ((k.FIRMWARE, k.OFFSET, k.SIZE), (k.COMMAND,)),
    k.UPDATE_DONE: ((k.FIRMWARE,), (k.COMMAND,)),
    k.SURVEY: ((k.SPAN_MS,), (*SENSOR, k.COUNT, k.INTERVAL_MS, k.LEVELS_DBM)),
    k.PROVISIONED: ((k.DETAIL,), ()),
    k.INSTALLATION_ACCEPTED: ((k.SUBJECT, k.OPERATOR, k.VERDICT, k.RECORD), ()),
    k.VITALS_OUT_OF_RANGE: ((k.VALUES,), (*SENSOR, *BY_RULE)),
    **dict.fromkeys((k.MAINS_LOST, k.MAINS_BACK), ((), (k.POWER,))),
    **dict.fromkeys((k.SENSOR_SILENT, k.SENSOR_BACK), ((k.SPAN_MS,), SENSOR)),
    **dict.fromkeys((k.CONTACT_STUCK, k.CONTACT_RELEASED), ((k.SPAN_MS,), SENSOR)),
    k.LINK_LOST: ((k.DETAIL,), ()),
    k.LINK_BACK: ((k.DETAIL, k.SPAN_MS), ()),
    **dict.fromkeys((k.CLOCK_FAULT, k.STORAGE_FULL, k.LINE_FAULT), ((k.DETAIL,), (k.DEVICE,))),
    **dict.fromkeys((k.CLOCK_OK, k.STORAGE_OK, k.LINE_OK), ((), (k.DEVICE, k.DETAIL))),
    **dict.fromkeys(
        (k.IDENTITY_FAULT, k.IDENTITY_OK, k.HUB_SILENT, k.HUB_BACK),
        ((k.SUBJECT,), (k.SPAN_MS, k.DETAIL, k.ALARM, k.DEVICE)),
    ),
    k.EVENTS_LOST: ((k.LOST, k.DETAIL), (k.COUNT,)),
    k.COMMAND_REFUSED: ((k.COMMAND, k.DETAIL), ()),
    k.SENSOR_DOUBTED: ((k.DETAIL,), (*SENSOR, k.COUNT)),
    k.COMMAND_DONE: ((k.COMMAND,), (k.STATE, k.ALARM)),
    k.BOOT: ((k.RESET, k.FIRMWARE, k.VERSIONS), (k.PREVIOUS, k.SLOT)),
    k.CLOCK_SET: ((k.UTC_MS, k.CLOCK), ()),
    **dict.fromkeys(
        (k.ALARM_ACCEPTED, k.ALARM_CLOSED, k.ALARM_CORRECTED),
        ((k.SUBJECT, k.ALARM, k.OPERATOR), (k.REASON, k.DEVICE)),
    ),
    k.ALARM_REOPENED: ((k.SUBJECT, k.ALARM), (k.DEVICE,)),
    k.HEARTBEAT: (HEARTBEAT, (k.RSSI, k.DOWNLINK, k.FAULTS)),
    k.MOTION_COUNT: ((k.SPAN_MS,), (*SENSOR, k.COUNT)),
    k.STILL: ((k.SPAN_MS,), SENSOR),
    k.TEST_CALL: ((), (k.DEVICE,)),
    k.PATH_PROVEN: ((k.SPAN_MS,), ()),
    k.PATH_FAULT: ((k.DETAIL,), (k.SUBJECT,)),
    k.PATH_OK: ((), (k.DETAIL, k.SUBJECT)),
    k.PRE_ALARM: ((k.SPAN_MS, k.DETAIL), (*SENSOR, k.SUBJECT, k.RULE, k.EXPLANATION)),
    k.PRE_ALARM_CANCELLED: ((k.ALARM,), SENSOR),
    k.INACTIVITY: ((), (*BY_RULE, *SENSOR, k.SPAN_MS, k.VALUES, k.DETAIL)),
    **dict.fromkeys(
        (k.NO_RETURN, k.DOOR_LEFT_OPEN, k.MISSED_VISIT, k.OVERSTAY),
        (FOUND, (k.ALARM, k.DEVICE, k.SPAN_MS, k.VALUES, k.DETAIL)),
    ),
    k.RULE_HINT: (FOUND, (k.DEVICE,)),
    k.ALARM_ESCALATED: ((k.SUBJECT, k.ALARM, k.LEVEL), (k.DEVICE,)),
    **dict.fromkeys(
        (k.ALARM_DISPATCHED, k.ALARM_ON_SCENE, k.ALARM_HANDED_OVER),
        ((k.SUBJECT, k.ALARM, k.OPERATOR), (k.REASON, k.DEVICE)),
    ),
    **dict.fromkeys((k.CHECK_IN, k.CHECK_OUT), ((), (*SENSOR, k.COUNT, k.SPAN_MS, k.SUBJECT, k.OPERATOR))),
    k.REFERRAL: ((k.SUBJECT, k.NEED), (k.ALARM, k.RULE, k.REASON, k.OPERATOR)),
    k.MODE_SET: ((k.SUBJECT, k.MODE), (k.DUE_MS, k.OPERATOR)),
    **dict.fromkeys((k.FAULT_ASSIGNED, k.FAULT_OVERDUE), ((*FAULT, k.DUE_MS), FAULT_TOO)),
    k.FAULT_CLOSED: (FAULT, (*FAULT_TOO, k.DUE_MS)),
    **dict.fromkeys((k.INCIDENT_OPENED, k.INCIDENT_CLOSED), ((k.INCIDENT, k.DETAIL, k.MEMBERS), ())),
    **dict.fromkeys((k.SENSOR_UNPROVEN, k.SENSOR_PROVEN), ((k.SUBJECT, k.SPAN_MS), (k.DEVICE,))),
}
UNKNOWN_KINDS = [kind for kind in range(1, 256) if kind not in names.KINDS]


@st.composite
def events(draw: st.DrawFn) -> dict[int, Any]:
    """A valid event of a known or unknown kind, as a map."""
    kind = draw(st.sampled_from([*names.KINDS, *UNKNOWN_KINDS]))
    event: dict[int, Any] = {k.KIND: kind, k.UP_MS: draw(EXACT)}
    if kind in names.KINDS:
        required, optional = KEYS_OF.get(kind, ((), SENSOR))
    else:
        required, optional = (), tuple(VALUES)
    optional = (*optional, k.FLAGS)
    chosen = draw(st.lists(st.sampled_from(optional), unique=True))
    if k.UTC_MS in required or draw(st.booleans()):
        event[k.UTC_MS] = draw(UTC_MS)
        event[k.CLOCK] = draw(st.integers(1, 255))
    for key in (*required, *chosen):
        if key in VALUES:
            event[key] = draw(VALUES[key])
    for key in draw(st.lists(st.integers(len(names.KEYS), 65535), max_size=2)):
        event[key] = draw(items(2))
    return event


NUMBER = POSITIVE
DEVICE_ENTRY = pair(
    st.integers(1, 255),
    st.integers(1, 255),
    ADDRESS,
    U32,
)
RECEIPT = st.fixed_dictionaries(
    {},
    optional={
        k.UPTO: st.lists(NAME, min_size=1, max_size=4),
        k.SINGLE: st.lists(
            st.tuples(POSITIVE, st.lists(U32, min_size=1, max_size=4)).map(lambda s: [s[0], *s[1]]),
            min_size=1,
            max_size=3,
        ),
    },
).filter(bool)
DOWN = st.one_of(
    st.tuples(st.sampled_from([k.STORED, k.DELIVERED]), RECEIPT),
    st.tuples(
        st.just(k.ALARM_IS),
        st.fixed_dictionaries(
            {
                k.NUMBER: NUMBER,
                k.ALARM_NAME: NAME,
                k.ALARM_STATE: st.sampled_from([k.OPEN, k.ACCEPTED, k.DISPATCHED, k.ON_SCENE, k.CLOSED]),
            }
        ),
    ),
    st.tuples(st.just(k.TIME), st.fixed_dictionaries({k.NUMBER: NUMBER, k.TIME_MS: UTC_MS})),
    st.tuples(
        st.just(k.REQUEST_MISSING),
        st.fixed_dictionaries({k.NUMBER: NUMBER, k.RANGES: st.lists(SPAN, min_size=1, max_size=4)}),
    ),
    st.tuples(st.just(k.PING), st.fixed_dictionaries({k.NUMBER: NUMBER})),
    st.tuples(
        st.just(k.DEVICES),
        st.fixed_dictionaries(
            {
                k.NUMBER: NUMBER,
                k.VERSION_OF: U32,
                k.TABLE: st.lists(DEVICE_ENTRY, max_size=6, unique_by=lambda entry: entry[0]),
            },
            optional={k.ZONE_S: st.integers(-86_400, 86_400)},
        ),
    ),
    st.tuples(
        st.just(k.ASK),
        st.fixed_dictionaries(
            {
                k.NUMBER: NUMBER,
                k.ALARM_NAME: NAME,
                k.ASK_MS: st.integers(1000, 3_600_000),
                k.ASK_KIND: st.integers(1, 255),
            }
        ),
    ),
    st.tuples(
        st.just(k.PAIR),
        st.fixed_dictionaries(
            {k.NUMBER: NUMBER, k.PAIR_MS: st.integers(0, 600_000)},
            optional={k.TIME_MS: UTC_MS, k.PROVE: st.integers(1, 255)},
        ),
    ),
    st.tuples(
        st.just(k.UPDATE),
        st.fixed_dictionaries(
            {
                k.NUMBER: NUMBER,
                k.RELEASE: st.text("0123456789.", min_size=1, max_size=16),
                k.RELEASE_SIZE: U32,
                k.RELEASE_DIGEST: st.binary(min_size=32, max_size=32),
            }
        ),
    ),
    st.tuples(
        st.just(k.CHUNK),
        st.fixed_dictionaries({k.CHUNK_OFFSET: U32, k.CHUNK_DATA: st.binary(min_size=1, max_size=900)}),
    ),
    st.tuples(
        st.just(k.SURVEY_FOR),
        st.fixed_dictionaries({k.NUMBER: NUMBER, k.SURVEY_MS: st.integers(0, 600_000)}),
    ),
)
