"""The real firmware on a bench, over TLS: each refusal has its own line, and passes when put right."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers_broker import Broker, NatsBroker
from helpers_mqtt import running, until
from helpers_tls import NAME, Papers, TlsNats, reload, restart
from kanhu.config import Tls
from kanhu.links.mqtt_client import MqttClient
from kanhu.links.mqtt_tls import ClientTls
from kanhu.pki import issue
from kanhu.sim.bench import Bench
from kanhu.sim.hub import Hub
from kanhu.sim.nvs import Nvs

HUB = "tested0001"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "bench") as made:
        yield made


def add_hub(
    bench: Bench, broker: Broker, ca: bytes | None, host: str = NAME, ntp: bool = True, port: int = 0
) -> Hub:
    """A hub that is told to speak TLS with the broker; fifteen of its seconds pass in one."""
    bench.folder.mkdir(exist_ok=True)
    if ca is not None:
        nvs = Nvs(bench.folder / f"{HUB}.nvs")
        nvs.set("kanhu", "ca", ca)
        nvs.commit("kanhu")
    bench.route(host, 8883, "127.0.0.1", port or broker.port)
    if ntp:
        bench.serve_time("time.lan")
    config = {
        "wifi": ["home", "a password"],
        "broker": [host, 8883, "", ""],
        "tls": True,
        "ntp": ["time.lan", 123],
        "pirs": [],
        "heartbeat": 5,
    }
    return bench.add_hub(HUB, config=config, key=bytes(range(16)), speed=15, wiring={"call": 4})


WRONG = {
    "wrong_name": "tls: certificate is for another host: kanhu pki issue --san",
    "expired": "tls: certificate expired: kanhu pki renew",
    "not_yet": "tls: certificate not valid yet: see the clocks",
    "unknown_ca": "tls: certificate of an unknown CA: provision again",
}


def test_each_wrong_certificate_has_its_line_and_is_recovered_from(
    bench: Bench, papers: Papers, tls_broker: Broker
) -> None:
    papers.wrong_name()
    restart(tls_broker)
    hub = add_hub(bench, tls_broker, papers.ca.der)
    for wrong, line in WRONG.items():
        getattr(papers, wrong)()
        at = hub.log_position()
        restart(tls_broker)
        hub.wait_log(f"mqtt: {NAME}: {line}", 10, at if wrong != "wrong_name" else 0)
        papers.good()
        at = hub.log_position()
        reload(tls_broker)
        hub.wait_log(f"mqtt: {NAME}: connected", 10, at)
    assert hub.boots == 1
    assert "failed" not in hub.log()


@pytest.fixture
def nats(tmp_path: Path, papers: Papers) -> Iterator[TlsNats]:
    with TlsNats(tmp_path / "broker", papers) as running:
        yield running


async def connected(broker: Broker, papers: Papers) -> None:
    """Returns once the hub says through the broker that it is there."""
    there: list[bytes] = []

    def take(topic: str, payload: bytes, ack: Callable[[], None]) -> None:
        there.append(payload)
        ack()

    client = MqttClient(
        "127.0.0.1",
        broker.port,
        "watcher",
        tls=ClientTls(Tls(ca_file=papers.ca_file), "127.0.0.1"),
        on_message=take,
    )
    async with running(client, f"kanhu/1/hubs/{HUB}/availability"):
        await until(lambda: b"online" in there, 15)


async def test_no_handshake_before_the_time_is_known(
    bench: Bench, papers: Papers, tls_broker: Broker
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0.1)
        hub = add_hub(bench, tls_broker, papers.ca.der, ntp=False, port=door.getsockname()[1])
        said = f"mqtt: {NAME}: time not known yet: no TLS before it is (ntp)"
        await asyncio.to_thread(hub.wait_log, said, 10)
        with pytest.raises(TimeoutError):
            door.accept()  # nobody has knocked
    bench.route(NAME, 8883, "127.0.0.1", tls_broker.port)
    bench.serve_time("time.lan")
    await connected(tls_broker, papers)
    assert hub.boots == 1


@pytest.mark.parametrize("offset", [None, 0], ids=["no time server", "its time is below the floor"])
async def test_without_a_time_to_believe_the_last_one_known_must_do(
    bench: Bench, papers: Papers, nats: TlsNats, offset: float | None
) -> None:
    floor = int((time.time() + 86_400) * 1000)  # the hub has seen tomorrow
    bench.folder.mkdir(exist_ok=True)
    nvs = Nvs(bench.folder / f"{HUB}.nvs")
    nvs.set("kanhu", "floor", floor.to_bytes(8, "big"))
    nvs.commit("kanhu")
    hub = add_hub(bench, nats, papers.ca.der, ntp=offset is not None)
    begun = time.monotonic()
    await connected(nats, papers)
    assert time.monotonic() - begun > 10 / 15  # better a time that is believed, if one comes soon
    assert "time not known" not in hub.log()


async def test_an_address_is_checked_like_a_name(bench: Bench, papers: Papers, nats: TlsNats) -> None:
    hub = add_hub(bench, nats, papers.ca.der, host="192.0.2.9")
    said = f"mqtt: 192.0.2.9: {WRONG['wrong_name']}"
    await asyncio.to_thread(hub.wait_log, said, 10)
    papers.use(issue(papers.ca, "broker", ["192.0.2.9", "127.0.0.1"]))
    reload(nats)  # as after a renewal: the broker runs on
    await connected(nats, papers)
    assert hub.boots == 1


async def test_two_cas_are_trusted_while_one_replaces_the_other(
    bench: Bench, papers: Papers, nats: TlsNats
) -> None:
    hub = add_hub(bench, nats, papers.ca.der + papers.stranger.der)
    await connected(nats, papers)
    papers.good(papers.stranger)
    await asyncio.to_thread(restart, nats)
    papers.ca_file.write_bytes(papers.stranger.pem)
    await connected(nats, papers)
    assert "CA" not in hub.log()


def test_without_a_ca_in_nvs_nothing_is_trusted(bench: Bench, papers: Papers, nats: TlsNats) -> None:
    hub = add_hub(bench, nats, None)
    hub.wait_log(f"mqtt: {NAME}: tls: no usable CA in NVS: provision again", 10)


def test_a_broker_without_tls_is_told_apart(bench: Bench, papers: Papers, tmp_path: Path) -> None:
    with NatsBroker(tmp_path / "plain") as plain:
        hub = add_hub(bench, plain, papers.ca.der)
        hub.wait_log(f"mqtt: {NAME}: tls: broker ended the handshake: is this its TLS port?", 10)
