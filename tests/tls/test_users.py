"""Each hub may touch its own topics only, on both brokers; what is refused is counted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers_broker import Broker as Running
from helpers_broker import Mosquitto, NatsBroker
from helpers_mqtt import running, until
from kanhu.broker import EmbeddedBroker
from kanhu.errors import LinkDown
from kanhu.links.mqtt_client import MqttClient
from kanhu.links.mqtt_connection import OnMessage
from kanhu.links.mqtt_refusals import Refusals
from kanhu.registry import Registry, RegistryError
from kanhu.registry.broker_users import export, kept_password, users


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    made = Registry.open(tmp_path / "data")
    home = made.add_home()
    for hub in ("safe000001", "safe000002"):
        made.add_hub(home, hub)
    yield made
    made.close()


def plugin() -> Path:
    """The dynamic security plugin of Debian's mosquitto."""
    found = list(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))
    if not found:
        pytest.skip("mosquitto has no dynamic security plugin")
    return found[0]


@pytest.fixture(params=["nats", "mosquitto", "mosquitto with files"])
def guarded(request: pytest.FixtureRequest, tmp_path: Path, registry: Registry) -> Iterator[Running]:
    """A broker with the registry's users; `log` is where it says what it refused."""
    out = tmp_path / "out"
    broker: Running
    if request.param == "nats":
        export(registry, "nats", out)
        broker = NatsBroker(tmp_path / "broker", 'authorization { include "../out/users.conf" }')
    else:
        if not Mosquitto.installed():
            pytest.skip("mosquitto is not installed")
        export(registry, "mosquitto", out)
        ways = {
            "mosquitto": f"plugin {plugin()}\nplugin_opt_config_file {out}/dynamic-security.json\n",
            "mosquitto with files": f"password_file {out}/passwords\nacl_file {out}/acl\n",
        }
        log = tmp_path / "broker" / "mosquitto.log"
        # With max_queued_messages 0 mosquitto 2.0 also ends the connection of a client it denied something.
        logged = f"log_type all\nlog_dest file {log}\nmax_queued_messages 10000\n"
        broker = Mosquitto(tmp_path / "broker", ways[request.param] + logged, anonymous=False)
        broker.log = log
    with broker:
        yield broker


def client(broker: Running | EmbeddedBroker, registry: Registry, hub: str, number: int = 1) -> MqttClient:
    password = registry.mqtt_password(hub)
    return MqttClient("127.0.0.1", broker.port, f"{hub}-{number}", username=hub, password=password)


def noting(topics: list[str]) -> OnMessage:
    """Keeps the topics of what comes."""

    def take(topic: str, payload: bytes, ack: Callable[[], None]) -> None:
        topics.append(topic)
        ack()

    return take


async def test_a_hub_stays_with_its_own_topics(
    guarded: Running, registry: Registry, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    got: list[str] = []
    refusals = Refusals(guarded.log)
    daemon = MqttClient(
        "127.0.0.1",
        guarded.port,
        "kanhu-1",
        username="kanhu",
        password=(tmp_path / "out" / "daemon.password").read_text().strip(),
        on_message=noting(got),
    )
    heard: list[str] = []
    hub = client(guarded, registry, "safe000001")
    hub._on_message = noting(heard)
    root = "kanhu/1/hubs/"
    async with (
        running(daemon, f"{root}+/up/p1", f"{root}+/availability"),
        running(hub, f"{root}safe000001/down"),
    ):
        files = "files" in request.node.name
        for foreign in ("safe000002/down", "+/down", "+/up/p1", "#"):
            if files:  # this way, it is granted and nothing comes
                await hub.subscribe([(root + foreign, 1)])
            else:
                with pytest.raises(LinkDown, match="refused the subscription"):
                    await hub.subscribe([(root + foreign, 1)])
        await hub.publish(f"{root}safe000001/up/p1", b"own")
        await hub.publish(f"{root}safe000001/availability", b"online", retain=True)
        for foreign in ("safe000002/up/p1", "safe000002/availability", "safe000002/down", "safe000001/down"):
            await hub.publish(root + foreign, b"forged")  # acknowledged, and dropped
        await daemon.publish(f"{root}safe000002/down", b"for the other")
        await daemon.publish(f"{root}safe000001/down", b"for it")
        await until(lambda: len(got) >= 2 and heard != [])
    assert sorted(got) == [f"{root}safe000001/availability", f"{root}safe000001/up/p1"]
    assert heard == [f"{root}safe000001/down"]
    guarded.stop()  # mosquitto writes its log in pieces
    refusals.read()
    assert refusals.counts["publish"] >= 4
    assert refusals.counts["subscribe"] == (0 if files else 4)
    assert refusals.counts["password"] == 0


async def test_the_service_platform_reads_referrals_and_nothing_else(
    guarded: Running, registry: Registry, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    def member(name: str, got: list[str]) -> MqttClient:
        password = (tmp_path / "out" / f"{'daemon' if name == 'kanhu' else name}.password").read_text()
        return MqttClient(
            "127.0.0.1", guarded.port, f"{name}-1", username=name, password=password.strip(),
            on_message=noting(got),
        )  # fmt: skip

    obeyed: list[str] = []
    heard: list[str] = []
    daemon, service = member("kanhu", obeyed), member("service", heard)
    async with running(daemon, "kanhu/1/commands"), running(service, "kanhu/1/referrals"):
        for foreign in ("kanhu/1/events/p4", "kanhu/1/hubs/+/up/p1", "#"):
            if "files" in request.node.name:  # this way, it is granted and nothing comes
                await service.subscribe([(foreign, 1)])
            else:
                with pytest.raises(LinkDown, match="refused the subscription"):
                    await service.subscribe([(foreign, 1)])
        for foreign in ("kanhu/1/commands", "kanhu/1/referrals", "kanhu/1/events/p4"):
            await service.publish(foreign, b"forged")  # acknowledged, and dropped
        for topic in ("kanhu/1/events/p4", "kanhu/1/referrals"):
            await daemon.publish(topic, b"said")
        await until(lambda: heard != [])
        await asyncio.sleep(0.2)
    assert heard == ["kanhu/1/referrals"]
    assert obeyed == []


async def test_a_wrong_password_is_refused_and_counted(guarded: Running, registry: Registry) -> None:
    refusals = Refusals(guarded.log)
    stranger = MqttClient("127.0.0.1", guarded.port, "x", username="safe000001", password="guess")
    task = asyncio.create_task(stranger.run())
    await until(lambda: "broker" in (stranger.last_error or ""))
    assert not stranger.counters.connects
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    guarded.stop()
    refusals.read()
    assert refusals.counts["password"] >= 1


def test_a_hub_does_not_come_in_by_the_servers_own_port(registry: Registry, tmp_path: Path) -> None:
    """There, the right that a nats-server's MQTT sessions need would show it everybody's messages."""
    broker = EmbeddedBroker(tmp_path / "broker")
    broker.authorize(users(registry, "daemon's", "platform's", "service's"))
    broker.start()
    try:
        own = re.search(r"Listening for client connections on \S+:(\d+)", broker.log_file.read_text())
        assert own is not None
        hub = {"user": "safe000001", "pass": registry.mqtt_password("safe000001"), "verbose": True}
        with socket.create_connection(("127.0.0.1", int(own[1])), 5) as line, line.makefile("rb") as said:
            assert said.readline().startswith(b"INFO ")
            line.sendall(b"CONNECT " + json.dumps(hub).encode() + b"\r\nSUB $MQTT.sub.> 1\r\n")
            assert b"Authorization Violation" in said.readline()
    finally:
        broker.stop()


def test_a_password_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one, left by a power cut, would be an empty password."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "daemon.password"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RegistryError, match="No space left"):
            kept_password(path)
    assert not path.exists()
    assert len(kept_password(path)) == 32 == len(path.read_text()) - 1


def test_files_hold_no_password_and_are_private(registry: Registry, tmp_path: Path) -> None:
    for kind in ("nats", "mosquitto"):
        folder = tmp_path / kind
        names = export(registry, kind, folder)
        kept = (folder / "daemon.password").read_text()
        assert export(registry, kind, folder) == names
        assert (folder / "daemon.password").read_text() == kept
        assert {path.name for path in folder.iterdir()} == set(names)
        for path in folder.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            for hub in ("safe000001", "safe000002"):
                assert registry.mqtt_password(hub) not in path.read_text()


def test_a_revoked_hub_is_no_user_any_more(registry: Registry, tmp_path: Path) -> None:
    registry.revoke_hub("safe000002")
    export(registry, "nats", tmp_path)
    rows = json.loads((tmp_path / "users.conf").read_text())["users"]
    assert [row["user"] for row in rows] == ["kanhu", "platform", "service", "safe000001"]
