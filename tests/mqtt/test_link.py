"""The daemon's MQTT link to hubs and the sessions it is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_broker import Broker as RealBroker
from helpers_mqtt import running, until
from helpers_scripted_broker import Peer, ScriptedBroker
from kanhu.config import Broker, HubsBroker
from kanhu.links.mqtt import PENDING_MAX, MqttLink
from kanhu.links.mqtt_client import MqttClient
from kanhu.links.mqtt_connection import READ_MAX
from kanhu.links.mqtt_sessions import two_sessions


class Inlet:
    def submit(self, hub_id: str, payload: bytes, link: str) -> asyncio.Future[Any]:
        raise AssertionError("no events here")

    def refuse(self, link: str, reason: str) -> None:
        raise AssertionError(reason)

    def present(self, hub_id: str, link: str) -> None:
        raise AssertionError(hub_id)


async def test_a_down_message_that_is_not_taken_is_said_to_be() -> None:
    """Without a broker, and with one that takes no more."""
    async with ScriptedBroker(Peer.serve) as broker:
        link = MqttLink(HubsBroker(port=broker.port), "d0d0d0d0d0", Inlet())
        assert link.send_down("k3v9m2x7qa", b"x") is False
        async with running(link.urgent):
            assert link.send_down("k3v9m2x7qa", b"x") is True
            connection = link.urgent._connection
            assert connection is not None
            connection._window = connection._max_queued = 0
            assert link.send_down("k3v9m2x7qa", b"x") is False


def test_two_sessions_differ_in_nothing_but_their_names(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    broker = Broker(port=1, username="u", password_file=tmp_path / "password")

    def ignore(topic: str, payload: bytes, ack: Callable[[], None]) -> None: ...

    urgent, bulk = two_sessions(broker, "kanhu-x", ignore, 70_000)
    assert (urgent.client_id, bulk.client_id) == ("kanhu-x-1", "kanhu-x-2")
    assert urgent._hello.replace(b"kanhu-x-1", b"kanhu-x-2") == bulk._hello
    assert b"secret" in bulk._hello
    assert urgent._max_packet == bulk._max_packet == 70_000


class SlowInlet(Inlet):
    """An intake whose disk takes no time of a test, or all of it."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Any]] = []
        self.came: list[bytes] = []
        self.stuck = True

    def submit(self, hub_id: str, payload: bytes, link: str) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.came.append(payload)
        if self.stuck:
            self.waiting.append(future)
        else:
            future.set_result(None)
        return future

    def go_on(self) -> None:
        self.stuck = False
        for future in self.waiting:
            future.set_result(None)
        self.waiting.clear()


async def test_no_more_is_read_than_a_call_may_wait_behind(
    broker: RealBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk stands still for longer than a broker may be silent: the link lives, and a call is taken."""
    monkeypatch.setattr("kanhu.links.mqtt_connection.ANSWER_S", 1.0)
    total, inlet = 5000, SlowInlet()
    link = MqttLink(HubsBroker(port=broker.port), "d0d0d0d0d0", inlet)
    for client in (link.urgent, link.bulk):
        client._keepalive = 1
    task = asyncio.create_task(link.run())
    try:
        await until(lambda: link.urgent.connected and link.bulk.connected)
        await asyncio.sleep(0.3)  # subscribed
        async with running(MqttClient("127.0.0.1", broker.port, "hub")) as hub:
            for number in range(total):
                assert hub.publish_nowait("kanhu/1/hubs/k3v9m2x7qa/up/p5", b"%d" % number)
            await hub.drain()
            await until(lambda: len(inlet.came) >= PENDING_MAX or len(inlet.came) == total, 10)
            await asyncio.sleep(3.0)
            one_read = READ_MAX // 30  # bytes of the shortest of these publishes
            assert len(inlet.came) < PENDING_MAX + one_read < total
            await asyncio.wait_for(hub.publish("kanhu/1/hubs/k3v9m2x7qa/up/p1", b"call"), 5)
            await until(lambda: inlet.came[-1] == b"call", 2)
            inlet.go_on()
            await until(lambda: len(inlet.came) > total)
        assert sorted(inlet.came) == sorted([b"call", *(b"%d" % number for number in range(total))])
        assert (link.urgent.counters.connects, link.bulk.counters.connects) == (1, 1)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
