from __future__ import annotations

import asyncio

import pytest

from helpers_intake import HUB, NOW_MS, Host, HubVoice
from kanhu.care import Alarm, AlarmError
from kanhu.journal import JournalUnavailable
from kanhu_protocol import kinds as k

LINK = "mqtt"
NAME = (HUB, 1, 0)


async def press(host: Host, hub: HubVoice, **extra: int) -> None:
    await host.intake.receive(HUB, hub.say(k.CALL, {k.DEVICE: 3, k.COUNT: extra.get("count", 1)}), LINK)


async def repeat(host: Host, hub: HubVoice, attempt: int, kind: int = k.CALL_UNANSWERED) -> None:
    fields = (
        {k.ALARM: [1, 0], k.ATTEMPT: attempt} if kind == k.CALL_UNANSWERED else {k.ALARM: [1, 0], k.COUNT: 2}
    )
    await host.intake.receive(HUB, hub.say(kind, fields), LINK)


def steps(host: Host) -> list[str]:
    return [what for _, what, _, _ in host.alarms.history(NAME)]


async def test_a_call_opens_and_is_counted(open_host, hub: HubVoice) -> None:
    host = await open_host()
    changes: list[Alarm] = []
    host.alarms.on_change.append(changes.append)
    await press(host, hub)
    await repeat(host, hub, 1)
    await repeat(host, hub, 2)
    await repeat(host, hub, 0, k.CALL)
    for _ in range(2):
        (alarm,) = host.alarms.live()
        assert (alarm.name, alarm.kind, alarm.device, alarm.state) == (NAME, k.CALL, 3, k.OPEN)
        assert (alarm.presses, alarm.attempts, alarm.stored_ms) == (3, 2, NOW_MS)
        assert str(alarm) == f"{HUB}/1-0"
        assert steps(host) == ["opened"]
        host = await open_host()
    assert [change.state for change in changes] == [k.OPEN]


async def test_accept_close_correct(open_host, hub: HubVoice) -> None:
    host = await open_host()
    await press(host, hub)
    assert (await host.alarms.accept(NAME, "op-7")).accepted_by == "op-7"
    host.clock.now_ms += 60_000
    await host.alarms.close(NAME, "op-8", "false_alarm")
    assert host.alarms.live() == []
    await host.alarms.correct(NAME, "op-9", "fall_helped")
    host = await open_host()
    alarm = host.alarms.get(NAME)
    assert alarm is not None
    assert (alarm.state, alarm.accepted_ms, alarm.closed_ms) == (k.CLOSED, NOW_MS, NOW_MS + 60_000)
    assert (alarm.accepted_by, alarm.closed_by, alarm.reason) == ("op-7", "op-8", "fall_helped")
    assert host.alarms.history(NAME) == [
        (NOW_MS, "opened", None, None),
        (NOW_MS, "accepted", "op-7", None),
        (NOW_MS + 60_000, "closed", "op-8", "false_alarm"),
        (NOW_MS + 60_000, "corrected", "op-9", "fall_helped"),
    ]
    said = [event for event in host.journal.undelivered() if event.hub != HUB]
    assert [
        (e.kind, e.fields[k.ALARM], e.fields[k.SUBJECT], e.fields[k.OPERATOR], e.fields.get(k.REASON))
        for e in said
    ] == [
        (k.ALARM_ACCEPTED, [1, 0], HUB, "op-7", None),
        (k.ALARM_CLOSED, [1, 0], HUB, "op-8", "false_alarm"),
        (k.ALARM_CORRECTED, [1, 0], HUB, "op-9", "fall_helped"),
    ]


async def test_the_first_accept_wins(host: Host, hub: HubVoice) -> None:
    await press(host, hub)
    results = await asyncio.gather(
        *(host.alarms.accept(NAME, who) for who in ("op-1", "op-2", "op-1", "op-3")), return_exceptions=True
    )
    assert [getattr(result, "accepted_by", None) for result in results] == ["op-1", None, "op-1", None]
    assert all("is with op-1 already" in str(results[index]) for index in (1, 3))
    assert len(host.own(k.ALARM_ACCEPTED)) == 1


async def test_what_an_operator_may_not_do(host: Host, hub: HubVoice) -> None:
    with pytest.raises(AlarmError, match=f"no alarm {HUB}/1-0 is known here"):
        await host.alarms.accept(NAME, "op-1")
    await press(host, hub)
    for operator in ("", "x" * 65, "op\n1"):
        with pytest.raises(AlarmError, match="operator must be"):
            await host.alarms.accept(NAME, operator)
    with pytest.raises(AlarmError, match="reason must be"):
        await host.alarms.close(NAME, "op-1", "")
    with pytest.raises(AlarmError, match="not closed yet"):
        await host.alarms.correct(NAME, "op-1", "typo")
    await host.alarms.close(NAME, "op-1", "helped")
    assert (await host.alarms.close(NAME, "op-1", "helped")).state == k.CLOSED
    with pytest.raises(AlarmError, match="closed already, by op-1: helped"):
        await host.alarms.close(NAME, "op-2", "helped")
    with pytest.raises(AlarmError, match="closed already, by op-1"):
        await host.alarms.accept(NAME, "op-2")
    assert len(host.own(k.ALARM_CLOSED)) == 1


async def test_unanswered_before_its_first_event(host: Host, hub: HubVoice) -> None:
    first = hub.say(k.SMOKE, {k.DEVICE: 9, k.UTC_MS: NOW_MS - 5000, k.CLOCK: 1})
    await repeat(host, hub, 4)
    (alarm,) = host.alarms.live()
    assert (alarm.name, alarm.kind, alarm.stored_ms) == (NAME, k.CALL, None)
    await host.alarms.accept(NAME, "op-1")
    await host.intake.receive(HUB, first, LINK)
    (alarm,) = host.alarms.live()
    assert (alarm.kind, alarm.device, alarm.state, alarm.opened_ms) == (k.SMOKE, 9, k.ACCEPTED, NOW_MS - 5000)
    assert (alarm.stored_ms, alarm.attempts, alarm.presses) == (NOW_MS, 4, 1)
    assert steps(host) == ["opened", "accepted"]


async def test_both_in_one_payload_open_once(host: Host, hub: HubVoice) -> None:
    payload = hub.say(k.CALL) + hub.say(k.CALL_UNANSWERED, {k.ALARM: [1, 0], k.ATTEMPT: 1})
    await asyncio.gather(*(host.intake.receive(HUB, payload, link) for link in ("mqtt", "serial")))
    (alarm,) = host.alarms.live()
    assert (alarm.presses, alarm.attempts) == (1, 1)
    assert steps(host) == ["opened"]


async def test_a_press_after_closing_opens_again_a_repetition_does_not(host: Host, hub: HubVoice) -> None:
    await press(host, hub)
    await host.alarms.close(NAME, "op-1", "helped")
    await repeat(host, hub, 3)
    assert host.alarms.live() == []
    old = hub.say(k.CALL, {k.ALARM: [1, 0], k.UTC_MS: NOW_MS - 1000, k.CLOCK: 1})
    await host.intake.receive(HUB, old, LINK)
    assert host.alarms.live() == []
    host.clock.now_ms += 5000
    new = hub.say(k.CALL, {k.ALARM: [1, 0], k.UTC_MS: NOW_MS + 4000, k.CLOCK: 1})
    await host.intake.receive(HUB, new, LINK)
    (alarm,) = host.alarms.live()
    assert (alarm.state, alarm.accepted_by, alarm.closed_by, alarm.reason) == (k.OPEN, None, None, None)
    assert steps(host) == ["opened", "closed", "reopened"]
    assert (await host.alarms.accept(NAME, "op-2")).accepted_by == "op-2"


async def test_an_alarm_that_names_the_future_is_its_own(host: Host, hub: HubVoice) -> None:
    await host.intake.receive(HUB, hub.say(k.CALL, {k.ALARM: [9, 9]}), LINK)
    assert [alarm.name for alarm in host.alarms.live()] == [NAME]


async def test_delivery_of_the_first_event_is_the_alarms(open_host, hub: HubVoice) -> None:
    host = await open_host()
    await press(host, hub)
    await repeat(host, hub, 1)
    host.clock.now_ms += 250
    await host.journal.mark_delivered([event for event in host.stored if event.seq == 1])
    assert host.alarms.live()[0].delivered_ms is None
    await host.journal.mark_delivered(host.journal.undelivered())
    for _ in range(2):
        assert host.alarms.live()[0].delivered_ms == NOW_MS + 250
        host = await open_host()


async def test_nobody_is_told_accepted_when_it_is_not_on_disk(host: Host, hub: HubVoice) -> None:
    await press(host, hub)
    database = host.journal._writer._db
    database.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    with pytest.raises(JournalUnavailable):
        await host.alarms.accept(NAME, "op-1")
    assert host.alarms.live()[0].state == k.OPEN
    database.execute("DROP TRIGGER full")
    assert (await host.alarms.accept(NAME, "op-2")).accepted_by == "op-2"
    assert steps(host) == ["opened", "accepted"]
