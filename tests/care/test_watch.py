"""The watch over real rules, alarms and journal, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from helpers_care import ASK_MS, BATH, HOUR, KITCHEN, MINUTE, MORNING_MS, CareHost, Home
from helpers_intake import Clock, restarting
from kanhu.care import Alarm
from kanhu.care.findings import AGAIN_MS
from kanhu.care.rules import RULES
from kanhu.care.rules.past import AWAY, HOSPITAL, VISITOR, Past
from kanhu.care.rules.values import Rule, Verdict, Words
from kanhu_protocol import kinds as k

DAY: dict[str, Any] = {"day_minutes": 300}
Open = Callable[..., Awaitable[CareHost]]


@pytest.fixture
async def open_care(tmp_path: Path) -> AsyncIterator[Open]:
    """open_care(**options) starts care; called again, it ends the one before first: a restart."""
    clock = Clock(MORNING_MS)

    async def start(**options: Any) -> CareHost:
        care = CareHost(tmp_path, clock, **options)
        await care.watch.recall()
        return care

    async with restarting(start, CareHost.stop) as opening:
        yield opening


@pytest.fixture
async def care(open_care: Open) -> CareHost:
    return await open_care()


async def lived_in(care: CareHost, **options: Any) -> Home:
    return await care.add_lived_in(**{"inactivity": DAY, **options})


def states(care: CareHost, home: Home) -> dict[str, str]:
    """What each rule says."""
    return {one.rule.partition("/")[0]: one.state for one in care.watch.verdicts(home.hub)}


async def test_a_home_that_is_lived_in_is_well(care: CareHost) -> None:
    home = await lived_in(care)
    found = care.condition(home)
    assert (found.state, found.reasons[0].words.en) == ("well", "proven 06:02, 0.8 s")
    assert states(care, home) == {"inactivity": "quiet"}
    assert care.watch.conditions()[home.home].state == "well"


async def test_nobody_moves_and_the_elder_is_asked_once(care: CareHost) -> None:
    home = await lived_in(care)
    moved_ms = care.clock.now_ms - MINUTE
    await care.passes(8 * HOUR, home)
    (alarm,) = care.asked(home)
    assert (alarm.state, alarm.kind, alarm.rule) == (k.PRE, k.INACTIVITY, RULES["inactivity"].id)
    assert alarm.opened_ms < moved_ms + 7 * HOUR
    assert alarm.explanation is not None
    assert "no movement since 06:03" in alarm.explanation.en
    assert "无活动" in alarm.explanation.zh
    assert (alarm.asked_until_ms or 0) - alarm.opened_ms == ASK_MS
    assert len(care.own(k.PRE_ALARM)) == 1
    assert care.condition(home).state == "attention"


async def test_movement_ends_the_asking(care: CareHost) -> None:
    home = await lived_in(care)
    await care.passes(6 * HOUR, home)
    (alarm,) = care.asked(home)
    await care.moves(home)
    await care.look()
    assert care.asked(home) == []
    ended = care.alarms.get(alarm.name)
    assert ended is not None
    assert ended.closed_by == "movement"
    assert care.condition(home).state == "well"
    await care.passes(HOUR, home)
    assert care.asked(home) == []


async def test_a_finding_is_raised_once_over_restarts(open_care: Open) -> None:
    care = await open_care()
    home = await lived_in(care)
    await care.passes(6 * HOUR, home)
    (alarm,) = care.asked(home)
    await care.alarms.raise_asked(alarm.name)
    for _ in range(2):
        care = await open_care()
        await care.passes(MINUTE, home)
        assert [one.name for one in care.asked(home)] == [alarm.name]
        assert states(care, home) == {"inactivity": "raise"}
    await care.alarms.close(alarm.name, "op-1", "asleep on the sofa")
    care = await open_care()
    await care.passes(HOUR, home)
    assert care.asked(home) == []
    # Nobody was seen for half a day after that either: somebody has to look again.
    await care.passes(AGAIN_MS, home)
    assert len(care.asked(home)) == 1


async def test_an_alarm_whose_finding_was_not_noted_before_a_crash_is_not_raised_twice(
    open_care: Open,
) -> None:
    care = await open_care()
    home = await lived_in(care)
    await care.passes(6 * HOUR, home)
    batch = care.journal.batch()
    batch.run("DELETE FROM rule_record WHERE outcome='found'")
    await batch.submit()
    care = await open_care()
    await care.passes(HOUR, home)
    assert len(care.asked(home)) == 1
    assert care.own(k.PRE_ALARM) == []


async def test_a_new_day_is_a_new_finding(care: CareHost) -> None:
    home = await lived_in(care)
    await care.passes(6 * HOUR, home)
    (first,) = care.asked(home)
    await care.moves(home)
    await care.moves(home, BATH)
    await care.look()
    await care.passes(24 * HOUR, home, step_ms=600_000)
    (second,) = care.asked(home)
    assert second.name != first.name


# What makes a sensor blind

BLIND: dict[str, tuple[int, dict[int, Any]]] = {
    "unplugged or stuck": (k.CONTACT_STUCK, {k.DEVICE: KITCHEN, k.SPAN_MS: 900_000}),
    "out of battery or of range": (k.SENSOR_SILENT, {k.DEVICE: KITCHEN, k.SPAN_MS: 180_000}),
    "wire": (k.LINE_FAULT, {k.DEVICE: KITCHEN, k.DETAIL: 1}),
    "tampered with": (k.TAMPER, {k.DEVICE: KITCHEN}),
    "doubted": (k.SENSOR_DOUBTED, {k.DEVICE: KITCHEN, k.DETAIL: 4}),
}


@pytest.mark.parametrize("how", BLIND)
async def test_a_blind_sensor_is_neither_well_nor_inactive(open_care: Open, how: str) -> None:
    care = await open_care()
    home = await lived_in(care)
    await care.say(home, *BLIND[how])
    await care.look()
    for _ in range(5):
        assert care.condition(home).state == "cannot_tell"
        assert any(one.words.en.startswith("kitchen sensor: ") for one in care.condition(home).reasons)
        await care.passes(2 * HOUR, home)
    assert states(care, home) == {"inactivity": "cannot_tell"}
    assert care.asked(home) == []
    # A restart forgets nothing of it.
    care = await open_care()
    await care.passes(MINUTE, home)
    assert care.condition(home).state == "cannot_tell"
    assert care.own(k.PRE_ALARM) == []


async def test_a_sensor_that_is_back_is_believed_again(care: CareHost) -> None:
    home = await lived_in(care)
    await care.say(home, *BLIND["out of battery or of range"])
    await care.passes(30 * MINUTE, home)
    assert care.condition(home).state == "cannot_tell"
    await care.say(home, k.SENSOR_BACK, {k.DEVICE: KITCHEN, k.SPAN_MS: 30 * MINUTE})
    await care.moves(home)
    await care.moves(home, BATH)
    await care.look()
    assert care.condition(home).state == "well"


async def test_a_low_battery_needs_attention_and_is_not_blind(care: CareHost) -> None:
    home = await lived_in(care)
    await care.say(home, k.BATTERY_LOW, {k.DEVICE: KITCHEN, k.BATTERY: 8})
    await care.look()
    assert care.condition(home).state == "attention"
    assert states(care, home) == {"inactivity": "quiet"}


async def test_a_sensor_that_sees_nothing_for_days_is_unproven(care: CareHost) -> None:
    home = await lived_in(care)
    for _ in range(10):
        await care.passes(6 * HOUR, home)
        await care.moves(home)  # in the kitchen alone
        await care.prove(home)
        await care.look()
    said = care.own(k.SENSOR_UNPROVEN)
    assert [one.fields[k.DEVICE] for one in said] == [BATH]
    assert said[0].fields[k.SPAN_MS] >= 47 * HOUR
    assert care.condition(home).state == "cannot_tell"
    await care.moves(home, BATH)
    await care.look()
    assert [one.fields[k.DEVICE] for one in care.own(k.SENSOR_PROVEN)] == [BATH]
    assert care.condition(home).state == "well"


async def test_a_new_sensor_that_nobody_has_passed_is_a_fault_only_after_days_at_home(care: CareHost) -> None:
    home = care.add_home(inactivity=DAY)
    await care.watch.recall()
    await care.start(home)
    await care.say(home, k.STILL, {k.DEVICE: BATH, k.SPAN_MS: 600_000})  # it is heard
    await care.modes.set(home.hub, HOSPITAL, care.clock.now_ms + 12 * HOUR, "family")
    for hours, faults in ((12, 0), (47, 0), (2, 1)):
        for _ in range(hours):
            await care.passes(HOUR, home)
            await care.moves(home)  # in the kitchen alone
        assert len(care.own(k.SENSOR_UNPROVEN)) == faults
        assert care.condition(home).state == "cannot_tell"


async def test_a_room_that_nobody_entered_for_days_is_relied_on_over_a_restart(open_care: Open) -> None:
    care = await open_care()
    home = await lived_in(care)
    for _ in range(14):  # longer than single movements are read back
        await care.passes(6 * HOUR, home)
        await care.moves(home)  # in the kitchen alone
    last = care.watch.past(home.hub).movement_before(BATH, care.clock.now_ms)
    care = await open_care()
    assert care.watch.past(home.hub).movement_before(BATH, care.clock.now_ms) == last
    await care.passes(18 * HOUR, home)
    (alarm,) = care.asked(home)
    assert alarm.name
    assert states(care, home) == {"inactivity": "raise"}


async def test_a_home_without_rules_answers_for_calls_only(care: CareHost) -> None:
    home = care.add_home()
    await care.watch.recall()
    await care.start(home)
    await care.prove(home)
    await care.passes(20 * HOUR, home)
    found = care.condition(home)
    assert found.state == "well"
    assert "calls only" in found.reasons[1].words.en
    assert care.asked(home) == []
    await care.say(home, *BLIND["unplugged or stuck"])
    await care.look()
    assert care.condition(home).state == "cannot_tell"


# Modes


@pytest.mark.parametrize("mode", [AWAY, HOSPITAL, VISITOR])
async def test_nothing_is_raised_while_somebody_is_there_or_nobody_can_be(open_care: Open, mode: int) -> None:
    care = await open_care()
    home = await lived_in(care)
    await care.modes.set(home.hub, mode, care.clock.now_ms + 30 * HOUR, "op-1")
    await care.passes(10 * HOUR, home)
    care = await open_care()
    await care.passes(10 * HOUR, home)
    assert care.asked(home) == []
    assert states(care, home) == {"inactivity": "off"}
    assert care.condition(home).state == ("well" if mode == VISITOR else "cannot_tell")
    await care.passes(30 * HOUR, home)
    assert len(care.asked(home)) == 1, "a mode ends by itself"


async def test_a_mode_ends_an_asking(care: CareHost) -> None:
    home = await lived_in(care)
    await care.passes(6 * HOUR, home)
    (alarm,) = care.asked(home)
    await care.modes.set(home.hub, AWAY, None, "family")
    await care.look()
    ended = care.alarms.get(alarm.name)
    assert ended is not None
    assert (ended.state, ended.closed_by) == (k.CLOSED, "mode")


async def test_a_visitor_who_has_checked_in(care: CareHost) -> None:
    home = await lived_in(care)
    await care.passes(4 * HOUR, home)
    await care.say(home, k.CHECK_IN, {k.DEVICE: 9})
    await care.passes(2 * HOUR, home)
    assert care.asked(home) == []
    assert states(care, home) == {"inactivity": "off"}


# Outages


async def test_an_outage_is_filled_in_before_a_rule_speaks(care: CareHost) -> None:
    home = await lived_in(care)
    seen: list[str] = []
    for _ in range(7):  # hours without a link, in which somebody moves about
        await care.passes(HOUR, home, away=True)
        home.waiting.append(care.sealed(home, k.MOTION, {k.DEVICE: KITCHEN}))
        home.waiting.append(care.sealed(home, k.MOTION, {k.DEVICE: BATH}))
        seen.append(states(care, home)["inactivity"])
    assert seen == ["cannot_tell"] * 7
    # Back: what is newest comes first, then the rest, slowly.
    newest = care.sealed(home, k.LINK_BACK, {k.DETAIL: 1, k.SPAN_MS: 7 * HOUR})
    await care.receive(home, newest)
    for start in range(0, len(home.waiting), 8):
        care.clock.now_ms += 45_000
        await care.look()
        assert states(care, home) == {"inactivity": "cannot_tell"}
        assert "still arriving" in " ".join(one.words.en for one in care.condition(home).reasons)
        await care.receive(home, *home.waiting[start : start + 8])
    await care.beat(home)
    care.clock.now_ms += 20_000
    await care.look()
    assert states(care, home) == {"inactivity": "quiet"}
    assert care.condition(home).state == "well"
    assert care.own(k.PRE_ALARM) == []


async def test_what_never_comes_leaves_a_hole_and_no_alarm(care: CareHost) -> None:
    home = await lived_in(care)
    await care.passes(4 * HOUR, home)
    await care.passes(2 * HOUR, home, away=True)
    home.waiting.clear()  # the hub lost them
    await care.passes(HOUR, home)
    # It is here again, and of two hours nobody knows.
    assert states(care, home) == {"inactivity": "cannot_tell"}
    assert care.asked(home) == []
    assert care.condition(home).state == "cannot_tell"
    await care.passes(8 * HOUR, home)
    assert len(care.asked(home)) == 1, "it is long since the hole that nobody moved"


async def test_a_hub_without_a_clock_is_read_once_it_has_one(care: CareHost) -> None:
    home = care.add_home(inactivity=DAY)
    await care.watch.recall()
    await care.start(home)
    care.clock.now_ms += MINUTE
    await care.receive(home, care.sealed(home, k.MOTION, {k.DEVICE: KITCHEN}, utc=False))
    await care.receive(home, care.sealed(home, k.MOTION, {k.DEVICE: BATH}, utc=False))
    moved_ms = care.clock.now_ms
    await care.look()
    assert states(care, home) == {"inactivity": "cannot_tell"}
    past = care.watch.past(home.hub)
    assert past is not None
    assert past.last_movement(care.clock.now_ms) is None
    care.clock.now_ms += MINUTE
    await care.beat(home)  # with its clock set
    care.clock.now_ms += MINUTE
    await care.passes(MINUTE, home)
    assert past.last_movement(care.clock.now_ms) == (moved_ms, BATH)
    assert states(care, home) == {"inactivity": "quiet"}


async def test_a_silent_hub_cannot_be_told(care: CareHost) -> None:
    home = await lived_in(care)
    await care.passes(30 * MINUTE)
    assert care.condition(home).state == "cannot_tell"
    assert "the hub is not heard" in care.condition(home).reasons[0].words.en
    await care.passes(10 * HOUR)
    assert care.asked(home) == []


# Rules that do not behave, and hints


class Nothing(BaseModel):
    """No settings."""


def a_rule(say: Callable[[Past, int], Verdict], asks: bool = False) -> dict[str, Rule[Any]]:
    rule = Rule(
        "probe", 1, k.OVERSTAY, asks, Nothing, lambda past, _, now: say(past, now), Words("probe", "探")
    )
    return {"probe": rule}


async def test_a_rule_that_fails_is_never_quiet(open_care: Open) -> None:
    def fail(past: Past, now: int) -> Verdict:
        raise ZeroDivisionError

    care = await open_care(rules={**a_rule(fail), "inactivity": RULES["inactivity"]})
    home = await lived_in(care, probe={})
    assert states(care, home) == {"probe": "cannot_tell", "inactivity": "quiet"}
    assert care.watch.failed > 0
    assert care.condition(home).state == "cannot_tell"


async def test_a_hint_is_given_daily_at_most(open_care: Open) -> None:
    def hint(past: Past, now: int) -> Verdict:
        return Verdict("probe/1", "hint", now + HOUR, Words("later than usual", "比平时晚"))

    rules = {**a_rule(hint), "inactivity": RULES["inactivity"]}
    care = await open_care(rules=rules)
    home = await lived_in(care, probe={})
    await care.passes(5 * HOUR, home)
    care = await open_care(rules=rules)
    await care.passes(5 * HOUR, home)
    (said,) = care.journal.reader.rows("SELECT count(*) FROM events WHERE kind=?", (k.RULE_HINT,))
    assert said == (1,)
    await care.passes(15 * HOUR, home)
    (said,) = care.journal.reader.rows("SELECT count(*) FROM events WHERE kind=?", (k.RULE_HINT,))
    assert said == (2,)


async def test_a_rule_that_asks_nobody_raises_at_once(open_care: Open) -> None:
    def find(past: Past, now: int) -> Verdict:
        return Verdict("probe/1", "raise", now + HOUR, Words("found", "发现"), 5, "bathroom", BATH)

    care = await open_care(rules={**a_rule(find), "inactivity": RULES["inactivity"]})
    home = await lived_in(care, probe={})
    (alarm,) = care.asked(home)
    assert (alarm.state, alarm.kind, alarm.device) == (k.OPEN, k.OVERSTAY, BATH)


# The registry


async def test_a_rule_takes_effect_and_ends_without_a_restart(care: CareHost) -> None:
    home = await lived_in(care)
    care.registry.set_rule(home.home, "inactivity", {"enabled": False}, "test")
    care.watch.configure()
    await care.passes(10 * HOUR, home)
    assert states(care, home) == {}
    assert care.asked(home) == []
    care.registry.set_rule(home.home, "inactivity", {"day_minutes": 60}, "test")
    care.watch.configure()
    await care.watch.recall()
    await care.passes(MINUTE, home)
    assert states(care, home) == {"inactivity": "raise"}


async def test_settings_that_no_rule_takes_leave_the_others_alone(care: CareHost) -> None:
    home = await lived_in(care, overstay={"bathroom_minutes": "long"}, guessing={})
    assert states(care, home) == {"inactivity": "quiet"}


async def test_a_forgotten_hub_is_gone(care: CareHost) -> None:
    home = await lived_in(care)
    care.watch.forget(home.hub)
    assert care.watch.past(home.hub) is None
    assert home.home not in care.watch.conditions()
    assert care.condition(home).state == "cannot_tell"
    await care.look()


def test_the_alarm_type_is_frozen() -> None:
    """The watch hands alarms on as they are."""
    alarm = Alarm("7m3k0xq2fz", 1, 1, k.CALL, 0, k.OPEN, 1)
    assert replace(alarm, state=k.CLOSED) != alarm
