"""What the other rules say of homes that somebody could name; test_inactivity.py has the first."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from helpers_rules import (
    BATHROOM,
    BEDROOM,
    BEFORE,
    CUFF,
    DEVICES,
    DOOR,
    KITCHEN,
    Fact,
    at,
    beats,
    day,
    home,
    say,
    walks,
)
from kanhu.care.rules import RULES
from kanhu.care.rules.coverage import cover
from kanhu.care.rules.past import AWAY, HOME, HOSPITAL, SLEEP, Mode, Past, Plan, Reading, Visit
from kanhu.care.rules.rhythm import learned
from kanhu_protocol import kinds as k

# overstay

INTO_BATH = [
    *walks(at(10, "10:00")),
    ("moved", BATHROOM, at(10, "10:02")),
    ("moved", BATHROOM, at(10, "10:05")),
]


def test_too_long_in_the_bathroom() -> None:
    past = home(day(*INTO_BATH))
    assert say("overstay", past, at(10, "12:02") - 1).state == "quiet"
    found = say("overstay", past, at(10, "12:02"))
    assert (found.state, found.since_ms, found.room, found.device) == (
        "raise",
        at(10, "10:02"),
        "卫生间",
        BATHROOM,
    )
    assert (
        "in the bathroom since 10:02 (2 h), no movement elsewhere; last movement there at 10:05"
        in found.words.en
    )
    assert "自10:02起一直在卫生间（2小时），其他房间无活动" in found.words.zh


def test_who_was_seen_elsewhere_is_not_in_there() -> None:
    past = home(day(*INTO_BATH, ("moved", KITCHEN, at(10, "11:00"))))
    assert say("overstay", past, at(10, "13:30")).state == "quiet"
    past = home(
        [("door", DOOR, at(8, "00:00"), False), *day(*INTO_BATH, ("door", DOOR, at(10, "11:00"), True))]
    )
    assert say("overstay", past, at(10, "13:30")).state == "quiet"


def test_a_blind_room_may_hide_who_came_out() -> None:
    past = home(day(*INTO_BATH, ("fault", KITCHEN, "silent", at(10, "10:10"))))
    assert say("overstay", past, at(10, "13:00")).state == "cannot_tell"
    past.mended(KITCHEN, "silent", at(10, "11:00"))
    found = say("overstay", past, at(10, "13:00"))
    assert found.state == "cannot_tell"
    past.moved(BATHROOM, at(10, "11:10"))  # in there after all
    assert say("overstay", past, at(10, "13:09")).state == "cannot_tell"
    assert say("overstay", past, at(10, "13:10")).since_ms == at(10, "11:10")


def test_the_bedroom_counts_by_day_only() -> None:
    bed = [*walks(at(9, "22:00")), ("moved", BEDROOM, at(9, "22:05")), ("moved", BEDROOM, at(10, "04:00"))]
    past = home(day(*bed))
    assert say("overstay", past, at(10, "15:00") - 1).state == "quiet"
    found = say("overstay", past, at(10, "15:00"))  # 6 h from 09:00
    assert (found.state, found.room) == ("raise", "bedroom")
    past.mode(Mode(SLEEP, at(10, "14:00"), at(10, "17:00")))
    assert say("overstay", past, at(10, "15:00")).state == "quiet"


def test_who_had_a_visitor_is_in_there_since_the_visitor_left() -> None:
    past = home(day(*INTO_BATH, ("visit", Visit("li", at(10, "10:10"), at(10, "13:00")))))
    assert say("overstay", past, at(10, "12:30")).state == "off"
    assert say("overstay", past, at(10, "15:00") - 1).state == "quiet"
    assert say("overstay", past, at(10, "15:00")).since_ms == at(10, "13:00")


def test_overstay_needs_another_room() -> None:
    past = home(day(*INTO_BATH), devices=[DEVICES[2]])
    assert say("overstay", past, at(10, "15:00")).state == "off"


# no_return

OUT = [
    *walks(at(10, "14:00")),
    ("door", DOOR, at(10, "14:03"), True),
    ("moved", KITCHEN, at(10, "14:04")),
    ("door", DOOR, at(10, "14:04"), False),
]
SHUT: list[Fact] = [("door", DOOR, at(8, "00:00"), False)]


def test_not_back_by_night() -> None:
    past = home([*SHUT, *day(*OUT)])
    assert say("no_return", past, at(10, "21:59")).state == "quiet"
    assert "expected by 22:00" in say("no_return", past, at(10, "21:59")).words.en
    found = say("no_return", past, at(10, "22:10"))
    assert (found.state, found.since_ms, found.device) == ("raise", at(10, "14:04"), DOOR)
    assert "not back by 22:00 (10 min ago)" in found.words.en
    assert "22:00仍未返回（已过10分钟）" in found.words.zh


def test_back_is_whoever_moves() -> None:
    past = home([*SHUT, *day(*OUT, ("moved", KITCHEN, at(10, "20:00")))])
    assert say("no_return", past, at(10, "23:00")).state == "quiet"


def test_leaving_at_night_is_not_for_long() -> None:
    past = home([*SHUT, *day(*walks(at(10, "02:00")), ("door", DOOR, at(10, "02:05"), True))])
    assert say("no_return", past, at(10, "03:04")).state == "quiet"
    assert say("no_return", past, at(10, "03:05")).state == "raise"


@pytest.mark.parametrize("device", [KITCHEN, DOOR])
def test_a_sensor_that_was_blind_may_have_missed_the_return(device: int) -> None:
    hole = [("fault", device, "silent", at(10, "18:00")), ("mended", device, "silent", at(10, "19:00"))]
    past = home([*SHUT, *day(*OUT, *hole)])
    assert say("no_return", past, at(10, "22:30")).state == "cannot_tell"


def test_away_that_is_over_and_nobody_came() -> None:
    past = home(day(("mode", Mode(AWAY, at(9, "22:00"), at(10, "12:00")))), devices=DEVICES[:3])
    assert say("no_return", past, at(10, "11:00")).state == "off"
    assert say("no_return", past, at(10, "12:59")).state == "quiet"
    found = say("no_return", past, at(10, "13:00"))
    assert (found.state, found.since_ms) == ("raise", at(9, "22:00"))
    past.mode(Mode(HOME, at(10, "11:00"), at(11, "11:00")))  # somebody says that they are back
    assert say("no_return", past, at(10, "13:00")).state == "off"


# door_open


def test_a_door_that_stands_open() -> None:
    past = home([*SHUT, *day(("door", DOOR, at(10, "15:00"), True), ("door", DOOR, at(10, "15:10"), True))])
    assert say("door_open", past, at(10, "15:15") - 1).state == "quiet"
    found = say("door_open", past, at(10, "15:20"))
    assert (found.state, found.since_ms, found.device) == ("raise", at(10, "15:00"), DOOR)
    assert found.words.en.startswith("front door open since 15:00 (20 min)")
    assert say("door_open", past, at(10, "15:20"), minutes=30).state == "quiet"
    assert say("door_open", past, at(10, "15:20"), doors=[99]).state == "off"
    past.door(DOOR, at(10, "15:30"), False)
    assert say("door_open", past, at(10, "16:00")).state == "quiet"


def test_a_door_that_was_not_heard() -> None:
    past = home(
        [*SHUT, *day(("door", DOOR, at(10, "15:00"), True), ("fault", DOOR, "silent", at(10, "15:05")))]
    )
    assert say("door_open", past, at(10, "16:00")).state == "cannot_tell"
    past.mended(DOOR, "silent", at(10, "15:06"))
    assert say("door_open", past, at(10, "15:10")).next_ms == at(10, "15:15")
    past.fault(DOOR, "silent", at(10, "15:20"))
    past.mended(DOOR, "silent", at(10, "16:00"))
    assert say("door_open", past, at(10, "16:10")).state == "cannot_tell"
    assert say("door_open", past, at(10, "16:15")).since_ms == at(10, "15:00")
    past.booted(at(10, "17:00"))
    assert say("door_open", past, at(10, "17:30")).state == "cannot_tell"  # it has not said how it stands
    past.door(DOOR, at(10, "17:31"), False)
    assert say("door_open", past, at(10, "17:31")).state == "quiet"
    assert say("door_open", home(day()), at(10, "12:00")).state == "cannot_tell"


# missed_visit

TUESDAY = [Plan(0b10, 540, 660, "home help")]  # 10 March 2026 is a Tuesday


def test_a_visit_that_did_not_come() -> None:
    past = home(day(), plans=TUESDAY)
    assert say("missed_visit", past, at(10, "11:29")).state == "quiet"
    found = say("missed_visit", past, at(10, "11:30"))
    assert (found.state, found.since_ms) == ("raise", at(10, "09:00"))
    assert "home help (09:00-11:00): nobody has checked in by 11:30" in found.words.en
    assert say("missed_visit", past, at(10, "23:30")).state == "quiet"  # it matters no more
    assert (
        say("missed_visit", home(day(), plans=[Plan(0b1, 540, 660, "x")]), at(10, "12:00")).state == "quiet"
    )
    away = home(day(("mode", Mode(HOSPITAL, at(10, "08:00"), at(10, "11:45")))), plans=TUESDAY)
    assert say("missed_visit", away, at(10, "12:00")).state == "quiet"  # nobody was there to be visited
    new = home(day(), plans=[TUESDAY[0]._replace(since_ms=at(10, "11:00"))])
    assert say("missed_visit", new, at(10, "12:00")).state == "quiet"


@pytest.mark.parametrize(
    ("came", "left", "state"),
    [
        ("08:10", "08:40", "quiet"),  # early
        ("10:00", "10:30", "quiet"),
        ("13:00", None, "quiet"),  # late, but there
        ("07:00", "07:30", "raise"),  # that was another visit
        ("07:00", None, "quiet"),  # still there
    ],
)
def test_a_visit_that_came(came: str, left: str | None, state: str) -> None:
    visit = Visit("li", at(10, came), None if left is None else at(10, left))
    assert say("missed_visit", home(day(("visit", visit)), plans=TUESDAY), at(10, "14:00")).state == state


def test_a_visit_over_midnight_and_one_that_may_have_been_missed() -> None:
    night = [Plan(0b10, 1380, 60, "night round")]
    past = home([*day(), *beats(at(11, "00:00"), at(11, "12:00"))], plans=night)
    assert say("missed_visit", past, at(11, "01:29")).state == "quiet"
    assert say("missed_visit", past, at(11, "01:30")).since_ms == at(10, "23:00")
    gap = [one for one in day() if one[0] != "heard" or not at(10, "09:10") < one[2] < at(10, "10:00")]
    assert say("missed_visit", home(gap, plans=TUESDAY), at(10, "12:00")).state == "cannot_tell"


# vitals

LIMITS = {"limits": {"systolic": {"low": 90, "high": 180}}}


def reading(clock: str, value: float, code: int = 150021) -> Fact:
    return ("reading", Reading(at(10, clock), CUFF, code, value))


def test_a_reading_outside_the_limits_that_were_set() -> None:
    past = home(day(reading("08:00", 120), reading("09:00", 181), reading("09:30", 190)))
    assert say("vitals", past, at(10, "10:00")).state == "off"
    found = say("vitals", past, at(10, "10:00"), **LIMITS)
    assert (found.state, found.since_ms, found.device) == ("raise", at(10, "09:00"), CUFF)
    assert found.reading == Reading(at(10, "09:30"), CUFF, 150021, 190)
    assert (
        found.words.en
        == "systolic blood pressure 190 mmHg at 09:30, above the limit of 180 mmHg that was set"
    )
    assert found.words.zh == "09:30收缩压190 mmHg，高于设定限值180 mmHg"
    past.reading(Reading(at(10, "10:30"), CUFF, 150021, 140))
    assert say("vitals", past, at(10, "10:30"), **LIMITS).state == "quiet"


def test_a_day_of_readings_outside_is_one_finding_and_the_next_day_is_another() -> None:
    past = home(day(*(reading(clock, 181) for clock in ("08:00", "12:00", "21:00"))))
    assert say("vitals", past, at(10, "23:00"), **LIMITS).since_ms == at(10, "08:00")
    for fact in beats(at(11, "00:00"), at(11, "23:00")):
        past.heard(*fact[1:])
    # Of the day before until that is too old, without a word that is new.
    assert say("vitals", past, at(11, "20:59"), **LIMITS).since_ms == at(10, "08:00")
    assert say("vitals", past, at(11, "21:00"), **LIMITS).state == "quiet"
    past.reading(Reading(at(11, "21:30"), CUFF, 150021, 190))
    assert say("vitals", past, at(11, "22:00"), **LIMITS).since_ms == at(11, "21:30")


@pytest.mark.parametrize("value", [2047.0, 0.0, -5.0, float("nan"), float("inf")])
def test_what_is_no_reading_is_not_one(value: float) -> None:
    past = home(day(reading("08:00", 120), reading("09:00", value)))
    assert say("vitals", past, at(10, "10:00"), **LIMITS).state == "quiet"


def test_a_reading_that_has_to_be_confirmed() -> None:
    once = home(day(reading("08:00", 120), reading("09:00", 181)))
    assert say("vitals", once, at(10, "09:20"), confirm=True, **LIMITS).state == "quiet"
    once.reading(Reading(at(10, "10:00"), CUFF, 150021, 185))
    assert say("vitals", once, at(10, "10:20"), confirm=True, **LIMITS).state == "quiet"  # too far apart
    once.reading(Reading(at(10, "10:20"), CUFF, 150021, 186))
    assert say("vitals", once, at(10, "10:20"), confirm=True, **LIMITS).since_ms == at(10, "09:00")
    assert say("vitals", once, at(10, "10:20"), limits={"7": {"low": 1}}).state == "quiet"


# rhythm


def weeks(count: int = 20) -> Past:
    past = home([*BEFORE, *beats(at(10, "00:00"), at(10, "20:00"))])
    for each in range(count):
        past.day(739_600 + each, 1 << 29 | 1 << 4 | 1 << 80)  # up by 07:30, and at 01:00
    return past


def test_later_than_usual_is_a_hint() -> None:
    past = weeks()
    habit = learned(past, at(10, "08:00"))
    assert habit is not None
    assert (habit.days, habit.usual_min, habit.late_min) == (22, 450, 450)
    assert say("rhythm", past, at(10, "08:29")).state == "quiet"
    found = say("rhythm", past, at(10, "08:30"))
    assert (found.state, found.since_ms) == ("hint", at(10, "04:00"))
    assert "usually up by 07:30" in found.words.en
    past.moved(BEDROOM, at(10, "08:40"))
    assert say("rhythm", past, at(10, "09:00")).state == "quiet"


def test_it_takes_two_weeks_to_learn() -> None:
    found = say("rhythm", weeks(11), at(10, "10:00"))
    assert (found.state, found.words.en) == ("off", "still learning: 13 of 14 days")
    assert say("rhythm", weeks(12), at(10, "10:00")).state == "hint"


def test_one_odd_day_teaches_nothing() -> None:
    past = weeks()
    past.day(739_640, 1 << 60)  # one day slept until 15:00
    habit = learned(past, at(10, "08:00"))
    assert habit is not None
    assert habit.usual_min == 450


def test_a_hint_needs_eyes_too() -> None:
    past = weeks()
    past.fault(KITCHEN, "silent", at(10, "05:00"))
    assert say("rhythm", past, at(10, "10:00")).state == "cannot_tell"


# blind_spots


def test_blind_spots_are_named() -> None:
    past = home([*SHUT, *day()])
    assert say("blind_spots", past, at(10, "08:00")).state == "quiet"
    past.fault(KITCHEN, "silent", at(10, "05:00"))
    past.fault(BATHROOM, "battery", at(10, "06:00"))
    found = say("blind_spots", past, at(10, "08:00"))
    assert (found.state, found.since_ms, found.device) == ("hint", at(10, "06:00"), BATHROOM)
    assert (
        found.words.en == "bathroom sensor: battery low (since 06:00); kitchen sensor: silent (since 05:00)"
    )
    assert found.words.zh == "卫生间传感器：电池电量低（自06:00起）；厨房传感器：无信号（自05:00起）"
    past.mended(KITCHEN, "silent", at(10, "07:00"))
    past.mended(BATHROOM, "battery", at(10, "07:00"))
    assert say("blind_spots", past, at(10, "08:00")).state == "quiet"


# All of them


@pytest.mark.parametrize("rule", ["inactivity", "overstay", "rhythm"])
def test_a_radio_sensor_whose_supervision_is_not_known_says_nothing(rule: str) -> None:
    past = home([("radio", 0), *day(*INTO_BATH)])
    for each in range(20):
        past.day(739_600 + each, 1 << 29)
    assert cover(past, at(10, "12:00")).blind[0].why == ("unsupervised",)
    assert say(rule, past, at(10, "20:00")).state != "raise"
    assert say("no_return", past, at(10, "20:00")).state == "cannot_tell"
    assert "its supervision time is not known" in say("blind_spots", past, at(10, "20:00")).words.en


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_is_not_switched_on(name: str) -> None:
    assert say(name, home(day()), at(10, "12:00"), enabled=False).state == "off"


def test_the_rules_there_are() -> None:
    kinds = {name: rule.kind for name, rule in RULES.items()}
    assert kinds == {
        "inactivity": k.INACTIVITY,
        "overstay": k.OVERSTAY,
        "no_return": k.NO_RETURN,
        "door_open": k.DOOR_LEFT_OPEN,
        "missed_visit": k.MISSED_VISIT,
        "vitals": k.VITALS_OUT_OF_RANGE,
        "rhythm": k.RULE_HINT,
        "blind_spots": k.RULE_HINT,
    }
    # Of P2 only the want of movement is asked about first.
    assert {name for name, rule in RULES.items() if rule.asks} == {"inactivity", "overstay"}
    for rule in RULES.values():
        assert all(text.strip() for text in (*rule.title, *rule.explains))
        assert rule.settings().model_dump_json()


@pytest.mark.parametrize(
    ("rule", "settings"),
    [
        ("inactivity", {"awake_from": "7:00"}),
        ("inactivity", {"awake_from": "21:00"}),
        ("inactivity", {"day_minutes": 1000}),
        ("inactivity", {"wake_by": "03:00"}),
        ("inactivity", {"wake_by": "21:30"}),
        ("inactivity", {"day_minutes": 0}),
        ("inactivity", {"hours": 3}),
        ("overstay", {"bathroom_minutes": 100_000}),
        ("overstay", {"awake_from": "20:00"}),
        ("no_return", {"by": "24:00"}),
        ("no_return", {"by": "04:00"}),
        ("vitals", {"limits": {"systolic": {}}}),
        ("vitals", {"limits": {"systolic": {"low": 5, "high": 5}}}),
        ("vitals", {"limits": {"mood": {"low": 5}}}),
        ("vitals", {"limits": {"0": {"low": 5}}}),
        ("vitals", {"limits": {"7": {"low": float("nan")}}}),
        ("rhythm", {"least_days": 3}),
    ],
)
def test_settings_that_make_no_sense_are_refused(rule: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RULES[rule].settings.model_validate(settings)
