"""blind_spots: which sensors do not see, or soon will not; a hint that lowers what is claimed."""

from __future__ import annotations

from pydantic import Field

from kanhu_protocol import kinds as k

from .coverage import WEAKENING
from .look import Look, MovementSettings
from .past import Device, Past
from .values import Evidence, Rule, Verdict, Words
from .wording import device_words, join, listing, time_words, why_words

ID = "blind_spots/1"
PASSING = frozenset({"warm_up"})  # over within a minute


class Settings(MovementSettings):
    """What counts as proven; see MovementSettings. A doubt is named before rules give up on a sensor."""

    proven_hours: int = Field(48, ge=12, le=336)


def evaluate(past: Past, settings: Settings, now_ms: int) -> Verdict:
    """Hint with every sensor that is blind or weak, and since when."""
    look = Look(ID, past, settings, now_ms)
    stop = look.off()
    if stop:
        return stop
    if not past.devices:
        return look.say("off", Words("no sensors in this home", "本户没有传感器"))
    stop = look.unheard()
    if stop:
        return stop
    found = [(since_ms, device, whys) for device, since_ms, whys in _spots(look, past, now_ms) if whys]
    if not found:
        words = Words("no blind spots", "没有盲区")
        return look.say("quiet", words, evidence=[Evidence(0, "heard", now_ms)])
    found.sort(key=lambda one: (-one[0], one[1].index))
    parts = []
    for since_ms, device, whys in found:
        name, why = device_words(device), listing(why_words(one) for one in whys)
        since = time_words(since_ms, now_ms, past.zone)
        parts.append(
            Words(f"{name.en}: {why.en} (since {since.en})", f"{name.zh}：{why.zh}（自{since.zh}起）")
        )
    since_ms, device, _ = found[0]
    evidence = [Evidence(one.index, "fault", at_ms) for at_ms, one, _ in found]
    return look.say("hint", join(parts), since_ms, device.room, device.index, evidence)


def _spots(look: Look[Settings], past: Past, now_ms: int) -> list[tuple[Device, int, list[str]]]:
    """(device, since when, what is wrong) of each; nothing wrong: an empty list."""
    coverage = look.cover([one for one in past.devices.values() if one.role in ("motion", "door", "window")])
    whys: dict[int, set[str]] = {one.device.index: set(one.why) - PASSING for one in coverage.sensors}
    spots = []
    for device in past.devices.values():
        faults = past.faults(device.index, now_ms)
        wrong = whys.get(device.index, set()) | {one.why for one in faults if one.why != "unproven"}
        ignored = device.room in look.settings.ignore_rooms
        if ignored or device.role not in ("motion", "door", "window"):
            wrong -= {"unproven", "never", "unsupervised"}
        blinding = [one.from_ms for one in faults if one.why not in WEAKENING or one.why == "battery"]
        moved_ms = past.movement_before(device.index, now_ms)
        since_ms = max(blinding, default=moved_ms or past.began_ms or now_ms)
        spots.append((device, since_ms, sorted(wrong)))
    return spots


RULE = Rule(
    "blind_spots",
    1,
    k.RULE_HINT,
    False,
    Settings,
    evaluate,
    Words("Blind spots", "感应盲区"),
    Words(
        "Names sensors with a low battery, a fault, or nothing to show that they still see.",
        "列出电池电量低、有故障或无法确认仍能感应的传感器。",
    ),
)
