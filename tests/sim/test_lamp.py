"""The lamp decoder against waveforms as a hub's pins make them, late and restarted ones included."""

from __future__ import annotations

import random

import pytest

from kanhu.sim.lamp import STEP, Lamp, load_table

TABLE = {
    "well": ("#" + "." * 29, ".", "", ""),
    "heard": ("#.", "#.........", "", ""),
    "stored": ("##..", "..........", "", ""),
    "delivered": ("###...", ".", "", ""),
    "unanswered": ("##..", "####......", "", ""),
    "accepted": ("#", ".", "", ""),
    "cannot_tell": ("#..#..............", ".", "", ""),
    "fault": ("#.#.#.............", ".", "", ""),
}


def play(
    lamp: Lamp, name: str, start: float, seconds: float, late: float = 0.0, rng: random.Random | None = None
) -> float:
    """Drive the pins like an indicator task: a step may be late, none is early; returns the end."""
    look = None
    steps = round(seconds / STEP)
    light, sound = TABLE[name][:2]
    for step in range(steps):
        now = light[step % len(light)] == "#", sound[step % len(sound)] == "#"
        if now != look:
            when = start + step * STEP + (rng.uniform(0, late) if rng else 0)
            lamp.change(when, now[0], look[1] if look else False)  # one pin after the other
            lamp.change(when + 0.001, *now)
            look = now
    return start + steps * STEP


@pytest.mark.parametrize("name", TABLE)
def test_each_pattern_is_read_within_a_period(name: str) -> None:
    lamp = Lamp(TABLE)
    period = max(len(TABLE[name][0]), len(TABLE[name][1])) * STEP
    end = play(lamp, name, 100.0, period + 0.5)
    shown = lamp.read(end)
    assert shown.pattern == name
    assert shown.since == pytest.approx(100.0, abs=0.01)


@pytest.mark.parametrize("before", TABLE)
@pytest.mark.parametrize("after", TABLE)
def test_each_change_is_seen_whatever_phase_it_interrupts(before: str, after: str) -> None:
    if before == after:
        return
    for tenths in (31, 40, 47, 55):
        lamp = Lamp(TABLE)
        change = play(lamp, before, 10.0, tenths / 10)
        period = max(len(TABLE[after][0]), len(TABLE[after][1])) * STEP
        end = play(lamp, after, change, 2 * period + 0.5)
        shown = lamp.read(end)
        assert shown.pattern == after, (before, after, tenths)
        # where the end of the old pattern runs into the new one, its start is known to a few steps
        assert change - 0.011 <= shown.since <= change + 4 * STEP + 0.011, (before, after, tenths)


def test_a_busy_hub_is_still_read() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        for name in TABLE:
            lamp = Lamp(TABLE)
            end = play(lamp, name, 50.0, 7.0, late=0.04, rng=rng)
            assert lamp.read(end).pattern == name, (seed, name)


def test_since_outlives_the_window() -> None:
    lamp = Lamp(TABLE)
    end = play(lamp, "heard", 5.0, 300.0)
    assert lamp.read(end).since == pytest.approx(5.0, abs=0.01)
    assert lamp.read(end).pattern == "heard"


def test_a_restarted_pattern_has_a_new_since() -> None:
    lamp = Lamp(TABLE)
    end = play(lamp, "unanswered", 5.0, 3.2)
    end = play(lamp, "unanswered", end, 3.0)
    assert lamp.read(end).since == pytest.approx(8.2, abs=0.06)


def test_dark_says_nothing_and_a_stopped_lamp_is_not_a_pattern() -> None:
    lamp = Lamp(TABLE)
    assert lamp.read(1.0).pattern is None
    end = play(lamp, "heard", 5.0, 2.0)
    assert lamp.read(end + 0.05).pattern == "heard"
    lamp.change(end, False, False)
    assert lamp.read(end + 4).pattern is None  # off for 4 s: none of the table
    lamp.dark()
    assert lamp.read(end + 4).pattern is None


def test_two_patterns_that_begin_alike_are_told_apart_by_the_first_difference() -> None:
    lamp = Lamp(TABLE)
    lamp.change(10.0, True, False)
    assert lamp.read(10.05).pattern is None
    lamp.change(10.2, False, False)
    assert lamp.read(10.25).pattern == "stored"


def test_table_is_loaded_from_firmware_source() -> None:
    source = b"STEP_MS = 100\nSTEPS = 4\nPATTERNS = {'heard': ('#.', '.'), 'new': ('#', '')}\n"
    assert load_table(source) == {
        "heard": ("#...", "....", "your call is saved in this hub", "呼叫已记录"),
        "new": ("#...", "....", "new", ""),
    }


def test_a_bad_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="# and"):
        Lamp({"x": ("#-", ".", "", "")})
