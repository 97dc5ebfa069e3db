"""What a hub's events become in a home's past, in whatever order they arrive."""

from __future__ import annotations

import random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_care import BEAT, HOUR, MINUTE, MORNING_MS
from kanhu.care.homes import GRACE_MS, WAIT_MS, HubPast
from kanhu.care.rules.past import Device
from kanhu.journal import Event
from kanhu_protocol import kinds as k

ZONE = ZoneInfo("Asia/Shanghai")
HUB = "7m3k0xq2fz"
PIR, DOOR, CUFF = 2, 4, 5
LIMIT_MS = 18 * MINUTE
NOTHING: tuple[tuple[int, int, int], ...] = ()
GAP = ((1, 3, 7),)


def a_past() -> HubPast:
    return HubPast(HUB, ZONE, [Device(PIR, "motion", "kitchen"), Device(DOOR, "door", "hall")], (), LIMIT_MS)


def event(
    seq: int, kind: int, at_ms: int, fields: dict[int, Any] | None = None, received_ms: int | None = None
) -> Event:
    said = {k.KIND: kind, k.UP_MS: at_ms - MORNING_MS + HOUR, **(fields or {})}
    received = at_ms if received_ms is None else received_ms
    return Event(HUB, 1, seq, k.class_of(kind), kind, b"", b"", said, received, "test", seq + 1)


def take(past: HubPast, *events: Event) -> None:
    for one in events:
        past.take(one, one.fields[k.UP_MS] + MORNING_MS - HOUR)


def test_movement_counts_and_stillness() -> None:
    past = a_past()
    at = MORNING_MS
    take(past, event(0, k.MOTION, at, {k.DEVICE: PIR}))
    take(past, event(1, k.MOTION_COUNT, at + MINUTE, {k.DEVICE: PIR, k.COUNT: 5, k.SPAN_MS: MINUTE}))
    assert past.past.last_movement(at + HOUR) == (at + MINUTE, PIR)
    # The sensor said "motion" without a pause until ten minutes before it said it was still.
    take(past, event(2, k.STILL, at + 30 * MINUTE, {k.DEVICE: PIR, k.SPAN_MS: 10 * MINUTE}))
    assert past.past.last_movement(at + HOUR) == (at + 20 * MINUTE, PIR)


def test_stillness_since_a_start_is_no_movement() -> None:
    past = a_past()
    take(past, event(0, k.STILL, MORNING_MS, {k.DEVICE: PIR, k.SPAN_MS: 10 * MINUTE}))
    assert past.past.last_movement(MORNING_MS) is None
    assert past.past.last_heard(PIR, MORNING_MS) == MORNING_MS


def test_doors_readings_and_keys() -> None:
    past = a_past()
    at = MORNING_MS
    take(
        past,
        event(0, k.DOOR_OPEN, at, {k.DEVICE: DOOR}),
        event(1, k.DOOR_CLOSED, at + 1000, {k.DEVICE: DOOR}),
    )
    take(past, event(2, k.VITALS, at + 2000, {k.DEVICE: CUFF, k.VALUES: [[1, 1365, -1]]}))
    take(past, event(3, k.VITALS, at + 3000, {k.DEVICE: CUFF, k.VALUES: [[1, 9, 0]], k.FLAGS: k.HISTORICAL}))
    take(past, event(4, k.CALL, at + 4000, {k.DEVICE: 1}))
    assert past.past.is_open(DOOR, at + 500) == (True, at)
    assert past.past.is_open(DOOR, at + HOUR) == (False, at + 1000)
    assert [(one.code, one.value) for one in past.past.readings(at, at + HOUR)] == [(1, 136.5)]
    assert past.past.last_movement(at + HOUR) == (at + 4000, 0)


def test_a_fault_begins_when_the_sensor_was_last_heard_and_ends_with_its_restoral() -> None:
    past = a_past()
    at = MORNING_MS + HOUR
    take(past, event(0, k.SENSOR_SILENT, at, {k.DEVICE: PIR, k.SPAN_MS: 30 * MINUTE}))
    (fault,) = past.past.faults(PIR, at)
    assert (fault.why, fault.from_ms) == ("silent", at - 30 * MINUTE)
    assert past.standing == {(PIR, k.SENSOR_SILENT): at - 30 * MINUTE}
    take(past, event(1, k.SENSOR_BACK, at + MINUTE, {k.DEVICE: PIR, k.SPAN_MS: 31 * MINUTE}))
    assert past.past.faults(PIR, at + MINUTE) == []
    assert past.standing == {}


def test_a_fault_that_comes_after_its_end_does_not_stand() -> None:
    past = a_past()
    at = MORNING_MS + HOUR
    take(past, event(1, k.MAINS_BACK, at + MINUTE), event(0, k.MAINS_LOST, at, received_ms=at + 2 * MINUTE))
    assert past.standing == {}
    take(past, event(3, k.CONTACT_RELEASED, at + MINUTE, {k.DEVICE: PIR, k.SPAN_MS: 1}))
    take(past, event(2, k.CONTACT_STUCK, at, {k.DEVICE: PIR, k.SPAN_MS: 1}, at + 2 * MINUTE))
    assert past.past.faults(PIR, at + HOUR) == []


def test_doubt_ends_with_what_is_believed() -> None:
    past = a_past()
    at = MORNING_MS
    take(past, event(0, k.SENSOR_DOUBTED, at, {k.DEVICE: PIR, k.DETAIL: 1}))
    take(past, event(1, k.MOTION, at + 1000, {k.DEVICE: PIR, k.FLAGS: k.UNVERIFIED}))
    assert (PIR, k.SENSOR_DOUBTED) in past.standing
    take(past, event(2, k.MOTION, at + 2000, {k.DEVICE: PIR}))
    assert past.standing == {}


def test_what_the_daemon_says_of_a_hub() -> None:
    past = a_past()
    silent = event(0, k.HUB_SILENT, MORNING_MS, {k.SUBJECT: HUB})
    past.told(silent)
    past.told(event(1, k.IDENTITY_FAULT, MORNING_MS, {k.SUBJECT: HUB, k.DETAIL: 1, k.DEVICE: 9}))
    assert set(past.standing) == {(0, k.HUB_SILENT), (0, k.IDENTITY_FAULT)}
    past.told(event(2, k.HUB_BACK, MORNING_MS + 1, {k.SUBJECT: HUB}))
    past.told(event(3, k.IDENTITY_OK, MORNING_MS + 1, {k.SUBJECT: HUB}))
    assert past.standing == {}


# Whether all has arrived


def heard_at(past: HubPast, seq: int, at_ms: int, received_ms: int | None = None) -> None:
    take(past, event(seq, k.HEARTBEAT, at_ms, BEAT, received_ms))


def test_a_hub_that_speaks_is_up_to_date() -> None:
    past = a_past()
    heard_at(past, 0, MORNING_MS)
    assert past.settle(MORNING_MS + 1000, NOTHING)
    assert past.settle(MORNING_MS + 1000, GAP), "events may come out of order"
    assert not past.settle(MORNING_MS + 1000 + GRACE_MS, GAP)
    assert past.behind_ms is not None
    assert past.settle(MORNING_MS + 2000 + GRACE_MS, NOTHING)


def test_a_hub_that_was_away_is_behind_until_what_is_new_has_come() -> None:
    past = a_past()
    heard_at(past, 0, MORNING_MS)
    back = MORNING_MS + 3 * HOUR
    assert not past.settle(back, NOTHING)
    heard_at(past, 1, MORNING_MS + HOUR, back)  # the oldest of what it kept
    assert not past.settle(back, NOTHING)
    heard_at(past, 9, back)
    assert not past.settle(back, GAP)
    assert past.settle(back, NOTHING)


def test_what_does_not_come_is_a_hole_once() -> None:
    past = a_past()
    heard_at(past, 0, MORNING_MS)
    back = MORNING_MS + 3 * HOUR
    heard_at(past, 9, back)
    assert not past.settle(back, GAP)
    heard_at(past, 10, back + WAIT_MS)
    assert past.settle(back + WAIT_MS, GAP)
    (hole,) = past.past.faults_between(0, MORNING_MS, back + HOUR)
    assert (hole.why, hole.from_ms, hole.until_ms) == ("lost", MORNING_MS, back + WAIT_MS)
    heard_at(past, 11, back + WAIT_MS + 10 * MINUTE)
    assert past.settle(back + WAIT_MS + 10 * MINUTE, GAP), "what was given up on is not waited for again"
    assert len(past.past.faults_between(0, MORNING_MS, back + 2 * HOUR)) == 1


def test_without_a_known_time_only_that_it_came_is_known() -> None:
    past = a_past()
    one = event(0, k.MOTION, MORNING_MS, {k.DEVICE: PIR})
    past.take(one, None)
    assert past.heard_ms == MORNING_MS
    assert past.past.last_movement(MORNING_MS) is None
    assert not past.settle(MORNING_MS, NOTHING)
    past.resolve([(one, MORNING_MS)])
    assert past.past.last_movement(MORNING_MS) == (MORNING_MS, PIR)
    assert past.settle(MORNING_MS, NOTHING)


happenings = st.lists(
    st.tuples(
        st.sampled_from(
            [
                (k.MOTION, {k.DEVICE: PIR}), (k.DOOR_OPEN, {k.DEVICE: DOOR}),
                (k.DOOR_CLOSED, {k.DEVICE: DOOR}),
                (k.SENSOR_SILENT, {k.DEVICE: PIR, k.SPAN_MS: 60_000}),
                (k.SENSOR_BACK, {k.DEVICE: PIR, k.SPAN_MS: 0}), (k.TAMPER, {k.DEVICE: PIR}),
                (k.TAMPER_RESTORED, {k.DEVICE: PIR}), (k.MAINS_LOST, {}), (k.MAINS_BACK, {}),
            ]
        ),
        st.integers(0, 300),
    ),
    max_size=12, unique_by=lambda one: one[1],
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(happenings, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing_that_is_known(
    happened: list[tuple[tuple[int, dict[int, Any]], int]], rng: random.Random
) -> None:
    end = MORNING_MS + 301 * MINUTE
    events = [
        event(seq, kind, MORNING_MS + minute * MINUTE, fields, end)
        for seq, ((kind, fields), minute) in enumerate(sorted(happened, key=lambda one: one[1]))
    ]
    straight, shuffled = a_past(), a_past()
    take(straight, *events)
    rng.shuffle(events)
    take(shuffled, *events)
    for device in (0, PIR, DOOR):
        found = [sorted(one.past.faults_between(device, 0, end), key=str) for one in (straight, shuffled)]
        assert found[0] == found[1]
    assert straight.past.last_movement(end) == shuffled.past.last_movement(end)
    assert straight.past.is_open(DOOR, end) == shuffled.past.is_open(DOOR, end)
    assert set(straight.standing) == set(shuffled.standing)


def test_readings_come_in_whatever_unit_the_monitor_shows() -> None:
    past = a_past()
    at = MORNING_MS
    for number, (value, status) in enumerate((
        ([150021, 160, -1, 2], None),  # kPa
        ([150364, 977, -1, 4], None),  # degrees Fahrenheit
        ([188736, 15432, -2, 6], None),  # pounds
        ([160184, 104, 0, 7], None),  # mg/dL
        ([160188, 58, -1, 8], None),  # plasma, mmol/L: one limit for both
        ([160208, 58, -1], None),  # control solution: its own
        ([150021, 99, 0, 5], None),  # kg of blood pressure
        ([150021, 99, 0, 200], None),  # a unit of a later version
        ([150456, 61, 0], 1 << 13),  # questionable
        ([150456, 98, 0], 1 << 2),
    )):  # fmt: skip
        fields = {k.DEVICE: CUFF, k.VALUES: [value], k.STATUS: status}
        take(past, event(number, k.VITALS, at + number, {key: one for key, one in fields.items() if one}))
    assert [(one.code, round(one.value, 2)) for one in past.past.readings(at, at + HOUR)] == [
        (150021, 120.01), (150364, 36.5), (188736, 70.0), (160184, 5.77), (160184, 5.8), (160208, 5.8),
        (150456, 98),
    ]  # fmt: skip
