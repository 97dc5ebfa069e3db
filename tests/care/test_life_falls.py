"""A hub that asks of its own accord: suspected falls."""

from __future__ import annotations

import pytest

from fixtures_host import OpenHost
from helpers_intake import HUB, NOW_MS, Host, HubVoice
from helpers_life import (
    FIRST,
    LINK,
    Seconds,
    cancel,
    receive,
    said,
    steps,
    the,
    told,
)
from kanhu.care.asking import ANSWER_S, Asking
from kanhu_protocol import kinds as k


def fall_asked(hub: HubVoice, **more: int) -> bytes:
    return hub.say(k.PRE_ALARM, {k.DEVICE: 7, k.SPAN_MS: 30_000, k.DETAIL: k.FALL})


def fallen(hub: HubVoice) -> bytes:
    return hub.say(k.FALL, {k.DEVICE: 7, k.ALARM: [1, 0]})


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("late", [False, True])
async def test_a_suspected_fall_that_nobody_cancels(
    open_host: OpenHost, hub: HubVoice, together: bool, late: bool
) -> None:
    """Life-class events overtake others: the fall may come before its pre-alarm."""
    host = await open_host()
    events = [fall_asked(hub), fallen(hub)]
    if late:
        events.reverse()
    for payload in [b"".join(events)] if together else events:
        await receive(host, payload)
    for _ in range(2):
        (alarm,) = host.alarms.live()
        assert (alarm.name, alarm.kind, alarm.device, alarm.state) == (FIRST, k.FALL, 7, k.OPEN)
        assert alarm.raised_ms is not None
        assert alarm.stored_ms == NOW_MS
        assert [what for what, _ in steps(host, FIRST)] == (["opened"] if late else ["asked", "raised"])
        assert told(host) == []  # it knows
        host = await open_host()
    assert host.own(k.FALL) == []


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("late", [False, True])
async def test_a_suspected_fall_that_the_elder_cancels(
    open_host: OpenHost, hub: HubVoice, together: bool, late: bool
) -> None:
    host = await open_host()
    events = [fall_asked(hub), cancel(hub, FIRST)]
    if late:
        events.reverse()
    for payload in [b"".join(events)] if together else events:
        await receive(host, payload)
    host = await open_host()
    assert host.alarms.live() == []
    alarm = the(host, FIRST)
    assert (alarm.state, alarm.closed_by, alarm.kind, alarm.device) == (k.CLOSED, "home", k.FALL, 7)
    seconds = Seconds()
    asking = Asking(host.alarms, host.clock, seconds)
    seconds.now += 1000
    await asking.step()
    assert host.alarms.live() == []


async def test_the_host_raises_a_fall_whose_hub_says_no_more(host: Host, hub: HubVoice) -> None:
    seconds = Seconds()
    asking = Asking(host.alarms, host.clock, seconds)
    await receive(host, fall_asked(hub))
    assert told(host) == []
    seconds.now += 30 + ANSWER_S
    await asking.step()
    (event,) = host.own(k.FALL)
    assert event.cls == k.P1
    assert said(event) == {k.SUBJECT: HUB, k.ALARM: [1, 0], k.DEVICE: 7}
    (alarm,) = host.alarms.live()
    assert (alarm.state, alarm.kind) == (k.OPEN, k.FALL)
    await receive(host, cancel(hub, FIRST))
    assert the(host, FIRST).state == k.OPEN  # only a person closes a life-class alarm
    await receive(host, fallen(hub))
    assert (the(host, FIRST).state, the(host, FIRST).presses) == (k.OPEN, 1)


async def test_a_fall_asked_long_ago_waits_for_what_may_be_right_behind_it(host: Host, hub: HubVoice) -> None:
    seconds = Seconds()
    asking = Asking(host.alarms, host.clock, seconds)
    when = {k.UTC_MS: NOW_MS - 7_200_000, k.CLOCK: 1}
    await receive(host, hub.say(k.PRE_ALARM, {k.SPAN_MS: 30_000, k.DETAIL: k.FALL, **when}))
    seconds.now += ANSWER_S - 0.1
    await asking.step()
    assert the(host, FIRST).state == k.PRE
    seconds.now += 0.1
    await asking.step()
    assert (the(host, FIRST).state, the(host, FIRST).opened_ms) == (k.OPEN, NOW_MS - 7_200_000)


async def test_a_fall_after_the_cancel_needs_a_person(host: Host, hub: HubVoice) -> None:
    await receive(host, fall_asked(hub), cancel(hub, FIRST), fallen(hub))
    (alarm,) = host.alarms.live()
    assert (alarm.name, alarm.state) == (FIRST, k.OPEN)


async def test_the_daily_test_call_is_no_alarm(host: Host, hub: HubVoice) -> None:
    receipts = await host.intake.receive(HUB, hub.say(k.TEST_CALL, {k.FLAGS: k.TEST}), LINK)
    assert receipts.single == [(1, 0)]  # answered as a call is
    assert host.alarms.recent(5) == []
