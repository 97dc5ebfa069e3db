"""Every event as the platform sees it: the golden vectors, edge values, and whatever a hub may send."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_city import DAEMON, HUB, MOMENT, Row
from kanhu.uplink.cloudevents import AT_HOME, MOMENT_END, rfc3339, to_cloudevent, to_json
from kanhu.uplink.identity import Identity, parse_alarm, parse_identity
from kanhu_protocol import cbor, checks, names
from kanhu_protocol import events as codec
from kanhu_protocol import kinds as k

VECTORS = json.loads(Path(__file__).parents[2].joinpath("protocol/vectors/events.json").read_text())[
    "vectors"
]
GOOD = [vector for vector in VECTORS if "error" not in vector]
PLACE: dict[str, Any] = {
    "home": "h-0017",
    "region": "cn/42/01/06/03",
    "moment": MOMENT,
    "clockstatus": "synced",
}


def row(event: dict[int, Any], **more: Any) -> Row:
    return Row(42, HUB, 12, 7, event, **more)


def data(event: dict[int, Any], **more: Any) -> dict[str, Any]:
    result = to_cloudevent(row(event, **more), **PLACE)["data"]
    assert isinstance(result, dict)
    return result


def test_a_call_from_its_bytes() -> None:
    plain = codec.encode(k.CALL, 93_000, {k.UTC_MS: MOMENT, k.CLOCK: 1, k.DEVICE: 3, k.BATTERY: 88})
    assert to_cloudevent(row(codec.decode(plain)), **PLACE) == {
        "specversion": "1.0",
        "id": "12-7",
        "source": "/kanhu/hubs/7q8k2m3x9a",
        "type": "org.kanhu.call.v1",
        "time": "2026-09-21T14:13:20.000Z",
        "clockstatus": "synced",
        "datacontenttype": "application/json",
        "kanhuclass": "p1",
        "kanhuseq": "0000000000000042",
        "region": "cn/42/01/06/03",
        "home": "h-0017",
        "data": {
            "up_ms": 93_000,
            "utc_ms": MOMENT,
            "clock": "sntp",
            "device": 3,
            "battery_percent": 88,
            "alarm": "7q8k2m3x9a/12-7",
        },
    }


def test_what_is_not_known_is_not_there() -> None:
    event = to_cloudevent(
        row({k.KIND: k.MOTION, k.UP_MS: 0}), home=None, region=None, moment=None, clockstatus="unknown"
    )
    assert not {"time", "home", "region"} & event.keys()
    assert event["clockstatus"] == "unknown"


@pytest.mark.parametrize("moment", [None, -1, MOMENT_END])
def test_no_time_without_a_moment_that_can_be_written(moment: int | None) -> None:
    event = to_cloudevent(
        row({k.KIND: k.MOTION, k.UP_MS: 0}), home=None, region=None, moment=moment, clockstatus="synced"
    )
    assert "time" not in event
    assert event["clockstatus"] == "unknown"


@given(st.integers(0, MOMENT_END - 1))
def test_times_are_rfc_3339(moment: int) -> None:
    text = rfc3339(moment)
    assert len(text) == 24
    parsed = datetime.fromisoformat(text)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert round((parsed - epoch).total_seconds() * 1000) == moment


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["name"])
def test_vectors(vector: dict[str, Any]) -> None:
    event = codec.decode(bytes.fromhex(vector["hex"]))
    result = to_cloudevent(row(event), **PLACE)
    kind = event[k.KIND]
    assert result["type"] == f"org.kanhu.{names.KINDS.get(kind, f'unknown.{kind}')}.v1"
    assert result["kanhuclass"] == f"p{k.class_of(kind)}"
    # A reason is the platform's own text and may be longer than what a hub may say.
    expected = {names.KEYS[key] for key in vector["bad"] if key in names.KEYS and key != k.REASON}
    got = set(result["data"].get("unreadable", ()))
    assert got - {"reason"} == expected
    assert not got & result["data"].keys() - {"alarm"}
    for key in event:
        if key in names.KEYS and key != k.KIND and key not in vector["bad"]:
            assert (names.KEYS[key] in result["data"]) == (names.KEYS[key] not in AT_HOME)


def test_readers_and_check_agree_on_every_key_and_kind() -> None:
    numbers = [-129, -128, -1, 0, 1, 2, 100, 101, 127, 255, 256, 0xFFFF, 0x10000, 2**32 - 1, 2**32]
    numbers += [2**53 - 1, 2**53, MOMENT_END - 1, MOMENT_END]
    texts = ["", "abc", "a" * 64, "字" * 22, HUB, HUB.upper()]
    pairs = [[0, 0], [1, 0], [1, 2**32], [True, 50], [None, None], [1, 50], [100, 5], [101, 5], {0: 1, 1: 2}]
    spans = [
        [[1, 2, 3]],
        [[1, 3, 2]],
        [[0, 1, 2]],
        [[1, 2, 3]] * 17,
        [[1, 2, 3, 4]],
        [[]],
        [{0: 1, 1: 2, 2: 3}],
    ]
    others = [None, True, False, b"x", {}, [], [1], [1.5], [0, 0, 0], [0] * 5, [[1, -5, -128]], [[1, 5, 128]]]
    samples: list[Any] = [*numbers, *texts, *pairs, *spans, *others]
    for key in names.KEYS:
        if key in (k.KIND, k.REASON, k.UTC_MS, k.CLOCK):
            continue
        for value in samples:
            event = {k.KIND: k.MOTION, k.UP_MS: 5, key: value}
            unreadable = data(event).get("unreadable", [])
            assert unreadable == [names.KEYS[bad] for bad in checks.check(event)], (names.KEYS[key], value)


@pytest.mark.parametrize(
    ("fields", "unreadable"),
    [
        ({k.UTC_MS: MOMENT, k.CLOCK: 1}, []),
        ({k.UTC_MS: MOMENT}, ["utc_ms"]),
        ({k.CLOCK: 1}, ["clock"]),
        ({k.UTC_MS: -1, k.CLOCK: 1}, ["utc_ms", "clock"]),
        ({k.UTC_MS: MOMENT, k.CLOCK: 0}, ["clock", "utc_ms"]),
    ],
)
def test_a_clock_reading_needs_its_source(fields: dict[int, Any], unreadable: list[str]) -> None:
    assert data({k.KIND: k.MOTION, k.UP_MS: 5, **fields}).get("unreadable", []) == unreadable


def test_alarm_names() -> None:
    later_press = data({k.KIND: k.CALL, k.UP_MS: 5, k.ALARM: [12, 3]})
    assert later_press["alarm"] == "7q8k2m3x9a/12-3"
    unreadable_alarm = data({k.KIND: k.CALL, k.UP_MS: 5, k.ALARM: "x"})
    assert unreadable_alarm["alarm"] == "7q8k2m3x9a/12-7"
    assert unreadable_alarm["unreadable"] == ["alarm"]
    closed = {
        k.KIND: k.ALARM_CLOSED,
        k.UP_MS: 5,
        k.SUBJECT: HUB,
        k.ALARM: [12, 3],
        k.OPERATOR: "op-7",
        k.REASON: "到访",
    }
    event = to_cloudevent(Row(43, DAEMON, 4, 9, closed, daemon=True), **PLACE)
    assert event["source"] == "/kanhu/daemons/d0d0d0d0d0"
    assert event["data"] == {
        "up_ms": 5, "subject": HUB, "alarm": "7q8k2m3x9a/12-3", "operator": "op-7", "reason": "到访",
    }  # fmt: skip


def test_later_versions_pass_through() -> None:
    event = to_cloudevent(
        row({k.KIND: 30, k.UP_MS: 5, 77: [1, b"\x02", {"a": None}], k.FLAGS: 0b10001}), **PLACE
    )
    assert event["type"] == "org.kanhu.unknown.30.v1"
    assert event["kanhuclass"] == "p1"
    assert event["data"]["flags"] == ["test", "bit4"]
    assert cbor.loads(bytes.fromhex(event["data"]["unknown"]["77"])) == [1, b"\x02", {"a": None}]


def test_plain_units() -> None:
    vitals = data({k.KIND: k.VITALS, k.UP_MS: 5, k.VALUES: [[1, 366, -1], [2, 72, 0], [3, 12, 1]]})
    assert vitals["values"] == [
        {"code": 1, "value": 36.6},
        {"code": 2, "value": 72},
        {"code": 3, "value": 120},
    ]
    fault = data({k.KIND: k.LINE_FAULT, k.UP_MS: 5, k.DETAIL: 2, k.DEVICE: 1})
    assert fault["detail"] == "short"
    assert data({k.KIND: k.LINE_FAULT, k.UP_MS: 5, k.DETAIL: 9})["detail"] == 9
    lost = data({k.KIND: k.EVENTS_LOST, k.UP_MS: 5, k.LOST: [[11, 3, 9]], k.DETAIL: 1, k.COUNT: 7})
    assert lost == {"up_ms": 5, "lost": [[11, 3, 9]], "detail": "thinned", "count": 7}


def test_a_reading_keeps_the_monitors_number_and_unit() -> None:
    said = data({
        k.KIND: k.VITALS, k.UP_MS: 5, k.DEVICE: 9, k.USER: 2, k.STATUS: 1 << 2 | 1 << 30,
        k.VALUES: [[150021, 107, -1, 2], [150022, 80, 0], [160184, 104, 0, 7], [77, 5, 0, 200]],
        k.MEASURED_S: 1_784_072_492, k.CLOCK_OFFSET_S: -28_800, k.INVALID: [[149546, 5], [77, 99]],
    })  # fmt: skip
    assert said == {
        "up_ms": 5, "device": 9, "user": 2, "status": ["irregular_pulse", "bit30"],
        "values": [
            {"code": 150021, "name": "systolic", "value": 10.7, "unit": "kPa"},
            {"code": 150022, "name": "diastolic", "value": 80, "unit": "mm[Hg]"},
            {"code": 160184, "name": "glucose", "value": 104, "unit": "mg/dL"},
            {"code": 77, "value": 5, "unit": 200},
        ],
        "measured": "2026-07-14T23:41:32", "clock_offset_s": -28_800,
        "invalid": [
            {"code": 149546, "name": "pulse", "special": "out_of_bounds"},
            {"code": 77, "special": 99},
        ],
    }  # fmt: skip


def test_what_radios_nearby_call_themselves_stays_on_the_host() -> None:
    """Whoever pairs sees it; a neighbour's monitor is nobody's business in the city."""
    heard = {k.KIND: k.SENSOR_HEARD, k.UP_MS: 5, k.ADDRESS: bytes.fromhex("a4c138112233"),
             k.ROLE: 11, k.NAME: "血压计", k.ADVERTISED: b"\x41abc", k.RSSI: -48}  # fmt: skip
    assert data(heard) == {"up_ms": 5, "role": "blood_pressure", "rssi_dbm": -48}
    paired = {k.KIND: k.PAIRED, k.UP_MS: 5, k.DEVICE: 4, k.ADDRESS: bytes.fromhex("a4c138112233"), k.ROLE: 11}
    assert data(paired) == {"up_ms": 5, "device": 4, "role": "blood_pressure"}


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-128, 127))
def test_a_reading_is_the_same_decimal(mantissa: int, exponent: int) -> None:
    row_ = row({k.KIND: k.VITALS, k.UP_MS: 5, k.VALUES: [[150021, mantissa, exponent]]})
    read = json.loads(to_json(row_, **PLACE), parse_float=Decimal, parse_int=Decimal)
    assert read["data"]["values"][0]["value"] == Decimal(mantissa).scaleb(exponent)


def test_keys_found_bad_elsewhere_are_left_out() -> None:
    event = row({k.KIND: k.MOTION, k.UP_MS: 5, k.RSSI: -60, k.DEVICE: 4})
    result = json.loads(to_json(event, **PLACE, bad=[k.RSSI]))["data"]
    assert result == {"up_ms": 5, "device": 4, "unreadable": ["rssi_dbm"]}


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=20)
    | st.text(max_size=20)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 9), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 255),
    st.dictionaries(
        st.integers(1, 40) | st.integers(-5, 2**64 - 1) | st.text(max_size=5), values, max_size=8
    ),
)
def test_whatever_a_hub_sends_becomes_json(kind: int, fields: dict[Any, Any]) -> None:
    payload = to_json(row({**fields, k.KIND: kind}), **PLACE)
    event = json.loads(payload)
    assert event["id"] == "12-7"
    assert event["kanhuclass"] == f"p{k.class_of(kind)}"


@pytest.mark.parametrize("kind", [0, 256, -1, True, None, "call", 1.0])
def test_no_kind_no_event(kind: Any) -> None:
    with pytest.raises(ValueError, match="kind"):
        to_json(row({k.KIND: kind, k.UP_MS: 5}), **PLACE)


def test_identities_read_back() -> None:
    for identity in (Identity(HUB, 1, 0), Identity(DAEMON, 2**32 - 1, 2**32 - 1, daemon=True)):
        assert parse_identity(identity.source, identity.id) == identity
    assert parse_alarm(Identity(HUB, 12, 7).alarm) == Identity(HUB, 12, 7)


SOURCE = "/kanhu/hubs/7q8k2m3x9a"


@pytest.mark.parametrize(
    "source",
    ["/kanhu/hubs/7q8k2m3x9", "/kanhu/hubs/7Q8K2M3X9A", "/kanhu/hubs/7q8k2m3x9i", f"x{SOURCE}", None, []],
)
def test_other_sources_are_not_kanhus(source: Any) -> None:
    assert parse_identity(source, "1-1") is None


@pytest.mark.parametrize(
    "name",
    ["0-1", "01-1", "1-01", "4294967296-1", "1-4294967296", "1-1\n", "١-1", "1", "1-1-1", "", 1, None, {}],
)
def test_other_ids_are_not_kanhus(name: Any) -> None:
    assert parse_identity(SOURCE, name) is None
    assert parse_alarm(f"7q8k2m3x9a/{name}") is None


@pytest.mark.parametrize(
    "alarm", ["", "/", "1-1", "7q8k2m3x9a/", "7q8k2m3x9a", "7q8k2m3x9a/1-1/", "a/1-1", None, 5]
)
def test_other_texts_are_not_alarms(alarm: Any) -> None:
    assert parse_alarm(alarm) is None


def test_fast_enough_for_the_relay() -> None:
    press = row(
        {k.KIND: k.CALL, k.UP_MS: 777_600_000, k.UTC_MS: MOMENT, k.CLOCK: 1, k.DEVICE: 3, k.RSSI: -71}
    )
    best = 1.0
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(500):
            to_json(press, **PLACE)
        best = min(best, (time.perf_counter() - begun) / 500)
    print(f"{best * 1e6:.1f} us per event")
    assert best < 15e-6
