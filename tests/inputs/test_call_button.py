"""The wired call button: one press is one CALL, however the contact behaves."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kanhu_protocol import kinds as k

SHORT, PRESSED, NORMAL, OPEN = 50_000, 670_000, 2_730_000, 3_150_000  # docs/wiring.md


def press(at, held=200):
    return [[at, "level", 0], [at + held, "level", 1]]


@pytest.mark.parametrize("real_flag", [False, True])
def test_a_press_is_one_call_within_40_ms(play, real_flag):
    done = play("button", press(5_000), 40_000, real_flag=real_flag)
    assert done.kinds == [k.CALL]
    ms, _, fields = done.events[0]
    assert 5_030 <= ms <= 5_040
    assert fields == {k.DEVICE: 7}


@pytest.mark.parametrize(("held", "calls"), [(1, 0), (20, 0), (29, 0), (40, 1), (60, 1)])
def test_shorter_than_30_ms_is_no_press(play, held, calls):
    assert play("button", press(5_000, held), 20_000).kinds == [k.CALL] * calls


def test_bounce_at_both_edges(play):
    bounce_in = [[5_000 + 3 * i, "level", i % 2] for i in range(9)]
    bounce_out = [[5_500 + 4 * i, "level", (i + 1) % 2] for i in range(9)]
    assert play("button", [*bounce_in, *bounce_out], 20_000).kinds == [k.CALL]


def test_two_presses_are_two_calls(play):
    assert play("button", press(5_000) + press(5_300), 20_000).kinds == [k.CALL, k.CALL]


def test_a_release_shorter_than_50_ms_is_the_same_press(play):
    assert play("button", press(5_000) + press(5_245), 20_000).kinds == [k.CALL]


def test_edges_the_interrupt_missed_cost_a_second_but_no_call(play):
    done = play("button", [[5_100, "silently", 0], [9_000, "silently", 1], [12_000, "silently", 0]], 20_000)
    assert done.kinds == [k.CALL, k.CALL]
    assert done.events[0][0] <= 6_200


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(1, 49), st.integers(60, 400)),
            st.one_of(st.integers(1, 29), st.integers(40, 400)),
        ),
        max_size=20,
    ),
    st.integers(0, 3_000),
)
def test_any_bouncing_gives_the_calls_that_the_definition_gives(play, pulses, offset):
    steps, at = [], 2_000 + offset
    pressed, calls = False, 0
    for high, low in pulses:
        if high >= 50:
            pressed = False
        at += high
        steps.append([at, "level", 0])
        if low >= 30 and not pressed:
            pressed, calls = True, calls + 1
        at += low
        steps.append([at, "level", 1])
    assert play("button", steps, at + 2_000).kinds == [k.CALL] * calls


def test_a_held_press_calls_at_its_start_and_is_stuck_once(play):
    done = play("button", press(5_000, 100_000), 120_000)
    assert done.kinds == [k.CALL, k.CONTACT_STUCK, k.CONTACT_RELEASED]
    assert done.events[0][0] < 5_050
    stuck, released = done.events[1], done.events[2]
    assert 35_000 <= stuck[0] <= 36_200
    assert 30_000 <= stuck[2][k.SPAN_MS] <= 31_100
    assert abs(released[2][k.SPAN_MS] - 100_000) < 100


def test_a_press_after_a_stuck_one_calls(play):
    done = play("button", press(5_000, 40_000) + press(50_000), 60_000)
    assert done.kinds == [k.CALL, k.CONTACT_STUCK, k.CONTACT_RELEASED, k.CALL]


def test_stuck_for_longer_than_the_ticks_can_say(play):
    day = 86_400_000
    steps = [[5_000, "level", 0], [40_000, "leap", day, 14], [40_100, "level", 1]]
    done = play("button", steps, 50_000)
    assert done.kinds == [k.CALL, k.CONTACT_STUCK, k.CONTACT_RELEASED]
    assert 14 * day < done.events[2][2][k.SPAN_MS] < 14 * day + 60_000


@pytest.mark.parametrize("edge", [False, True])
def test_a_button_held_while_the_hub_starts_is_a_call_when_let_go(play, edge):
    done = play("button", [[2_000, "level", 1]], 40_000, level=0, edge_at_start=edge)
    assert done.kinds == [k.CALL]
    assert done.events[0][0] <= 2_100


@pytest.mark.parametrize("edge", [False, True])
def test_a_contact_stuck_before_the_start_never_calls(play, edge):
    done = play("button", [[90_000, "level", 1], *press(95_000)], 99_000, level=0, edge_at_start=edge)
    assert done.kinds == [k.CONTACT_STUCK, k.CONTACT_RELEASED, k.CALL]
    assert done.events[2][0] > 95_000


def test_flash_that_fails_does_not_double_the_call(play):
    assert play("button", [[1_000, "answer", False], *press(5_000)], 20_000).kinds == [k.CALL]


def test_a_call_that_raised_is_called_again(play):
    done = play("button", [[1_000, "raises", 2], *press(5_000, 100)], 20_000)
    assert done.kinds == [k.CALL]
    assert done.events[0][0] < 5_600


def test_cancelling_leaves_no_timer_behind(play):
    assert play("button", press(5_000), 5_010).counts["sleepers"] == 0


def supervised(play, steps, until, **more):
    return play("button", steps, until, supervised=True, **more)


def test_a_supervised_press_is_a_call_and_no_line_fault(play):
    steps = [[5_000, "uv", PRESSED], [5_000, "level", 0], [9_000, "level", 1], [9_000, "uv", NORMAL]]
    assert supervised(play, steps, 20_000).kinds == [k.CALL]


@pytest.mark.parametrize(("uv", "level", "detail"), [(OPEN, 1, 1), (SHORT, 0, 2), (1_700_000, 1, 2)])
def test_a_line_fault_and_its_end(play, uv, level, detail):
    steps = [[5_000, "uv", uv], [5_000, "level", level], [15_000, "uv", NORMAL], [15_000, "level", 1]]
    done = supervised(play, steps, 30_000)
    assert done.kinds == [k.LINE_FAULT, k.LINE_OK]
    assert done.events[0][2] == {k.DEVICE: 7, k.DETAIL: detail}
    assert 6_000 <= done.events[0][0] <= 6_700
    assert 16_000 <= done.events[1][0] <= 16_700


def test_a_line_fault_shorter_than_a_second_is_none(play):
    steps = []
    for at in range(5_000, 15_000, 1_600):
        steps += [[at, "uv", OPEN], [at + 800, "uv", NORMAL]]
    assert supervised(play, steps, 30_000).kinds == []


def test_a_chattering_short_is_no_storm_of_presses(play):
    steps = []
    for at in range(5_000, 25_000, 200):
        steps += [[at, "uv", SHORT], [at, "level", 0], [at + 100, "uv", NORMAL], [at + 100, "level", 1]]
    done = supervised(play, steps, 40_000)
    assert k.CALL not in done.kinds
    assert done.kinds.count(k.LINE_FAULT) <= 1


def test_an_open_line_that_then_shorts_says_both(play):
    steps = [[5_000, "uv", OPEN], [9_000, "uv", SHORT], [9_000, "level", 0]]
    done = supervised(play, steps, 20_000)
    assert [(kind, f[k.DETAIL]) for _, kind, f in done.events] == [(k.LINE_FAULT, 1), (k.LINE_FAULT, 2)]


def test_a_short_at_the_start_is_no_press(play):
    done = supervised(play, [[60_000, "level", 1], [60_000, "uv", NORMAL]], 70_000, level=0, uv=SHORT)
    assert done.kinds == [k.LINE_FAULT, k.LINE_OK]


def test_a_short_during_a_press_is_no_second_press(play):
    steps = [[5_000, "uv", PRESSED], [5_000, "level", 0]]
    for at in range(6_000, 12_000, 400):
        steps += [[at, "uv", SHORT], [at + 200, "uv", PRESSED]]
    steps += [[13_000, "uv", NORMAL], [13_000, "level", 1]]
    assert supervised(play, steps, 20_000).kinds.count(k.CALL) == 1


@pytest.mark.parametrize("uv", [None, NORMAL, OPEN, 1_500_000])
def test_a_wrong_adc_does_not_silence_the_button(play, uv):
    steps = [[5_000, "uv", uv], [5_000, "level", 0], [5_300, "level", 1], [5_300, "uv", NORMAL]]
    assert k.CALL in supervised(play, steps, 10_000).kinds


def volts(supply, pull_up_k, cable_k, pressed, up_k=10, end_k=39, button_k=2.2):
    """Microvolts at the hub of the circuit in docs/wiring.md; pull_up_k is the chip's own."""
    up = 1 / (1 / up_k + 1 / pull_up_k)
    far = cable_k + (1 / (1 / end_k + 1 / button_k) if pressed else end_k)
    return int(1e6 * supply * far / (far + up))


@pytest.mark.parametrize("supply", [3.2, 3.3, 3.4])
@pytest.mark.parametrize("pull_up_k", [30, 45, 1e9])
@pytest.mark.parametrize("cable_k", [0, 0.05])
def test_the_documented_resistors_keep_within_the_bands(play, supply, pull_up_k, cable_k):
    rest = volts(supply, pull_up_k, cable_k, pressed=False)
    down = volts(supply, pull_up_k, cable_k, pressed=True)
    assert rest > 0.75e6 * supply  # ESP32 and ESP32-S3 data sheets: high level at least 0.75 VDD
    assert down < 0.25e6 * supply  # and low level at most 0.25 VDD
    steps = [[5_000, "uv", down], [5_000, "level", 0], [9_000, "level", 1], [9_000, "uv", rest]]
    assert supervised(play, steps, 12_000, uv=rest).kinds == [k.CALL]
    assert supervised(play, [], 9_000, uv=min(3_100_000, int(supply * 1e6))).kinds == [k.LINE_FAULT]


def test_a_line_that_chatters_without_end_still_hears_a_press(play):
    steps = []
    for at in range(5_000, 15_000, 10):
        if not 8_000 <= at < 9_000:
            steps.append([at, "level", at // 10 % 2])
    steps.append([8_000, "level", 0])
    done = play("button", sorted(steps, key=lambda s: s[0]), 20_000)
    assert done.kinds == [k.CALL]
    assert 8_000 <= done.events[0][0] <= 8_050
