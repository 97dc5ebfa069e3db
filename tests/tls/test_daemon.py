"""The daemon's client over TLS: each reason to refuse has its own line, and passes when put right."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from helpers_broker import Broker as Running
from helpers_broker import NatsBroker
from helpers_mqtt import until
from helpers_tls import NAME, Papers, restart
from kanhu.config import Tls
from kanhu.errors import ConfigError, LinkDown
from kanhu.links.mqtt_client import MqttClient
from kanhu.links.mqtt_tls import ClientTls

WRONG = {
    "wrong_name": f"tls: the certificate is not for {NAME}: ",
    "expired": f"tls: the certificate of {NAME} has expired: kanhu pki renew",
    "not_yet": f"tls: the certificate of {NAME} is not valid yet: ",
    "unknown_ca": f"tls: the certificate of {NAME} is of a CA that ",
}


@contextlib.asynccontextmanager
async def trying(broker: Running, tls: ClientTls) -> AsyncIterator[MqttClient]:
    """A client that tries again soon."""
    client = MqttClient("127.0.0.1", broker.port, "one", tls=tls)
    task = asyncio.create_task(client.run())
    try:
        yield client
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kanhu.links.mqtt_client.MAX_BACKOFF_S", 0.25)


async def test_each_wrong_certificate_has_its_line_and_is_recovered_from(
    tls_broker: Running, papers: Papers
) -> None:
    tls = ClientTls(Tls(ca_file=papers.ca_file, server_name=NAME), "127.0.0.1")
    async with trying(tls_broker, tls) as client:
        for wrong, line in WRONG.items():
            await until(lambda: client.connected)
            getattr(papers, wrong)()
            await asyncio.to_thread(restart, tls_broker)
            await until(lambda line=line: (client.last_error or "").startswith(line))
            assert not client.connected
            papers.good()
            await asyncio.to_thread(restart, tls_broker)
        await until(lambda: client.connected)


async def test_an_address_is_checked_like_a_name(tls_broker: Running, papers: Papers) -> None:
    by_address = Tls(ca_file=papers.ca_file)
    async with trying(tls_broker, ClientTls(by_address, "127.0.0.1")) as client:
        await until(lambda: client.connected)
    async with trying(tls_broker, ClientTls(by_address, "127.0.0.2")) as client:
        await until(lambda: (client.last_error or "").startswith("tls: the certificate is not for 127.0.0.2"))


async def test_a_clock_at_2000_is_refused_until_it_is_set(tls_broker: Running, papers: Papers) -> None:
    now = [946_684_800.0 + 60]
    tls = ClientTls(Tls(ca_file=papers.ca_file), "127.0.0.1", lambda: now[0])
    async with trying(tls_broker, tls) as client:
        await until(lambda: (client.last_error or "").startswith("this computer's clock says 2000-01-01"))
        now[0] = time.time()
        await until(lambda: client.connected)


async def test_a_ca_file_that_was_put_right_is_believed_without_a_restart(
    tls_broker: Running, papers: Papers, tmp_path: Path
) -> None:
    ca_file = tmp_path / "bundle.pem"
    ca_file.write_bytes(papers.stranger.pem)
    async with trying(tls_broker, ClientTls(Tls(ca_file=ca_file), "127.0.0.1")) as client:
        await until(lambda: (client.last_error or "").endswith(f"a CA that {ca_file} does not hold"))
        ca_file.write_text("nothing")
        await until(lambda: (client.last_error or "").endswith("no certificate in PEM in it"))
        ca_file.write_bytes(papers.stranger.pem + papers.ca.pem)  # both, as while a CA is rotated
        await until(lambda: client.connected)


async def test_a_broker_without_tls_is_told_apart(tmp_path: Path, papers: Papers) -> None:
    with NatsBroker(tmp_path / "plain") as broker:
        async with trying(broker, ClientTls(Tls(ca_file=papers.ca_file), "127.0.0.1")) as client:
            await until(lambda: "TLS on this port" in (client.last_error or ""))


@pytest.mark.parametrize(
    ("ca", "cert", "key", "said"),
    [
        ("missing.pem", None, None, "tls.ca_file .*missing.pem: No such file"),
        ("server.key", None, None, "tls.ca_file .*server.key: no certificate in PEM"),
        ("ca.pem", "missing.crt", "server.key", "tls.cert_file .*missing.crt: No such file"),
        ("ca.pem", "server.crt", "ca.pem", "tls.cert_file .* not a certificate in PEM and the key"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    papers: Papers, ca: str, cert: str | None, key: str | None, said: str
) -> None:
    folder = papers.folder
    tls = Tls(
        ca_file=folder / ca,
        cert_file=folder / cert if cert else None,
        key_file=folder / key if key else None,
    )
    with pytest.raises(ConfigError, match=said):
        ClientTls(tls, "127.0.0.1").check()


def test_no_context_before_the_clock_is_right(papers: Papers) -> None:
    with pytest.raises(LinkDown, match=r"clock says 1970-01-01: no TLS before it is set \(timedatectl\)"):
        ClientTls(Tls(ca_file=papers.ca_file), "x", lambda: 5.0).context()
