"""Whatever hubs, people, rules and time do to alarms at once: disk, memory, hub and platform agree."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from helpers_intake import HUB, Clock, Host, HubVoice
from kanhu.care import AlarmError, AlarmName
from kanhu.care.rules.values import Words
from kanhu.journal import JournalUnavailable
from kanhu_protocol import kinds as k

ROUNDS, AT_ONCE = 40, 5
PEOPLE = ("op-1", "op-2", "op-3")
EVENTS = {
    "accepted": k.ALARM_ACCEPTED, "dispatched": k.ALARM_DISPATCHED, "on_scene": k.ALARM_ON_SCENE,
    "handed_over": k.ALARM_HANDED_OVER, "closed": k.ALARM_CLOSED, "corrected": k.ALARM_CORRECTED,
    "reopened": k.ALARM_REOPENED,
}  # fmt: skip
STATE_AFTER = {
    "asked": k.PRE, "opened": k.OPEN, "raised": k.OPEN, "reopened": k.OPEN, "accepted": k.ACCEPTED,
    "dispatched": k.DISPATCHED, "on_scene": k.ON_SCENE, "closed": k.CLOSED,
}  # fmt: skip
BEFORE = {  # what a step may follow, by state
    "raised": (k.PRE,), "accepted": (k.OPEN,), "dispatched": (k.ACCEPTED,),
    "on_scene": (k.ACCEPTED, k.DISPATCHED), "handed_over": (k.ACCEPTED, k.DISPATCHED, k.ON_SCENE),
    "closed": (k.PRE, k.OPEN, k.ACCEPTED, k.DISPATCHED, k.ON_SCENE), "corrected": (k.CLOSED,),
    "reopened": (k.ACCEPTED, k.DISPATCHED, k.ON_SCENE, k.CLOSED), "escalated to 2": (k.OPEN,),
    "escalated to 3": (k.OPEN,),
}  # fmt: skip


class Walk:
    """One host, restarted now and then, its disk full now and then."""

    def __init__(self, data_dir: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.data_dir = data_dir
        self.clock = Clock()
        self.hub = HubVoice()
        self.names: set[AlarmName] = set()
        self.said: Counter[tuple[int, AlarmName]] = Counter()
        self.hot: AlarmName = (HUB, 1, 99)
        self.host = Host(data_dir, self.hub, clock=self.clock)

    async def restart(self) -> None:
        self.note()
        await self.host.journal.close()
        self.clock.now_ms += 1000
        self.host = Host(self.data_dir, self.hub, clock=self.clock)

    def note(self) -> None:
        """What the daemon has said since the last time, by kind and alarm."""
        for event in self.host.stored:
            if event.hub != HUB and k.ALARM in event.fields:
                self.said[event.kind, (HUB, *event.fields[k.ALARM])] += 1
        self.host.stored.clear()

    async def act(self) -> None:
        alarms, chance = self.host.alarms, self.chance
        name = chance.choice(sorted(self.names)) if self.names else (HUB, 1, 99)
        if self.hot in self.names and chance.random() < 0.8:
            name = self.hot  # all at the same one, at the same time
        who = chance.choice(PEOPLE)
        what = chance.randrange(13) if len(self.names) < 8 else chance.randrange(4, 13)
        words = Words("en", "zh")
        if what == 0:
            self.names.add(await alarms.ask(HUB, k.INACTIVITY, "inactivity/1", words, 60_000))
        elif what == 1:
            self.names.add(await alarms.raise_(HUB, k.OVERSTAY, "overstay/1", words))
        elif what == 2:
            self.names.add((HUB, 1, self.hub.seq))
            await self.receive(self.hub.say(chance.choice([k.CALL, k.SMOKE]), {}))
        elif what == 3:
            seq = self.hub.seq
            self.names.add((HUB, 1, seq))
            parts = [
                self.hub.say(k.PRE_ALARM, {k.SPAN_MS: 30_000, k.DETAIL: k.FALL}),
                self.hub.say(chance.choice([k.FALL, k.PRE_ALARM_CANCELLED]), {k.ALARM: [1, seq]}),
            ]
            chance.shuffle(parts)
            for payload in [b"".join(parts)] if chance.random() < 0.5 else parts:
                await self.receive(payload)
        elif what == 4:
            await self.receive(self.hub.say(k.PRE_ALARM_CANCELLED, {k.ALARM: [*name[1:]]}))
        elif what == 5:
            if name[1] == 1:
                await self.receive(self.hub.say(k.CALL, {k.ALARM: [*name[1:]]}))
        elif what == 6:
            await alarms.raise_asked(name)
        elif what == 7:
            await alarms.accept(name, who)
        elif what == 8:
            await chance.choice([alarms.dispatch, alarms.on_scene])(name, who)
        elif what == 9:
            await alarms.hand_over(name, who, chance.choice(PEOPLE))
        elif what == 10:
            await alarms.close(name, who, "helped")
        elif what == 11:
            await alarms.correct(name, who, chance.choice(["was_away", "asleep"]))
        else:
            await alarms.escalate(name, chance.choice([2, 3]))

    async def receive(self, payload: bytes) -> None:
        """A hub says its events again until they are stored."""
        for _ in range(100):
            receipts = await self.host.intake.receive(HUB, payload, "mqtt")
            if receipts:
                return
            await asyncio.sleep(0.005)
        raise AssertionError("never stored")

    async def round(self) -> None:
        database = self.host.journal._writer._db
        full = self.chance.random() < 0.2
        if full:
            database.execute(
                "CREATE TEMP TRIGGER IF NOT EXISTS full BEFORE INSERT ON alarm_history "
                "BEGIN SELECT RAISE(ABORT, 'no room'); END"
            )
        if self.names:
            self.hot = self.chance.choice(sorted(self.names))
        acts = [asyncio.ensure_future(self.act()) for _ in range(AT_ONCE)]
        if full:
            await asyncio.sleep(0.01)
            batch = self.host.journal.batch()
            batch.run("DROP TRIGGER IF EXISTS full")
            await batch.submit()
        for result in await asyncio.gather(*acts, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, AlarmError | JournalUnavailable):
                raise result
        self.clock.now_ms += self.chance.choice([10, 30_000, 90_000])

    def check(self) -> None:
        self.note()
        alarms = self.host.alarms
        assert not alarms._coming
        for name in self.names:
            alarm = alarms.get(name)
            history = [what for _, what, *_ in alarms.history(name)]
            if alarm is None:
                assert not history
                continue
            assert alarm == alarms._read(name)
            assert (alarm in alarms.live()) == (alarm.state != k.CLOSED)
            state = 0
            for what in history:
                if what in BEFORE and state:
                    assert state in BEFORE[what], history
                state = STATE_AFTER.get(what, state)
            assert state == alarm.state, history
            for what, kind in EVENTS.items():
                # A press beside an answer that then finds no room says "reopened" of an alarm that is open.
                more = self.said[kind, name] - history.count(what)
                assert more == 0 or (more > 0 and what == "reopened"), (what, history)
            assert history.count("raised") <= 1
            said = [
                one.fields[k.ALARM_STATE]
                for one in self.host.commands.waiting(HUB)
                if one.type == k.ALARM_IS and one.fields[k.ALARM_NAME] == [*name[1:]]
            ]
            answered = [what for what in history if what in STATE_AFTER and what not in ("asked", "opened")]
            if answered and not (answered == ["raised"] and name[1] == 1):
                assert said == [alarm.state], (history, said)
            assert len(said) <= 1


@pytest.mark.parametrize("seed", range(6))
async def test_everybody_agrees(tmp_path: Path, seed: int) -> None:
    walk = Walk(tmp_path, seed)
    try:
        for number in range(ROUNDS):
            await walk.round()
            walk.check()
            if number % 8 == 7:
                await walk.restart()
                walk.check()
        taken = {what for name in walk.names for _, what, *_ in walk.host.alarms.history(name)}
        assert len(taken) >= 9, taken
    finally:
        await walk.host.journal.close()
