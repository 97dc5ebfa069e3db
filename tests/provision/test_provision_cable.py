"""`kanhu provision` over the cable, as an installer runs it: what works, and what each trouble says."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers_cli import Kanhu, runner
from helpers_e2e import wait_for
from helpers_provision import WIFI, Boxed, boxed
from helpers_tls import Papers
from kanhu.install.code import code
from kanhu.install.provision import session
from kanhu.sim.town import BROKER_NAME, Town

REACH = 4  # simulated seconds per second: the hub's own time limits are what such a test waits for


@pytest.fixture
def kanhu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kanhu:
    monkeypatch.setenv("KANHU_WIFI_PASSWORD", WIFI[1])
    monkeypatch.setenv("LANG", "C.UTF-8")
    return runner(monkeypatch, capsys)


@pytest.fixture
def at(town: Town) -> Callable[..., list[str]]:
    """Options that name registry and port."""
    return lambda box: [box.hub_id, "--port", str(box.hub.tty), "--data-dir", str(town.daemon.data_dir)]


def in_service(box: Boxed) -> None:
    """Return once it has started anew with its new settings, and a host has answered."""
    wait_for(lambda: "lamp well" in box.hub.log().partition("boot 2, ")[2], 90, box.hub.log())


def test_from_the_box_to_a_home_in_service(town: Town, kanhu: Kanhu, at: Callable[..., list[str]]) -> None:
    box = boxed(town, speed=REACH)
    box.hub.wait_log("commissioning is open", 20)
    heard = kanhu("provision", *at(box), "--scan", "--json")
    assert heard.returncode == 0, heard.stderr
    assert [one["ssid"] for one in json.loads(heard.stdout)][:2] == ["home-2.4", "Home 24"]

    done = kanhu(
        "provision", *at(box), "--wifi", WIFI[0], "--broker", f"{BROKER_NAME}:1883",
        "--region", "cn/42/01/06/03", "--name", "王秀英", "--address", "Jiefang Dadao 7",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"hub {box.hub_id}, firmware ")
    assert lines[1] == "joining the network: ok (-58 dBm)"
    assert [line.partition(":")[0] for line in lines[2:]] == [
        "getting an address", "setting the clock", "reaching the broker", "an event stored by the host",
        "settings kept",
    ]  # fmt: skip
    town.registry.refresh()
    home = town.registry.home(box.home)
    assert (home.region, home.name) == ("cn/42/01/06/03", "王秀英")
    # The hub starts anew with what it was given, and calls.
    in_service(box)
    assert town.bench.press_watched(f"{box.hub_id}/bed")
    box.hub.wait_log("lamp stored", 30)
    # And it takes no other settings while it works.
    closed = kanhu("provision", *at(box), "--wifi", "Home 24")
    assert closed.returncode == 2
    assert "press its button" in closed.stderr


def test_every_trouble_of_a_home_in_one_sentence(
    town: Town, kanhu: Kanhu, at: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    box = boxed(town, speed=REACH)
    box.hub.wait_log("commissioning is open", 20)
    good = ["--broker", f"{BROKER_NAME}:1883"]

    def said(*options: str) -> str:
        done = kanhu("provision", *at(box), *options)
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stderr == ""
        *steps, sentence, kept = done.stdout.splitlines()
        assert steps[-1].endswith(("failed", "失败"))
        assert sentence.startswith("  ")
        assert kept in ("The hub keeps what it had.", "主机仍用原来的设置。")
        return sentence.strip()

    assert "no network 'home2.4'" in (text := said("--wifi", "home2.4", *good))
    assert "it sees 'home-2.4'" in text
    assert "no addresses" not in text
    assert said("--wifi", "no addresses", *good) == (
        "the network gives the hub no address: switch DHCP on in the router, or start the router again"
    )
    assert said("--wifi", WIFI[0], "--broker", "broker.nowhere:1883").startswith(
        "the network does not find the broker's name broker.nowhere:"
    )
    town.bench.route("silent.lan", 1883, "127.0.0.1", 9)
    assert said("--wifi", WIFI[0], "--broker", "silent.lan:1883").startswith(
        "nothing answers at silent.lan:1883:"
    )
    monkeypatch.setenv("KANHU_WIFI_PASSWORD", "a bad password")
    assert said("--wifi", WIFI[0], *good).startswith("network 'home-2.4' does not take this password:")
    assert said("--wifi", WIFI[0], *good, "--language", "zh").startswith("网络 'home-2.4' 的密码不对：")
    town.daemon.stop()
    monkeypatch.setenv("KANHU_WIFI_PASSWORD", "a good password")
    assert "no host has stored its event" in said("--wifi", "far away", *good)


def test_what_is_wrong_before_anything_is_sent(
    town: Town, kanhu: Kanhu, at: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ANSWER_S", 1.5)
    box, other = boxed(town, speed=REACH), boxed(town, power=False)
    box.hub.wait_log("commissioning is open", 20)
    tty = str(box.hub.tty)
    for words, expected in (
        ([box.hub_id, "--wifi", "x"], "say how the hub is reached"),
        (["--port", tty, "--wifi", "x"], "say which hub"),
        ([*at(box)], "give --wifi"),
        ([*at(box), "--wifi", "x", "--user", "y"], "--ca and --user go with --broker"),
        ([*at(box), "--wifi", "x" * 33], "a network's name has 1 to 32 bytes"),
        ([*at(box), "--wifi", "x", "--region", "China"], "region 'China': must be a path"),
        ([*at(box), "--wifi", "x", "--home", "0123456789"], "not known"),
        ([*at(other)[:1], *at(box)[1:], "--wifi", "x"], f"this is hub {box.hub_id}, not {other.hub_id}"),
        (["--code", "not a code", "--port", tty, "--wifi", "x"], "read it from the label again"),
        (["--code", code(bytes(16)), "--port", tty, "--wifi", "x"], "does not answer to this code"),
        (["--code", code(box.key), "--port", tty, "--wifi", "x", "--region", "cn"], "name the hub by its id"),
        (["--code", code(box.key), "--port", f"{tty}.not", "--wifi", "x"], "there is no such port"),
    ):
        done = kanhu("provision", *words)
        assert done.returncode == 2, (words, done)
        assert done.stderr.startswith("kanhu: ")
        assert expected in done.stderr, (words, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1
    # With the code alone, on a computer without registry: the broker that the hub has, if any.
    monkeypatch.setenv("KANHU_DATA_DIR", "/nowhere")
    done = kanhu("provision", "--code", code(box.key).lower(), "--port", tty, "--wifi", WIFI[0], "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, done
    assert (found["hub"], found["ok"]) == (box.hub_id, True)
    assert [step["step"] for step in found["steps"]][:2] == ["join", "address"]


def test_a_home_without_broadband_that_is_there_already(
    town: Town, kanhu: Kanhu, at: Callable[..., list[str]]
) -> None:
    home = town.registry.add_home("cn/42/01", name="王秀英")
    box = boxed(town, speed=REACH, power=False)
    modem = town.bench.add_modem(box.hub, sim="none")
    town.bench.power(box.hub)
    box.hub.wait_log("commissioning is open", 20)
    mobile = ["--network", "ppp", "--apn", "cmnet", "--broker", f"{BROKER_NAME}:1883"]
    done = kanhu("provision", *at(box), *mobile, "--home", home)
    assert done.returncode == 1, done
    assert "the modem finds no SIM card" in done.stdout
    modem.sim = "ready"  # put in
    done = kanhu("provision", *at(box), *mobile)
    assert done.returncode == 0, done
    assert "joining the network: ok (-77 dBm)" in done.stdout
    assert modem.apn == "cmnet"
    town.registry.refresh()
    assert [one.id for one in town.registry.homes()] == [home]
    assert town.registry.hub(box.hub_id).home == home
    assert town.registry.settings(box.hub_id)["network"] == "ppp"
    in_service(box)
    assert town.bench.press_watched(f"{box.hub_id}/bed")
    box.hub.wait_log("lamp stored", 60)
    wrong = kanhu("provision", *at(box), *mobile, "--home", town.registry.add_home("cn/43"))
    assert wrong.returncode == 2


class Refusing(socketserver.BaseRequestHandler):
    """A broker that takes nobody: CONNACK with code 5, not authorised (MQTT 3.1.1, 3.2.2.3)."""

    def handle(self) -> None:
        self.request.recv(1024)
        self.request.sendall(b"\x20\x02\x00\x05")


def test_a_broker_that_refuses_and_one_that_speaks_no_tls(
    town: Town, kanhu: Kanhu, at: Callable[..., list[str]], tmp_path: Path
) -> None:
    papers = Papers(tmp_path)
    box = boxed(town, speed=REACH)
    box.hub.wait_log("commissioning is open", 20)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        town.bench.route("refusing.lan", 1883, *server.server_address)
        refused = kanhu("provision", *at(box), "--wifi", WIFI[0], "--broker", "refusing.lan:1883")
        server.shutdown()
    assert refused.returncode == 1, refused
    assert f"the broker does not take the credential {box.hub_id}:" in refused.stdout
    secured = ["--wifi", WIFI[0], "--broker", f"{BROKER_NAME}:1883", "--ca", str(papers.ca_file)]
    timeless = kanhu("provision", *at(box), *secured)
    assert timeless.returncode == 2
    assert "needs the time before it can judge a certificate" in timeless.stderr
    town.bench.serve_time("time.lan")
    town.registry.set_settings(box.hub_id, {**town.registry.settings(box.hub_id), "ntp": ["time.lan", 123]})
    plain = kanhu("provision", *at(box), *secured)
    assert plain.returncode == 1, plain
    assert "setting the clock: ok" in plain.stdout
    assert "the broker's certificate does not convince the hub (" in plain.stdout
