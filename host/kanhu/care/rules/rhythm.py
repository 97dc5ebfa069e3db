"""rhythm: when this person is usually up, learned from the days; a late morning is a hint, never an alarm."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import Field

from kanhu_protocol import kinds as k

from .coverage import last_activity
from .hours import Clock, clock, day_of, minutes, moment
from .look import Look, MovementSettings
from .past import AWAY, HOSPITAL, SLEEP, VISITOR, Past
from .values import Evidence, Rule, Verdict, Words
from .wording import join

ID = "rhythm/1"
OFF_IN = (AWAY, HOSPITAL, VISITOR, SLEEP)
LEAST_DAYS = 14  # two of each day of the week
# Shares of the days: what is called usual, and what so few days exceed that it is worth a look.
USUAL, LATE = 0.8, 0.95
MORNING = 240  # 04:00: what moves before is the night's
QUARTER = 15


class Settings(MovementSettings):
    """When a morning is worth a look."""

    morning_from: Clock = "04:00"  # movement before belongs to the night
    late_minutes: int = Field(60, ge=0, le=360)  # beyond what is late for this person
    least_days: int = Field(LEAST_DAYS, ge=LEAST_DAYS, le=60)


class Habit(NamedTuple):
    """What the days of one home have in common; minutes of the local day."""

    days: int
    usual_min: int  # up by then on most days (USUAL)
    late_min: int  # and by then on nearly all (LATE)


def learned(past: Past, now_ms: int, least_days: int = LEAST_DAYS, morning: int = MORNING) -> Habit | None:
    """First movement of the mornings before today; None while there are fewer than least_days of them."""
    skip = morning // QUARTER
    firsts = []
    for mask in past.days(now_ms).values():
        rest = mask >> skip
        if rest:
            firsts.append((skip + (rest & -rest).bit_length()) * QUARTER)
    if len(firsts) < least_days:
        return None
    firsts.sort()
    return Habit(len(firsts), _quantile(firsts, USUAL), _quantile(firsts, LATE))


def habit_words(habit: Habit | None) -> Words | None:
    """How it usually is."""
    if habit is None:
        return None
    by = clock(habit.usual_min % 1440)
    return Words(f"usually up by {by}", f"平时{by}前起床")


def evaluate(past: Past, settings: Settings, now_ms: int) -> Verdict:
    """Hint when the first movement of the day is later than it is for this person."""
    look = Look(ID, past, settings, now_ms)
    stop = look.off(OFF_IN)
    if stop:
        return stop
    today = day_of(now_ms, past.zone)
    midnight_ms = moment(today + 1, 0, past.zone)
    look.at(midnight_ms)
    morning = minutes(settings.morning_from)
    habit = learned(past, now_ms, settings.least_days, morning)
    if habit is None:
        need = settings.least_days
        have = sum(mask >> (morning // QUARTER) != 0 for mask in past.days(now_ms).values())
        return look.say("off", Words(f"still learning: {have} of {need} days", f"学习中：{have}/{need}天"))
    stop = look.unheard()
    if stop:
        return stop
    coverage = look.cover()
    if not coverage.some:
        return look.cannot_tell(coverage) if coverage.sensors else no_sensor(look)
    morning_ms = moment(today, morning, past.zone)
    due_ms = moment(today, habit.late_min + settings.late_minutes, past.zone)
    look.at(morning_ms, due_ms)
    usual = habit_words(habit) or Words("", "")
    if look.floor_ms > morning_ms:
        return look.say("off", Words("not at home all morning", "今晨不在家或有人陪伴"))
    last = last_activity(past, now_ms)
    if now_ms < due_ms or (last and last.at_ms >= morning_ms):
        return look.say("quiet", usual, evidence=[last] if last else [])
    if coverage.since_ms is None:
        return look.cannot_tell(coverage)
    if coverage.since_ms > morning_ms:
        return look.hole(coverage, coverage.since_ms, midnight_ms)
    unsure = look.unsure(coverage, due_ms)
    if unsure:
        return unsure
    late = clock(habit.late_min % 1440)
    words = join(
        [
            Words("no movement yet this morning", "今晨尚无活动"),
            usual,
            Words(f"by {late} on nearly all of {habit.days} days", f"{habit.days}天中几乎每天{late}前起床"),
            look.on_watch(coverage),
        ]
    )
    evidence = [*([last] if last else []), Evidence(0, "heard", coverage.hub_heard_ms or now_ms)]
    return look.say("hint", words, morning_ms, evidence=evidence)


def no_sensor(look: Look[Settings]) -> Verdict:
    """`off` for a home without movement sensors."""
    return look.say("off", Words("no movement sensor in this home", "本户没有活动传感器"))


def _quantile(ordered: list[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


RULE = Rule(
    "rhythm",
    1,
    k.RULE_HINT,
    False,
    Settings,
    evaluate,
    Words("Later than usual", "晨起晚于平时"),
    Words(
        "Learns from at least two weeks when the first movement of the day comes, and says when it is later "
        "than on nearly all days. Only a hint.",
        "根据至少两周的记录了解平时晨起时间，明显偏晚时给出提示；仅作提示，不报警。",
    ),
)
