"""door_open: a door to the outside stands open for longer than is well."""

from __future__ import annotations

from pydantic import Field

from kanhu_protocol import kinds as k

from .coverage import HUB_LOST, Sensor, cover
from .hours import MINUTE_MS
from .look import Look, RuleSettings
from .past import Past
from .values import Evidence, Rule, Verdict, Words
from .wording import device_words, join, span_words, time_words

ID = "door_open/1"
_RANK = {"raise": 0, "cannot_tell": 1, "quiet": 2}


class Settings(RuleSettings):
    """Which doors, and how long."""

    minutes: int = Field(15, ge=1, le=720)
    doors: tuple[int, ...] = ()  # devices that are doors to the outside; none named: all doors


def evaluate(past: Past, settings: Settings, now_ms: int) -> Verdict:
    """Raise for the door that is open longest."""
    look = Look(ID, past, settings, now_ms)
    stop = look.off()
    if stop:
        return stop
    doors = [one for one in past.of_role("door") if not settings.doors or one.index in settings.doors]
    if not doors:
        return look.say("off", Words("no door sensor in this home", "本户没有门磁"))
    stop = look.unheard()
    if stop:
        return stop
    coverage = cover(past, now_ms, doors)
    look.at(coverage.next_ms)
    found = [_door(look, one, settings.minutes * MINUTE_MS) for one in coverage.sensors]
    worst = min(found, key=lambda one: (_RANK[one.state], one.since_ms or 0))
    if worst.state == "cannot_tell" and coverage.blind:
        return look.cannot_tell(coverage)
    words = (
        worst.words if worst.state != "raise" else join([worst.words, look.on_watch(coverage, worst.device)])
    )
    return look.say(worst.state, words, worst.since_ms, worst.room, worst.device, worst.evidence)


def _door(look: Look[Settings], sensor: Sensor, limit_ms: int) -> Verdict:
    past, now_ms, device = look.past, look.now_ms, sensor.device
    name = device_words(device)
    turned = past.is_open(device.index, now_ms)
    said = past.turns(device.index, 0, now_ms)
    if sensor.since_ms is None or turned is None or said[-1][0] < _unsaid(past, now_ms):
        words = Words(f"cannot tell: {name.en} has not said how it stands", f"无法判断：{name.zh}状态未知")
        return look.say("cannot_tell", words, device=device.index)
    is_open, since_ms = turned
    since = time_words(since_ms, now_ms, past.zone)
    evidence = [Evidence(device.index, "door", since_ms)]
    if not is_open:
        words = Words(f"{name.en} closed since {since.en}", f"{name.zh}自{since.zh}起关闭")
        return look.say("quiet", words, device=device.index, evidence=evidence)
    sure_ms = max(since_ms, sensor.since_ms)  # a sensor that was silent may have been closed meanwhile
    look.at(since_ms + limit_ms, sure_ms + limit_ms)
    words = Words(f"{name.en} open since {since.en}", f"{name.zh}自{since.zh}起一直开着")
    if now_ms < since_ms + limit_ms:
        return look.say("quiet", words, device=device.index, evidence=evidence)
    if now_ms < sure_ms + limit_ms:
        words = join([words, Words("it was not heard all the time", "期间信号有中断")])
        words = Words(f"cannot tell: {words.en}", f"无法判断：{words.zh}")
        return look.say("cannot_tell", words, device=device.index, evidence=evidence)
    span = span_words(now_ms - since_ms)
    words = Words(f"{words.en} ({span.en})", f"{words.zh}（{span.zh}）")
    return look.say("raise", words, since_ms, device.room, device.index, evidence)


def _unsaid(past: Past, now_ms: int) -> int:
    """What a door said before this may have changed unheard: the hub says it anew after a start."""
    lost = [
        one.until_ms if one.until_ms is not None else now_ms
        for one in past.faults_between(0, 0, now_ms)
        if one.why == HUB_LOST
    ]
    return max([past.last_boot(now_ms) or 0, *lost])


RULE = Rule(
    "door_open",
    1,
    k.DOOR_LEFT_OPEN,
    False,
    Settings,
    evaluate,
    Words("Door left open", "房门未关"),
    Words(
        "Watches whether a door to the outside stands open for too long.",
        "关注通向室外的门是否长时间未关。",
    ),
)
