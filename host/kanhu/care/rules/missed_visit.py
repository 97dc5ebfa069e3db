"""missed_visit: somebody was due at the home, and nobody checked in."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import Field

from kanhu_protocol import kinds as k

from .coverage import cover
from .hours import DAY_MS, HOUR_MS, MINUTE_MS, clock, day_of, moment
from .look import Look, RuleSettings
from .past import AWAY, HOSPITAL, Past, Plan
from .values import Evidence, Rule, Verdict, Words
from .wording import ago_words, join, time_words

ID = "missed_visit/1"
OFF_IN = (AWAY, HOSPITAL)
MONDAY = 1  # date.fromordinal(1) is a Monday


class Settings(RuleSettings):
    """How exact a visit has to be."""

    early_minutes: int = Field(60, ge=0, le=720)  # who comes earlier is taken for this visit
    grace_minutes: int = Field(30, ge=0, le=720)
    matters_hours: int = Field(12, ge=1, le=48)  # later than that the next visit counts


class Due(NamedTuple):
    """One day's visit."""

    plan: Plan
    early_ms: int
    from_ms: int
    due_ms: int
    over_ms: int


def evaluate(past: Past, settings: Settings, now_ms: int) -> Verdict:
    """Raise for the oldest visit that was missed and still matters."""
    look = Look(ID, past, settings, now_ms)
    stop = look.off(OFF_IN)
    if stop:
        return stop
    if not past.plans:
        return look.say("off", Words("no visits are planned", "没有探访计划"))
    stop = look.unheard()
    if stop:
        return stop
    words = Words("no visit is missing", "没有遗漏的探访")
    hole: Verdict | None = None
    for due in _due(past, settings, now_ms):
        look.at(due.due_ms, due.over_ms)
        if not due.due_ms <= now_ms < due.over_ms or due.from_ms < look.floor_ms:
            continue
        came = next((one for one in past.visits(due.early_ms, now_ms) if one.from_ms >= due.early_ms), None)
        there = any(one.from_ms < due.early_ms for one in past.visits(due.early_ms, now_ms))
        if came or there:
            continue
        by = time_words(due.due_ms, now_ms, past.zone)
        what = due.plan.what.strip() or "visit"
        if _unseen(past, due, now_ms):
            hole = hole or look.cannot_tell(
                cover(past, now_ms, ()),
                Words(f"{what}: the hub was not heard all the time", f"{what}：网关期间信号有中断"),
            )
            continue
        hours = f"{clock(due.plan.from_min)}-{clock(due.plan.until_min)}"
        ago = ago_words(past.last_heard(0, now_ms) or now_ms, now_ms)
        words = join(
            [
                Words(
                    f"{what} ({hours}): nobody has checked in by {by.en}",
                    f"{what}（{hours}）：至{by.zh}无人签到",
                ),
                Words(f"hub heard {ago.en}", f"网关{ago.zh}在线"),
            ]
        )
        return look.say("raise", words, due.from_ms, evidence=[Evidence(0, "heard", now_ms)])
    return look.say(hole.state, hole.words) if hole else look.say("quiet", words)


def _due(past: Past, settings: Settings, now_ms: int) -> list[Due]:
    found = []
    back = settings.matters_hours * HOUR_MS + 2 * DAY_MS
    for day in range(day_of(now_ms - back, past.zone), day_of(now_ms, past.zone) + 2):
        for plan in past.plans:
            if not plan.days >> (day - MONDAY) % 7 & 1:
                continue
            from_ms = moment(day, plan.from_min, past.zone)
            until_ms = moment(day + (plan.until_min <= plan.from_min), plan.until_min, past.zone)
            due_ms = until_ms + settings.grace_minutes * MINUTE_MS
            early_ms = from_ms - settings.early_minutes * MINUTE_MS
            if from_ms < plan.since_ms:
                continue
            found.append(Due(plan, early_ms, from_ms, due_ms, due_ms + settings.matters_hours * HOUR_MS))
    return sorted(found, key=lambda one: one.from_ms)


def _unseen(past: Past, due: Due, now_ms: int) -> bool:
    """Whether a check-in at the home may have gone unheard."""
    since_ms = past.hub_since(now_ms)
    return since_ms is None or since_ms > due.early_ms


RULE = Rule(
    "missed_visit",
    1,
    k.MISSED_VISIT,
    False,
    Settings,
    evaluate,
    Words("Missed visit", "探访未到"),
    Words(
        "Watches whether somebody checks in for each visit that is planned.",
        "关注计划中的每次探访是否有人签到。",
    ),
)
