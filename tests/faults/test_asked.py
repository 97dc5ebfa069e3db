"""The daemon is killed at any moment of a pre-alarm, on accelerated time: the elder is asked once, and who
does not cancel gets help once."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from kanhu.care.asking import ANSWER_S, RESTART_S
from kanhu.care.rules.values import Words
from kanhu.sim.faults.plan import Plan
from kanhu.sim.world.schedule import Session
from kanhu_protocol import kinds as k

ASK_S = 30.0
WORDS = Words("no movement since 21:40", "21:40 起无活动")
# When the daemon is killed, s after the rule has spoken: on the way to disk, meanwhile, as it is raised.
MOMENTS = {"asked": (0.0, 0.03), "waiting": (0.1, ASK_S + ANSWER_S), "raised": (ASK_S + ANSWER_S, 45.03)}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("seed", range(3))
def test_asked_once_and_helped_once(moment: str, seed: int) -> None:
    chance = random.Random(f"{moment} {seed}")
    with Session(seed) as session:
        world = session.world
        home = world.homes[0]
        session.wait(20)

        async def ask() -> None:
            host = world.host
            assert host.daemon is not None
            assert host._process is not None
            asking = host.daemon.alarms.ask(
                home.hub.hub_id, k.INACTIVITY, "inactivity/1", WORDS, int(ASK_S * 1000)
            )
            world.loop.spawn(host._process, asking)

        async def kill() -> None:
            world.host.kill()

        async def start() -> None:
            world.host.start()

        session._run(ask())
        begun = world.loop.time()
        session.wait(chance.uniform(*MOMENTS[moment]))
        session._run(kill())
        session.wait(chance.uniform(0, 100))
        session._run(start())
        session.wait(RESTART_S + ASK_S + ANSWER_S + 20)
        verdict = session.verdict(Plan(seed, ()))
        assert not verdict.violations, "\n".join(map(str, verdict.violations))
        assert world.host.daemon is not None
        alarms = world.host.daemon.alarms
        said = Counter(one.name for one in world.platform.handed.values())
        found = alarms.recent(10)
        if not found:
            assert moment == "asked"  # it had not reached the disk: a rule says it again
            assert said["pre_alarm"] == said["inactivity"] == 0
            return
        (alarm,) = found
        assert (alarm.state, alarm.rule, alarm.reason) == (k.CLOSED, "inactivity/1", "helped")
        assert (said["pre_alarm"], said["inactivity"], said["alarm.closed"]) == (1, 1, 1)
        steps = [what for _, what, *_ in alarms.history(alarm.name) if not what.startswith("escalated")]
        assert steps in (["asked", "raised", "accepted", "closed"], ["asked", "raised", "closed"])
        assert alarm.raised_ms is not None
        assert alarm.asked_until_ms is not None
        assert alarm.raised_ms >= alarm.asked_until_ms + ANSWER_S * 1000
        shown = [name for at_s, name in home.lamps if at_s >= begun]
        assert "asking" in shown
        assert shown[-1] == "well"
