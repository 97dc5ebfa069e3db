"""The rule that looks for movement, in homes that somebody could name; and what it may rely on."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from helpers_rules import (
    BATHROOM,
    BEDROOM,
    BEFORE,
    DEVICES,
    DOOR,
    HOUR,
    KITCHEN,
    MINUTE,
    at,
    beats,
    day,
    home,
    lived,
    say,
    walks,
)
from kanhu.care.rules.coverage import PROVEN_MS, RESTLESS_MS, cover
from kanhu.care.rules.past import AWAY, HOSPITAL, SLEEP, Device, Mode, Visit


def test_a_morning_without_movement() -> None:
    past = home(day())
    assert say("inactivity", past, at(10, "09:59")).state == "quiet"
    assert say("inactivity", past, at(10, "06:00")).next_ms <= at(10, "10:00")
    found = say("inactivity", past, at(10, "10:00"))
    assert (found.state, found.since_ms, found.device) == ("raise", at(9, "21:40"), KITCHEN)
    assert "no movement since 21:40 yesterday (12 h 20 min)" in found.words.en
    assert "自昨天21:40起无活动（12小时20分钟）" in found.words.zh
    # The same finding for as long as it lasts, over the evening and the next night.
    for later in ("12:00", "22:30", "23:50"):
        again = say("inactivity", past, at(10, later))
        assert (again.state, again.since_ms) == ("raise", found.since_ms)


def test_the_words_name_what_is_usual_and_what_was_heard() -> None:
    past = home([*lived(range(1, 10)), *beats(at(10, "00:00"), at(10, "12:00"))])
    for ordinal in range(739_660, 739_670):
        past.day(ordinal, 1 << 27)  # 06:45 to 07:00
    past.heard(KITCHEN, at(10, "11:57"))
    found = say("inactivity", past, at(10, "12:00"))
    assert found.words.en.split("; ")[1:] == ["usually up by 07:15", "kitchen sensor heard 3 min ago"]
    assert found.words.zh.split("；")[1:] == ["平时07:15前起床", "厨房传感器3分钟前在线"]


def test_movement_ends_it() -> None:
    past = home(day(("moved", BEDROOM, at(10, "10:30"))))
    assert say("inactivity", past, at(10, "10:29")).state == "raise"
    assert say("inactivity", past, at(10, "10:30")).state == "quiet"


def test_a_day_without_movement_counts_waking_hours() -> None:
    past = home(day(*walks(at(10, "19:00"))) + beats(at(11, "00:00"), at(11, "23:00")))
    assert say("inactivity", past, at(10, "23:55")).state == "quiet"  # 3 h of waking time
    assert say("inactivity", past, at(11, "08:59"), wake_by="11:00").state == "quiet"
    found = say("inactivity", past, at(11, "09:00"), wake_by="11:00")  # 3 h and 2 h
    assert (found.state, found.since_ms) == ("raise", at(10, "19:00"))


@pytest.mark.parametrize("why", ["silent", "stuck", "line", "tamper", "doubted"])
@pytest.mark.parametrize("device", [KITCHEN, BEDROOM, BATHROOM])
def test_a_sensor_with_a_fault_cannot_tell(device: int, why: str) -> None:
    past = home(day(("fault", device, why, at(10, "03:00"))))
    found = say("inactivity", past, at(10, "15:00"))
    assert found.state == "cannot_tell"
    assert found.words.en.startswith("cannot tell: ")
    # While the other rooms see movement there is no need to know.
    past.moved(KITCHEN if device != KITCHEN else BEDROOM, at(10, "14:00"))
    assert say("inactivity", past, at(10, "15:00")).state == "quiet"


def test_what_a_sensor_at_fault_says_is_no_movement() -> None:
    doubted = [("fault", KITCHEN, "doubted", at(10, "08:00")), ("moved", KITCHEN, at(10, "09:30"))]
    past = home(day(*doubted))
    assert say("inactivity", past, at(10, "09:59")).state == "quiet"
    assert say("inactivity", past, at(10, "10:00")).state == "cannot_tell"
    past.mended(KITCHEN, "doubted", at(10, "09:30"))
    assert say("inactivity", past, at(10, "10:00")).state == "quiet"


def test_a_hole_in_the_night_matters_until_enough_is_known_after_it() -> None:
    past = home(
        day(("fault", BEDROOM, "silent", at(10, "02:00")), ("mended", BEDROOM, "silent", at(10, "06:00")))
    )
    found = say("inactivity", past, at(10, "10:00"))
    assert found.state == "cannot_tell"
    assert "before 06:00" in found.words.en
    assert "from 12:00" in found.words.en
    assert say("inactivity", past, at(10, "11:50")).next_ms == at(10, "12:00")
    found = say("inactivity", past, at(10, "12:00"))
    assert (found.state, found.since_ms) == ("raise", at(10, "06:00"))


def test_a_hole_before_the_last_movement_does_not_matter() -> None:
    past = home(
        day(("fault", BEDROOM, "silent", at(9, "12:00")), ("mended", BEDROOM, "silent", at(9, "20:00")))
    )
    assert say("inactivity", past, at(10, "10:00")).since_ms == at(9, "21:40")


def test_a_hub_that_is_not_heard_and_one_that_was_not() -> None:
    facts = [*BEFORE, *beats(at(10, "00:00"), at(10, "03:00")), *beats(at(10, "06:30"), at(10, "23:00"))]
    past = home(facts)
    found = say("inactivity", past, at(10, "05:00"))
    assert found.state == "cannot_tell"
    assert "last heard at 03:00" in found.words.en
    assert say("inactivity", past, at(10, "10:00")).state == "cannot_tell"
    assert say("inactivity", past, at(10, "12:00")).since_ms == at(10, "06:30")
    for fact in beats(at(10, "03:00"), at(10, "06:30")):  # its backlog comes: it had been there
        past.heard(*fact[1:])
    assert say("inactivity", past, at(10, "10:00")).since_ms == at(9, "21:40")


def test_a_restart_is_a_hole_only_when_the_hub_was_off_for_long() -> None:
    facts = [*BEFORE, *beats(at(10, "00:00"), at(10, "06:00")), *beats(at(10, "06:11"), at(10, "23:00"))]
    past = home([*facts, ("booted", at(10, "06:11")), ("booted", at(10, "09:00"))])
    found = say("inactivity", past, at(10, "09:00"))  # its sensors warm up
    assert (found.state, found.next_ms) == ("cannot_tell", at(10, "09:01"))
    found = say("inactivity", past, at(10, "11:30"))
    assert found.state == "cannot_tell"
    assert "before 06:12" in found.words.en
    assert say("inactivity", past, at(10, "12:00")).since_ms == at(10, "06:12")


def test_events_that_are_lost_are_a_hole() -> None:
    past = home(day(("fault", 0, "lost", at(10, "01:00")), ("mended", 0, "lost", at(10, "05:00"))))
    assert say("inactivity", past, at(10, "10:00")).state == "cannot_tell"
    past = home(day(("fault", 0, "silent", at(10, "01:00")), ("mended", 0, "silent", at(10, "05:00"))))
    assert say("inactivity", past, at(10, "10:00")).state == "raise"  # silent, and told all of it later


def test_a_low_battery_weakens_the_words_only() -> None:
    past = home(day(("fault", BATHROOM, "battery", at(9, "03:00"))))
    found = say("inactivity", past, at(10, "10:00"))
    assert found.state == "raise"
    assert "battery low" in found.words.en
    assert "电池电量低" in found.words.zh


def test_a_sensor_that_sees_nothing_for_two_days_of_life_is_doubted() -> None:
    facts = [one for one in lived(range(8, 13)) if one[:2] != ("moved", BEDROOM) or one[2] < at(10, "00:00")]
    past = home([*facts, *beats(at(13, "00:00"), at(13, "12:00"))])
    last = past.movement_before(BEDROOM, at(13, "00:00"))
    assert last is not None
    assert cover(past, last + PROVEN_MS - MINUTE).next_ms == last + PROVEN_MS
    covered = cover(past, last + PROVEN_MS - 1)
    assert covered.some
    assert covered.since_ms is not None
    assert cover(past, last + PROVEN_MS).blind[0].why == ("unproven",)
    assert say("blind_spots", past, at(13, "12:00")).state == "hint"
    assert say("inactivity", past, at(13, "12:00"), proven_hours=48).state == "cannot_tell"
    # A room may be one that nobody enters for days: a silence is noticed, and the doubt is in its words.
    past.fault(BEDROOM, "unproven", last + PROVEN_MS)
    found = say("inactivity", past, at(13, "12:00"))
    assert found.state == "raise"
    assert "bedroom sensor: nothing shows that it still sees movement" in found.words.en
    # But somebody who lies still for a day is not doubted away: the sensors were proven when it began.
    still = home([*lived(range(8, 10)), *beats(at(10, "00:00"), at(11, "20:00"))])
    assert say("inactivity", still, at(11, "20:00")).since_ms == at(9, "21:40")


def test_a_sensor_that_sees_nothing_for_a_week_of_life_is_not_believed() -> None:
    facts = [one for one in lived(range(1, 13)) if one[:2] != ("moved", BEDROOM) or one[2] < at(6, "00:00")]
    past = home([*facts, *beats(at(13, "00:00"), at(13, "12:00"))])
    assert say("inactivity", past, at(12, "12:00")).state == "quiet"  # somebody has moved today
    assert say("inactivity", past, at(13, "12:00")).state == "cannot_tell"


def test_away_does_not_use_up_the_proof() -> None:
    away = Mode(AWAY, at(10, "08:00"), at(20, "08:00"))
    past = home([*BEFORE, *beats(at(10, "00:00"), at(21, "12:00")), ("mode", away)])
    assert cover(past, at(20, "09:00")).since_ms is not None
    assert cover(past, at(21, "12:00")).since_ms is not None
    assert cover(past, at(22, "12:00"), proven_ms=24 * HOUR).blind


def test_a_sensor_that_its_own_room_contradicts_is_not_believed() -> None:
    devices = [*DEVICES, Device(7, "motion", "kitchen")]
    facts = [*BEFORE, ("moved", 7, at(9, "21:40")), *beats(at(10, "00:00"), at(10, "12:00"))]
    seen = [("moved", KITCHEN, at(10, clock)) for clock in ("08:00", "08:11", "08:22")]
    assert cover(home([*facts, *seen[:2]], devices), at(10, "09:00")).since_ms is not None
    assert [one.device.index for one in cover(home([*facts, *seen], devices), at(10, "09:00")).blind] == [7]


def test_an_unproven_sensor_beside_one_that_sees_holds_nothing_up() -> None:
    devices = [*DEVICES, Device(7, "motion", "kitchen")]
    past = home([*BEFORE, ("heard", 7, at(9, "21:40")), *beats(at(10, "00:00"), at(10, "12:00"))], devices)
    assert [one.device.index for one in cover(past, at(10, "11:00")).blind] == [7]
    assert say("inactivity", past, at(10, "11:00")).since_ms == at(9, "21:40")
    past.fault(KITCHEN, "stuck", at(10, "11:10"))  # now nobody sees the kitchen
    assert say("inactivity", past, at(10, "11:20")).state == "cannot_tell"
    past.mended(KITCHEN, "stuck", at(10, "11:30"))
    past.fault(7, "silent", at(10, "11:40"))  # what is known to be broken is not passed over
    assert say("inactivity", past, at(10, "11:50")).state == "cannot_tell"


def test_a_sensor_that_never_rests_is_not_believed() -> None:
    restless = [("moved", KITCHEN, at(10, "00:00") + minute * MINUTE) for minute in range(0, 600, 5)]
    past = home(day(*restless))
    covered = cover(past, at(10, "08:30"))
    assert covered.blind[0].why == ("restless",)
    assert covered.sensors[0].moved_ms == at(10, "00:00")
    assert cover(past, at(10, "10:00")).next_ms == at(10, "10:10")
    assert say("inactivity", past, at(10, "10:00") - 1).state == "quiet"  # of the night's first minute
    assert say("inactivity", past, at(10, "10:05")).state == "cannot_tell"
    assert restless[-1][2] - restless[0][2] > RESTLESS_MS
    assert say("inactivity", past, at(10, "15:09")).state == "cannot_tell"
    assert say("inactivity", past, at(10, "15:10")).state == "raise"  # long after it came to rest


def test_a_radio_sensor_that_dies_is_not_taken_for_a_person_who_does_not_move() -> None:
    past = home([("radio", 600), *day()])
    found = say("inactivity", past, at(10, "10:00"))  # it may have died at 09:31, and is not silent yet
    assert found.state == "cannot_tell"
    assert "still worked at 10:00: kitchen sensor" in found.words.en
    assert found.next_ms <= at(10, "10:30")
    assert say("inactivity", past, at(10, "10:30")).since_ms == at(9, "21:40")
    past.heard(KITCHEN, at(10, "10:02"))  # no movement, but it lives
    assert say("inactivity", past, at(10, "10:02")).state == "raise"
    past.fault(KITCHEN, "silent", at(10, "10:03"))
    assert say("inactivity", past, at(10, "10:45")).state == "cannot_tell"


def test_the_hub_counts_a_radio_sensor_s_silence_anew_after_a_start() -> None:
    past = home([("radio", 600), *day(("booted", at(10, "09:50")))])
    assert say("inactivity", past, at(10, "10:19")).state == "cannot_tell"
    assert say("inactivity", past, at(10, "10:30") - 1).state == "cannot_tell"
    assert say("inactivity", past, at(10, "10:30")).state == "raise"
    past.booted(at(10, "10:10"))
    assert say("inactivity", past, at(10, "10:40") - 1).state == "cannot_tell"
    assert say("inactivity", past, at(10, "10:36")).next_ms == at(10, "10:40")
    assert say("inactivity", past, at(10, "10:40")).state == "raise"


def test_a_room_that_nobody_lives_in_may_be_ignored() -> None:
    devices = [*DEVICES, Device(7, "motion", "guest room")]
    past = home(day(), devices)
    assert say("inactivity", past, at(10, "10:00")).state == "cannot_tell"
    assert say("inactivity", past, at(10, "10:00"), ignore_rooms=["guest room"]).state == "raise"


def test_who_came_home_is_not_missed_at_once() -> None:
    past = home(day(("mode", Mode(HOSPITAL, at(9, "22:00"), at(10, "14:00")))))
    found = say("inactivity", past, at(10, "13:59"))
    assert found.state == "off"
    assert found.next_ms == at(10, "14:00")
    assert "in hospital until 14:00" in found.words.en
    assert say("inactivity", past, at(10, "14:59")).state == "quiet"
    assert say("inactivity", past, at(10, "15:00")).since_ms == at(10, "14:00")


def test_a_nap_that_was_announced() -> None:
    past = home(day(*walks(at(10, "12:00")), ("mode", Mode(SLEEP, at(10, "13:00"), at(10, "15:00")))))
    assert say("inactivity", past, at(10, "14:00"), day_minutes=60).state == "off"
    assert say("inactivity", past, at(10, "15:59"), day_minutes=60).state == "quiet"
    assert say("inactivity", past, at(10, "16:00"), day_minutes=60).state == "raise"


def test_a_visit_whose_end_was_forgotten_ends_by_itself() -> None:
    past = home(day(*walks(at(10, "08:00")), ("visit", Visit("li", at(10, "09:00"), None))))
    found = say("inactivity", past, at(10, "12:59"), day_minutes=60)
    assert found.state == "off"
    assert found.next_ms == at(10, "13:00")
    assert say("inactivity", past, at(10, "14:00"), day_minutes=60).since_ms == at(10, "13:00")


def test_who_went_out_is_not_inactive_for_as_long_as_that_is_believed() -> None:
    out = [
        *walks(at(10, "08:00")),
        ("door", DOOR, at(10, "08:04"), True),
        ("door", DOOR, at(10, "08:05"), False),
    ]
    past = home([("door", DOOR, at(8, "00:00"), False), *day(*out)])
    assert say("inactivity", past, at(10, "14:00")).state == "off"
    found = say("inactivity", past, at(10, "16:05"))
    assert (found.state, found.since_ms) == ("raise", at(10, "08:05"))
    assert say("inactivity", past, at(10, "14:00"), out_hours=0).state == "raise"
    past.fault(BEDROOM, "silent", at(10, "10:00"))  # somebody may have moved in there
    past.mended(BEDROOM, "silent", at(10, "10:05"))
    assert say("inactivity", past, at(10, "14:00")).state == "cannot_tell"
    past.moved(KITCHEN, at(10, "08:08"))  # a visitor has left, and the elder goes about
    assert say("inactivity", past, at(10, "15:05")).since_ms == at(10, "10:05")


def test_a_home_without_movement_sensors() -> None:
    past = home(day(), devices=[DEVICES[3]])
    for rule in ("inactivity", "overstay", "no_return"):
        assert say(rule, past, at(10, "12:00")).state == "off"


def test_the_clock_of_the_home_when_it_changes() -> None:
    zone = ZoneInfo("Europe/Berlin")
    facts = [*lived(range(27, 29), zone), *beats(at(29, "00:00", zone), at(29, "23:00", zone))]
    past = home(facts, zone=zone)  # 29 March 2026 has no 02:30
    assert say("inactivity", past, at(29, "10:00", zone) - 1).state == "quiet"
    assert say("inactivity", past, at(29, "10:00", zone)).state == "raise"
