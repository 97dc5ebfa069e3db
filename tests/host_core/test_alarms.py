from __future__ import annotations

import asyncio

import pytest

from helpers_intake import HUB, NOW_MS, Host, HubVoice
from kanhu.care import AlarmError
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
    old = hub.say(k.CALL, {k.ALARM: [1, 0], k.UTC_MS: NOW_MS - 60_001, k.CLOCK: 1})
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


async def press_again(host: Host, hub: HubVoice, utc_ms: int | None) -> None:
    when = {} if utc_ms is None else {k.UTC_MS: utc_ms, k.CLOCK: 1}
    await host.intake.receive(HUB, hub.say(k.CALL, {k.ALARM: [1, 0], **when}), LINK)


def told(host: Host) -> list[int]:
    """States that wait to be told to the hub."""
    return [one.fields[k.ALARM_STATE] for one in host.commands.waiting(HUB) if one.type == k.ALARM_IS]


HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("received_after_ms", "pressed_after_ms", "again"),
    [
        (5 * HOUR_MS, 5 * HOUR_MS - 30_000, True),  # the hub was away and had not heard of the person
        (5 * HOUR_MS, None, True),  # it may have been pressed before, but nobody knows
        (5 * HOUR_MS, -20 * 60_000, False),  # pressed before the person came, arrived late
        (70_000, 60_000, True),
        (70_000, 59_999, False),  # a person is at it this very minute
        (60_000, None, True),
        (59_999, None, False),
        (3000, 2500, False),  # pressed again in the seconds until ALARM_IS reaches the hub
        (3000, 200_000, False),  # so too by a hub whose clock is ahead
    ],
)
async def test_a_later_press_of_an_accepted_alarm_needs_an_answer(
    open_host, hub: HubVoice, received_after_ms: int, pressed_after_ms: int | None, again: bool
) -> None:
    host = await open_host()
    await press(host, hub)
    await host.alarms.accept(NAME, "op-7")
    host.clock.now_ms += received_after_ms
    await press_again(host, hub, None if pressed_after_ms is None else NOW_MS + pressed_after_ms)
    for _ in range(2):
        (alarm,) = host.alarms.live()
        assert (alarm.state, alarm.accepted_by) == ((k.OPEN, None) if again else (k.ACCEPTED, "op-7"))
        assert alarm.presses == 2
        assert steps(host) == ["opened", "accepted", *(["reopened"] if again else [])]
        assert told(host) == [k.OPEN if again else k.ACCEPTED]
        host = await open_host()


@pytest.mark.parametrize(
    ("pressed_after_ms", "again"), [(None, True), (1000, True), (-59_000, True), (-61_000, False)]
)
async def test_a_press_of_a_closed_alarm_falls_only_when_clearly_older(
    host: Host, hub: HubVoice, pressed_after_ms: int | None, again: bool
) -> None:
    await press(host, hub)
    await host.alarms.close(NAME, "op-7", "helped")
    host.clock.now_ms += 20_000
    await press_again(host, hub, None if pressed_after_ms is None else NOW_MS + pressed_after_ms)
    assert [alarm.state for alarm in host.alarms.live()] == ([k.OPEN] if again else [])
    assert told(host) == [k.OPEN if again else k.CLOSED]
    said = [(event.fields[k.SUBJECT], event.fields[k.ALARM]) for event in host.own(k.ALARM_REOPENED)]
    assert said == ([(HUB, [1, 0])] if again else [])  # the platform hears of it by name


async def test_a_press_that_meets_the_closing_on_its_way_to_disk(open_host, hub: HubVoice) -> None:
    host = await open_host()
    await press(host, hub)
    closing = asyncio.create_task(host.alarms.close(NAME, "op-7", "helped"))
    await asyncio.sleep(0)  # handed to the writer, not settled
    await press_again(host, hub, None)
    await closing
    for _ in range(2):
        assert [alarm.state for alarm in host.alarms.live()] == [k.OPEN]
        assert told(host) == [k.OPEN]
        host = await open_host()


async def test_the_hub_is_told_in_the_same_commit_as_the_platform(open_host, hub: HubVoice) -> None:
    host = await open_host()
    await press(host, hub)
    for step, state in enumerate((k.ACCEPTED, k.CLOSED, k.OPEN)):
        commits = host.journal.commits
        if step == 0:
            await host.alarms.accept(NAME, "op-7")
        elif step == 1:
            await host.alarms.close(NAME, "op-7", "helped")
        else:
            await press_again(host, hub, None)
        assert host.journal.commits == commits + 1
        host = await open_host()  # whatever else would have followed has not
        assert told(host) == [state]


async def test_a_full_disk_leaves_neither_an_answer_nor_its_telling(open_host, hub: HubVoice) -> None:
    host = await open_host()
    await press(host, hub)
    database = host.journal._writer._db
    database.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON commands BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    with pytest.raises(JournalUnavailable):
        await host.alarms.accept(NAME, "op-1")
    assert host.alarms.live()[0].state == k.OPEN
    assert told(host) == []
    database.execute("DROP TRIGGER full")
    await host.alarms.accept(NAME, "op-1")
    assert told(host) == [k.ACCEPTED]


async def test_two_orders_for_one_alarm_in_one_commit(open_host, hub: HubVoice) -> None:
    host = await open_host()
    await press(host, hub)
    states = (k.CLOSED, k.OPEN)
    await asyncio.gather(
        *(host.commands.create(HUB, k.ALARM_IS, {k.ALARM_NAME: [1, 0], k.ALARM_STATE: one}) for one in states)
    )
    for _ in range(2):
        assert told(host) == [k.OPEN]
        host = await open_host()
