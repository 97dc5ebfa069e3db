"""The daemon's MQTT link to hubs and the sessions it is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers_mqtt import running
from helpers_scripted_broker import Peer, ScriptedBroker
from kanhu.config import Broker, HubsBroker
from kanhu.links.mqtt import MqttLink
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
