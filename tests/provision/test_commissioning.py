"""New settings on trial: the sealed talk on a simulated hub's console, a real broker and a real daemon."""

from __future__ import annotations

import socket
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cbor2
import pytest

from helpers_commissioning import CODE, Cable
from helpers_e2e import wait_for
from helpers_tls import Papers
from kanhu.sim.hub import Hub
from kanhu.sim.net import AccessPoint
from kanhu.sim.nvs import NvsError
from kanhu.sim.town import BROKER_NAME, Town
from kanhu_protocol import kinds as k
from kanhu_protocol.events import decode

WORD = "geheim geheim"
HOME = ["home", WORD]
BROKER = [BROKER_NAME, 1883, None, None]
POINTS = [
    AccessPoint("home", WORD, -58),
    AccessPoint("cafe", rssi=-71),
    AccessPoint("cellar", WORD, -89),
    AccessPoint("porch", WORD, -84),
    AccessPoint("guests", WORD, dhcp=False),
    AccessPoint("full", WORD, fails=203),
    AccessPoint("old router", WORD, fails=15),
    AccessPoint("slow", WORD, fails=204),
    AccessPoint("enterprise", WORD, fails=210),
]
FAST = 8  # simulated seconds per second, where a time-out is waited for


class Peer(threading.Thread):
    """A TCP server on a free port of this computer: answer(socket) is called with each connection."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        super().__init__(daemon=True)
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.start()

    def run(self) -> None:
        while True:
            try:
                one, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        try:
            with one:
                self._answer(one)
        except OSError:
            pass

    def close(self) -> None:
        self._server.close()


def refuses(one: socket.socket) -> None:
    one.recv(1024)
    one.sendall(b"\x20\x02\x00\x05")
    one.recv(1024)


def welcomes(one: socket.socket) -> None:
    """A broker that behaves, and behind which no host is."""
    one.recv(1024)
    one.sendall(b"\x20\x02\x00\x00")
    while data := one.recv(4096):
        if data[0] >> 4 == 8:
            one.sendall(b"\x90\x03" + data[2:4] + b"\x01")


def hangs_up(one: socket.socket) -> None:
    one.recv(1024)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("town")) as town:
        town.start()
        yield town


def bare_hub(town: Town, points: list[AccessPoint] | None = None, **options: Any) -> Hub:
    """A hub of the town's registry, as it is after flashing: with its keys, without a network."""
    home = town.registry.add_home("cn/42/01/06/01", "Asia/Shanghai")
    hub_id, key = town.registry.add_hub(home)
    config = {"buttons": [[1, 4, None]], "pirs": [], "proof": 0, **options.pop("config", {})}
    wiring = {f"{hub_id}/bed": 4}
    hub = town.bench.add_hub(hub_id, config=config, key=key, commission=CODE, wiring=wiring, **options)
    town.bench.access_points(POINTS if points is None else points, hub)
    return hub


def fresh(town: Town, **options: Any) -> Hub:
    hub = bare_hub(town, **options)
    hub.wait_log("commissioning is open", 30)
    return hub


def config_of(hub: Hub) -> dict[str, Any]:
    config: dict[str, Any] = cbor2.loads(bytes(hub.nvs()["config"]))
    return config


def events(town: Town, hub: Hub, kind: int) -> list[dict[int, Any]]:
    """Of that kind, as the journal has them."""
    path = (town.daemon.data_dir / "journal.db").as_uri()
    with closing(sqlite3.connect(f"{path}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT plain FROM events WHERE hub=? AND kind=? ORDER BY n", (hub.hub_id, kind))
        return [decode(plain) for (plain,) in rows.fetchall()]


@pytest.fixture(scope="module")
def shared(town: Town) -> Iterator[Cable]:
    """On a hub without a network; these tests leave it so."""
    with Cable(fresh(town)) as cable:
        assert cable.hello()
        yield cable


@pytest.fixture(scope="module")
def hasty(town: Town) -> Iterator[Cable]:
    """The same, whose time-outs pass sooner."""
    with Cable(fresh(town, speed=FAST)) as cable:
        assert cable.hello()
        yield cable


def failed(steps: list[dict[str, Any]], step: str, why: str) -> dict[str, Any]:
    """The last step, which is that one, failed for that reason."""
    last = steps[-1]
    assert (last["step"], last["ok"], last["why"]) == (step, False, why), steps
    assert all(one["ok"] for one in steps[:-1])
    return last


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


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"do": "fly"}, "unknown"),
        ({}, "malformed"),
        ({"do": "set"}, "malformed"),
        ({"do": "set", "wifi": ["", ""]}, "malformed"),
        ({"do": "set", "wifi": "home"}, "malformed"),
        ({"do": "set", "wifi": HOME, "broker": ["broker.lan"]}, "malformed"),
        ({"do": "set", "wifi": HOME, "broker": BROKER, "ntp": 5}, "malformed"),
        ({"do": "set", "wifi": HOME, "ca": b""}, "malformed"),
        ({"do": "set", "wifi": HOME, "ca": "text"}, "malformed"),
        ({"do": "set", "wifi": ["h" * 300, "p" * 600]}, "malformed"),
        ({"do": "set", "wifi": HOME, "broker": None}, "malformed"),
        ({"do": "set", "network": "ppp", "apn": 'x"\rAT+CFUN=0'}, "malformed"),
        ({"do": "set", "network": "ppp", "modem": [1, 17, 4, 115200]}, "malformed"),
        ({"do": "time", "utc_ms": 3094168447001}, "malformed"),
        ({"do": "time"}, "malformed"),
        ({"do": "time", "utc_ms": -1}, "malformed"),
        ({"do": "ca", "at": 0}, "malformed"),
        ({"do": "ca", "at": 0, "data": "text"}, "malformed"),
        ({"do": ["set"]}, "unknown"),
    ],
)
def test_a_message_of_no_use(shared: Cable, message: dict[str, Any], why: str) -> None:
    shared.messages.clear()
    shared.say(message)
    assert shared.until("refused")["why"] == why


def test_status_identify_and_scan(town: Town, shared: Cable) -> None:
    status = shared.ask({"do": "status", "later": [1, 2]}, "status")
    assert status["wifi"] is None
    assert (status["link"], status["busy"], status["broker"], status["rssi"]) == (False, False, None, None)
    assert len(status["mac"]) == 6
    after = shared.hub.log_position()
    shared.ask({"do": "identify"}, "status")
    shared.hub.wait_log("lamp identify", 5, after)
    shared.hub.wait_log("lamp cannot_tell", 15, after)
    shared.say({"do": "scan"})
    shared.say({"do": "scan"})
    assert shared.until("refused")["why"] == "busy"
    found = shared.until("scan")
    assert found["last"]
    around = [[point.ssid, point.rssi, not point.password] for point in POINTS]
    assert sorted(found["networks"]) == sorted(around)
    levels = [level for _, level, _ in found["networks"]]
    assert levels == sorted(levels, reverse=True)


def test_a_scan_of_many_networks_is_told_in_pieces(town: Town) -> None:
    around = [AccessPoint(f"网络网络网络网络网络{n:02}", WORD, -40 - n) for n in range(30)]
    hub = bare_hub(town, [*around, AccessPoint("网络网络网络网络网络00", WORD, -90)])
    hub.wait_log("commissioning is open", 30)
    with Cable(hub) as cable:
        assert cable.hello()
        cable.say({"do": "scan"})
        rows, last = [], False
        while not last:
            message = cable.until("scan")
            rows += message["networks"]
            last = message["last"]
    assert rows == [[point.ssid, point.rssi, False] for point in around[:20]]


def test_what_works_is_kept_and_the_hub_starts_again_with_it(town: Town) -> None:
    hub = fresh(town, heap="288k")  # of an ESP32 without PSRAM: 144 kB
    with Cable(hub) as cable:
        assert cable.hello()
        steps = cable.trial(wifi=HOME, broker=BROKER)
        assert [one["step"] for one in steps] == ["join", "address", "time", "broker", "proof", "done"]
        assert all(one["ok"] for one in steps)
        assert steps[0]["rssi"] == -58
        cable.say({"do": "set", "wifi": ["elsewhere", WORD]})
        assert cable.until("refused")["why"] == "busy"
        hub.wait_log(f"hub {hub.hub_id} boot 2", 30)
        town.bench.wait_indicator(hub, "well", 30)
        cable.wait(0.2)
        assert not cable.hello(1.0)  # closed
    assert config_of(hub) == {
        "buttons": [[1, 4, None]],
        "pirs": [],
        "proof": 0,
        "wifi": HOME,
        "broker": BROKER,
    }
    wait_for(lambda: len(events(town, hub, k.BOOT)) == 2, 30, hub.log())
    assert [event[k.RESET] for event in events(town, hub, k.BOOT)] == [1, 9]
    assert [event[k.DETAIL] for event in events(town, hub, k.PROVISIONED)] == [1]
    assert len(events(town, hub, k.TEST_CALL)) == 1


def test_a_modem_on_trial(town: Town) -> None:
    hub = bare_hub(town, power=False, speed=5)
    modem = town.bench.add_modem(hub, sim="none")
    town.bench.power(hub)
    hub.wait_log("commissioning is open", 30)
    with Cable(hub) as cable:
        assert cable.hello()
        failed(cable.trial(network="ppp", apn="cmnet", broker=BROKER), "join", "no_sim")
        assert "network" not in config_of(hub)
        modem.sim = "ready"
        steps = cable.trial(network="ppp", apn="cmnet", broker=BROKER)
        assert [one["step"] for one in steps] == ["join", "address", "time", "broker", "proof", "done"], steps
        hub.wait_log(f"hub {hub.hub_id} boot 2", 30)
        hub.wait_log("modem: connected", 60, hub.log().index("boot 2"))
    assert (config_of(hub)["network"], config_of(hub)["apn"]) == ("ppp", "cmnet")


def test_messages_come_once_and_nonces_too(town: Town) -> None:
    hub = fresh(town)
    with Cable(hub) as cable:
        assert cable.hello()
        cable.ask({"do": "status"}, "status")
        cable.messages.clear()
        hellos = cable.hellos
        cable.say_body(cable.bodies[0])  # again
        cable.epoch -= 1
        cable.say({"do": "status"})  # of an earlier session
        cable.epoch += 1
        cable.wait(0.5)
        assert cable.messages == []
        assert cable.hellos >= hellos + 2
        cable.ask({"do": "status"}, "status")
        # Over a window of its own the same: neither comes again.
        before = cable.bodies[:]
        for _ in range(10):
            cable.say({"do": "status"}, bytes(16))
        assert not cable.hello(1.0)
        assert town.bench.press_watched(f"{hub.hub_id}/bed")
        assert cable.hello()
        for body in before:
            cable.say_body(body)
        cable.wait(0.5)
        assert cable.messages == []
        cable.ask({"do": "status"}, "status")
        assert cable.numbers == sorted(set(cable.numbers))


def test_ten_wrong_codes_close_it_and_nine_do_not(town: Town) -> None:
    hub = fresh(town)
    with Cable(hub) as cable:
        assert cable.hello()
        for _ in range(9):
            cable.say({"do": "status"}, bytes(16))
        cable.ask({"do": "status"}, "status")
        cable.say({"do": "status"}, bytes(16))
        assert not cable.hello(1.0)
        cable.say({"do": "status"})
        cable.wait(0.5)
        assert cable.messages == []
        assert town.bench.press_watched(f"{hub.hub_id}/bed")  # a call, as ever, and opens it again
        hub.wait_log("lamp heard", 10)
        assert cable.hello()
        cable.ask({"do": "status"}, "status")


class Moved:
    """A home whose router was changed: the hub knows only the old one, which is off."""

    def __init__(self, town: Town, **options: Any) -> None:
        self.town = town
        config = {"wifi": ["old", WORD], "broker": BROKER}
        self.hub = bare_hub(town, config=config, power=False, **options)
        self.button = f"{self.hub.hub_id}/bed"
        town.bench.power(self.hub)
        self.hub.wait_log("lamp cannot_tell", 30)

    def press(self) -> None:
        assert self.town.bench.press_watched(self.button)

    def calls(self) -> int:
        return len(events(self.town, self.hub, k.CALL))


def test_the_hubs_own_button_opens_it_and_is_a_call(town: Town) -> None:
    moved = Moved(town)
    hub = moved.hub
    with Cable(hub) as cable:
        assert not cable.hello(1.0)
        moved.press()
        hub.wait_log("lamp heard", 10)
        hub.wait_log("commissioning is open", 10)
        assert cable.hello()
        failed(cable.trial(wifi=["home", "not the word"], broker=BROKER), "join", "wrong_password")
        failed(cable.trial(wifi=HOME, broker=["nowhere.lan", 1883, None, None]), "broker", "dns")
        assert config_of(hub)["wifi"] == ["old", WORD]
        # It is back on the old one by itself: that comes, and the call gets out.
        town.bench.access_points([AccessPoint("old", WORD)], hub)
        wait_for(lambda: hub.joined == "old", 20, hub.log())
        wait_for(lambda: moved.calls() == 1, 40, hub.log())
        hub.wait_log("commissioning is closed", 40)
        assert not cable.hello(1.0)


def test_a_press_in_the_middle_of_a_trial_is_a_call(town: Town) -> None:
    """It goes out over the new broker as soon as that takes the hub; which starts again after the alarm."""
    moved = Moved(town, speed=3)
    hub = moved.hub
    moved.press()
    hub.wait_log("commissioning is open", 10)
    peer = Peer(welcomes)
    with Cable(hub) as cable:
        assert cable.hello()
        cable.say({"do": "set", "wifi": HOME, "broker": ["127.0.0.1", peer.port, None, None]})
        while cable.until("step", 30)["step"] != "broker":
            pass
        moved.press()  # nobody stores it there
        failed([cable.until("step", 60)], "proof", "not_stored")
        assert cable.trial(wifi=HOME, broker=BROKER)[-1]["step"] == "done"
        wait_for(lambda: moved.calls() == 2, 30, hub.log())
        time.sleep(5)
        assert hub.boots == 1
    peer.close()
    assert config_of(hub)["wifi"] == HOME
    moved.press()
    wait_for(lambda: moved.calls() == 3, 30, hub.log())


def test_a_press_during_a_scan_is_a_call_at_once(town: Town) -> None:
    hub = fresh(town)
    with Cable(hub) as cable:
        assert cable.hello()
        cable.say({"do": "scan"})
        cable.wait(0.5)
        after = hub.log_position()
        assert town.bench.press_watched(f"{hub.hub_id}/bed")
        hub.wait_log("lamp heard", 5, after)
        assert not [one for one in cable.messages if one["is"] == "scan"]
        assert cable.until("scan")["networks"]


def test_a_power_cut_in_the_middle_of_a_trial_leaves_what_was(town: Town) -> None:
    hub = fresh(town)
    peer = Peer(welcomes)
    with Cable(hub) as cable:
        assert cable.hello()
        cable.say({"do": "set", "wifi": HOME, "broker": ["127.0.0.1", peer.port, None, None]})
        while cable.until("step", 30)["step"] != "broker":
            pass
        town.bench.cut_power(hub)
        after = hub.log_position()
        town.bench.power(hub)
        hub.wait_log("commissioning is open", 30, after)
    peer.close()
    assert "wifi" not in config_of(hub)
    assert hub.joined is None


def test_the_serial_link_and_commissioning_share_the_wire(town: Town) -> None:
    """A hub on a cable that lacks its Wi-Fi: the daemon's frames and the installer's, each to its own."""
    hub = fresh(town, config={"links": ["serial", "mqtt"]})
    with Cable(hub) as cable:
        assert cable.hello()
        cable.ask({"do": "status"}, "status")
        assert cable.trial(wifi=HOME, broker=BROKER)[-1]["step"] == "done"
        hub.wait_log(f"hub {hub.hub_id} boot 2", 30)
    assert config_of(hub)["links"] == ["serial", "mqtt"]


def test_trial_after_trial_does_not_keep_it_open(town: Town) -> None:
    """Whoever has the code holds up a hub's own network for ten minutes after a press, not longer."""
    config = {"wifi": ["gone", WORD], "broker": ["broker.lan", 1883, None, None]}
    hub = bare_hub(town, config=config, speed=40)
    with Cable(hub) as cable:
        hub.wait_log("lamp cannot_tell", 30)
        time.sleep(0.5)
        assert town.bench.press_watched(f"{hub.hub_id}/bed")
        hub.wait_log("commissioning is open", 30)
        assert cable.hello()
        end = time.monotonic() + 50
        while "commissioning is closed" not in hub.log():
            assert time.monotonic() < end
            cable.say({"do": "set", "wifi": ["nowhere", WORD], "broker": BROKER})
            cable.wait(0.02)
