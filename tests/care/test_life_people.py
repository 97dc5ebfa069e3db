"""The steps that people take, and who hears of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from fixtures_host import OpenHost
from helpers_intake import HUB, NOW_MS, Host, HubVoice
from helpers_life import (
    FIRST,
    RULE,
    WORDS,
    ask,
    receive,
    record,
    said,
    the,
    told,
)
from kanhu.care import Alarm, AlarmError
from kanhu.care.rules.values import Words
from kanhu_protocol import kinds as k


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
