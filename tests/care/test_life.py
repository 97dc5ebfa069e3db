"""The life of an alarm that a rule or a hub begins by asking: asked, cancelled, raised."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import permutations
from typing import Any

import pytest

from fixtures_host import OpenHost
from helpers_intake import HUB, NOW_MS, Host, HubVoice
from helpers_life import (
    ASK_MS,
    RULE,
    WORDS,
    Seconds,
    ask,
    cancel,
    receive,
    record,
    said,
    steps,
    the,
    told,
)
from kanhu.care import Alarm, AlarmError
from kanhu.care.asking import ANSWER_S, RESTART_S, Asking
from kanhu.journal import JournalUnavailable
from kanhu_protocol import kinds as k

# Asking


async def test_the_elder_is_asked_before_it_is_an_alarm(open_host: OpenHost) -> None:
    host = await open_host()
    commits = host.journal.commits
    name = await ask(host)
    assert host.journal.commits == commits + 1
    (event,) = host.own(k.PRE_ALARM)
    assert name == (HUB, event.boot, event.seq)
    assert said(event) == {
        k.SUBJECT: HUB, k.RULE: RULE, k.EXPLANATION: list(WORDS), k.SPAN_MS: ASK_MS, k.DETAIL: k.INACTIVITY,
        k.DEVICE: 4,
    }  # fmt: skip
    for _ in range(2):
        (alarm,) = host.alarms.live()
        assert (alarm.name, alarm.kind, alarm.state, alarm.device) == (name, k.INACTIVITY, k.PRE, 4)
        assert (alarm.opened_ms, alarm.stored_ms, alarm.raised_ms) == (NOW_MS, NOW_MS, None)
        assert (alarm.asked_until_ms, alarm.rule, alarm.explanation) == (NOW_MS + ASK_MS, RULE, WORDS)
        (command,) = host.commands.waiting(HUB)
        assert command.type == k.ASK
        assert (command.fields[k.ALARM_NAME], command.fields[k.ASK_MS]) == ([*name[1:]], ASK_MS)
        assert command.fields[k.ASK_KIND] == k.INACTIVITY
        with pytest.raises(AlarmError, match="still being asked"):
            await host.alarms.accept(name, "op-7")
        with pytest.raises(AlarmError, match="still being asked"):
            await host.alarms.close(name, "op-7", "well")
        host = await open_host()
    assert record(host) == []


async def test_nobody_cancels(open_host: OpenHost) -> None:
    host, seconds = await open_host(), Seconds()
    asking = Asking(host.alarms, host.clock, seconds)
    name = await ask(host)
    assert await asking.step() == ASK_MS / 1000 + ANSWER_S
    seconds.now += ASK_MS / 1000 + ANSWER_S - 0.1
    await asking.step()
    assert the(host, name).state == k.PRE
    seconds.now += 0.1
    host.clock.now_ms += 75_000
    await asking.step()
    (event,) = host.own(k.INACTIVITY)
    assert said(event) == {
        k.SUBJECT: HUB, k.ALARM: [*name[1:]], k.RULE: RULE, k.EXPLANATION: list(WORDS), k.DEVICE: 4
    }  # fmt: skip
    for _ in range(2):
        alarm = the(host, name)
        assert (alarm.state, alarm.raised_ms, alarm.opened_ms) == (k.OPEN, NOW_MS + 75_000, NOW_MS)
        assert steps(host, name) == [("asked", None), ("raised", None)]
        assert told(host) == [(k.ALARM_IS, k.OPEN)]  # and nothing asks the elder again
        assert record(host) == [(RULE, "raised", None)]
        host = await open_host()
    await asking.step()
    assert len(host.own(k.INACTIVITY)) == 0


async def test_a_clock_that_is_set_neither_hurries_nor_delays(host: Host) -> None:
    seconds = Seconds()
    asking = Asking(host.alarms, host.clock, seconds)
    name = await ask(host)
    host.clock.now_ms += 86_400_000
    await asking.step()
    assert the(host, name).state == k.PRE
    host.clock.now_ms -= 2 * 86_400_000
    seconds.now += ASK_MS / 1000 + ANSWER_S
    await asking.step()
    assert the(host, name).state == k.OPEN


@pytest.mark.parametrize("down_ms", [0, 30_000, 3_600_000])
async def test_the_daemon_was_down_while_the_elder_was_asked(
    open_host: OpenHost, hub: HubVoice, down_ms: int
) -> None:
    """Then its cancel has had nobody to hear it: it gets the time that a hub needs to come back."""
    host = await open_host()
    name, other = await ask(host), await ask(host, k.OVERSTAY)
    host.clock.now_ms += down_ms
    host, seconds = await open_host(), Seconds()
    asking = Asking(host.alarms, host.clock, seconds)
    await asking.step()
    seconds.now += RESTART_S - 0.1
    await asking.step()
    assert {alarm.state for alarm in host.alarms.live()} == {k.PRE}
    await receive(host, cancel(hub, name))
    seconds.now += 0.1
    await asking.step()
    assert the(host, name).closed_by == "home"
    assert the(host, other).state == k.OPEN


async def test_a_host_that_starts_with_its_clock_behind_raises_all_the_same(open_host: OpenHost) -> None:
    """As one without a battery for its clock does after a power cut."""
    host = await open_host()
    name = await ask(host)
    host.clock.now_ms -= 400 * 86_400_000
    host, seconds = await open_host(), Seconds()
    asking = Asking(host.alarms, host.clock, seconds)
    seconds.now += max(ASK_MS / 1000 + ANSWER_S, RESTART_S)
    await asking.step()
    assert the(host, name).state == k.OPEN


async def test_a_full_disk_leaves_neither_a_question_nor_its_telling(host: Host) -> None:
    database = host.journal._writer._db
    database.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON alarms BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    for begin in (ask(host), host.alarms.raise_(HUB, k.OVERSTAY, RULE, WORDS)):
        with pytest.raises(JournalUnavailable):
            await begin
    assert host.alarms.live() == []
    assert told(host) == []
    database.execute("DROP TRIGGER full")
    await ask(host)
    assert [event.kind for event in host.stored] == [k.PRE_ALARM]


async def test_a_full_disk_delays_the_raising_and_does_not_lose_it(host: Host) -> None:
    seconds = Seconds()
    asking = Asking(host.alarms, host.clock, seconds)
    name = await ask(host)
    seconds.now += 100
    database = host.journal._writer._db
    database.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    assert 0 < await asking.step() <= 5
    assert the(host, name).state == k.PRE
    database.execute("DROP TRIGGER full")
    seconds.now += 5
    await asking.step()
    assert the(host, name).state == k.OPEN


# The elder answers


async def test_the_elder_cancels(open_host: OpenHost, hub: HubVoice) -> None:
    host = await open_host()
    name = await ask(host)
    await receive(host, cancel(hub, name))
    (event,) = host.own(k.ALARM_CLOSED)
    assert (event.fields[k.SUBJECT], event.fields[k.ALARM]) == (HUB, [*name[1:]])
    assert (event.fields[k.OPERATOR], event.fields[k.REASON]) == ("home", "cancelled")
    for _ in range(2):
        assert host.alarms.live() == []
        alarm = the(host, name)
        assert (alarm.state, alarm.closed_by, alarm.reason) == (k.CLOSED, "home", "cancelled")
        assert alarm.raised_ms is None
        assert told(host) == [(k.ALARM_IS, k.CLOSED)]
        assert record(host) == [(RULE, "cancelled", "cancelled")]
        host = await open_host()
    await receive(host, cancel(hub, name))  # pressed twice
    assert steps(host, name) == [("asked", None), ("closed", "home"), ("cancelled", "home")]
    assert host.own(k.ALARM_CLOSED) == []


async def test_movement_ends_the_asking_and_no_alarm(host: Host) -> None:
    name = await ask(host)
    alarm = await host.alarms.withdraw(name, "movement", "kitchen 07:02")
    assert (alarm.state, alarm.closed_by, alarm.reason) == (k.CLOSED, "movement", "kitchen 07:02")
    assert await host.alarms.withdraw(name, "movement", "kitchen 07:03") == alarm
    assert await host.alarms.raise_asked(name) == alarm
    raised = await host.alarms.raise_(HUB, k.OVERSTAY, RULE, WORDS)
    with pytest.raises(AlarmError, match="only a person closes it"):
        await host.alarms.withdraw(raised, "movement", "kitchen 07:02")
    assert len(host.own(k.ALARM_CLOSED)) == 1


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_cancel_that_comes_late(host: Host, hub: HubVoice, accepted: bool) -> None:
    name = await ask(host)
    await host.alarms.raise_asked(name)
    if accepted:
        await host.alarms.accept(name, "op-7")
    await receive(host, cancel(hub, name))
    alarm = the(host, name)
    if accepted:
        assert (alarm.state, alarm.accepted_by) == (k.ACCEPTED, "op-7")
        assert steps(host, name)[-1] == ("cancelled", "home")  # the desk sees it
    else:
        assert (alarm.state, alarm.closed_by) == (k.CLOSED, "home")
        assert record(host)[-1] == (RULE, "cancelled", "cancelled")


async def test_cancel_and_accept_and_deadline_meet_on_their_way_to_disk(host: Host, hub: HubVoice) -> None:
    """Whichever is first: one end, and nobody is told what is not so."""
    for order in permutations(("cancel", "raise", "accept")):
        name = await ask(host)
        work: dict[str, Callable[[], Awaitable[Any]]] = {
            "cancel": lambda name=name: receive(host, cancel(hub, name)),
            "raise": lambda name=name: host.alarms.raise_asked(name),
            "accept": lambda name=name: host.alarms.accept(name, "op-7"),
        }
        results = await asyncio.gather(*(work[what]() for what in order), return_exceptions=True)
        done = dict(zip(order, results, strict=True))
        alarm = the(host, name)
        assert alarm.state in (k.CLOSED, k.ACCEPTED)
        if alarm.state == k.ACCEPTED:
            assert isinstance(done["accept"], Alarm)
        else:
            assert alarm.closed_by == "home"
            assert isinstance(done["accept"], AlarmError)
        last = [one for one in host.commands.waiting(HUB) if one.fields.get(k.ALARM_NAME) == [*name[1:]]]
        assert [one.fields.get(k.ALARM_STATE) for one in last] == [alarm.state]


async def test_a_cancel_of_what_nobody_asked_opens_nothing(host: Host, hub: HubVoice) -> None:
    await receive(host, cancel(hub, (HUB, 1_700_000_000, 3)), hub.say(k.PRE_ALARM_CANCELLED, {}))
    assert host.alarms.live() == []
    assert host.alarms.recent(5) == []
    assert host.own(k.ALARM_CLOSED) == []
