"""What a home's condition rests on, gathered for one hub."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from pydantic import BaseModel

from kanhu.journal import Journal
from kanhu_protocol import kinds as k

from .alarm import Alarm
from .condition import AlarmFact, FaultFact, HubFacts, ProofFact, RuleFact, SensorFact
from .homes import HubPast
from .proofs import Proof
from .rules.coverage import PROVEN_MS, Coverage, cover, lived_ms
from .rules.past import Device, Mode, Past
from .rules.values import Rule, Verdict, Words
from .rules.wording import device_words, why_words

HOUR_MS = 3_600_000
ALARMS_NAMED = 20  # of one hub among the reasons; one is enough to need attention
On = list[tuple[Rule[Any], BaseModel]]
_NO_WORDS = Words("", "")


def gather(
    past: HubPast,
    read: bool,
    alarms: Iterable[Alarm],
    on: On,
    verdicts: Mapping[str, Verdict],
    sensors: tuple[SensorFact, ...],
    mode: Mode | None,
    proof: Proof | None,
) -> HubFacts:
    """Everything kanhu.care.condition looks at, of one hub."""
    devices = past.past.devices
    faults = sorted(past.standing.items(), key=lambda item: item[1])
    return HubFacts(
        zone=past.past.zone,
        heard_ms=past.heard_ms,
        limit_ms=past.limit_ms,
        read=read,
        behind_ms=past.behind_ms,
        alarms=tuple(AlarmFact(one.kind, one.state, one.opened_ms) for one in islice(alarms, ALARMS_NAMED)),
        faults=tuple(
            FaultFact(kind, since_ms, device_words(devices[device]) if device in devices else _NO_WORDS)
            for (device, kind), since_ms in faults
        ),
        sensors=sensors,
        rules=tuple(_rule(rule, verdicts.get(rule.name)) for rule, _ in on),
        mode=mode,
        proof=None if proof is None else ProofFact(*proof),
    )


def _rule(rule: Rule[Any], verdict: Verdict | None) -> RuleFact:
    if verdict is None:
        return RuleFact(
            "cannot_tell", Words(f"{rule.title.en}: not looked at yet", f"{rule.title.zh}：尚未评估"), 0
        )
    return RuleFact(verdict.state, verdict.words, max(verdict.next_ms, 0), verdict.since_ms)


def watched(past: HubPast, on: On) -> tuple[list[Device], int]:
    """(movement sensors that rules rest on, how long one may see nothing before it is unproven)."""
    devices = past.past.of_role("motion")
    proven_ms = PROVEN_MS
    for _, settings in on:
        ignored = getattr(settings, "ignore_rooms", ())
        devices = [one for one in devices if one.room not in ignored]
        proven_ms = min(proven_ms, getattr(settings, "proven_hours", 48) * HOUR_MS)
    return devices, proven_ms


def covered(past: HubPast, on: On, now_ms: int) -> Coverage:
    """What of a home's movement can be relied on now."""
    devices, proven_ms = watched(past, on)
    return cover(past.past, now_ms, devices, proven_ms)


def sensors(coverage: Coverage, ruled: bool) -> tuple[SensorFact, ...]:
    """Movement sensors, and which are covered. Where no rule is on, nothing is claimed of movement."""
    return tuple(
        SensorFact(
            device_words(one.device),
            one.since_ms is not None or not ruled,
            why_words(one.why[0]) if one.why and ruled else _NO_WORDS,
            one.moved_ms,
        )
        for one in coverage.sensors
    )


async def say_proven(journal: Journal, past: HubPast, coverage: Coverage, now_ms: int) -> None:
    """Tell of movement sensors that are heard, but that nothing shows to see, and of those that do again;
    JournalUnavailable: later."""
    for one in coverage.sensors:
        key = (one.device.index, k.SENSOR_UNPROVEN)
        unproven = "unproven" in one.why
        if unproven == (key in past.standing) or "hub" in one.why:
            continue
        if unproven and one.moved_ms is None and _is_new(past.past, one.device, now_ms):
            continue
        since_ms = one.moved_ms or one.heard_ms or now_ms
        fields = {k.SUBJECT: past.hub, k.DEVICE: one.device.index, k.SPAN_MS: max(0, now_ms - since_ms)}
        event = await journal.host_event(k.SENSOR_UNPROVEN if unproven else k.SENSOR_PROVEN, fields)
        past.told(event)


def _is_new(past: Past, device: Device, now_ms: int) -> bool:
    """Whether nobody can be expected to have passed a sensor yet: it is relied on for nothing, but it is no
    fault that somebody has to come for."""
    first_ms = past.first_heard(device.index)
    return first_ms is not None and lived_ms(past, first_ms, now_ms)[0] < PROVEN_MS
