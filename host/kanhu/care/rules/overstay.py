"""overstay: somebody went into the bathroom or the bedroom and was not seen anywhere else since."""

from __future__ import annotations

from typing import NamedTuple, Self

from pydantic import Field, model_validator

from kanhu_protocol import kinds as k

from .coverage import Coverage, last_activity
from .hours import MINUTE_MS, Clock, awake_after, minutes
from .look import Look, MovementSettings
from .past import AWAY, HOSPITAL, SLEEP, VISITOR, Past
from .values import Evidence, Rule, Verdict, Words
from .wording import join, known_room, room_words, span_words, time_words

ID = "overstay/1"
OFF_IN = (AWAY, HOSPITAL, VISITOR)
_RANK = {"raise": 0, "cannot_tell": 1, "quiet": 2, "off": 3}


class Settings(MovementSettings):
    """How long in a room is too long; the bedroom counts only while awake."""

    bathrooms: tuple[str, ...] = ("bathroom",)
    bathroom_minutes: int = Field(120, ge=1, le=720)  # a maker in Beijing takes 4 h
    bedrooms: tuple[str, ...] = ("bedroom",)
    bedroom_minutes: int = Field(360, ge=1, le=900)  # the same takes 10 h, the night included
    awake_from: Clock = "09:00"
    awake_until: Clock = "21:00"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        awake = minutes(self.awake_until) - minutes(self.awake_from)
        if awake < 240:
            raise ValueError("awake_until must be at least 4 h after awake_from")
        if self.bedroom_minutes > awake:
            raise ValueError("bedroom_minutes must fit between awake_from and awake_until")
        return self


class Stay(NamedTuple):
    """A room, and how long one may stay in it."""

    room: str
    limit_ms: int
    awake: tuple[int, int] | None  # counted only between these minutes of the day


def evaluate(past: Past, settings: Settings, now_ms: int) -> Verdict:
    """Raise for the room in which somebody is too long; the other rooms' sensors say that nobody left it."""
    look = Look(ID, past, settings, now_ms)
    stop = look.off(OFF_IN)
    if stop:
        return stop
    coverage = look.cover()
    rooms = {one.device.room for one in coverage.sensors}
    mode = past.mode_at(now_ms)
    asleep = mode is not None and mode.mode == SLEEP
    stays = _stays(rooms, settings, asleep)
    if not stays and asleep:
        return look.say("off", Words("asleep: the bedroom does not count", "休息中：卧室停留不计"))
    if not stays:
        return look.say("off", Words("no sensor in bathroom or bedroom", "卫生间、卧室没有传感器"))
    if len(rooms) < 2:
        return look.say("off", Words("no sensor in any other room", "其他房间没有传感器"))
    stop = look.unheard()
    if stop:
        return stop
    if coverage.since_ms is None:
        return look.cannot_tell(coverage)
    found = [_stay(look, coverage, coverage.since_ms, stay) for stay in stays]
    best = min(found, key=lambda one: (_RANK[one.state], one.since_ms or 0))
    return look.say(best.state, best.words, best.since_ms, best.room, best.device, best.evidence)


def _stays(rooms: set[str], settings: Settings, asleep: bool) -> list[Stay]:
    bath = {known_room(one) for one in settings.bathrooms}
    bed = {known_room(one) for one in settings.bedrooms}
    awake = minutes(settings.awake_from), minutes(settings.awake_until)
    stays = []
    for room in sorted(rooms):
        if known_room(room) in bath:
            stays.append(Stay(room, settings.bathroom_minutes * MINUTE_MS, None))
        elif known_room(room) in bed and not asleep:
            stays.append(Stay(room, settings.bedroom_minutes * MINUTE_MS, awake))
    return stays


def _stay(look: Look[Settings], coverage: Coverage, covered_ms: int, stay: Stay) -> Verdict:
    past, now_ms = look.past, look.now_ms
    last = last_activity(past, now_ms, stay.room)
    elsewhere = last_activity(past, now_ms, stay.room, elsewhere=True)
    elsewhere_ms = elsewhere.at_ms if elsewhere else 0
    # Nobody is longer in there than since the last sign elsewhere, whatever was not seen.
    since_ms = max(elsewhere_ms, past.began_ms or 0, look.floor_ms)
    due_ms = _due(stay, since_ms, past)
    look.at(due_ms)
    if now_ms < due_ms:
        return look.say("quiet", Words("no stay that is too long", "没有停留过久的情况"))
    sure_ms = max(elsewhere_ms, covered_ms)
    devices = [one.index for one in past.devices.values() if one.room == stay.room]
    entered = [
        moved for device in devices if (moved := past.movement_after(device, sure_ms, now_ms)) is not None
    ]
    room = room_words(stay.room)
    if not entered:
        if elsewhere_ms >= covered_ms:
            return look.say("quiet", Words("no stay that is too long", "没有停留过久的情况"))
        return look.cannot_tell(
            coverage, Words(f"{room.en}: not everything was seen", f"{room.zh}：活动未能全部感应")
        )
    entered_ms = max(min(entered), look.floor_ms)
    due_ms = _due(stay, entered_ms, past)
    look.at(due_ms)
    if now_ms < due_ms:
        if elsewhere_ms >= covered_ms:
            return look.say("quiet", Words("no stay that is too long", "没有停留过久的情况"))
        return look.hole(coverage, covered_ms, due_ms)
    unsure = look.unsure(coverage, due_ms)
    if unsure:
        return unsure
    since, span = time_words(entered_ms, now_ms, past.zone), span_words(now_ms - entered_ms)
    device = last.device if last else devices[0]
    parts = [
        Words(
            f"in the {room.en} since {since.en} ({span.en}), no movement elsewhere",
            f"自{since.zh}起一直在{room.zh}（{span.zh}），其他房间无活动",
        )
    ]
    if last:
        seen = time_words(last.at_ms, now_ms, past.zone)
        parts.append(Words(f"last movement there at {seen.en}", f"室内最近活动时间：{seen.zh}"))
    parts.append(look.on_watch(coverage))
    evidence = [*([last] if last else []), Evidence(0, "heard", coverage.hub_heard_ms or now_ms)]
    return look.say("raise", join(parts), entered_ms, stay.room, device, evidence)


def _due(stay: Stay, since_ms: int, past: Past) -> int:
    if stay.awake is None:
        return since_ms + stay.limit_ms
    return awake_after(since_ms, stay.limit_ms, stay.awake, past.zone)


RULE = Rule(
    "overstay",
    1,
    k.OVERSTAY,
    True,
    Settings,
    evaluate,
    Words("Too long in one room", "单一房间停留过久"),
    Words(
        "Watches whether somebody who went into the bathroom or, by day, the bedroom comes out again. "
        "Speaks only while the sensors of the other rooms can be relied on too.",
        "关注进入卫生间或白天进入卧室后是否出来。仅在其他房间传感器也可靠时作出判断。",
    ),
)
