"""The SDK against a real broker: every event once, whatever breaks."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import aiomqtt
import pytest

import kanhu.platform
from helpers_broker import NatsBroker
from helpers_city import HUB, Daemon, call, motion
from kanhu.platform import client, link
from kanhu.platform.event import Event
from kanhu.uplink import commands


async def take(stream: kanhu.platform.Platform, count: int, timeout: float = 30.0) -> list[Event]:
    """The next `count` events, each done."""
    events = []
    async with asyncio.timeout(timeout):
        async for event in stream:
            events.append(event)
            await stream.done(event)
            if len(events) == count:
                break
    return events


async def publish(port: int, topic: str, *payloads: bytes) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as publisher:
        for payload in payloads:
            await publisher.publish(topic, payload, qos=1)


def test_public_surface() -> None:
    assert sorted(kanhu.platform.__all__) == [
        "AddressError", "CommandRefused", "Commands", "ConnectError", "Counters", "Event", "NoAnswer",
        "Platform", "PlatformError", "StateError", "commands", "connect",
    ]  # fmt: skip


async def test_an_event_with_all_it_says(url: str, daemon: Daemon, state: Path) -> None:
    async with kanhu.platform.connect(url, state=state) as platform:
        daemon.put(call(7))
        (event,) = await take(platform, 1)
        await daemon.drained()
    assert event.source == "/kanhu/hubs/7q8k2m3x9a"
    assert event.id == "1-7"
    assert (event.type, event.name, event.event_class) == ("org.kanhu.call.v1", "call", "p1")
    assert (event.alarm, event.hub, event.home, event.region) == (
        f"{HUB}/1-7",
        HUB,
        "home-17",
        "cn/42/01/06/03",
    )
    assert (event.clock_status, event.number, event.redelivered) == ("synced", 7, False)
    assert event.time is not None
    assert event.time.isoformat() == "2026-09-21T14:13:20.007000+00:00"
    assert event.data == {"up_ms": 7000, "device": 3, "alarm": f"{HUB}/1-7"}
    assert event.cloudevent["kanhuseq"] == "0000000000000007"


async def test_5000_events_once_while_everything_breaks(
    broker: NatsBroker, url: str, daemon: Daemon, state: Path
) -> None:
    total = 5000
    seen: Counter[str] = Counter()
    rows = [call(seq) if seq % 50 == 0 else motion(seq) for seq in range(total)]
    daemon.put(*rows)
    hostile = [
        b"\xff" * 100,
        b"{",
        b"[" * 5000,
        json.dumps({"specversion": "1.0", "id": "1-1"}).encode(),
        b"x" * 900_000,
    ]

    async def trouble() -> None:
        for at in (1000, 2500):
            while len(seen) < at:
                await asyncio.sleep(0.01)
            await publish(broker.port, "kanhu/1/events/p5", *hostile)
            await publish(broker.port, "kanhu/1/events/p5", *[row.message() for row in rows[: at // 10]])
            broker.kill()
            await asyncio.sleep(0.1)
            broker.start()

    async def consume() -> None:
        while len(seen) < total:
            # Left and opened again twice more, as a restart would.
            async with kanhu.platform.connect(url, state=state, wait_for_broker=True) as platform:
                async for event in platform:
                    seen[event.id] += 1
                    assert not event.redelivered
                    await platform.done(event)
                    if len(seen) in (1700, 3300, total):
                        break

    async with asyncio.timeout(100):
        await asyncio.gather(trouble(), consume())
        async with kanhu.platform.connect(url, state=state) as platform:
            await daemon.drained(60)
            assert len(platform._queue) == 0
    assert seen == Counter({f"1-{seq}": 1 for seq in range(total)})
    assert not daemon.refused
    assert state.stat().st_size < 200_000


async def test_hostile_messages_are_counted_and_passed_over(
    broker: NatsBroker, url: str, daemon: Daemon, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = json.loads(motion(1).message())
    hostile = [
        b"", b"not json", b"\xff\xfe", b"null", b"[]", b"5", b"[" * 20_000, b'{"a":NaN}', b"x" * 1_000_000,
        b"9" * 5000,
        *(json.dumps({**good, **change}).encode() for change in (
            {"specversion": "0.3"}, {"id": None}, {"id": "1-99999999999"}, {"id": "a-b"}, {"id": ["1-1"]},
            {"source": "/kanhu/hubs/NOTAHUB"}, {"source": 5}, {"type": None}, {"type": "com.example.v1"},
            {"type": "org.kanhu." + "x" * 500}, {"data": None}, {"data": "x"}, {"data": []},
        )),
    ]  # fmt: skip
    odd = json.dumps(
        {**good, "id": "9-9", "time": "yesterday", "kanhuclass": "p9", "kanhuseq": "१", "home": 5}
    ).encode()
    with caplog.at_level(logging.WARNING, "kanhu.platform"):
        async with kanhu.platform.connect(url, state=state) as platform:
            await publish(broker.port, "kanhu/1/events/p2", *hostile, odd)
            daemon.put(motion(1))
            events = await take(platform, 2)
            assert platform.counters.refused == len(hostile)
            assert platform.counters.received == len(hostile) + 2
    oddity = next(event for event in events if event.id == "9-9")
    assert (oddity.time, oddity.event_class, oddity.number, oddity.home) == (None, "p2", None, None)
    assert len(caplog.records) < 8


async def test_a_call_overtakes_what_waits(url: str, daemon: Daemon, state: Path) -> None:
    async with kanhu.platform.connect(url, state=state) as platform:
        daemon.put(*[motion(seq) for seq in range(150)])
        first = await anext(platform)
        while platform.counters.received < 150:
            await asyncio.sleep(0.01)
        daemon.put(call(1000))
        while platform.counters.received < 151:
            await asyncio.sleep(0.01)
        await platform.done(first)
        events = await take(platform, 150)
    assert events[0].id == "1-1000"
    assert [event.id for event in [first, *events[1:]]] == [f"1-{seq}" for seq in range(150)]


async def test_acknowledgements_travel_together_and_calls_alone(
    url: str, daemon: Daemon, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BATCH_S", 30.0)
    async with kanhu.platform.connect(url, state=state) as platform:
        daemon.put(*[motion(seq) for seq in range(99)])
        await take(platform, 99)
        await asyncio.sleep(0.2)
        assert not daemon.commands
        daemon.put(motion(99))
        await take(platform, 1)
        await daemon.drained(5)
        assert [len(item.events) for item in daemon.commands if isinstance(item, commands.Acknowledge)] == [
            100
        ]
        daemon.put(motion(100), call(101))
        events = await take(platform, 2)
        call_event = next(event for event in events if event.event_class == "p1")
        async with asyncio.timeout(5):
            while daemon.waiting.keys() & {call_event.identity}:
                await asyncio.sleep(0.01)


async def test_done_together_is_one_commit_for_all(url: str, daemon: Daemon, state: Path) -> None:
    async with kanhu.platform.connect(url, state=state) as platform:
        daemon.put(*[motion(seq) for seq in range(200)])
        events = [await anext(platform) for _ in range(200)]
        await platform.done(*events[:100])
        await asyncio.gather(*(platform.done(event) for event in events[100:]))
        assert platform.counters.done == 200
        await daemon.drained()
    async with kanhu.platform.connect(url, state=state) as platform:
        assert all(event.identity in platform._state for event in events)  # type: ignore[operator]


async def test_a_lost_acknowledgement_is_said_again(url: str, daemon: Daemon, state: Path) -> None:
    daemon.retry_s = 0.2
    daemon.deaf = True
    async with kanhu.platform.connect(url, state=state) as platform:
        daemon.put(call(1), motion(2))
        await take(platform, 2)
        while platform.counters.duplicates < 4:
            await asyncio.sleep(0.01)
        daemon.deaf = False
        await daemon.drained()
        assert platform.counters.handed == 2


async def test_not_done_comes_again_after_a_restart(url: str, daemon: Daemon, state: Path) -> None:
    daemon.retry_s = 0.2
    async with kanhu.platform.connect(url, state=state) as platform:
        daemon.put(motion(1), motion(2))
        first = await anext(platform)
        await platform.done(first)
        second = await anext(platform)
        await asyncio.sleep(0.5)  # published again meanwhile, and not handed out twice
        assert platform.counters.handed == 2
    async with kanhu.platform.connect(url, state=state) as platform:
        again = await asyncio.wait_for(anext(platform), 10)
        assert again.id == second.id
        assert again.redelivered
        await platform.done(again)
        daemon.put(motion(3))
        third = await asyncio.wait_for(anext(platform), 10)
        assert (third.id, third.redelivered) == ("1-3", False)


async def test_released_comes_again_in_the_same_process(url: str, daemon: Daemon, state: Path) -> None:
    daemon.retry_s = 0.2
    async with kanhu.platform.connect(url, state=state) as platform:
        daemon.put(motion(1))
        event = await anext(platform)
        platform.release(event)
        again = await asyncio.wait_for(anext(platform), 10)
        assert again.id == event.id
        assert again.redelivered
        await platform.done(again)
        await daemon.drained()


async def test_waiting_with_a_timeout_loses_nothing(url: str, daemon: Daemon, state: Path) -> None:
    got: list[str] = []
    async with kanhu.platform.connect(url, state=state) as platform:
        daemon.put(*[motion(seq) for seq in range(300)])
        async with asyncio.timeout(30):
            while len(got) < 300:
                try:
                    event = await asyncio.wait_for(anext(platform), 0.0003)
                except TimeoutError:
                    continue
                got.append(event.id)
                await platform.done(event)
    assert got == [f"1-{seq}" for seq in range(300)]


async def test_without_room_events_are_left_to_come_again(
    url: str, daemon: Daemon, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "QUEUE_LIMIT", 10)
    daemon.retry_s = 0.2
    async with kanhu.platform.connect(url, state=state) as platform:
        daemon.put(*[motion(seq) for seq in range(60)], call(100))
        while platform.counters.overflow < 50:
            await asyncio.sleep(0.01)
        assert len(platform._queue) == 11
        events = await take(platform, 61)
        assert sorted(event.id for event in events) == sorted([*(f"1-{seq}" for seq in range(60)), "1-100"])
        assert events[0].id == "1-100"


async def test_an_onlooker_takes_nothing_away(url: str, daemon: Daemon, state: Path) -> None:
    daemon.retry_s = 0.2
    async with (
        kanhu.platform.connect(url, state=None, acknowledge=False) as onlooker,
        kanhu.platform.connect(url, state=state) as platform,
    ):
        daemon.put(call(1), motion(2))
        assert {event.id for event in await take(onlooker, 2)} == {"1-1", "1-2"}
        await asyncio.sleep(0.5)
        assert not daemon.commands
        assert onlooker.counters.handed == 2
        await take(platform, 2)
        await daemon.drained()


async def test_a_broker_that_stops_answering_is_left(
    broker: NatsBroker, url: str, daemon: Daemon, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "KEEPALIVE_S", 1)
    async with kanhu.platform.connect(url, state=state) as platform:
        daemon.put(motion(1))
        await take(platform, 1)
        broker.freeze()
        try:
            assert platform._link is not None
            async with asyncio.timeout(15):
                while platform._link.up.is_set():
                    await asyncio.sleep(0.05)
        finally:
            broker.thaw()
        daemon.put(motion(2))
        await take(platform, 1)
        await daemon.drained()


async def test_commands(url: str, daemon: Daemon, state: Path) -> None:
    async with kanhu.platform.connect(url, state=state) as platform:
        daemon.put(call(1))
        (event,) = await take(platform, 1)
        assert event.alarm is not None
        begun = time.monotonic()
        await platform.accept(event.alarm, operator="op-7")
        assert time.monotonic() - begun < 1
        await platform.accept(event.alarm, operator="op-7")
        with pytest.raises(kanhu.platform.CommandRefused, match="taken by op-7"):
            await platform.accept(event.alarm, operator="op-8")
        await platform.dispatch(event.alarm, operator="op-7")
        await platform.on_scene(event.alarm, operator="op-7")
        await platform.hand_over(event.alarm, operator="op-7", to="op-8")
        await platform.accept(event.alarm, operator="op-8")
        await platform.close(event.alarm, operator="op-8", reason="误报")
        await platform.correct(event.alarm, operator="op-8", reason="已上门")
        await platform.missing(HUB, [(1, 0, 5)])
        await platform.ping(HUB)
        with pytest.raises(kanhu.platform.CommandRefused, match="No hub"):
            await platform.ping("0000000000")
    assert daemon.closed == {event.identity: "已上门"}
    assert not daemon.refused


async def test_a_malformed_command_is_not_sent(url: str, daemon: Daemon) -> None:
    async with kanhu.platform.commands(url) as commander:
        with pytest.raises(kanhu.platform.CommandRefused, match="operator"):
            await commander.accept(f"{HUB}/1-1", operator="Wang Li")
        with pytest.raises(kanhu.platform.CommandRefused, match="alarm"):
            await commander.accept("1-1", operator="op")
        await commander.ping(HUB)
    assert [type(item) for item in daemon.commands] == [commands.Ping]
    assert not daemon.refused


async def test_a_command_survives_a_broker_restart(
    broker: NatsBroker, url: str, daemon: Daemon, state: Path
) -> None:
    async with kanhu.platform.connect(url, state=state) as platform:
        broker.kill()
        accepting = asyncio.create_task(platform.accept(f"{HUB}/1-1", operator="op-7"))
        await asyncio.sleep(0.3)
        broker.start()
        await asyncio.wait_for(accepting, 15)
    assert len(daemon.accepted) == 1


async def test_nobody_answers(url: str) -> None:
    async with kanhu.platform.commands(url) as commander:
        with pytest.raises(kanhu.platform.NoAnswer, match="kanhu run"):
            await commander.ping(HUB, timeout=0.3)


async def test_hostile_replies_answer_nothing(broker: NatsBroker, url: str, daemon: Daemon) -> None:
    async with kanhu.platform.commands(url) as commander:
        replies = [
            b"",
            b"\xff",
            b"[" * 5000,
            b"5",
            b'{"id":5,"ok":true}',
            b'{"id":"x","ok":true}',
            b"x" * 300_000,
        ]
        await publish(broker.port, "kanhu/1/replies", *replies)
        await commander.ping(HUB)


async def test_first_connection_refused(state: Path) -> None:
    with pytest.raises(kanhu.platform.ConnectError, match=r"mqtt://127\.0\.0\.1:1: .*check that it runs"):
        async with kanhu.platform.connect("mqtt://127.0.0.1:1", state=state):
            pass
    # The state file is free again.
    with pytest.raises(kanhu.platform.ConnectError):
        async with kanhu.platform.connect("mqtt://127.0.0.1:1", state=state):
            pass


async def test_waiting_for_a_broker_that_comes_later(tmp_path: Path, state: Path) -> None:
    broker = NatsBroker(tmp_path / "later")
    broker.start()
    broker.kill()
    async with kanhu.platform.connect(
        f"mqtt://127.0.0.1:{broker.port}", state=state, wait_for_broker=True
    ) as platform:
        with broker:
            async with Daemon(broker.port) as daemon:
                daemon.put(call(1))
                assert [event.id for event in await take(platform, 1)] == ["1-1"]
                await daemon.drained()


CITY_ONLY = """
authorization { users = [
  { user: city, password: "p:@/%s",
    permissions: { subscribe: ["kanhu.1.events.*", "kanhu.1.replies", "$MQTT.>"] } }
  { user: hub, password: hub, permissions: { subscribe: ["kanhu.1.hubs.x.>", "$MQTT.>"] } }
] }
"""


async def test_credentials(tmp_path: Path, state: Path) -> None:
    with NatsBroker(tmp_path / "guarded", extra=CITY_ONLY) as broker:
        where = f"127.0.0.1:{broker.port}"
        async with kanhu.platform.connect(f"mqtt://city:p%3A%40%2F%25s@{where}", state=state):
            pass
        for url in (f"mqtt://{where}", f"mqtt://city:wrong@{where}"):
            with pytest.raises(kanhu.platform.ConnectError, match="user:password@") as caught:
                async with kanhu.platform.connect(url, state=state):
                    pass
            assert "wrong" not in str(caught.value)
        with pytest.raises(kanhu.platform.ConnectError, match="access rules"):
            async with kanhu.platform.connect(f"mqtt://hub:hub@{where}", state=state):
                pass


@pytest.mark.parametrize(
    "url",
    ["", "localhost", "localhost:1883", "http://localhost", "mqtt://", "mqtt://:1883", "mqtt://h:0", "mqtt://h:99999",
     "mqtt://h:x", "mqtt://h/topic", "mqtt://h?x=1", "mqtt://:secret@h", "mqtt://[::1", "mqtt://user:secret@h:x",
     "mqtt://user:secret@a..b", "mqtt://" + "x" * 64, "mqtt://a b"],
)  # fmt: skip
def test_addresses_that_cannot_be_read(url: str) -> None:
    with pytest.raises(kanhu.platform.AddressError, match="mqtt://") as caught:
        kanhu.platform.connect(url, state=None)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


CHILD = """
import asyncio, sys
import kanhu.platform

async def main(url, state, stop_at):
    async with kanhu.platform.connect(url, state=state) as platform:
        async for event in platform:
            print(event.id, int(event.redelivered), flush=True)
            if event.id == stop_at:
                await asyncio.sleep(60)
            await platform.done(event)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_killed_between_handling_and_done(url: str, daemon: Daemon, state: Path) -> None:
    daemon.retry_s = 0.3
    daemon.put(*[motion(seq) for seq in range(300)])
    handled: list[tuple[str, str]] = []
    for stop_at in ("1-70", "1-150", "never"):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, url, str(state), stop_at, stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        try:
            async with asyncio.timeout(40):
                while (not handled or handled[-1][0] != stop_at) and len(handled) < 302:
                    event_id, redelivered = (await child.stdout.readline()).decode().split()
                    handled.append((event_id, redelivered))
                if stop_at == "never":
                    await daemon.drained()
        finally:
            os.kill(child.pid, signal.SIGKILL)
            await child.wait()
    times = Counter(event_id for event_id, _ in handled)
    assert times.keys() == {f"1-{seq}" for seq in range(300)}
    assert {event_id: count for event_id, count in times.items() if count > 1} == {"1-70": 2, "1-150": 2}
    again = [pair for pair in handled if pair[1] == "1"]
    assert again == [("1-70", "1"), ("1-150", "1")]
