"""New settings that do not work: each step of a trial says why, and the hub is as before."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers_commissioning import Cable, Ccm
from helpers_e2e import wait_for
from helpers_tls import Papers
from helpers_trial import (
    BROKER,
    FAST,
    HOME,
    WORD,
    Peer,
    config_of,
    events,
    failed,
    fresh,
    hangs_up,
    refuses,
    welcomes,
)
from kanhu.links.mqtt import ROOT
from kanhu.sim.net import AccessPoint
from kanhu.sim.nvs import NvsError
from kanhu.sim.town import Town
from kanhu_protocol import down, seal
from kanhu_protocol import kinds as k
from kanhu_protocol.mqtt_packets import publish


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("town")) as town:
        town.start()
        yield town


@pytest.fixture(scope="module")
def hasty(town: Town) -> Iterator[Cable]:
    """The same, whose time-outs pass sooner."""
    with Cable(fresh(town, speed=FAST)) as cable:
        assert cable.hello()
        yield cable


@pytest.mark.parametrize(
    ("ssid", "password", "why"),
    [
        ("home", "not the word", "wrong_password"),
        ("old router", WORD, "wrong_password"),
        ("slow", WORD, "wrong_password"),
        ("nowhere", WORD, "no_such_network"),
        ("cafe", WORD, "wrong_security"),
        ("home", "", "wrong_security"),
        ("enterprise", WORD, "wrong_security"),
        ("cellar", WORD, "weak_signal"),
        ("full", WORD, "not_joined"),
    ],
)
def test_the_access_point_does_not_let_it_in(hasty: Cable, ssid: str, password: str, why: str) -> None:
    last = failed(hasty.trial(wifi=[ssid, password], broker=BROKER), "join", why)
    if why == "weak_signal":
        assert last["rssi"] == -89
    assert "wifi" not in config_of(hasty.hub)
    assert hasty.hub.joined is None


def test_no_address(hasty: Cable) -> None:
    failed(hasty.trial(wifi=["guests", WORD]), "address", "no_address")


def test_a_weak_signal_is_a_warning_where_it_works_so_far(hasty: Cable) -> None:
    steps = hasty.trial(wifi=["porch", WORD], broker=["nowhere.lan", 1883, None, None])
    assert (steps[0]["step"], steps[0]["ok"], steps[0]["why"], steps[0]["rssi"]) == (
        "join",
        True,
        "weak_signal",
        -84,
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [(refuses, "broker_refused"), (hangs_up, "broker_unreachable"), (None, "broker_unreachable")],
)
def test_the_broker_does_not_take_it(
    hasty: Cable, answer: Callable[[socket.socket], None] | None, why: str
) -> None:
    peer = Peer(answer or hangs_up)
    if answer is None:
        peer.close()
    last = failed(hasty.trial(wifi=HOME, broker=["127.0.0.1", peer.port, "hub", "word"]), "broker", why)
    if why == "broker_refused":
        assert last["more"] == "not authorised (5)"
    peer.close()


def test_no_such_broker(hasty: Cable) -> None:
    failed(hasty.trial(wifi=HOME, broker=["nowhere.lan", 1883, None, None]), "broker", "dns")


def test_a_broker_behind_which_nobody_stores_anything(hasty: Cable) -> None:
    peer = Peer(welcomes)
    failed(hasty.trial(wifi=HOME, broker=["127.0.0.1", peer.port, None, None]), "proof", "not_stored")
    peer.close()
    # What it said to it waits, once, however often it is tried.
    failed(hasty.trial(wifi=["nowhere", WORD]), "join", "no_such_network")


def test_no_clock_no_tls(town: Town, tmp_path: Path) -> None:
    hub = fresh(town, speed=FAST)
    papers = Papers(tmp_path)
    with Cable(hub) as cable:
        assert cable.hello()
        ca = ssl.PEM_cert_to_DER_cert(papers.ca.pem.decode())
        failed(cable.trial(wifi=HOME, broker=BROKER, tls=True, ca=ca), "time", "clock_not_set")
        silent = ["127.0.0.1", 9]
        failed(cable.trial(wifi=HOME, broker=BROKER, ntp=silent), "time", "clock_not_set")
        assert cable.ask({"do": "time", "utc_ms": int(time.time() * 1000)}, "time")["ok"]
        # The broker speaks no TLS; and a CA that is none.
        failed(cable.trial(wifi=HOME, broker=BROKER, tls=True, ca=ca, ntp=silent), "broker", "tls")
        failed(cable.trial(wifi=HOME, broker=BROKER, tls=True), "broker", "tls")
    assert "ca2" not in hub.nvs()


def test_a_reason_that_is_longer_than_a_message(hasty: Cable) -> None:
    for _ in range(2):  # and the hub is as free for the next trial as before
        last = hasty.trial(wifi=HOME, broker=BROKER, ntp=["n" * 600, 123])[-1]
        assert (last["step"], last["ok"]) == ("time", False)
        assert len(last["more"]) == 200


def test_the_code_does_not_bind_the_clock(town: Town) -> None:
    """A wrong time from the code's holder is overruled by a host, and is gone after a start."""
    hub = fresh(town)
    with Cable(hub) as cable:
        assert cable.hello()
        assert cable.ask({"do": "time", "utc_ms": 2_800_000_000_000}, "time")["ok"]
        assert cable.ask({"do": "status"}, "status")["clock"]
        assert "floor" not in hub.nvs()
        assert cable.ask({"do": "time", "utc_ms": int(time.time() * 1000)}, "time")["ok"]
        steps = cable.trial(wifi=HOME, broker=BROKER)
        assert steps[-1]["step"] == "done"
        assert next(one for one in steps if one["step"] == "time")["more"] == "host"
        hub.wait_log(f"hub {hub.hub_id} boot 2", 30)
    wait_for(lambda: len(events(town, hub, k.BOOT)) == 2, 30, hub.log())
    assert abs(events(town, hub, k.PROVISIONED)[0][k.UTC_MS] - time.time() * 1000) < 60_000


def test_tls_with_a_ca_in_pieces(town: Town, tmp_path: Path) -> None:
    """The broker's certificate is checked against what was given, which is kept with the rest."""
    papers = Papers(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers.cert_file, papers.key_file)

    def forward(one: socket.socket) -> None:
        with context.wrap_socket(one, server_side=True) as hub_side:
            with socket.create_connection((town.broker.host, town.broker.port)) as broker_side:
                threading.Thread(target=pump, args=(broker_side, hub_side), daemon=True).start()
                pump(hub_side, broker_side)

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(4096):
                sink.sendall(data)
        except OSError:
            pass

    peer = Peer(forward)
    town.bench.route("broker.lan", 8883, "127.0.0.1", peer.port)
    hub = fresh(town)
    ca = ssl.PEM_cert_to_DER_cert(papers.ca.pem.decode())
    stranger = ssl.PEM_cert_to_DER_cert(papers.stranger.pem.decode())
    broker = ["broker.lan", 8883, None, None]
    with Cable(hub) as cable:
        assert cable.hello()
        assert cable.ask({"do": "time", "utc_ms": int(time.time() * 1000)}, "time")["ok"]
        cable.say({"do": "set", "wifi": HOME, "broker": broker, "tls": True, "ca": True})
        assert cable.until("refused")["why"] == "no_ca"
        last = failed(cable.trial(wifi=HOME, broker=broker, tls=True, ca=stranger), "broker", "tls")
        assert "unknown CA" in last["more"]
        for at in range(0, len(ca), 200):
            piece = {"do": "ca", "at": at, "data": ca[at : at + 200]}
            assert cable.ask(piece, "ca")["size"] == min(at + 200, len(ca))
        wrong = cable.ask({"do": "ca", "at": 5000, "data": b"x"}, "ca")
        assert wrong["size"] == len(ca)
        assert cable.trial(wifi=HOME, broker=broker, tls=True, ca=True)[-1]["step"] == "done"
        hub.wait_log(f"hub {hub.hub_id} boot 2", 30)
    nvs = hub.nvs()
    assert nvs["ca2"] == ca
    assert config_of(hub)["ca"] == "ca2"
    wait_for(lambda: len(events(town, hub, k.BOOT)) == 2, 30, hub.log())
    peer.close()


def test_nvs_that_takes_nothing(town: Town) -> None:
    hub = fresh(town)

    def fill() -> None:
        """Until not one blob more goes in."""
        count, size = 0, 480
        while size:
            try:
                hub._nvs.set("other", f"n{count}", bytes(size))
                hub._nvs.commit("other")
                count += 1
            except NvsError:
                size //= 2

    with Cable(hub) as cable:
        assert cable.hello()
        town.bench._do(fill)
        name = "n" * 32
        town.bench.access_points([AccessPoint(name, "p" * 63)], hub)
        failed(cable.trial(wifi=[name, "p" * 63]), "done", "not_saved")
        wait_for(lambda: hub.joined is None, 10)
    assert "wifi" not in config_of(hub)


def test_a_receipt_for_something_else_is_no_proof(town: Town, hasty: Cable) -> None:
    """A host that is really the hub's has not stored what the trial sent."""
    hub = hasty.hub.hub_id
    aead = Ccm(town.registry.keys(hub)[1])
    plain = down.encode(k.STORED, {k.SINGLE: [[hasty.boot, 0]]})
    said: list[int] = []

    def receipts(one: socket.socket) -> None:
        one.recv(1024)
        one.sendall(b"\x20\x02\x00\x00")
        one.settimeout(0.1)
        while True:
            with contextlib.suppress(TimeoutError):
                data = one.recv(4096)
                if not data:
                    return
                if data[0] >> 4 == 8:
                    one.sendall(b"\x90\x03" + data[2:4] + b"\x01")
                    said.append(0)
            if said:  # the hub listens
                said.append(len(said))
                sealed = seal.seal(aead, 1, hub, seal.DOWN, hasty.boot, int(time.time()), said[-1], plain)
                one.sendall(publish(f"{ROOT}{hub}/down", sealed))

    peer = Peer(receipts)
    failed(hasty.trial(wifi=HOME, broker=["127.0.0.1", peer.port, None, None]), "proof", "not_stored")
    peer.close()
    assert len(said) > 2
