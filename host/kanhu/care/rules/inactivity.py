"""inactivity: nobody has moved in the home for longer than is well, counted in the hours of being awake."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from kanhu_protocol import kinds as k

from .coverage import SETTLE_MS, Coverage, last_activity, last_turn
from .hours import HOUR_MS, MINUTE_MS, Clock, awake_after, day_of, minutes, moment
from .look import Look, MovementSettings
from .past import AWAY, HOSPITAL, SLEEP, VISITOR, Past
from .rhythm import habit_words, learned
from .values import Evidence, Rule, Verdict, Words
from .wording import join, span_words, time_words

ID = "inactivity/1"
OFF_IN = (AWAY, HOSPITAL, VISITOR, SLEEP)


class Settings(MovementSettings):
    """How long is too long. Times of day are local; hours are counted while awake."""

    awake_from: Clock = "07:00"
    awake_until: Clock = "22:00"
    # Lin'an's programme takes 4 to 5 h of daytime without PIR movement.
    day_minutes: int = Field(300, ge=1, le=1440)
    morning_from: Clock = "04:00"  # movement before belongs to the night
    wake_by: Clock = "09:00"
    grace_minutes: int = Field(60, ge=0, le=360)
    # A door that opened and closed, and nothing since: out, for so long at most. 0: a door says nothing.
    out_hours: int = Field(8, ge=0, le=24)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        awake = minutes(self.awake_until) - minutes(self.awake_from)
        if awake < 240:
            raise ValueError("awake_until must be at least 4 h after awake_from")
        if self.day_minutes > awake:
            raise ValueError("day_minutes must fit between awake_from and awake_until")
        if not minutes(self.morning_from) < minutes(self.wake_by) < minutes(self.awake_until):
            raise ValueError("morning_from, wake_by and awake_until must follow each other")
        if minutes(self.wake_by) + self.grace_minutes >= minutes(self.awake_until):
            raise ValueError("wake_by and grace_minutes must lie before awake_until")
        return self


def evaluate(past: Past, settings: Settings, now_ms: int) -> Verdict:
    """Raise by what comes first: a morning without movement, or the hours of a day without."""
    look = Look(ID, past, settings, now_ms)
    stop = look.off(OFF_IN) or look.unheard()
    if stop:
        return stop
    coverage = look.cover()
    if not coverage.sensors:
        return look.say("off", Words("no movement sensor in this home", "本户没有活动传感器"))
    if not coverage.some:
        return look.cannot_tell(coverage)
    last = last_activity(past, now_ms)
    if last:
        out = _out(look, coverage, last, settings)
        if out:
            return out
        due_ms = _due(last.at_ms, look.floor_ms, settings, past)
        look.at(due_ms)
        if now_ms < due_ms:
            since = time_words(last.at_ms, now_ms, past.zone)
            words = Words(f"last movement at {since.en}", f"最近活动时间：{since.zh}")
            return look.say("quiet", words, device=last.device, evidence=[last])
    if coverage.since_ms is None:
        return look.cannot_tell(coverage)
    seen_ms = max(last.at_ms if last else 0, coverage.since_ms)
    due_ms = _due(seen_ms, look.floor_ms, settings, past)
    if now_ms < due_ms:
        return look.hole(coverage, coverage.since_ms, due_ms)
    unsure = look.unsure(coverage, due_ms)
    if unsure:
        return unsure
    since_ms = max(seen_ms, look.floor_ms)
    since, span = time_words(since_ms, now_ms, past.zone), span_words(now_ms - since_ms)
    parts = [Words(f"no movement since {since.en} ({span.en})", f"自{since.zh}起无活动（{span.zh}）")]
    habit = habit_words(learned(past, now_ms))
    if habit:
        parts.append(habit)
    parts.append(look.on_watch(coverage, last.device if last else 0))
    evidence = [*([last] if last else []), Evidence(0, "heard", coverage.hub_heard_ms or now_ms)]
    device = last.device if last else 0
    return look.say("raise", join(parts), since_ms, device=device, evidence=evidence)


def _due(seen_ms: int, floor_ms: int, settings: Settings, past: Past) -> int:
    """When it is too long: nothing moved after seen_ms, and nobody was watched before floor_ms."""
    zone = past.zone
    awake = minutes(settings.awake_from), minutes(settings.awake_until)
    base_ms = max(seen_ms, floor_ms)
    day_ms = awake_after(base_ms, settings.day_minutes * MINUTE_MS, awake, zone)
    grace_ms = settings.grace_minutes * MINUTE_MS
    first = day_of(base_ms, zone)
    for day in range(first, first + 3):
        wake_ms = max(moment(day, minutes(settings.wake_by), zone), floor_ms) + grace_ms
        if seen_ms < moment(day, minutes(settings.morning_from), zone) and wake_ms < moment(
            day, awake[1], zone
        ):
            return min(day_ms, wake_ms)
    return day_ms


def _out(look: Look[Settings], coverage: Coverage, last: Evidence, settings: Settings) -> Verdict | None:
    door = last_turn(look.past, look.now_ms)
    if (
        door is None
        or last.at_ms > door.at_ms + SETTLE_MS
        or (last.what == "reading" and last.at_ms > door.at_ms)
    ):
        return None
    if coverage.since_ms is None or coverage.since_ms > door.at_ms:
        return None  # somebody may be moving where it is not seen
    until_ms = door.at_ms + settings.out_hours * HOUR_MS
    look.at(door.at_ms + SETTLE_MS, until_ms)
    if not door.at_ms + SETTLE_MS <= look.now_ms < until_ms:
        return None
    since = time_words(door.at_ms, look.now_ms, look.past.zone)
    words = Words(
        f"the door was used at {since.en} and nothing has moved since: taken as out",
        f"{since.zh}有人进出房门，此后无活动：视为外出",
    )
    return look.say("off", words, door.at_ms, device=door.device, evidence=[door])


RULE = Rule(
    "inactivity",
    1,
    k.INACTIVITY,
    True,
    Settings,
    evaluate,
    Words("No movement", "长时间无活动"),
    Words(
        "Watches whether anybody moves: up in the morning, and never still for too long by day. "
        "The elder is asked first. Speaks only while every sensor of the home can be relied on.",
        "关注是否有人活动：早晨按时起床，白天不会长时间无活动。先询问老人。仅在全部传感器可靠时作出判断。",
    ),
)
