"""BLE sensors: one press is one CALL however often it is advertised; states become events at their edges."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers_micropython import run_micropython
from kanhu_protocol import kinds as k

CALLER, PIR, DOOR, WINDOW, SMOKE = (f"a4c1388d18{n:02x}" for n in range(5))
TABLE = [[1, 1, CALLER, 0], [2, 2, PIR, 0], [3, 3, DOOR, 0], [4, 4, WINDOW, 0], [5, 5, SMOKE, 0]]
DAY = 86_400_000


def bt(objects, info="40"):
    data = bytes.fromhex(info + objects)
    return (b"\x02\x01\x06" + bytes([len(data) + 3, 0x16, 0xD2, 0xFC]) + data).hex()


def adv(at, address, objects, rssi=-60, info="40"):
    return [at, "adv", [address, rssi, bt(objects, info)]]


def pressed(at, packet_id, code=1, copies=1, every=100):
    return [adv(at + every * i, CALLER, f"00{packet_id:02x}01643a{code:02x}") for i in range(copies)]


@pytest.fixture
def hear(play):
    def run(steps, until=60_000, table=TABLE, **more):
        return play("advertisements", steps, until, table=table, **more)

    return run


def calls(done):
    return done.kinds.count(k.CALL)


# Presses


def test_a_press_is_one_call_with_battery_and_rssi(hear):
    done = hear(pressed(5_000, 29, copies=20))
    assert done.events == [(5_000, k.CALL, {k.DEVICE: 1, k.BATTERY: 100, k.RSSI: -60})]


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 0x80, 0xFE, 0x81, 7])
def test_any_button_event_is_a_call(hear, code):
    assert calls(hear(pressed(5_000, 29, code, copies=3))) == 1


VISITOR = "a4c1388d1809"
FALLS = "a4c1388d180a"
ROLES = [[9, 10, VISITOR, 0], [10, 9, FALLS, 0]]


@pytest.mark.parametrize(
    ("code", "kind"), [(1, k.CHECK_IN), (2, k.CHECK_OUT), (4, k.CHECK_IN), (0x80, k.CHECK_IN)]
)
def test_a_visitors_button_checks_in_and_out(hear, code, kind):
    steps = [adv(5_000 + 100 * i, VISITOR, f"001d01643a{code:02x}") for i in range(5)]
    assert hear(steps, table=ROLES).events == [(5_000, kind, {k.DEVICE: 9, k.BATTERY: 100, k.RSSI: -60})]


def test_in_and_out_while_the_heap_is_full(hear):
    steps = [
        [4_000, "raises", 2],
        adv(5_000, VISITOR, "001d3a01"),
        adv(5_200, VISITOR, "001e3a02"),
    ]
    assert hear(steps, table=ROLES).kinds == [k.CHECK_IN, k.CHECK_OUT]


@pytest.mark.parametrize("what", ["0f", "26", "2c"])
def test_a_fall_is_an_event_at_its_edge_and_a_minute_after_it_was_last_said(hear, what):
    said = [adv(5_000 + 1_000 * i, FALLS, f"{what}01") for i in range(40)]
    assert hear(said, table=ROLES).events == [(5_000, k.FALL, {k.DEVICE: 10, k.RSSI: -60})]
    over = [adv(50_000, FALLS, f"{what}00"), adv(52_000, FALLS, f"{what}01")]
    assert hear(said + over, table=ROLES).kinds == [k.FALL, k.FALL]
    later = [adv(44_000 + 62_000, FALLS, f"{what}01")]
    assert hear(said + later, 120_000, table=ROLES).kinds == [k.FALL, k.FALL]


def test_what_says_a_fall_elsewhere_is_none(hear):
    assert hear([adv(5_000, DOOR, "0f0126012c01"), adv(6_000, PIR, "2c01")]).kinds == []


def test_none_is_no_call(hear):
    assert hear(pressed(5_000, 29, 0) + pressed(6_000, 30, 0)).kinds == []


def test_a_new_packet_id_is_a_new_press(hear):
    assert calls(hear(pressed(5_000, 29, copies=5) + pressed(5_600, 30, copies=5))) == 2


def test_packet_ids_wrap(hear):
    steps = [s for i in range(6) for s in pressed(5_000 + 700 * i, (253 + i) % 256, copies=4)]
    assert calls(hear(steps)) == 6


def test_the_same_packet_id_after_4_s_of_silence_is_a_new_press(hear):
    assert calls(hear(pressed(5_000, 29) + pressed(8_900, 29))) == 1
    assert calls(hear(pressed(5_000, 29) + pressed(9_100, 29))) == 2


def test_copies_for_half_a_minute_are_one_press(hear):
    assert calls(hear(pressed(5_000, 29, copies=15, every=2_000))) == 1


def test_interleaved_copies_are_no_new_presses(hear):
    steps = [s for i in range(10) for s in pressed(5_000 + 200 * i, 29 + i % 2)]
    assert calls(hear(steps)) == 2


def test_the_same_packet_id_a_tick_period_later_is_a_press(hear):
    period = 2**30
    steps = [*pressed(5_000, 29), [10_000, "leap", period // 4, 4], *pressed(10_100, 29)]
    assert calls(hear(steps)) == 2


def test_other_data_under_the_same_packet_id_does_not_hide_a_press(hear):
    steps = [adv(5_000, CALLER, "00290164"), adv(5_100, CALLER, "00293a00"), adv(5_200, CALLER, "00293a01")]
    assert calls(hear(steps)) == 1


@pytest.mark.parametrize(("gap", "presses"), [(2_400, 1), (2_600, 2)])
def test_without_packet_id_the_payload_tells(hear, gap, presses):
    assert calls(hear([adv(5_000, CALLER, "3a01"), adv(5_000 + gap, CALLER, "3a01")])) == presses


def test_without_packet_id_a_button_that_was_up_is_pressed_anew(hear):
    steps = [adv(5_000, CALLER, "3a01"), adv(5_500, CALLER, "3a00"), adv(6_000, CALLER, "3a01")]
    assert calls(hear(steps)) == 2


def test_each_button_of_one_advertisement(hear):
    assert calls(hear([adv(5_000, CALLER, "001d01643a013a003a033a00")])) == 2
    assert calls(hear([adv(5_000, CALLER, "403a003a013a00"[2:])])) == 1


@pytest.mark.parametrize("hold", [0x80, 0xFE])
def test_a_hold_is_one_press_while_it_lasts_and_with_its_end(hear, hold):
    held = [s for i in range(10) for s in pressed(5_000 + 500 * i, 40 + i, hold, copies=3)]
    assert calls(hear(held)) == 1
    assert calls(hear(held + pressed(10_500, 50, 4, copies=3))) == 1
    assert calls(hear(held + pressed(10_500, 50, 0x81, copies=3))) == 1
    assert calls(hear(held + pressed(20_000, 50, hold))) == 2


def test_the_press_that_ends_a_short_hold_is_the_same_press(hear):
    """A Shelly BLU Wall Switch 4 sends 0xFE at the press and 0x01 at the release (ioBroker.shelly 1031)."""
    one = pressed(5_000, 132, 0xFE) + pressed(5_400, 133, 1)
    assert calls(hear(one)) == 1
    assert calls(hear(one + pressed(9_000, 134, 0xFE) + pressed(9_300, 135, 1))) == 2


def test_a_press_after_a_hold_is_a_press(hear):
    assert calls(hear(pressed(5_000, 172, 0x80) + pressed(8_000, 173, 1))) == 2
    assert calls(hear(pressed(5_000, 172, 0x80) + pressed(6_000, 174, 1))) == 2


def test_beacons_count_packets_but_press_nothing(hear):
    steps = pressed(5_000, 1) + [s for i in range(8) for s in pressed(8_000 + 5_000 * i, 2 + i, 0)]
    assert calls(hear(steps)) == 1


def test_the_first_packet_after_a_start_is_a_press(hear):
    assert calls(hear(pressed(10, 200))) == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 6), st.integers(1, 8)), max_size=20),
    st.integers(0, 255),
)
def test_as_many_calls_as_packets(hear, presses, packet_id):
    steps, at = [], 1_000
    for gap, code, copies in presses:
        at += gap + 1
        steps += pressed(at, packet_id, code, copies, every=30)
        at += copies * 30
        packet_id = (packet_id + 1) % 256
    assert calls(hear(steps, at + 1_000)) == len(presses)


def test_flash_that_fails_does_not_double_and_a_full_heap_does_not_lose(hear):
    assert calls(hear([[1_000, "answer", False], *pressed(5_000, 29, copies=5)])) == 1
    assert calls(hear([[1_000, "raises", 2], *pressed(5_000, 29, copies=3)])) == 1
    done = hear([[1_000, "raises", 1], *pressed(5_000, 29)])
    assert done.kinds == [k.CALL]
    assert done.events[0][0] <= 7_000


def test_a_button_on_another_sensor_is_no_call(hear):
    assert hear([adv(5_000, SMOKE, "3a01"), adv(6_000, PIR, "3a01")]).kinds == []


# States


@pytest.mark.parametrize("address", [SMOKE, DOOR, CALLER, PIR])
@pytest.mark.parametrize(
    ("what", "on", "off"),
    [
        ("29", k.SMOKE, k.SMOKE_CLEAR),
        ("1c", k.GAS, k.GAS_CLEAR),
        ("17", k.CARBON_MONOXIDE, k.CARBON_MONOXIDE_CLEAR),
        ("20", k.WATER_LEAK, k.WATER_LEAK_CLEAR),
        ("2b", k.TAMPER, k.TAMPER_RESTORED),
    ],
)
def test_a_danger_is_an_event_at_its_edges_whatever_the_role(hear, address, what, on, off):
    steps = [adv(4_000 + 50 * i, address, f"00{i:02x}{what}00") for i in range(3)]
    steps += [adv(5_000 + 500 * i, address, f"00{10 + i:02x}{what}01") for i in range(20)]
    steps += [adv(20_000 + 500 * i, address, f"00{40 + i:02x}{what}00") for i in range(5)]
    done = hear(steps)
    assert done.kinds == [on, off]
    assert [ms for ms, _, _ in done.events] == [5_000, 20_000]
    assert done.events[0][2][k.RSSI] == -60


def test_a_danger_at_the_first_word_is_an_event(hear):
    assert hear([adv(5_000, SMOKE, "2901")]).kinds == [k.SMOKE]


@pytest.mark.parametrize(
    ("address", "what", "opened", "closed"),
    [
        (DOOR, "1a", k.DOOR_OPEN, k.DOOR_CLOSED),
        (DOOR, "11", k.DOOR_OPEN, k.DOOR_CLOSED),
        (DOOR, "2d", k.DOOR_OPEN, k.DOOR_CLOSED),
        (WINDOW, "2d", k.WINDOW_OPEN, k.WINDOW_CLOSED),
        (WINDOW, "11", k.WINDOW_OPEN, k.WINDOW_CLOSED),
    ],
)
def test_doors_and_windows_by_their_role(hear, address, what, opened, closed):
    values = (0, 0, 1, 1, 0)
    done = hear([adv(5_000 + 1_000 * i, address, f"{what}{v:02x}") for i, v in enumerate(values)])
    assert done.kinds == [closed, opened, closed]


def test_life_goes_first(hear):
    done = hear([adv(5_000, DOOR, "00010105150120011a0129012b01")])
    assert done.kinds == [k.SMOKE, k.WATER_LEAK, k.TAMPER, k.DOOR_OPEN, k.BATTERY_LOW]


def test_battery_low_has_hysteresis(hear):
    levels = (80, 16, 15, 14, 16, 19, 15, 20, 100, 3)
    done = hear([adv(5_000 + 1_000 * i, DOOR, f"01{v:02x}") for i, v in enumerate(levels)])
    assert [(kind, f[k.BATTERY]) for _, kind, f in done.events] == [
        (k.BATTERY_LOW, 15),
        (k.BATTERY_OK, 20),
        (k.BATTERY_LOW, 3),
    ]


def test_battery_low_by_its_flag(hear):
    done = hear([adv(5_000 + 1_000 * i, DOOR, f"15{v:02x}") for i, v in enumerate((0, 1, 1, 0))])
    assert done.kinds == [k.BATTERY_LOW, k.BATTERY_OK]
    assert k.BATTERY not in done.events[0][2]


def test_battery_is_remembered_and_nonsense_is_not(hear):
    steps = [adv(5_000, CALLER, "0150"), adv(5_500, CALLER, "01c8"), adv(6_000, CALLER, "00013a01", rssi=127)]
    assert hear(steps).events == [(6_000, k.CALL, {k.DEVICE: 1, k.BATTERY: 80})]


# Motion


def test_motion_by_its_state(hear):
    steps = []
    for i in range(4):
        steps += [adv(5_000 + 15_000 * i, PIR, f"00{2 * i:02x}2101"), adv(9_000 + 15_000 * i, PIR, "2100")]
    done = hear(steps, 800_000)
    assert done.kinds == [k.MOTION, k.MOTION_COUNT, k.STILL]
    assert done.events[0][2] == {k.DEVICE: 2, k.RSSI: -60}
    assert done.events[1][2][k.COUNT] == 3


def test_motion_of_a_sensor_that_only_speaks_when_it_detects(hear):
    steps = []
    for i in range(5):
        steps += [adv(5_000 + 10_000 * i + 100 * c, PIR, f"00{i:02x}2101", info="44") for c in range(4)]
    done = hear(steps, 200_000)
    assert done.total(k.MOTION, k.COUNT) + done.total(k.MOTION_COUNT, k.COUNT) == 5


def test_motion_said_again_and_again_is_not_still(hear):
    steps = [adv(5_000 + 5_000 * i, PIR, "2101") for i in range(200)]
    assert hear(steps, 1_100_000).kinds == [k.MOTION]


def test_occupancy_is_motion_and_motion_elsewhere_is_not(hear):
    assert hear([adv(5_000, PIR, "2301"), adv(6_000, DOOR, "2101")]).kinds == [k.MOTION]


# Supervision, foreigners, bad data

SUPERVISED = [[1, 1, CALLER, 0], [3, 3, DOOR, 100]]


def test_a_silent_sensor_and_its_return(hear):
    steps = [adv(5_000, DOOR, "0164"), adv(400_000, DOOR, "0164")]
    done = hear(steps, 500_000, SUPERVISED)
    assert done.kinds == [k.SENSOR_SILENT, k.SENSOR_BACK]
    silent, back = done.events
    assert 305_000 <= silent[0] <= 306_100
    assert 300_000 <= silent[2][k.SPAN_MS] <= 301_100
    assert back[0] == 400_000
    assert abs(back[2][k.SPAN_MS] - 395_000) <= 1_000


def test_a_sensor_that_never_spoke_is_silent_too(hear):
    assert hear([], 400_000, SUPERVISED).kinds == [k.SENSOR_SILENT]


def test_any_advertisement_is_a_sign_of_life(hear):
    steps = [[5_000 + 50_000 * i, "adv", [DOOR, -60, "020106"]] for i in range(12)]
    assert hear(steps, 600_000, SUPERVISED).kinds == []


def test_silent_for_longer_than_the_ticks_can_say(hear):
    steps = [[400_000, "leap", DAY, 14], adv(401_000, DOOR, "0164")]
    done = hear(steps, 402_000, SUPERVISED)
    assert done.kinds == [k.SENSOR_SILENT, k.SENSOR_BACK]
    assert done.events[1][2][k.SPAN_MS] > 14 * DAY


def test_foreign_encrypted_and_malformed_are_counted(hear):
    steps = [
        [5_000, "adv", ["ffffffffffff", -60, bt("3a01")]],
        adv(6_000, CALLER, "eb84467f85ba0100003188788c", info="45"),
        adv(7_000, CALLER, "", info="20"),
        adv(8_000, CALLER, "0001fe3a01"),
        [9_000, "adv", [CALLER, -60, "0201061e16d2fc40"]],
    ]
    done = hear(steps)
    assert done.events == [(6_000, k.SENSOR_DOUBTED, {k.DEVICE: 1, k.DETAIL: 5, k.COUNT: 1})]
    assert (done.counts["foreign"], done.counts["refused"], done.counts["malformed"]) == (1, 1, 2)


def test_what_was_read_before_an_unknown_object_counts(hear):
    assert hear([adv(5_000, CALLER, "00013a01fe00")]).kinds == [k.CALL]


def test_a_radio_that_fails_is_asked_again(hear):
    assert hear([[5_000, "radio_fails"], *pressed(9_000, 29)]).kinds == [k.CALL]


def test_the_table_bounds_what_is_kept_and_may_change(hear):
    steps = [
        *pressed(5_000, 1),
        adv(6_000, DOOR, "1a01"),
        [8_000, "table", [[9, 1, CALLER, 0]]],
        *pressed(12_000, 2),
        adv(13_000, DOOR, "1a00"),
    ]
    done = hear(steps)
    assert [(kind, f[k.DEVICE]) for _, kind, f in done.events] == [(k.CALL, 1), (k.DOOR_OPEN, 3), (k.CALL, 9)]
    assert done.counts["sensors"] == 1


def test_stopping_leaves_no_timer_behind(hear):
    assert hear(pressed(5_000, 1), 5_500).counts["sleepers"] == 0


def test_foreign_advertisements_cost_no_heap():
    out = run_micropython("""
import asyncio, gc, time
from kanhu_hub.inputs.advertisements import Advertisements

class Devices:
    def all(self): return [[1, 1, bytes([9] * 6), 0]]

class Clock:
    def ticks_ms(self): return time.ticks_ms()
    def ticks_diff(self, a, b): return time.ticks_diff(a, b)
    async def sleep_ms(self, ms): await asyncio.sleep_ms(ms)

batch = [(bytes([0, 0, 0, 0, 0, i]), -70, bytes(31)) for i in range(200)]

class Radio:
    rounds = 0
    used = None
    async def heard(self):
        self.rounds += 1
        if self.rounds == 2:
            gc.collect(); gc.disable()
            self.before = gc.mem_alloc(); self.start = time.ticks_us()
        if self.rounds == 12:
            self.us = time.ticks_diff(time.ticks_us(), self.start)
            self.used = gc.mem_alloc() - self.before
            await asyncio.sleep(60)
        return batch

async def main():
    radio = Radio()
    a = Advertisements(radio, Devices(), None, Clock())
    task = asyncio.create_task(a.run())
    while radio.used is None:
        await asyncio.sleep_ms(1)
    task.cancel()
    print(radio.used, a.foreign, radio.us)

asyncio.run(main())
""")
    used, foreign, _us = map(int, out.split())
    assert foreign >= 2000
    assert used < 2_000  # of 2,000 advertisements: what the loop itself allocates


def test_a_danger_that_raised_is_told_again(hear):
    done = hear([[1_000, "raises", 2], adv(5_000, SMOKE, "2901")])
    assert done.kinds == [k.SMOKE]
    assert done.events[0][0] <= 8_000


def test_a_press_goes_before_the_return_of_its_caller(hear):
    done = hear([*pressed(5_000, 1), *pressed(50_000, 2)], 60_000, [[1, 1, CALLER, 10]])
    assert done.kinds == [k.CALL, k.SENSOR_SILENT, k.CALL, k.SENSOR_BACK]


def test_a_motion_sensor_that_never_spoke_is_not_still(hear):
    assert hear([], 1_500_000).kinds == []


def test_a_broken_row_of_the_table_does_not_hide_the_others(hear):
    table = [[1, 1, "ff", 0], [3, 3, DOOR, "x"], *TABLE[:1]]
    assert hear(pressed(5_000, 1), table=table).kinds == [k.CALL]
