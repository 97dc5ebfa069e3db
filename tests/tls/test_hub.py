"""The real firmware on a bench, over TLS: each refusal has its own line, and passes when put right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_broker import Broker
from helpers_tls import NAME, Papers, restart
from kanhu.sim.bench import Bench
from kanhu.sim.hub import Hub
from kanhu.sim.nvs import Nvs

HUB = "tested0001"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "bench") as made:
        yield made


def add_hub(bench: Bench, broker: Broker, ca: bytes | None, host: str = NAME, ntp: bool = True) -> Hub:
    """A hub that is told to speak TLS with the broker; thirty of its seconds pass in one."""
    bench.folder.mkdir(exist_ok=True)
    if ca is not None:
        nvs = Nvs(bench.folder / f"{HUB}.nvs")
        nvs.set("kanhu", "ca", ca)
        nvs.commit("kanhu")
    bench.route(host, 8883, "127.0.0.1", broker.port)
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
    return bench.add_hub(HUB, config=config, key=bytes(range(16)), speed=30, wiring={"call": 4})


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
        restart(tls_broker)
        hub.wait_log(f"mqtt: {NAME}: connected", 10, at)
    assert hub.boots == 1
    assert "failed" not in hub.log()
