"""The hub's GATT service: commissioning over the air, and the spare path of events; Bumble is the laptop."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest

from helpers_commissioning import CODE, Air, Ccm
from helpers_e2e import wait_for
from kanhu.install.firmware import build_files
from kanhu.sim import Bench
from kanhu.sim.hub import Hub
from kanhu.sim.net import AccessPoint
from kanhu.sim.sensors import parse_address
from kanhu_protocol import down, events, frame, seal
from kanhu_protocol import kinds as k

HUB = "k3v9m2x7qa"
KEY = bytes(range(100, 116))
WORD = "geheim geheim"
CALLER = "A4:C1:38:00:00:01"


@pytest.fixture
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("bench")) as bench:
        yield bench


def bare_hub(bench: Bench, **options: Any) -> Hub:
    hub = bench.add_hub(HUB, key=KEY, commission=CODE, wiring={"bed": 4}, **options)
    bench.access_points([AccessPoint("home", WORD), AccessPoint("cafe")])
    hub.wait_log("lamp cannot_tell", 30)
    return hub


def test_settings_over_the_air(bench: Bench) -> None:
    """With the smallest MTU as with a larger one: in pieces, all of it."""
    hub = bare_hub(bench)
    for mtu in (23, 247):
        air = Air(bench, hub, mtu=mtu)
        air.epoch += mtu
        air.connect()
        assert air.hello()
        assert air.open
        assert air.ask({"do": "status"}, "status")["link"] is False
        assert len(air.ask({"do": "scan"}, "scan", 20)["networks"]) == 2
        steps = air.trial(wifi=["home", "not the word"])
        assert steps[-1]["why"] == "wrong_password"
        air.leave()
    air = Air(bench, hub)
    air.epoch += 300
    air.connect()
    assert air.hello()
    air.say({"do": "set", "wifi": ["home", WORD]})
    while (step := air.until("step"))["step"] != "done":
        assert step["ok"]
    assert cbor2.loads(bytes(hub.nvs()["config"]))["wifi"] == ["home", WORD]
    air.leave()


def test_callers_are_heard_while_somebody_is_connected(bench: Bench) -> None:
    """The service is registered, advertised and in use; a caller on the air and the hub's own button call."""
    table = cbor2.dumps([1, [[7, 1, parse_address(CALLER), 0]]])
    kept = table + zlib.crc32(table).to_bytes(4, "little")
    hub = bare_hub(bench, files={**build_files(), "/data/devices": kept})
    bench.add_sensor("wall", "button", CALLER)
    air = Air(bench, hub)
    air.connect()
    assert air.hello()
    urgent = calls(hub)
    bench.press("wall")
    wait_for(lambda: calls(hub) == urgent + 1, 10, hub.log())
    assert air.ask({"do": "status"}, "status")
    assert bench.press_watched("bed")
    wait_for(lambda: calls(hub) == urgent + 2, 10, hub.log())
    air.leave()


def calls(hub: Hub) -> int:
    """P1 events on its flash."""
    return len([path for path in hub.flash_files() if path.startswith("/data/urgent/")])


def test_one_at_a_time_and_none_that_is_of_no_use(bench: Bench) -> None:
    """A connection that says nothing ends; each such keeps the next away for longer; the hub calls anyway."""
    hub = bare_hub(bench, speed=5)
    pauses = []
    for _ in range(4):
        air = Air(bench, hub)
        began = time.monotonic()
        air.connect(60)
        pauses.append(time.monotonic() - began)
        second = Air(bench, hub)
        with pytest.raises(TimeoutError):
            second.connect(0.5)  # nothing is advertised meanwhile
        wait_for(lambda air=air: not air.connected, 20, hub.log())
    assert pauses[3] > pauses[1]
    assert bench.press_watched("bed")
    hub.wait_log("lamp heard", 10)
    air = Air(bench, hub)
    air.connect(60)
    assert air.hello()
    for _ in range(9):
        air.say({"do": "status"}, bytes(16))
    air.ask({"do": "status"}, "status")
    air.say({"do": "status"}, bytes(16))  # the tenth wrong one
    wait_for(lambda: not air.connected, 20, hub.log())
    with pytest.raises(TimeoutError):
        Air(bench, hub).connect(3)
    assert bench.press_watched("bed")
    again = Air(bench, hub)
    again.connect(60)
    assert again.hello()


def test_rubbish_on_the_characteristic(bench: Bench) -> None:
    hub = bare_hub(bench)
    air = Air(bench, hub)
    air.connect()
    for data in (
        b"~" * 500,
        bytes(range(256)) * 10,
        frame.encode(200, b"x"),
        frame.encode(4, b""),
        b"\x03" * 20,
    ):
        air.send(data)
    assert air.hello()
    air.ask({"do": "status"}, "status")
    assert hub.boots == 1
    assert "Traceback" not in hub.log()
    air.leave()


class Host(Air):
    """A host on the spare path: takes sealed events, and says which it has stored."""

    def __init__(self, bench: Bench, hub: Hub) -> None:
        super().__init__(bench, hub)
        self.events: list[dict[int, Any]] = []
        self._key = Ccm(KEY)
        self._frames = frame.Decoder()

    def got(self, data: bytes) -> None:
        super().got(data)
        for kind, body in self._frames.feed(data):
            while kind == frame.UP and body:
                size = _first(body)
                sealed = seal.parse(body[:size])
                self.events.append(events.decode(sealed.open(self._key, HUB, seal.UP)))
                self.stored(sealed.a, sealed.b)
                body = body[size:]

    def stored(self, boot: int, seq: int) -> None:
        self.counter += 1
        plain = down.encode(k.STORED, {k.SINGLE: [[boot, seq]]})
        sealed = seal.seal(self._key, 1, HUB, seal.DOWN, self.boot, self.epoch, self.counter, plain)
        self.send(frame.encode(frame.DOWN, sealed))


def _first(body: bytes) -> int:
    for size in range(1, len(body) + 1):
        try:
            cbor2.loads(body[:size])
            return size
        except cbor2.CBORDecodeError:
            continue
    raise AssertionError(body)


def test_the_spare_path(bench: Bench) -> None:
    """Offered when no other link works, never else; a call goes out on it and its receipts come back."""
    config = {
        "links": ["mqtt", "ble"],
        "wifi": ["home", WORD],
        "broker": ["broker.lan", 1883, None, None],
        "pirs": [],
    }
    hub = bare_hub(bench, config=config)
    host = Host(bench, hub)
    host.connect(40)
    assert host.hello()
    assert not host.open  # that is another matter
    assert bench.press_watched("bed")
    end = time.monotonic() + 30
    while not [one for one in host.events if one[k.KIND] == k.CALL] and time.monotonic() < end:
        host.wait(0.1)
    kinds = [one[k.KIND] for one in host.events]
    assert k.CALL in kinds
    while "lamp stored" not in hub.log() and time.monotonic() < end:
        host.wait(0.1)
    hub.wait_log("lamp stored", 5)
    assert k.BOOT in kinds
    host.leave()
