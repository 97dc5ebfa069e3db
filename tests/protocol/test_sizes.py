"""What each kind costs on the wire, sealed, beside the same facts as compact JSON in plain text."""

import json
from typing import Any

import pytest

from kanhu.aead import AesCcm
from kanhu_protocol import events, kinds, names, seal
from kanhu_protocol import kinds as k

HUB_ID = "7k3m9q2xwt"
BOOT, SEQ, GENERATION = 1200, 70_000, 3
UP_MS = 9 * 86_400_000 + 12_345_678  # a little over nine days
MOMENT = {k.UTC_MS: 1_767_225_600_123, k.CLOCK: 1}
SENSOR = {k.DEVICE: 3, k.BATTERY: 87, k.RSSI: -71}
FLAGS = {k.FLAGS: k.TEST}
ALARM = {k.ALARM: [BOOT, 69_990]}
SUBJECT = {k.SUBJECT: "4gw8nz5ty1"}
SINCE = {k.SPAN_MS: 3_723_000}
OPERATOR = {**SUBJECT, **ALARM, k.OPERATOR: "op-17", k.REASON: "helped"}
SAID = ["No movement since 21:40; usually up by 07:00.", "自21:40起没有活动；平时7:00前起床。"]
FOUND = {**SUBJECT, k.RULE: "inactivity/1", k.EXPLANATION: SAID}
FAULT = {**SUBJECT, k.DEVICE: 4, k.DETAIL: k.SENSOR_SILENT, k.OPERATOR: "op-17", k.DUE_MS: 1_767_825_600_000}
BLIND = {**SUBJECT, k.DEVICE: 4, **SINCE}
INCIDENT = {k.INCIDENT: "mains-1767225600", k.DETAIL: k.MAINS_LOST, k.MEMBERS: 20_000}
ADDRESS = bytes.fromhex("a4c138112233")
CUFF = [[150021, 121, 0], [150022, 78, 0], [150023, 92, 0], [149546, 64, 0]]
MEASURED = {k.STATUS: 4, k.USER: 1, k.MEASURED_S: 1_767_254_410, k.CLOCK_OFFSET_S: 28_810}

CARRIES: dict[int, dict[int, Any]] = {
    k.CALL_UNANSWERED: {**ALARM, k.ATTEMPT: 37, k.DEVICE: 3},
    k.INACTIVITY: SINCE,
    k.VITALS_OUT_OF_RANGE: {k.DEVICE: 9, k.VALUES: [[150021, 185, 0], [150022, 95, 0]]},
    k.VITALS: {k.DEVICE: 9, k.VALUES: CUFF, **MEASURED},
    k.VITALS_INVALID: {k.DEVICE: 9, k.INVALID: [[150021, 1], [150022, 1], [149546, 5]], **MEASURED},
    k.MONITOR_FAULT: {k.DEVICE: 9, k.DETAIL: 1},
    k.PAIRING_OPENED: {k.SPAN_MS: 120_000},
    k.PAIRING_CLOSED: {k.DETAIL: 1},
    k.SENSOR_HEARD: {**SENSOR, k.ADDRESS: ADDRESS, k.ROLE: 11, k.NAME: "A&D_UA-651BLE_112233"},
    k.PAIRED: {k.DEVICE: 9, k.ADDRESS: ADDRESS, k.ROLE: 11},
    k.UNPAIRED: {k.DEVICE: 9, k.ADDRESS: ADDRESS},
    k.UPDATE_FAILED: {k.FIRMWARE: "1.12.3", k.DETAIL: 6, k.COMMAND: 1017},
    **{kind: {k.FIRMWARE: "0.1.0"} for kind in (k.SAFE_MODE, k.SAFE_MODE_ENDED)},
    k.UPDATE_PROGRESS: {k.FIRMWARE: "1.12.3", k.OFFSET: 43_200, k.SIZE: 90_112, k.COMMAND: 1017},
    k.UPDATE_DONE: {k.FIRMWARE: "1.12.3", k.COMMAND: 1017},
    k.SURVEY: {**SENSOR, k.SPAN_MS: 60_000, k.COUNT: 118, k.INTERVAL_MS: 500, k.LEVELS_DBM: [-83, -71, -66]},
    k.PROVISIONED: {k.DETAIL: 2},
    k.INSTALLATION_ACCEPTED: {**SUBJECT, k.OPERATOR: "op-17", k.VERDICT: 1, k.RECORD: "5e" * 32},
    k.MAINS_LOST: {k.POWER: [False, 96]},
    k.MAINS_BACK: {k.POWER: [True, 41]},
    k.SENSOR_SILENT: {k.DEVICE: 5, **SINCE},
    k.SENSOR_BACK: {k.DEVICE: 5, **SINCE},
    k.LINK_LOST: {k.DETAIL: 1},
    k.LINK_BACK: {k.DETAIL: 1, **SINCE},
    k.CLOCK_FAULT: {k.DETAIL: 2},
    k.CLOCK_OK: {},
    k.STORAGE_FULL: {k.DETAIL: 1},
    k.STORAGE_OK: {},
    k.IDENTITY_FAULT: {**SUBJECT, k.DETAIL: 1},
    k.IDENTITY_OK: SUBJECT,
    k.LINE_FAULT: {k.DEVICE: 1, k.DETAIL: 2},
    k.LINE_OK: {k.DEVICE: 1},
    k.CONTACT_STUCK: {k.DEVICE: 1, **SINCE},
    k.CONTACT_RELEASED: {k.DEVICE: 1, **SINCE},
    k.HUB_SILENT: {**SUBJECT, **SINCE},
    k.HUB_BACK: {**SUBJECT, **SINCE},
    k.EVENTS_LOST: {k.LOST: [[1199, 40_000, 40_095]], k.COUNT: 96, k.DETAIL: 1},
    k.COMMAND_REFUSED: {k.COMMAND: 1017, k.DETAIL: 2},
    k.SENSOR_DOUBTED: {k.DEVICE: 3, k.DETAIL: 4, k.COUNT: 1200},
    k.BOOT: {k.RESET: 3, k.PREVIOUS: [1199, 65_535], k.FIRMWARE: "0.1.0", k.VERSIONS: [4, 12]},
    k.COMMAND_DONE: {k.COMMAND: 1017, k.STATE: 4, **ALARM},
    k.CLOCK_SET: {},
    k.CHECK_IN: {},
    k.AWAY: {},
    k.HOME: {},
    k.ALARM_ACCEPTED: OPERATOR,
    k.ALARM_CLOSED: OPERATOR,
    k.ALARM_CORRECTED: OPERATOR,
    k.ALARM_REOPENED: {**SUBJECT, **ALARM},
    k.HEARTBEAT: {
        k.RSSI: -67,
        k.RESET: 1,
        k.HEAP: [64_320, 30_112],
        k.LINK: 1,
        k.OUTBOX: [2, 480],
        k.DROPS: [0, 0, 0, 0, 3120],
        k.RADIO: [100, 41_873],
        k.FIRMWARE: "0.1.0",
        k.POWER: [True, 98],
        k.VERSIONS: [4, 12],
        k.DOWNLINK: [1_767_225_000, 3450],
        k.REFUSED: [0, 2, 1],
        k.FAULTS: [1, 12, 1],
    },
    k.MOTION_COUNT: {k.DEVICE: 4, k.COUNT: 17, k.SPAN_MS: 300_000},
    k.STILL: {k.DEVICE: 4, **SINCE},
    k.TEST_CALL: {},
    k.PATH_PROVEN: {k.SPAN_MS: 840},
    k.PATH_FAULT: {k.DETAIL: 2},
    k.PATH_OK: {},
    k.PRE_ALARM: {k.DEVICE: 5, k.SPAN_MS: 20_000, k.DETAIL: k.FALL},
    k.PRE_ALARM_CANCELLED: {k.DEVICE: 5, **ALARM},
    **dict.fromkeys((k.NO_RETURN, k.DOOR_LEFT_OPEN, k.MISSED_VISIT, k.OVERSTAY), FOUND),
    k.RULE_HINT: FOUND,
    k.ALARM_ESCALATED: {**SUBJECT, **ALARM, k.LEVEL: 3},
    **dict.fromkeys((k.ALARM_DISPATCHED, k.ALARM_ON_SCENE, k.ALARM_HANDED_OVER), OPERATOR),
    k.CHECK_OUT: {**SUBJECT, k.OPERATOR: "op-17", **SINCE},
    k.REFERRAL: {**SUBJECT, k.NEED: "meal_delivery", k.RULE: "inactivity/1"},
    k.MODE_SET: {**SUBJECT, k.MODE: 3, k.DUE_MS: 1_767_825_600_000, k.OPERATOR: "op-17"},
    **dict.fromkeys((k.FAULT_ASSIGNED, k.FAULT_OVERDUE, k.FAULT_CLOSED), FAULT),
    **dict.fromkeys((k.INCIDENT_OPENED, k.INCIDENT_CLOSED), INCIDENT),
    **dict.fromkeys((k.SENSOR_UNPROVEN, k.SENSOR_PROVEN), BLIND),
}
# A host's own events made of words, or of a digest: never sealed, because they do not cross the hub's link.
IN_WORDS = {kind for kind, fields in CARRIES.items() if k.RULE in fields or k.RECORD in fields}
UNITS = {code: names.UNITS[unit] for code, (_, unit) in names.QUANTITIES.items()}
LIMITS = {k.CALL: 64, k.CALL_UNANSWERED: 72, k.HEARTBEAT: 132}  # bytes, sealed
RATIO = 0.45  # of the compact JSON


def sealed_size(kind: int) -> int:
    plain = events.encode(kind, UP_MS, {**MOMENT, **FLAGS, **CARRIES.get(kind, SENSOR)})
    return len(seal.seal(AesCcm(bytes(16)), GENERATION, HUB_ID, seal.UP, BOOT, SEQ, 0, plain))


def json_size(kind: int) -> int:
    facts: dict[str, Any] = {
        "hub": HUB_ID,
        "boot": BOOT,
        "seq": SEQ,
        "kind": names.KINDS[kind],
        "up_ms": UP_MS,
    }
    for key, value in {**MOMENT, **FLAGS, **CARRIES.get(kind, SENSOR)}.items():
        if key == k.FLAGS:
            value = [names.FLAGS[value]]
        elif key == k.CLOCK:
            value = names.CLOCKS[value]
        elif key == k.VALUES:
            value = [{"code": code, "value": value, "unit": UNITS[code]} for code, value, _ in value]
        elif key == k.INVALID:
            value = [{"code": code, "special": names.SPECIALS[special]} for code, special in value]
        elif key == k.ADDRESS:
            value = value.hex(":")
        elif key == k.ROLE:
            value = names.ROLES[value]
        elif key == k.LINK:
            value = names.LINKS[value]
        elif key == k.RESET:
            value = names.RESETS[value]
        elif key == k.STATE:
            value = names.STATES[value]
        elif key == k.VERDICT:
            value = names.VERDICTS[value]
        elif key == k.LEVELS_DBM:
            value = dict(zip(("weakest", "median", "strongest"), value, strict=True))
        elif key == k.MODE:
            value = names.MODES[value]
        elif key == k.LEVEL:
            value = names.LEVELS[value]
        elif key == k.EXPLANATION:
            value = dict(zip(("en", "zh"), value, strict=True))
        elif key == k.DETAIL and kind in names.DETAILS:
            value = names.DETAILS[kind][value]
        elif key == k.DROPS:
            value = {f"p{number}": count for number, count in enumerate(value, 1)}
        elif key == k.HEAP:
            value = dict(zip(("free", "largest"), value, strict=True))
        elif key == k.OUTBOX:
            value = dict(zip(("urgent", "bulk"), value, strict=True))
        elif key == k.RADIO:
            value = dict(zip(("duty_percent", "heard"), value, strict=True))
        elif key == k.POWER:
            value = dict(zip(("mains", "battery_percent"), value, strict=True))
        elif key == k.VERSIONS:
            value = dict(zip(("config", "devices"), value, strict=True))
        elif key == k.DOWNLINK:
            value = dict(zip(("epoch", "counter"), value, strict=True))
        elif key == k.REFUSED:
            value = dict(zip(("forged", "replayed", "malformed"), value, strict=True))
        elif key == k.FAULTS:
            value = dict(zip(("task_crashes", "radio_overflows", "damaged_files"), value, strict=True))
        facts[names.KEYS[key]] = value
    return len(json.dumps(facts, separators=(",", ":"), ensure_ascii=False).encode())


def test_sizes_of_every_kind() -> None:
    print(f"\n{'kind':24}{'sealed':>8}{'JSON':>8}{'ratio':>8}")
    too_large = []
    for kind, name in names.KINDS.items():
        sealed, plain = sealed_size(kind), json_size(kind)
        print(f"{name:24}{sealed:8}{plain:8}{sealed / plain:8.2f}")
        if kind not in IN_WORDS and (sealed >= RATIO * plain or sealed > LIMITS.get(kind, 132)):
            too_large.append((name, sealed, plain))
    assert not too_large


@pytest.mark.parametrize("kind", LIMITS)
def test_limits_hold_with_a_two_byte_key_id(kind: int) -> None:
    assert sealed_size(kind) + 1 <= LIMITS[kind]


def test_the_limits_speak_of_every_heartbeat_field() -> None:
    carried = {*CARRIES[kinds.HEARTBEAT], *MOMENT, *FLAGS}
    assert {k.HEAP, k.RESET, k.LINK, k.RSSI, k.OUTBOX, k.DROPS, k.RADIO, k.FIRMWARE} <= carried
    assert {k.POWER, k.VERSIONS, k.DOWNLINK, k.REFUSED, k.FAULTS} <= carried
