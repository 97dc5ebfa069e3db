"""The life of an alarm that a rule or a hub begins by asking, and the steps that people take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import permutations
from typing import Any

import pytest

from fixtures_host import OpenHost
from helpers_intake import HUB, NOW_MS, Host, HubVoice
from kanhu.care import Alarm, AlarmError, AlarmName
from kanhu.care.asking import ANSWER_S, RESTART_S, Asking
from kanhu.care.rules.values import Words
from kanhu.journal import Event, JournalUnavailable
from kanhu_protocol import kinds as k

LINK = "mqtt"
RULE = "inactivity/1"
WORDS = Words("no movement since 21:40", "21:40 起无活动")
ASK_MS = 60_000


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


# A hub that asks of its own accord: a suspected fall

FIRST = (HUB, 1, 0)


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


# People


async def test_every_step_has_its_event_and_its_person(open_host: OpenHost) -> None:
    host = await open_host()
    name = await host.alarms.raise_(HUB, k.OVERSTAY, RULE, WORDS, device=4, fields={k.SPAN_MS: 5})
    (raised,) = host.own(k.OVERSTAY)
    assert said(raised) == {
        k.SUBJECT: HUB, k.RULE: RULE, k.EXPLANATION: list(WORDS), k.DEVICE: 4, k.SPAN_MS: 5
    }  # fmt: skip
    assert name == (HUB, raised.boot, raised.seq)
    assert told(host) == [(k.ALARM_IS, k.OPEN)]
    alarms = host.alarms
    walk: list[tuple[Callable[[], Awaitable[Alarm]], int, int, str, str | None, int]] = [
        (lambda: alarms.accept(name, "op-1"), k.ALARM_ACCEPTED, k.ACCEPTED, "op-1", None, k.ACCEPTED),
        (lambda: alarms.dispatch(name, "op-1"), k.ALARM_DISPATCHED, k.DISPATCHED, "op-1", None, k.DISPATCHED),
        (
            lambda: alarms.hand_over(name, "op-1", "op-2"),
            k.ALARM_HANDED_OVER,
            k.DISPATCHED,
            "op-1",
            "op-2",
            k.DISPATCHED,
        ),
        (lambda: alarms.on_scene(name, "op-2"), k.ALARM_ON_SCENE, k.ON_SCENE, "op-2", None, k.ON_SCENE),
        (lambda: alarms.close(name, "op-2", "helped"), k.ALARM_CLOSED, k.CLOSED, "op-2", "helped", k.CLOSED),
        (
            lambda: alarms.correct(name, "op-3", "was_away"),
            k.ALARM_CORRECTED,
            k.CLOSED,
            "op-3",
            "was_away",
            k.CLOSED,
        ),
    ]
    seen: list[Alarm] = []
    alarms.on_change.append(seen.append)
    for at, (act, kind, state, operator, reason, lamp) in enumerate(walk, 1):
        host.clock.now_ms = NOW_MS + at * 1000
        commits = host.journal.commits
        alarm = await act()
        assert host.journal.commits == commits + 1
        assert (alarm.state, seen[-1]) == (state, alarm)
        (event,) = host.own(kind)
        assert (event.fields[k.OPERATOR], event.fields.get(k.REASON)) == (operator, reason)
        assert (event.fields[k.SUBJECT], event.fields[k.ALARM]) == (HUB, [*name[1:]])
        assert told(host) == [(k.ALARM_IS, lamp)]
        commits = host.journal.commits
        assert await act() == alarm, "again is well"
        assert host.journal.commits == commits
    host = await open_host()
    alarm = the(host, name)
    assert (alarm.accepted_ms, alarm.accepted_by) == (NOW_MS + 1000, "op-2")
    assert (alarm.dispatched_ms, alarm.on_scene_ms) == (NOW_MS + 2000, NOW_MS + 4000)
    assert (alarm.closed_ms, alarm.closed_by, alarm.reason) == (NOW_MS + 5000, "op-2", "was_away")
    assert host.alarms.history(name) == [
        (NOW_MS, "opened", None, None),
        (NOW_MS + 1000, "accepted", "op-1", None),
        (NOW_MS + 2000, "dispatched", "op-1", None),
        (NOW_MS + 3000, "handed_over", "op-1", "op-2"),
        (NOW_MS + 4000, "on_scene", "op-2", None),
        (NOW_MS + 5000, "closed", "op-2", "helped"),
        (NOW_MS + 6000, "corrected", "op-3", "was_away"),
    ]
    assert record(host) == [
        (RULE, "raised", None), (RULE, "closed", "helped"), (RULE, "corrected", "was_away")
    ]  # fmt: skip


async def test_what_comes_out_of_turn_is_refused(host: Host) -> None:
    name = await host.alarms.raise_(HUB, k.OVERSTAY, RULE, WORDS)
    alarms = host.alarms
    early = (alarms.dispatch(name, "a"), alarms.on_scene(name, "a"), alarms.hand_over(name, "a", "b"))
    for act in early:
        with pytest.raises(AlarmError, match="with nobody yet: accept it first"):
            await act
    await alarms.accept(name, "a")
    await alarms.on_scene(name, "a")
    assert (await alarms.dispatch(name, "a")).state == k.ON_SCENE  # said again, late
    with pytest.raises(AlarmError, match="is with a already"):
        await alarms.accept(name, "b")
    with pytest.raises(AlarmError, match="to must be"):
        await alarms.hand_over(name, "a", "")
    await alarms.hand_over(name, "a", "b")
    with pytest.raises(AlarmError, match="is with b already"):
        await alarms.accept(name, "a")
    await alarms.close(name, "b", "well")
    late = (alarms.dispatch(name, "a"), alarms.on_scene(name, "a"), alarms.hand_over(name, "a", "b"))
    for act in late:
        with pytest.raises(AlarmError, match="closed already, by b: well"):
            await act
    with pytest.raises(AlarmError, match="no alarm"):
        await alarms.dispatch((HUB, 1, 77), "a")


@pytest.mark.parametrize("step", ["dispatch", "on_scene"])
async def test_a_press_of_an_alarm_with_somebody_on_the_way(host: Host, hub: HubVoice, step: str) -> None:
    """As of one that is accepted: only a press clearly after the last step needs another answer."""
    await receive(host, hub.say(k.CALL, {}))
    await host.alarms.accept(FIRST, "op-1")
    host.clock.now_ms += 300_000
    await getattr(host.alarms, step)(FIRST, "op-1")
    host.clock.now_ms += 59_000
    await receive(host, hub.say(k.CALL, {k.ALARM: [1, 0]}))
    assert the(host, FIRST).state == (k.DISPATCHED if step == "dispatch" else k.ON_SCENE)
    host.clock.now_ms += 1000
    await receive(host, hub.say(k.CALL, {k.ALARM: [1, 0]}))
    alarm = the(host, FIRST)
    assert (alarm.state, alarm.accepted_by, alarm.dispatched_ms, alarm.on_scene_ms) == (
        k.OPEN,
        None,
        None,
        None,
    )
    assert alarm.raised_ms == NOW_MS + 360_000


async def test_delivery_of_the_daemons_own_first_event_is_the_alarms(open_host: OpenHost) -> None:
    host = await open_host()
    asked, raised = await ask(host), await host.alarms.raise_(HUB, k.OVERSTAY, RULE, WORDS)
    host.clock.now_ms += 250
    seen: list[Alarm] = []
    host.alarms.on_change.append(seen.append)
    await host.journal.mark_delivered(host.own(k.OVERSTAY))
    assert [(alarm.name, alarm.delivered_ms) for alarm in seen] == [(raised, NOW_MS + 250)]
    host = await open_host()
    assert (the(host, asked).delivered_ms, the(host, raised).delivered_ms) == (None, NOW_MS + 250)


async def test_recent_are_those_that_something_happened_to_last(host: Host) -> None:
    names = [await host.alarms.raise_(HUB, k.OVERSTAY, f"overstay/{at}", WORDS) for at in range(30)]
    for operator in ("a", "b", "c"):  # one with a long history hides no other
        await host.alarms.accept(names[3], "a") if operator == "a" else None
        for other in ("x", "y", "z") * 3:
            await host.alarms.hand_over(names[3], operator, other)
    await host.alarms.accept(names[7], "op")
    await host.alarms.close(names[5], "op", "well")
    assert [alarm.name for alarm in host.alarms.recent(4)] == [names[5], names[7], names[3], names[29]]
    assert len(host.alarms.recent(500)) == 30
    assert host.alarms.recent(0) == []


async def test_who_looks_on_does_not_stop_who_acts(host: Host) -> None:
    def broken(alarm: Alarm) -> None:
        raise RuntimeError("a listener's defect")

    seen: list[int] = []
    host.alarms.on_change += [broken, lambda alarm: seen.append(alarm.state)]
    name = await ask(host)
    await host.alarms.raise_asked(name)
    await host.alarms.accept(name, "op-1")
    assert seen == [k.PRE, k.OPEN, k.ACCEPTED]


async def test_words_of_any_length_raise(host: Host) -> None:
    name = await host.alarms.raise_(HUB, k.OVERSTAY, RULE, Words("x" * 5000, "长" * 5000))
    words = the(host, name).explanation
    assert words == Words("x" * 400, "长" * 133)
    (event,) = host.own(k.OVERSTAY)
    assert event.fields[k.EXPLANATION] == list(words)
