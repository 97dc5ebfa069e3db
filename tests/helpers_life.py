"""Steps in the life of alarms that a rule or a hub begins by asking, and what is seen of them."""

from __future__ import annotations

from typing import Any

from helpers_intake import HUB, Host, HubVoice
from kanhu.care import Alarm, AlarmName
from kanhu.care.rules.values import Words
from kanhu.journal import Event
from kanhu_protocol import kinds as k

LINK = "mqtt"
RULE = "inactivity/1"
WORDS = Words("no movement since 21:40", "21:40 起无活动")
ASK_MS = 60_000
FIRST = (HUB, 1, 0)


class Seconds:
    """A clock that nobody can set, but the test."""

    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


async def ask(host: Host, kind: int = k.INACTIVITY) -> AlarmName:
    return await host.alarms.ask(HUB, kind, RULE, WORDS, ASK_MS, device=4)


async def receive(host: Host, *events: bytes) -> None:
    await host.intake.receive(HUB, b"".join(events), LINK)


def cancel(hub: HubVoice, name: AlarmName) -> bytes:
    return hub.say(k.PRE_ALARM_CANCELLED, {k.ALARM: list(name[1:]), k.DEVICE: 9})


def the(host: Host, name: AlarmName) -> Alarm:
    alarm = host.alarms.get(name)
    assert alarm is not None
    return alarm


def steps(host: Host, name: AlarmName) -> list[tuple[str, str | None]]:
    return [(what, operator) for _, what, operator, _ in host.alarms.history(name)]


def told(host: Host) -> list[tuple[int, int | None]]:
    """What waits to be told to the hub of alarms: (type, state)."""
    return [
        (one.type, one.fields.get(k.ALARM_STATE))
        for one in host.commands.waiting(HUB)
        if k.ALARM_NAME in one.fields
    ]


def record(host: Host) -> list[tuple[str, str, str | None]]:
    return host.journal.reader.rows("SELECT rule, outcome, reason FROM rule_record ORDER BY id")


def said(event: Event) -> dict[int, Any]:
    return {key: value for key, value in event.fields.items() if key > k.CLOCK}
