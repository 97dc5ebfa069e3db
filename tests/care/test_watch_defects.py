"""The watch when something around it fails: it goes on, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from helpers_care import BATH, HOUR, KITCHEN, MINUTE, MORNING_MS, CareHost, Home
from helpers_intake import Clock, restarting
from kanhu.care import recall
from kanhu.care.rules import RULES
from kanhu.care.rules.past import Past, Reading
from kanhu.care.rules.values import Rule, Verdict, Words
from kanhu.ending import end
from kanhu_protocol import checks
from kanhu_protocol import kinds as k

DAY: dict[str, Any] = {"day_minutes": 60}
Open = Callable[..., Awaitable[CareHost]]


@pytest.fixture
async def open_care(tmp_path: Path) -> AsyncIterator[Open]:
    clock = Clock(MORNING_MS)

    async def start(**options: Any) -> CareHost:
        return CareHost(tmp_path, clock, **options)

    async with restarting(start, CareHost.stop) as opening:
        yield opening


async def lived_in(care: CareHost, **rules: Any) -> Home:
    return await care.add_lived_in(inactivity=DAY, **rules)


class Nothing(BaseModel):
    """No settings."""


def a_rule(say: Callable[[int], Verdict], asks: bool = True) -> dict[str, Rule[Any]]:
    def look(past: Past, _: Nothing, now: int) -> Verdict:
        return say(now)

    return {"probe": Rule("probe", 1, k.OVERSTAY, asks, Nothing, look, Words("probe", "探"))}


async def test_movement_at_the_moment_the_asking_is_over(open_care: Open) -> None:
    said = "raise"
    care = await open_care(
        rules=a_rule(lambda now: Verdict("probe/1", said, now + HOUR, Words("found", "发现"), 5))  # type: ignore[arg-type]
    )
    home = care.add_home(probe={})
    await care.watch.recall()
    await care.start(home)
    await care.beat(home)
    await care.look()
    (alarm,) = care.asked(home)
    assert alarm.state == k.PRE
    said = "quiet"
    await care.moves(home)
    raising = asyncio.ensure_future(care.alarms.raise_asked(alarm.name))
    await asyncio.sleep(0)  # on its way to disk
    await care.look()
    await raising
    (after,) = care.asked(home)
    assert after.state == k.OPEN


async def test_words_longer_than_an_event_may_carry(open_care: Open) -> None:
    said, long = "hint", Words("a" * 2000, "长" * 2000)
    care = await open_care(rules=a_rule(lambda now: Verdict("probe/1", said, now + HOUR, long, 5)))  # type: ignore[arg-type]
    home = care.add_home(probe={})
    await care.watch.recall()
    await care.start(home)
    await care.beat(home)
    await care.look()
    (hint,) = care.own(k.RULE_HINT)
    assert all(len(text.encode()) <= checks.MAX_WORDS for text in hint.fields[k.EXPLANATION])
    said = "raise"
    await care.moves(home)
    await care.look()
    (alarm,) = care.asked(home)
    said = "quiet"
    await care.moves(home)
    await care.look()
    assert care.asked(home) == []
    ended = care.alarms.get(alarm.name)
    assert ended is not None
    assert ended.closed_by == "movement"
    assert ended.reason is not None
    assert len(ended.reason.encode()) <= checks.MAX_REASON


async def test_what_cannot_be_said_of_one_rule_stops_no_other(open_care: Open) -> None:
    huge = Reading(5, 2, 1, 1e100)  # what a broken monitor says: more than an event can carry
    rules = {
        **a_rule(
            lambda now: Verdict("probe/1", "raise", now + HOUR, Words("found", "发现"), 5, reading=huge),
            False,
        ),
        "inactivity": RULES["inactivity"],
    }
    care = await open_care(rules=rules)
    home = await lived_in(care, probe={})
    await care.passes(2 * HOUR, home)
    assert [alarm.kind for alarm in care.asked(home)] == [k.INACTIVITY]
    assert care.watch.failed > 0


async def test_a_home_that_cannot_be_looked_at_stops_no_other(
    open_care: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    care = await open_care()
    broken = await lived_in(care)
    home = await lived_in(care)
    past = care.watch.past(broken.hub)
    assert past is not None
    monkeypatch.setattr(past, "of_role", None)
    await care.passes(2 * HOUR, broken, home)
    assert [alarm.kind for alarm in care.asked(home)] == [k.INACTIVITY]
    assert care.condition(broken).state == "cannot_tell"


async def test_an_event_that_cannot_be_looked_at_is_told_to_all_others(
    open_care: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    care = await open_care()
    home = await lived_in(care)
    past = care.watch.past(home.hub)
    assert past is not None
    monkeypatch.setattr(past, "heard", None)
    told: list[int] = []
    care.journal.on_stored.append(lambda events: told.extend(event.kind for event in events))
    await care.moves(home)
    assert told == [k.MOTION]
    assert care.watch.failed == 1


async def test_reading_back_is_tried_again(open_care: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    care = await open_care()
    home = await lived_in(care)
    care = await open_care()
    whole = recall.recent

    def fail(*given: Any) -> Any:
        monkeypatch.setattr(recall, "recent", whole)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(recall, "recent", fail)
    monkeypatch.setattr("kanhu.care.watch.AFTER_ERROR_MS", 1)
    running = asyncio.ensure_future(care.watch.run())
    async with asyncio.timeout(10):
        while care.condition(home).state != "well":
            await asyncio.sleep(0.05)
    await end([running])


async def test_a_home_set_up_anew_while_it_is_read_back_is_read_anew(
    open_care: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    care = await open_care()
    home = care.add_home()  # no rule: of its past only the newest is read
    await care.watch.recall()
    await care.start(home)
    await care.moves(home)
    await care.moves(home, BATH)
    await care.passes(2 * HOUR, home)
    care = await open_care()
    whole = recall.recent

    def meanwhile(*given: Any) -> Any:
        found = whole(*given)
        care.journal.loop.call_soon_threadsafe(switch_on)
        return found

    def switch_on() -> None:
        monkeypatch.setattr(recall, "recent", whole)
        care.registry.set_rule(home.home, "inactivity", DAY, "test")
        care.watch.configure()

    monkeypatch.setattr(recall, "recent", meanwhile)
    await care.watch.recall()
    await care.watch.recall()
    past = care.watch.past(home.hub)
    assert past is not None
    assert past.last_movement(care.clock.now_ms) is not None


async def test_what_is_too_old_is_let_go(open_care: Open) -> None:
    care = await open_care()
    home = await lived_in(care)
    past = care.watch.past(home.hub)
    assert past is not None
    for _ in range(5 * 24):
        await care.passes(HOUR, home, step_ms=HOUR)
        await care.moves(home)
    assert len(past.movements(KITCHEN, 0, care.clock.now_ms)) < 4 * 24


async def test_a_start_that_ended_before_the_clock_was_set_does_not_blind_a_home(open_care: Open) -> None:
    care = await open_care()
    home = care.add_home(inactivity={"day_minutes": 300})
    await care.watch.recall()
    await care.start(home)  # a boot event without a time, and nothing more of this boot
    care.clock.now_ms += MINUTE
    await care.start(home, boot=2)
    await care.prove(home)
    for device in (KITCHEN, BATH):
        await care.moves(home, device)
    await care.look()
    assert care.condition(home).state == "cannot_tell"
    await care.passes(HOUR // 2, home)
    assert care.condition(home).state == "well"
    await care.passes(6 * HOUR, home)
    assert [alarm.kind for alarm in care.asked(home)] == [k.INACTIVITY]


async def test_a_clock_that_is_set_back_keeps_no_rule_waiting(open_care: Open) -> None:
    care = await open_care()
    home = await lived_in(care)
    care.clock.now_ms -= 24 * HOUR
    home.began_ms -= 24 * HOUR
    for device in (KITCHEN, BATH):
        await care.moves(home, device)
    await care.look()
    await care.passes(2 * HOUR, home)
    assert [alarm.kind for alarm in care.asked(home)] == [k.INACTIVITY]


async def test_a_home_watched_from_now_on_has_the_faults_of_now(open_care: Open) -> None:
    care = await open_care()
    home = care.add_home()
    await care.watch.recall()
    since_ms = care.clock.now_ms - 10 * 24 * HOUR
    care.watch._standing = lambda: {home.hub: {(KITCHEN, k.SENSOR_SILENT): since_ms}}
    care.registry.set_rule(home.home, "inactivity", DAY, "test")
    care.watch.configure()
    assert {fault.kind for fault in care.watch.facts(home.hub, care.clock.now_ms).faults} == {k.SENSOR_SILENT}


async def test_a_call_of_a_hub_before_it_is_watched_is_not_overlooked(open_care: Open) -> None:
    care = await open_care()
    home = await lived_in(care)
    watched = care.watch.configure
    care.watch.configure = lambda: None  # type: ignore[method-assign]  # the registry is not seen yet
    new = care.add_home()
    await care.start(new)
    await care.say(new, k.CALL, {k.DEVICE: 1})
    care.watch.configure = watched  # type: ignore[method-assign]
    care.watch.configure()
    assert care.condition(home).state == "well"
    assert care.condition(new).state == "attention"
