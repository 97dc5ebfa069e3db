"""The daemon's MQTT client against real brokers and against one that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers_broker import Broker, NatsBroker
from helpers_mqtt import observing, running, until
from helpers_scripted_broker import PUBACK, SUBSCRIBE, Peer, ScriptedBroker, split_publish
from kanhu.errors import LinkDown
from kanhu.links.mqtt_client import MqttClient
from kanhu.links.mqtt_connection import ANSWER_S
from kanhu_protocol import mqtt


async def test_every_publish_arrives_once_and_in_order(broker: Broker):
    client = MqttClient("127.0.0.1", broker.port, "maker", window=50, max_queued=5000)
    async with observing(broker.port, "t/+") as seen, running(client):
        futures = [client.publish("t/a", b"%d" % n) for n in range(1000)]
        await asyncio.wait_for(asyncio.gather(*futures), 30)
        await until(lambda: len(seen.messages) >= 1000)
        assert seen.on("t/a") == [b"%d" % n for n in range(1000)]
        assert client.counters.acknowledged == 1000
        assert client.counters.dropped == 0


async def cut(client: MqttClient) -> None:
    """End the client's connection and wait for the next."""
    connects = client.counters.connects
    connection = client._connection
    assert connection is not None
    connection.abort("the test pulled the plug")
    await until(lambda: client.counters.connects == connects + 1)


async def test_unacknowledged_messages_come_again_after_a_reconnect(broker: Broker):
    if isinstance(broker, NatsBroker):
        # It delivers again this long after the first time, not at once on reconnecting (default 30 s).
        broker.stop()
        broker.mqtt_extra = 'ack_wait: "2s"'
        broker.start()
    got: list[bytes] = []
    acks: dict[bytes, Callable[[], None]] = {}

    def take(topic: str, payload: bytes, ack: Callable[[], None]) -> None:
        got.append(payload)
        acks[payload] = ack

    client = MqttClient("127.0.0.1", broker.port, "keeper", on_message=take)
    async with running(client, "t/+"):
        for payload in (b"one", b"two"):
            await client.publish("t/a", payload)
        await until(lambda: set(got) == {b"one", b"two"})
        acks[b"one"]()
        stale = acks.pop(b"two")
        await asyncio.sleep(0.2)
        got.clear()
        await cut(client)
        stale()  # belongs to the connection that has ended, where its packet id was another message's
        await until(lambda: b"two" in acks)
        assert client.session_present
        acks[b"two"]()
        await asyncio.sleep(0.2)
        assert b"one" not in got
        got.clear()
        await cut(client)
        await client.publish("t/a", b"three")
        await until(lambda: b"three" in got)
        await asyncio.sleep(2.5)
        assert set(got) == {b"three"}


async def test_a_killed_broker_fails_what_was_in_flight_and_is_found_again(broker: Broker):
    client = MqttClient("127.0.0.1", broker.port, "maker")
    async with running(client):
        broker.freeze()
        lost = [client.publish("t/a", b"x") for _ in range(10)]
        await asyncio.sleep(0.05)
        broker.kill()
        for future in lost:
            with pytest.raises(LinkDown):
                await asyncio.wait_for(future, 10)
        await until(lambda: not client.connected)
        assert client.publish_nowait("t/a", b"x") is False
        with pytest.raises(LinkDown):
            await client.publish("t/a", b"x")
        with pytest.raises(LinkDown):
            await client.subscribe([("t/+", 1)])
        with pytest.raises(LinkDown):
            await client.drain()
        assert client.counters.dropped == 2
        broker.start()
        await until(lambda: client.connected)
        await asyncio.wait_for(client.publish("t/a", b"y"), 10)
        assert client.counters.connects == 2


async def test_the_will_is_published_on_loss_and_not_on_leaving(broker: Broker):
    will = ("t/will", b"gone", 1, True)
    async with observing(broker.port, "t/+") as seen:
        client = MqttClient("127.0.0.1", broker.port, "willing", will=will, clean=True)
        async with running(client):
            pass
        async with running(client):
            await client.publish("t/a", b"here")
            assert seen.on("will") == []
            connection = client._connection
            assert connection is not None
            connection.abort("power")
            await until(lambda: seen.on("will") == [b"gone"])


async def test_qos_0_and_retained(broker: Broker):
    client = MqttClient("127.0.0.1", broker.port, "maker")
    async with running(client):
        await client.publish("t/kept", b"old", retain=True)
        async with observing(broker.port, "t/+") as seen:
            await client.publish("t/a", b"zero", qos=0)
            await until(lambda: sorted(seen.messages) == [("t/a", b"zero"), ("t/kept", b"old")])
            assert client.counters.acknowledged == 1


AUTHORIZATION = """
authorization { users: [
  { user: "hub", password: "right",
    permissions: { publish: ["kanhu.1.hubs.a.up.>"], subscribe: ["$MQTT.>"] } }
  { user: "all", password: "right" }
] }
"""


async def test_credentials_and_a_forbidden_publish(tmp_path: Path):
    """nats-server acknowledges a forbidden publish and drops it: no PUBACK proves anything."""
    with NatsBroker(tmp_path, extra=AUTHORIZATION) as broker:
        wrong = MqttClient("127.0.0.1", broker.port, "wrong", username="hub", password="wrong")
        task = asyncio.create_task(wrong.run())
        await until(lambda: wrong.last_error is not None)
        assert wrong.last_error is not None
        assert "refused" in wrong.last_error or "authorise" in wrong.last_error
        assert not wrong.connected
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        got: list[tuple[str, bytes]] = []
        watcher = MqttClient(
            "127.0.0.1",
            broker.port,
            "watcher",
            username="all",
            password="right",
            on_message=lambda topic, payload, ack: got.append((topic, payload)),
        )
        hub = MqttClient("127.0.0.1", broker.port, "hub", username="hub", password="right")
        async with running(watcher, "kanhu/1/hubs/#"), running(hub):
            await asyncio.wait_for(hub.publish("kanhu/1/hubs/b/up/p1", b"forbidden"), 10)
            await asyncio.wait_for(hub.publish("kanhu/1/hubs/a/up/p1", b"allowed"), 10)
            await until(lambda: bool(got))
            assert got == [("kanhu/1/hubs/a/up/p1", b"allowed")]


async def test_window_queue_and_drain():
    most = 0
    release = asyncio.Event()

    async def script(peer: Peer) -> None:
        nonlocal most
        owed: list[int] = []
        count = 0
        while count < 14:
            try:
                async with asyncio.timeout(0.2):
                    owed.append((await peer.next_publish())[1])
                count += 1
                most = max(most, len(owed))
            except TimeoutError:
                await release.wait()
                while owed:
                    await peer.puback(owed.pop())
        for packet_id in owed:
            await peer.puback(packet_id)
        await peer.serve()

    async with ScriptedBroker(script) as broker:
        client = MqttClient("127.0.0.1", broker.port, "maker", window=4, max_queued=10)
        async with running(client):
            await client.drain()
            futures = [client.publish("t", b"%d" % n) for n in range(14)]
            assert client.publish_nowait("t", b"too much") is False
            with pytest.raises(LinkDown):
                await client.publish("t", b"too much")
            assert client.counters.dropped == 2
            drain = asyncio.create_task(client.drain())
            await asyncio.sleep(0.1)
            assert not drain.done()
            assert not any(future.done() for future in futures)
            release.set()
            await asyncio.wait_for(drain, 5)
            await asyncio.wait_for(asyncio.gather(*futures), 5)
    assert most == 4


async def test_packet_ids_wrap_and_skip_those_in_use():
    ids: list[int] = []
    release = asyncio.Event()

    async def script(peer: Peer) -> None:
        for _ in range(3):
            ids.append((await peer.next_publish())[1])
        for _ in range(20):
            packet_id = (await peer.next_publish())[1]
            ids.append(packet_id)
            await peer.puback(packet_id)
        for packet_id in ids[:3]:
            await peer.puback(packet_id)
        release.set()
        await peer.serve()

    async with ScriptedBroker(script) as broker:
        client = MqttClient("127.0.0.1", broker.port, "maker")
        async with running(client):
            connection = client._connection
            assert connection is not None
            held = [client.publish("t", b"held") for _ in range(3)]
            connection._last_id = 65530
            others = [client.publish("t", b"other") for _ in range(20)]
            await asyncio.wait_for(asyncio.gather(*others), 5)
            await asyncio.wait_for(release.wait(), 5)
            await asyncio.wait_for(asyncio.gather(*held), 5)
    assert ids == [1, 2, 3, *range(65531, 65536), *range(4, 19)]


async def test_a_late_or_doubled_puback_is_ignored():
    async def script(peer: Peer) -> None:
        _, packet_id, _ = await peer.next_publish()
        for other in (packet_id, packet_id, packet_id + 7):
            await peer.puback(other)
        await peer.serve()

    async with ScriptedBroker(script) as broker:
        client = MqttClient("127.0.0.1", broker.port, "maker")
        async with running(client):
            await asyncio.wait_for(client.publish("t", b"1"), 5)
            await asyncio.wait_for(client.publish("t", b"2"), 5)
            assert client.counters.acknowledged == 2
            assert client.counters.malformed == 0


@pytest.mark.parametrize(
    "bad",
    [b"\x30\x03\x00\x01\xff", b"\x32\x05\x00\x01a\x00\x00", b"\xf0\x00", b"\x30\x80\x80\x80\x80\x01"],
    ids=["topic", "id", "type", "length"],
)
async def test_malformed_closes_is_counted_and_reconnects(bad: bytes):
    async def script(peer: Peer) -> None:
        if len(broker.connects) == 1:
            await peer.send(mqtt.publish("t", b"before", 0) + bad)
        else:
            await peer.send(mqtt.publish("t", b"after", 0))
        await peer.serve()

    got: list[bytes] = []
    async with ScriptedBroker(script) as broker:
        client = MqttClient("127.0.0.1", broker.port, "m", on_message=lambda t, p, a: got.append(p))
        async with running(client):
            await until(lambda: b"after" in got)
            assert client.counters.malformed == 1
            assert client.last_error is not None
            assert "malformed" in client.last_error


async def test_oversize_is_acknowledged_counted_and_never_held():
    acknowledged: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.send(mqtt.publish("t", bytes(3_000_000), 1, 5) + mqtt.publish("t", b"next", 1, 6))
        while True:
            acknowledged.append(int.from_bytes((await peer.next(PUBACK))[1], "big"))

    got: list[bytes] = []

    def take(topic: str, payload: bytes, ack: Callable[[], None]) -> None:
        got.append(payload)
        ack()

    async with ScriptedBroker(script) as broker:
        client = MqttClient("127.0.0.1", broker.port, "m", on_message=take, max_packet=1024)
        async with running(client):
            await until(lambda: acknowledged == [5, 6])
            assert got == [b"next"]
            assert client.counters.oversize == 1
            assert client.counters.connects == 1


async def test_a_failing_handler_is_counted_and_the_link_lives_on():
    got: list[bytes] = []

    def take(topic: str, payload: bytes, ack: Callable[[], None]) -> None:
        if payload == b"bad":
            raise RuntimeError("handler")
        got.append(payload)
        ack()

    async def script(peer: Peer) -> None:
        await peer.send(mqtt.publish("t", b"bad", 1, 1) + mqtt.publish("t", b"good", 1, 2))
        await peer.serve()

    async with ScriptedBroker(script) as broker:
        client = MqttClient("127.0.0.1", broker.port, "m", on_message=take)
        async with running(client):
            await until(lambda: got == [b"good"])
            assert client.counters.failed_handlers == 1
            assert client.connected


async def test_a_refused_subscription_is_an_error_and_is_tried_again():
    async def script(peer: Peer) -> None:
        code = b"\x80" if len(broker.connects) == 1 else b"\x01"
        _, body = await peer.next(SUBSCRIBE)
        await peer.send(b"\x90\x03" + body[:2] + code)
        await peer.serve()

    async with ScriptedBroker(script) as broker:
        client = MqttClient("127.0.0.1", broker.port, "m")
        async with running(client, "t/+"):
            assert len(broker.connects) == 2
            assert client.last_error is not None
            assert "t/+" in client.last_error


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5])
async def test_a_refused_connection_says_why(code: int):
    async with ScriptedBroker(Peer.serve, connack=bytes((0x20, 2, 0, code))) as broker:
        client = MqttClient("127.0.0.1", broker.port, "m")
        task = asyncio.create_task(client.run())
        await until(lambda: len(broker.connects) >= 2)
        assert client.last_error is not None
        assert "broker" in client.last_error
        assert client.counters.connects == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_silent_broker_is_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("kanhu.links.mqtt_connection.ANSWER_S", 0.5)
    assert ANSWER_S == 10.0

    async def script(peer: Peer) -> None:
        if len(broker.connects) == 1:
            while True:
                await peer.packet()
        await peer.serve()

    async with ScriptedBroker(script) as broker:
        client = MqttClient("127.0.0.1", broker.port, "m", keepalive=1)
        async with running(client):
            await until(lambda: client.counters.connects == 2)
            assert client.last_error == "MQTT connection lost: the broker does not answer" or (
                client.last_error == "the broker does not answer"
            )
            await asyncio.sleep(3)
            assert client.counters.connects == 2, "answered pings keep it"


async def test_a_broker_that_never_acknowledges_is_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("kanhu.links.mqtt_connection.PUBACK_S", 0.5)

    async def script(peer: Peer) -> None:
        if len(broker.connects) == 1:
            while True:
                kind, _, _ = await peer.packet()
                if kind == 12:
                    await peer.send(b"\xd0\x00")
        await peer.serve()

    async with ScriptedBroker(script) as broker:
        client = MqttClient("127.0.0.1", broker.port, "m", keepalive=1)
        async with running(client):
            with pytest.raises(LinkDown):
                await asyncio.wait_for(client.publish("t", b"x"), 10)
            await until(lambda: client.connected)
            await asyncio.wait_for(client.publish("t", b"x"), 10)


async def test_one_turn_of_the_loop_is_one_write_and_no_task_is_made(monkeypatch: pytest.MonkeyPatch):
    total = 500
    async with ScriptedBroker(Peer.serve) as broker:
        client = MqttClient("127.0.0.1", broker.port, "m")
        async with running(client):
            connection = client._connection
            assert connection is not None
            assert connection._transport is not None
            writes: list[bytes] = []
            transport_write = connection._transport.write

            def write(data: bytes) -> None:
                writes.append(data)
                transport_write(data)

            monkeypatch.setattr(connection._transport, "write", write)
            tasks = len(asyncio.all_tasks())
            futures = [client.publish("t", b"x") for _ in range(total)]
            assert len(asyncio.all_tasks()) == tasks
            await asyncio.wait_for(asyncio.gather(*futures), 10)
            assert len(writes) == 1
            assert len(writes[0]) == total * len(mqtt.publish("t", b"x", 1, 1))


async def test_a_peer_that_reads_slowly_gets_all_of_it():
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        await asyncio.sleep(0.3)
        while True:
            flags, body = await peer.next(3)
            _, packet_id, payload = split_publish(flags, body)
            got.append(payload)
            await peer.puback(packet_id)

    async with ScriptedBroker(script, receive_buffer=4096) as broker:
        client = MqttClient("127.0.0.1", broker.port, "m", window=5000)
        async with running(client):
            futures = [client.publish("t", b"%06d" % n + bytes(2000)) for n in range(2000)]
            await asyncio.wait_for(asyncio.gather(*futures), 30)
    assert got == [b"%06d" % n + bytes(2000) for n in range(2000)]


async def test_arguments_are_checked():
    with pytest.raises(ValueError, match="packet ids"):
        MqttClient("127.0.0.1", 1, "m", window=0)
    with pytest.raises(ValueError, match="packet ids"):
        MqttClient("127.0.0.1", 1, "m", window=50_000, max_queued=50_000)
    client = MqttClient("127.0.0.1", 1, "m")
    assert not client.connected
    assert client.publish_nowait("t", b"x") is False
    with pytest.raises(LinkDown):
        await client.publish("t", b"x")
    with pytest.raises(LinkDown):
        await client.subscribe([("t", 1)])


async def test_a_host_that_no_resolver_takes_is_down_like_any_other():
    client = MqttClient("a..b", 1883, "m")
    task = asyncio.create_task(client.run())
    await until(lambda: client.last_error is not None)
    assert not task.done()
    assert "idna" in (client.last_error or "")
    task.cancel()
    await asyncio.wait([task])


async def test_a_wrong_topic_is_the_callers_error_and_harms_nothing():
    async with ScriptedBroker(Peer.serve) as broker:
        client = MqttClient("127.0.0.1", broker.port, "m")
        async with running(client):
            for topic in ("", "a/+", "a/#", "a\0", "a" * 70_000):
                with pytest.raises(mqtt.MqttError):
                    client.publish_nowait(topic, b"x")
            await asyncio.wait_for(client.publish("t", b"x"), 5)
            assert client.counters.connects == 1
