"""Everything with TLS and users: the daemon's own broker, a hub out of the registry; nothing by hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from helpers_e2e import wait_for
from helpers_mqtt import running
from helpers_tls import NAME, serial_served
from kanhu.broker import free_port
from kanhu.cli.registry import app as registry_app
from kanhu.config import Tls
from kanhu.links.mqtt_client import MqttClient
from kanhu.links.mqtt_tls import ClientTls
from kanhu.pki import Authority
from kanhu.registry import Registry
from kanhu.sim.bench import Bench
from kanhu.sim.daemon import DaemonProcess
from kanhu.sim.nvs import Nvs
from kanhu_protocol import cbor

SETTINGS = {"ntp": ["time.lan", 123], "pirs": [], "heartbeat": 5}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "pki")
    made.init("home")
    made.issue("broker", [NAME, "127.0.0.1"])
    return made


@pytest.fixture
def daemon(tmp_path: Path, authority: Authority) -> Iterator[DaemonProcess]:
    tls = {
        "ca_file": str(authority.bundle),
        "cert_file": str(authority.folder / "broker.crt"),
        "key_file": str(authority.folder / "broker.key"),
    }
    made = DaemonProcess(
        tmp_path / "daemon",
        {
            "broker": {"enabled": True, "port": free_port(), "users": True, "tls": tls},
            "hubs": {"heartbeat_s": 5},
            "metrics": {"port": 0},
            "log": {"level": "debug", "format": "json"},
        },
    )
    yield made
    made.stop()


def tls_port(daemon: DaemonProcess) -> int:
    found = re.search(r"^port = (\d+)$", daemon.config.read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def provision(daemon: DaemonProcess, authority: Authority, hub: str, out: Path) -> dict[str, bytes]:
    """NVS values that the exported program writes."""
    command = ["hub", "export", hub, "-o", str(out), "--wifi", "home", "--broker", f"{NAME}:8883"]
    command += ["--ca", str(authority.bundle), "--data-dir", str(daemon.data_dir), "--keep-key"]
    done = CliRunner().invoke(registry_app, command, env={"KANHU_WIFI_PASSWORD": "a password"})
    assert done.exit_code == 0, done.output + repr(done.exception)
    text = out.read_text()
    return {
        name: bytes.fromhex(value)
        for name, value in re.findall(r'set_blob\("(\w+)", bytes\.fromhex\("(\w+)"\)\)', text)
    }


def metrics(daemon: DaemonProcess) -> str:
    url = re.findall(r'"(http://127.0.0.1:\d+/metrics)"', daemon.log())[-1]
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        return str(answer.read().decode())


def count(daemon: DaemonProcess, reason: str) -> int:
    found = re.search(rf'kanhu_broker_refused_total{{reason="{reason}"}} (\d+)', metrics(daemon))
    return int(found[1]) if found else 0


async def forge(daemon: DaemonProcess, authority: Authority, hub: str, password: str, other: str) -> None:
    """What a stolen hub's credential can do to another hub's topics: nothing, twice."""
    tls = ClientTls(Tls(ca_file=authority.bundle), "127.0.0.1")
    port = tls_port(daemon)
    client = MqttClient("127.0.0.1", port, "thief", username=hub, password=password, tls=tls)
    async with running(client):
        await client.publish(f"kanhu/1/hubs/{other}/up/p1", b"forged")
        with contextlib.suppress(Exception):
            await client.subscribe([(f"kanhu/1/hubs/{other}/down", 1)])


def test_a_call_over_tls_with_users_and_renewed_papers(
    tmp_path: Path, authority: Authority, daemon: DaemonProcess
) -> None:
    registry = Registry.open(daemon.data_dir)
    home = registry.add_home()
    hub_id, key = registry.add_hub(home)
    registry.set_settings(hub_id, SETTINGS)
    daemon.start()
    nvs = provision(daemon, authority, hub_id, tmp_path / "hub.py")
    assert nvs["ca"] == authority.entry("ca").certificate.public_bytes(Encoding.DER)
    config = cbor.loads(nvs["config"])
    assert config["tls"] is True
    assert config["broker"][2:] == [hub_id, registry.mqtt_password(hub_id)]
    with Bench(tmp_path / "bench") as bench:
        bench.route(NAME, 8883, "127.0.0.1", tls_port(daemon))
        bench.serve_time("time.lan")
        store = Nvs(tmp_path / "bench" / f"{hub_id}.nvs")
        store.set("kanhu", "ca", nvs["ca"])
        store.commit("kanhu")
        hub = bench.add_hub(hub_id, config=config, key=key, wiring={"call": 4})
        bench.wait_indicator(hub, "well", 20)
        bench.press("call")
        bench.wait_indicator(hub, "stored", 10)

        # A hub that comes while the broker runs is a user within seconds; each stays with its own topics.
        second, _ = registry.add_hub(home)
        password = registry.mqtt_password(second)
        asyncio.run(asyncio.wait_for(forge(daemon, authority, second, password, hub_id), 20))
        wait_for(lambda: count(daemon, "publish") == 1 and count(daemon, "subscribe") == 1, 10)

        # A renewed certificate is taken without a restart, and no hub notices.
        before = hub.log_position()
        old = authority.entry("broker").certificate
        authority.renew("broker")
        wait_for(lambda: "takes its certificate anew" in daemon.log(), 10)
        wait_for(lambda: serial_served(tls_port(daemon)) != old.serial_number, 10)
        assert "mqtt:" not in hub.log(before)
    found = dict(re.findall(r'kanhu_certificate_expires_seconds{certificate="(.+)"} (\S+)', metrics(daemon)))
    assert set(found) == {str(authority.bundle), str(authority.folder / "broker.crt"), "broker 127.0.0.1"}
    assert all(float(left) > 300 * 86_400 for left in found.values())
    registry.close()
    for path in (daemon.data_dir / "broker").glob("*.password"):
        assert oct(os.stat(path).st_mode)[-3:] == "600"
        assert path.read_text().strip() not in daemon.log()
