"""no_return: somebody went out through the door, or was away, and is not back by the hour that was agreed."""

from __future__ import annotations

from typing import NamedTuple, Self

from pydantic import Field, model_validator

from kanhu_protocol import kinds as k

from .coverage import SETTLE_MS, cover, last_activity, last_turn
from .hours import HOUR_MS, MINUTE_MS, Clock, day_of, minutes, moment
from .look import Look, MovementSettings
from .past import AWAY, HOSPITAL, Past
from .values import Evidence, Rule, Verdict, Words
from .wording import join, span_words, time_words

ID = "no_return/1"
OFF_IN = (AWAY, HOSPITAL)


class Settings(MovementSettings):
    """By when somebody is back."""

    by: Clock = "22:00"
    night_until: Clock = "05:00"  # who leaves between `by` and this is expected back within night_minutes
    night_minutes: int = Field(60, ge=5, le=480)
    grace_minutes: int = Field(60, ge=0, le=720)  # after an "away" has ended by itself
    doors: tuple[int, ...] = ()  # devices that are doors to the outside; none named: all doors

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not minutes(self.night_until) < minutes(self.by):
            raise ValueError("night_until must be earlier in the day than by")
        return self


class Leaving(NamedTuple):
    """That somebody left, by which sign, and when it is time to be back."""

    sign: Evidence
    watch_ms: int  # nothing must have moved, and all must have been seen, since then
    due_ms: int
    words: Words


def evaluate(past: Past, settings: Settings, now_ms: int) -> Verdict:
    """Raise when nothing has moved since somebody left, and it is past the hour."""
    look = Look(ID, past, settings, now_ms)
    stop = look.off(OFF_IN)
    if stop:
        return stop
    doors = [one for one in past.of_role("door") if not settings.doors or one.index in settings.doors]
    signs = [_after_away(past, settings, now_ms), _by_door(past, settings, now_ms)]
    leaving = max((one for one in signs if one), key=lambda one: one.watch_ms, default=None)
    if leaving is None and not doors:
        return look.say("off", Words("no door sensor in this home", "本户没有门磁"))
    stop = look.unheard()
    if stop:
        return stop
    coverage = look.cover()
    if not coverage.sensors:
        return look.say("off", Words("no movement sensor in this home", "本户没有活动传感器"))
    covers = [coverage]
    if leaving is None or leaving.sign.what == "door":
        covers.append(cover(past, now_ms, doors))
        look.at(covers[-1].next_ms)
    for one in covers:
        if not one.some:
            return look.cannot_tell(one)
    if leaving is None:
        return look.say("quiet", Words("nobody has gone out", "没有外出"))
    look.at(leaving.due_ms)
    last = last_activity(past, now_ms)
    if last and last.at_ms > leaving.watch_ms:
        back = time_words(last.at_ms, now_ms, past.zone)
        return look.say("quiet", Words(f"somebody is in: {back.en}", f"家中有人：{back.zh}"), evidence=[last])
    due = time_words(leaving.due_ms, now_ms, past.zone)
    if now_ms < leaving.due_ms:
        words = join([leaving.words, Words(f"expected by {due.en}", f"应于{due.zh}前返回")])
        return look.say("quiet", words, evidence=[leaving.sign])
    for one in covers:
        if one.since_ms is None:
            return look.cannot_tell(one)
        if one.since_ms > leaving.watch_ms:
            since = time_words(one.since_ms, now_ms, past.zone)
            words = Words(f"not everything was seen before {since.en}", f"{since.zh}之前未能全部感应")
            return look.cannot_tell(one, join([leaving.words, words]))
        unsure = look.unsure(one, leaving.due_ms)
        if unsure:
            return unsure
    late = span_words(now_ms - leaving.due_ms)
    words = join(
        [
            leaving.words,
            Words(f"not back by {due.en} ({late.en} ago)", f"{due.zh}仍未返回（已过{late.zh}）"),
            look.on_watch(coverage),
        ]
    )
    evidence = [leaving.sign, Evidence(0, "heard", coverage.hub_heard_ms or now_ms)]
    return look.say("raise", words, leaving.sign.at_ms, device=leaving.sign.device, evidence=evidence)


def _by_door(past: Past, settings: Settings, now_ms: int) -> Leaving | None:
    sign = last_turn(past, now_ms, settings.doors)
    if sign is None:
        return None
    day, by = day_of(sign.at_ms, past.zone), minutes(settings.by)
    by_ms = moment(day, by, past.zone)
    if moment(day, minutes(settings.night_until), past.zone) <= sign.at_ms < by_ms:
        due_ms = by_ms
    else:
        due_ms = sign.at_ms + settings.night_minutes * MINUTE_MS
    at = time_words(sign.at_ms, now_ms, past.zone)
    words = Words(f"the door was used at {at.en}, no movement since", f"{at.zh}有人进出房门，此后无活动")
    return Leaving(sign, sign.at_ms + SETTLE_MS, max(due_ms, sign.at_ms + SETTLE_MS), words)


def _after_away(past: Past, settings: Settings, now_ms: int) -> Leaving | None:
    modes = past.modes(0, now_ms)
    # A mode that a later one ended was ended by somebody.
    if not modes or modes[-1].mode != AWAY or modes[-1].until_ms > now_ms:
        return None
    mode = modes[-1]
    if _came_back(past, mode.from_ms + HOUR_MS, mode.until_ms):
        return None
    sign = Evidence(0, "mode", mode.from_ms)
    until = time_words(mode.until_ms, now_ms, past.zone)
    words = Words(f"away until {until.en}, no movement since", f"外出至{until.zh}，此后无活动")
    return Leaving(sign, mode.until_ms, mode.until_ms + settings.grace_minutes * MINUTE_MS, words)


def _came_back(past: Past, from_ms: int, until_ms: int) -> bool:
    moved = (past.movement_before(one.index, until_ms) for one in past.of_role("motion"))
    return any(one is not None and one >= from_ms for one in moved)


RULE = Rule(
    "no_return",
    1,
    k.NO_RETURN,
    False,
    Settings,
    evaluate,
    Words("Not back home", "外出未归"),
    Words(
        "Watches whether somebody who went out through the door, or was away, is back by the hour that was "
        "agreed: any movement in the home counts as being back.",
        "关注外出后是否在约定时间前返回；家中有任何活动即视为已返回。",
    ),
)
