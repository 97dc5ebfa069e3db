"""Encrypted sensors: what is read, agreed with bthome-ble; what is refused, doubted, kept over a reboot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bthome_ble import BTHomeBluetoothDeviceData
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers_bthome import service_info, services
from helpers_micropython import run_micropython
from kanhu.sim import sensors
from kanhu_protocol import kinds as k

CASES = json.loads((Path(__file__).parent / "vectors" / "bthome_encrypted.json").read_text(encoding="utf-8"))
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
OTHER_KEY = bytes.fromhex("814aac74c4f17b6c1581e1ab87816b99")
CALLER, PIR, DOOR, WINDOW, SMOKE, LEAK = (f"a4c1388d18{n:02x}" for n in range(6))
ROLES = {CALLER: 1, PIR: 2, DOOR: 3, WINDOW: 4, SMOKE: 5, LEAK: 8}
TABLE = [[role, role, address, 0, KEY.hex()] for address, role in ROLES.items()]
WENT_BACK, REPEATED, NOT_ENCRYPTED, FORGED, NO_KEY = 1, 2, 3, 4, 5

OPEN = """
import json
from kanhu_hub.inputs.encrypted import Guard
class Sensor:
    device = role = 1
class Counters:
    rows = {}
def emit(kind, fields):
    pass
for mac, key, service in json.loads(%r):
    guard = Guard(Sensor, bytes.fromhex(mac), bytes.fromhex(key), Counters, emit)
    plain = guard.open(bytes.fromhex(service))
    print(plain.hex() if plain is not None else "refused")
"""


def opened(messages: list[tuple[str, str, str]]) -> list[str]:
    """What the hub reads of (address, key, service data), each as a sensor's first word."""
    return run_micropython(OPEN % json.dumps(messages)).split()


def encrypted(plain: bytes, mac: bytes, key: bytes, counter: int, with_mac: bool = False) -> bytes:
    """Service data of plain service data, encrypted."""
    info = bytes([plain[0] | 1 | (2 if with_mac else 0)])
    sent = counter.to_bytes(4, "little")
    sealed = AESCCM(key, tag_length=4).encrypt(mac + b"\xd2\xfc" + info + sent, plain[1:], None)
    return info + (mac[::-1] if with_mac else b"") + sealed[:-4] + sent + sealed[-4:]


# Reading


def test_published_cases():
    got = opened([(case["mac"], case["key"], case["service"]) for case in CASES])
    assert got == [case["plain"] or "refused" for case in CASES]


def learnt(service: bytes, mac: bytes, key: bytes | None) -> dict[str, Any]:
    """What bthome-ble makes of service data."""
    info = service_info(service, mac.hex(":").upper())
    reader = BTHomeBluetoothDeviceData(key)
    update = reader.update(info)
    assert key is None or reader.bindkey_verified
    values = {**update.entity_values, **update.binary_entity_values, **update.events}
    return {str(name): getattr(value, "native_value", None) or repr(value) for name, value in values.items()}


MESSAGE = st.tuples(
    services(),
    st.binary(min_size=6, max_size=6),
    st.binary(min_size=16, max_size=16),
    st.integers(1, 2**32 - 1),
)


@settings(max_examples=4, deadline=None)
@given(st.lists(MESSAGE, min_size=40, max_size=40), st.booleans())
def test_the_hub_and_bthome_ble_read_the_same(messages, with_mac):
    """Over every object the hub reads (test_bthome.py compares the plain text itself)."""
    sealed = [encrypted(plain, mac, key, n, with_mac) for plain, mac, key, n in messages]
    got = opened([(m.hex(), key.hex(), s.hex()) for (_, m, key, _), s in zip(messages, sealed, strict=True)])
    assert got == [plain.hex() for plain, *_ in messages]
    for (plain, mac, key, _), service in zip(messages, sealed, strict=True):
        if len(plain) > 2:  # bthome-ble wants an object
            assert learnt(service, mac, key) == learnt(plain, mac, None)


@settings(max_examples=3, deadline=None)
@given(st.lists(st.tuples(MESSAGE, st.integers(0, 10**6), st.integers(1, 255)), min_size=60, max_size=60))
def test_a_changed_byte_anywhere_is_refused(changed):
    messages = []
    for (plain, mac, key, counter), at, bits in changed:
        service = bytearray(encrypted(plain, mac, key, counter))
        service[at % len(service)] ^= bits
        service[0] |= 1  # without this bit it is no forgery, but a downgrade
        if bytes(service) != encrypted(plain, mac, key, counter):
            messages.append((mac.hex(), key.hex(), service.hex()))
    assert opened(messages) == ["refused"] * len(messages)


@settings(max_examples=3, deadline=None)
@given(st.lists(st.binary(max_size=26), min_size=200, max_size=200))
def test_no_bytes_can_harm(payloads):
    messages = [(CALLER, KEY.hex(), (b"\x41" + payload).hex()) for payload in payloads]
    assert set(opened(messages)) == {"refused"}


def test_the_bench_encrypts_as_published():
    case = next(case for case in CASES if "Shelly" in case["name"])
    key, mac = bytes.fromhex(case["key"]), bytes.fromhex(case["mac"])
    sent = sensors.encrypt([(0x00, 7), (0x01, 100), (0x3A, 1)], key, mac, 442, trigger=True)
    assert sent[7:].hex() == case["service"]


# On the air: counters


def adv(at, address, counter, objects, key=KEY, info=0x40):
    service = encrypted(bytes([info]) + bytes.fromhex(objects), bytes.fromhex(address), key, counter)
    data = b"\x02\x01\x06" + bytes([len(service) + 3, 0x16, 0xD2, 0xFC]) + service
    return [at, "adv", [address, -60, data.hex()]]


def plain(at, address, objects):
    service = b"\x40" + bytes.fromhex(objects)
    return [at, "adv", [address, -60, (bytes([len(service) + 3, 0x16, 0xD2, 0xFC]) + service).hex()]]


def press(at, counter, copies=1, packet_id=None, **more):
    objects = f"00{(counter if packet_id is None else packet_id) % 256:02x}01643a01"
    return [adv(at + 100 * i, CALLER, counter, objects, **more) for i in range(copies)]


@pytest.fixture
def hear(play, tmp_path):
    """hear(steps, until): one boot of a hub that keeps its files from call to call."""

    def run(steps, until=30_000, table=TABLE, folder=None, **more):
        return play("advertisements", steps, until, table=table, folder=str(folder or tmp_path), **more)

    return run


def flags(done):
    return [fields.get(k.FLAGS, 0) for _, fields in done.of(k.CALL)]


def doubts(done):
    return [(fields[k.DEVICE], fields[k.DETAIL], fields[k.COUNT]) for _, fields in done.of(k.SENSOR_DOUBTED)]


def test_a_press_is_one_call_however_often_it_is_advertised(hear):
    done = hear(press(5_000, 7, copies=20))
    assert done.events == [(5_000, k.CALL, {k.DEVICE: 1, k.BATTERY: 100, k.RSSI: -60})]
    assert done.counts["refused"] == 19


def test_a_counter_for_each_copy_is_one_call_and_one_write(hear):
    done = hear([s for i in range(20) for s in press(5_000 + 70 * i, 7 + i, packet_id=3)], 12_000)
    assert done.kinds == [k.CALL]
    assert done.counts["writes"] == 1


def test_every_rising_counter_is_a_press(hear):
    done = hear(
        [s for i, n in enumerate((1, 2, 50, 51, 0xFFFFFFFF)) for s in press(5_000 * (i + 1), n, copies=3)]
    )
    assert flags(done) == [0] * 5
    assert doubts(done) == []


def test_a_repeat_is_refused_whenever_it_comes(hear):
    assert hear(press(5_000, 7) + press(20_000, 7)).kinds == [k.CALL]
    done = hear(press(5_000, 7, copies=50))  # after a reboot
    assert done.kinds == []
    assert done.counts["refused"] == 50
    assert hear(press(5_000, 8)).kinds == [k.CALL]


def test_an_older_message_that_comes_again_is_refused_and_said(hear):
    hear([s for n in range(8) for s in press(1_000 + 1_000 * n, n)])
    done = hear([s for n in (3, 5, 3) for s in press(15_000 + n, n)])
    assert [kind for kind in done.kinds if kind == k.CALL] == []
    assert doubts(done) == [(1, REPEATED, 1)]
    assert done.counts["refused"] == 3


def test_copies_that_come_mixed_are_no_replay(hear):
    done = hear([s for i in range(10) for s in press(5_000 + 100 * i, 7 + i % 2)])
    assert done.kinds == [k.CALL, k.CALL]


def test_a_counter_that_went_back_is_a_call_that_says_so(hear):
    hear(press(5_000, 4_711))
    done = hear(press(5_000, 0, copies=5) + press(15_000, 1, copies=5), 30_000)
    assert hear(press(5_000, 2, copies=5)).of(k.CALL)[0][1][k.FLAGS] == k.UNVERIFIED  # after a reboot, too
    assert [kind for kind in done.kinds if kind in (k.CALL, k.SENSOR_DOUBTED)] == [
        k.CALL,
        k.SENSOR_DOUBTED,
        k.CALL,
    ]
    assert flags(done) == [k.UNVERIFIED, k.UNVERIFIED]
    assert doubts(done) == [(1, WENT_BACK, 1)]


def test_recordings_in_their_order_are_all_marked_and_the_sensor_itself_is_not(hear):
    hear([s for n in range(20, 30) for s in press(1_000 + 1_000 * (n - 20), n)])
    done = hear([s for n in range(5) for s in press(5_000 * (n + 1), n)] + press(30_000, 30), 40_000)
    assert flags(done) == [k.UNVERIFIED] * 5 + [0]


def test_a_day_of_low_counters_is_a_new_battery(hear):
    day = 86_400_000
    hear(press(5_000, 4_711))
    done = hear(
        [*press(5_000, 0), *press(day, 1), *press(day + 60_000, 2), *press(day + 120_000, 3)], day + 130_000
    )
    assert flags(done) == [k.UNVERIFIED, k.UNVERIFIED, k.UNVERIFIED, 0]
    assert flags(hear(press(5_000, 4))) == [0]


def test_a_caller_nobody_pressed_for_days_is_not_taken_for_restarted(hear):
    day = 86_400_000
    hear(press(5_000, 4_711))
    assert (
        flags(hear([*press(day + 90_000, 0), *press(day + 120_000, 1)], day + 130_000)) == [k.UNVERIFIED] * 2
    )


def test_the_same_counter_with_other_words_is_not_a_repeat(hear):
    done = hear(press(5_000, 7) + press(15_000, 7, packet_id=9))
    assert flags(done) == [0, k.UNVERIFIED]


def test_a_counter_that_has_come_round_is_a_call(hear):
    assert flags(hear(press(5_000, 0xFFFFFFFF) + press(15_000, 0))) == [0, k.UNVERIFIED]


def test_a_new_battery_and_its_first_presses_the_same_as_ever(hear):
    """What the sensor said at its very first is let through again once eight newer messages have come."""
    hear([s for n in range(9) for s in press(1_000 + 2_000 * n, n)])
    assert flags(hear(press(5_000, 0))) == [k.UNVERIFIED]


@pytest.mark.parametrize(
    ("address", "objects", "kind"),
    [
        (SMOKE, "2901", k.SMOKE),
        (LEAK, "2001", k.WATER_LEAK),
        (DOOR, "1c01", k.GAS),
        (PIR, "1701", k.CARBON_MONOXIDE),
    ],
)
def test_danger_is_told_whatever_its_counter(hear, address, objects, kind):
    done = hear([adv(5_000, address, 90, "0164"), adv(15_000, address, 3, objects)])
    assert [(ms, fields[k.FLAGS]) for ms, fields in done.of(kind)] == [(15_000, k.UNVERIFIED)]
    assert [detail for _, detail, _ in doubts(done)] == [WENT_BACK]


def test_where_no_life_hangs_on_it_three_rising_counters_prove_a_restart(hear):
    steps = [adv(5_000, DOOR, 90, "1a00")]
    replayed = [adv(10_000 + 1_000 * i, DOOR, n, "1a01") for i, n in enumerate((8, 8, 7, 6, 7))]
    done = hear(steps + replayed)
    assert k.DOOR_OPEN not in done.kinds
    assert doubts(done) == [(3, WENT_BACK, 1)]
    assert done.counts["refused"] == 5
    done = hear([adv(5_000 + 2_000 * i, DOOR, n, "1a01") for i, n in enumerate((0, 1, 4))])
    assert [(ms, fields[k.FLAGS]) for ms, fields in done.of(k.DOOR_OPEN)] == [(9_000, k.UNVERIFIED)]
    done = hear([adv(5_000, DOOR, 5, "1a01")])
    assert k.FLAGS not in done.of(k.DOOR_OPEN)[0][1]


def test_copies_do_not_spoil_the_proof_of_a_restart(hear):
    hear([adv(5_000, DOOR, 90, "1a00")])
    opened = [adv(5_000 + 2_000 * n + 100 * i, DOOR, n, "1a01") for n in range(3) for i in range(4)]
    assert [ms for ms, _ in hear(opened).of(k.DOOR_OPEN)] == [9_000]


def test_motion_that_may_be_a_replay_is_no_motion(hear):
    steps = [adv(5_000, PIR, 90, "2101"), *(adv(100_000 + 100 * i, PIR, 20 - i, "2101") for i in range(5))]
    assert hear(steps, 120_000).kinds == [k.MOTION, k.SENSOR_DOUBTED]


# Downgrades, forgers, keys


def test_plain_words_of_a_sensor_that_encrypts_are_refused(hear):
    supervised = [[1, 1, CALLER, 10, KEY.hex()]]
    steps = [plain(1_000 + 1_000 * i, CALLER, f"00{i:02x}3a01") for i in range(40)]
    done = hear(steps, 45_000, supervised)
    assert done.kinds == [k.SENSOR_DOUBTED, k.SENSOR_SILENT]  # they are no sign of life either
    assert doubts(done) == [(1, NOT_ENCRYPTED, 1)]
    assert done.counts["refused"] == 40


def test_forged_words_are_refused_and_said_every_ten_minutes(hear):
    steps = [s for i in range(40) for s in press(1_000 + 60_000 * i, i, key=OTHER_KEY)]
    done = hear(steps, 2_460_000, [[1, 1, CALLER, 600, KEY.hex()]])
    assert [kind for kind in done.kinds if kind != k.SENSOR_DOUBTED] == [k.SENSOR_SILENT]
    assert doubts(done) == [(1, FORGED, count) for count in (1, 9, 10, 10, 10)]


def test_a_forger_does_not_keep_the_sensor_from_being_heard(hear):
    steps = [
        s for i in range(50) for s in (*press(5_000 + 100 * i, i, key=OTHER_KEY), *press(5_050 + 100 * i, i))
    ]
    done = hear(steps, 30_000)
    assert flags(done) == [0] * 50


def test_advertisements_without_a_word_are_no_sign_of_life_of_a_sensor_that_encrypts(hear):
    steps = [[1_000 + 5_000 * i, "adv", [CALLER, -60, "020106"]] for i in range(10)]
    done = hear(steps, 60_000, [[1, 1, CALLER, 10, KEY.hex()]])
    assert done.kinds == [k.SENSOR_SILENT]
    done = hear([*steps, *press(50_000, 4)], 60_000, [[1, 1, CALLER, 10, KEY.hex()]])
    assert done.kinds == [k.SENSOR_SILENT, k.CALL, k.SENSOR_BACK]


def test_a_sensor_that_encrypts_without_a_key_of_ours_is_not_passed_over_in_silence(hear):
    table = [[1, 1, CALLER, 0]]
    done = hear([*press(5_000, 7, copies=3), plain(9_000, CALLER, "3a01")], table=table)
    assert done.kinds == [k.SENSOR_DOUBTED, k.CALL]
    assert doubts(done) == [(1, NO_KEY, 1)]
    assert done.counts["writes"] == 0


def test_a_new_key_starts_anew_and_the_old_one_is_worth_nothing(hear):
    hear(press(5_000, 90))
    steps = [[4_000, "table", [[1, 1, CALLER, 0, OTHER_KEY.hex()]]]]
    done = hear(steps + press(6_000, 3, key=OTHER_KEY) + press(9_000, 91))
    assert flags(done) == [0]
    assert doubts(done) == [(1, FORGED, 1)]


def test_another_number_or_role_does_not_forget_the_counter(hear):
    done = hear([*press(5_000, 90), [8_000, "table", [[9, 1, CALLER, 0, KEY.hex()]]], *press(12_000, 90)])
    assert done.kinds == [k.CALL]


def test_keys_are_not_printed(hear):
    table = [[1, "?", CALLER, "x", KEY.hex()], [2, 2, PIR, 0, KEY.hex()]]
    done = hear([], table=table)
    assert "sensor [1" in done.out
    assert str(KEY)[2:-1] not in done.out
    assert KEY.hex() not in done.out


# Flash


def test_what_caused_an_event_is_known_at_once_and_the_rest_soon(hear):
    hear([adv(5_000, DOOR, 90, "1a01")], 5_001)
    assert hear([adv(5_000, DOOR, 90, "1a01")], 5_001).kinds == []
    hear([adv(5_000 + 500 * i, DOOR, 91 + i, "1a01") for i in range(30)], 40_000)
    done = hear([adv(5_000, DOOR, 120, "1a01")])
    assert done.kinds == []


def test_a_busy_sensor_does_not_wear_the_flash_out(hear):
    done = hear([adv(1_000 + 1_000 * i, PIR, i, "2101") for i in range(300)], 310_000)
    assert done.counts["writes"] <= 1 + 300 // 15


def test_flash_that_fails_costs_no_call(hear, tmp_path):
    done = hear(press(5_000, 7, copies=3) + press(8_000, 8), folder=tmp_path / "missing")
    assert flags(done) == [0, 0]


@pytest.mark.parametrize("content", [b"", b"\0" * 40, b"\x81\x01torn", None])
def test_a_damaged_file_costs_no_call(hear, tmp_path, content):
    hear(press(5_000, 7))
    file = tmp_path / "devices.heard"
    file.write_bytes(file.read_bytes()[:-1] if content is None else content)
    assert flags(hear(press(5_000, 8))) == [0]


def test_a_power_cut_may_double_a_press_and_cannot_lose_it(hear):
    hear([[1_000, "cut", "event"], *press(5_000, 7)], 5_001)
    assert flags(hear(press(5_000, 7))) == [0]
    cut = hear([[1_000, "cut", "file"], *press(5_000, 8)], 5_001)
    assert flags(cut) == [0]
    assert flags(hear(press(5_000, 8))) == [0]
    assert flags(hear(press(5_000, 8))) == []


def test_sensors_that_left_the_table_leave_the_file(hear, tmp_path):
    hear([*press(5_000, 7), adv(6_000, SMOKE, 3, "2901")])
    assert bytes.fromhex(SMOKE) in (tmp_path / "devices.heard").read_bytes()
    hear(press(5_000, 8), table=TABLE[:1])
    assert bytes.fromhex(SMOKE) not in (tmp_path / "devices.heard").read_bytes()


def test_a_full_heap_loses_no_press_and_its_doubt_stays_with_it(hear):
    hear(press(5_000, 90))
    done = hear([[1_000, "raises", 1], *press(5_000, 3), *press(5_500, 3)])
    assert flags(done) == [k.UNVERIFIED]
    assert done.of(k.CALL)[0][0] <= 7_000


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3)), min_size=1, max_size=40),
    st.lists(st.integers(1, 39), max_size=3),
)
def test_as_a_plain_model_says_over_any_counters_and_reboots(hear, tmp_path_factory, heard, reboots):
    """Never silence for a caller: a message not lately heard is a call, flagged where it did not rise."""
    folder = tmp_path_factory.mktemp("hub")
    expected, recent, highest, at, boots = [], [], -1, 1_000, [[]]
    for number, (counter, copies) in enumerate(heard):
        if number in reboots:
            boots.append([])
            at = 1_000
        boots[-1] += press(at, counter, copies)
        at += 5_000
        if counter not in recent:
            expected.append(k.UNVERIFIED if counter <= highest else 0)
            highest = max(highest, counter)
            recent = [*recent[-7:], counter]
    assert [flag for steps in boots for flag in flags(hear(steps, 250_000, folder=folder))] == expected
