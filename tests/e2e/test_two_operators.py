"""Two operators take the same alarm within 100 ms, and the daemon is killed in between."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import aiomqtt
import pytest

import kanhu.platform as sdk
from helpers_broker import NatsBroker
from helpers_intake import HubVoice
from kanhu.registry import Registry
from kanhu.sim.daemon import DaemonProcess
from kanhu_protocol import kinds as k

KILL_AFTER_S = (0.0, 0.004, 0.012, 0.04)  # after the first command has left
ANSWER_S = 40.0  # on a machine with much to do a daemon takes its time to start again
OPERATORS = ("op-1", "op-2")


def registered(data_dir: Path) -> HubVoice:
    registry = Registry.open(data_dir)
    hub_id, key = registry.add_hub(registry.add_home(region="cn/42/01/06/03"))
    registry.close()
    return HubVoice(hub_id, key)


async def take(desk: sdk.Platform, alarm: str, operator: str) -> str:
    """What the operator is told: "mine", or who has it."""
    try:
        await desk.accept(alarm, operator=operator, timeout=ANSWER_S)
    except sdk.CommandRefused as refusal:
        return str(refusal)
    return "mine"


async def until(desk: sdk.Platform, alarm: str, name: str) -> sdk.Event:
    """The next event of this name that a desk sees of the alarm."""
    async with asyncio.timeout(ANSWER_S):
        while True:
            event = await anext(desk)
            await desk.done(event)
            if (event.name, event.alarm) == (name, alarm):
                return event


@pytest.mark.parametrize("kill_after_s", KILL_AFTER_S)
async def test_one_owner_and_both_see_who(tmp_path: Path, kill_after_s: float) -> None:
    with NatsBroker(tmp_path / "broker") as broker:
        at = {"mqtt": {"host": "127.0.0.1", "port": broker.port}}
        daemon = DaemonProcess(
            tmp_path / "daemon",
            {"hubs": at, "platform": {**at, "retry_s": 0.5}, "metrics": {"enabled": False}},
        )
        hub = registered(daemon.data_dir)
        url = f"mqtt://127.0.0.1:{broker.port}"
        daemon.start()
        try:
            async with (
                aiomqtt.Client("127.0.0.1", broker.port) as line,
                sdk.connect(url, state=tmp_path / "one.db") as one,
                sdk.connect(url, state=tmp_path / "two.db", acknowledge=False) as two,
            ):
                alarm = f"{hub.hub_id}/{hub.boot}-{hub.seq}"
                await line.publish(f"kanhu/1/hubs/{hub.hub_id}/up/p1", hub.say(k.CALL, {k.DEVICE: 1}), qos=1)
                for desk in (one, two):
                    await until(desk, alarm, "call")
                taking = [
                    asyncio.create_task(take(desk, alarm, operator))
                    for desk, operator in zip((one, two), OPERATORS, strict=True)
                ]
                await asyncio.sleep(kill_after_s)
                daemon.kill()
                await asyncio.to_thread(daemon.start)
                told = await asyncio.gather(*taking)
                winner = OPERATORS[told.index("mine")]
                loser = told[1 - OPERATORS.index(winner)]
                assert f"is with {winner} already" in loser
                for desk in (one, two):
                    accepted = await until(desk, alarm, "alarm.accepted")
                    assert accepted.data["operator"] == winner
                await one.close(alarm, operator=winner, reason="helped", timeout=ANSWER_S)
                for desk in (one, two):
                    await until(desk, alarm, "alarm.closed")
        finally:
            daemon.stop()
        with closing(sqlite3.connect(daemon.data_dir / "journal.db")) as db:
            said = "SELECT count(*) FROM events WHERE kind=?"
            assert db.execute(said, (k.ALARM_ACCEPTED,)).fetchone() == (1,)
            assert db.execute(said, (k.ALARM_CLOSED,)).fetchone() == (1,)
            history = db.execute("SELECT what, operator FROM alarm_history ORDER BY id").fetchall()
            assert history == [("opened", None), ("accepted", winner), ("closed", winner)]
            assert db.execute("SELECT accepted_by, state FROM alarms").fetchall() == [(winner, k.CLOSED)]
