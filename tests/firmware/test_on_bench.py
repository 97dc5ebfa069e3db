"""The hub's board room on the simulated chip: console, Wi-Fi, SNTP, radio, NVS, watchdog, resets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
import serial

from helpers_broker import NatsBroker
from kanhu.aead import AesCcm
from kanhu.install.firmware import build_files
from kanhu.sim import Bench, Hub
from kanhu_protocol import cbor, down, events, frame, kinds, seal

HUB = "hub0000001"
KEY = bytes(range(16))
SERIAL_ONLY = {"links": ["serial"], "heartbeat": 5, "lamp": 2, "buttons": [[1, 4, None]], "pirs": [[2, 13]]}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "bench") as bench:
        yield bench


class Wire:
    """The host's end of a hub's console."""

    def __init__(self, hub: Hub) -> None:
        self.port = serial.Serial(str(hub.tty), 115200, timeout=0.05)
        self.decoder = frame.Decoder()
        self.heard: dict[tuple[int, int], dict[int, Any]] = {}
        self.say(frame.encode(frame.HELLO, cbor.dumps({0: 1})))

    def say(self, data: bytes) -> None:
        self.port.write(data)

    def wait(self, wanted: Callable[[tuple[int, int], dict[int, Any]], bool], timeout: float = 15.0) -> None:
        end = time.monotonic() + timeout
        while not any(wanted(name, event) for name, event in self.heard.items()):
            assert time.monotonic() < end, self.heard
            for kind, body in self.decoder.feed(self.port.read(4096)):
                if kind == frame.HELLO and 32 in cbor.loads(body):
                    self.say(frame.encode(frame.HELLO, cbor.dumps({0: 1})))
                if kind == frame.UP:
                    for raw in cbor.split_sequence(body):
                        message = seal.parse(raw)
                        plain = message.open(AesCcm(KEY), HUB, seal.UP)
                        self.heard[message.a, message.b] = events.decode(plain)


def stop(hub: Hub, wire: Wire) -> None:
    """Ctrl-C; once more where the unix port raised it inside the collector, which an ESP32 never does."""
    for _ in range(3):
        begin = hub.log_position()
        wire.say(b"\x03")
        try:
            hub.wait_log("kanhu: stopped", 3, begin)
            return
        except TimeoutError:
            hub.wait_log("soft reboot", 3, begin)
            hub.wait_log("lamp cannot_tell", 10, begin)
    raise AssertionError("Ctrl-C does not stop the hub")


def test_ctrl_c_leaves_a_prompt_and_ctrl_d_brings_the_hub_back(bench: Bench) -> None:
    hub = bench.add_hub(HUB, config=SERIAL_ONLY, key=KEY, wiring={"bedroom": 4})
    wire = Wire(hub)
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.BOOT)
    stop(hub, wire)
    hub.wait_log("kanhu: stopped; the watchdog starts the hub again in 30 s, Ctrl-D does now")
    hub.wait_log("to stay longer: import machine; machine.WDT(timeout=3600000)")
    wire.say(b"\r\nprint(6 * 7)\r\n")
    hub.wait_log("42")
    wire.say(b"\x04")
    wire.wait(lambda name, event: name[0] > 1 and event.get(kinds.RESET) == 5)
    bench.press("bedroom")
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.CALL)


def test_watchdog_brings_back_a_hub_that_was_left_at_the_prompt(bench: Bench) -> None:
    hub = bench.add_hub(HUB, config=SERIAL_ONLY, key=KEY, speed=100)
    hub.wait_log("lamp cannot_tell")
    wire = Wire(hub)
    stop(hub, wire)
    wire.wait(lambda name, event: name[0] > 1 and event[kinds.KIND] == kinds.BOOT and event[kinds.RESET] == 3)
    assert hub.watchdog_resets == 1


@pytest.mark.parametrize("missing", ["kanhu_hub/app", "kanhu_hub/board/radio"])
def test_a_hub_that_cannot_be_imported_starts_again(bench: Bench, missing: str) -> None:
    firmware = build_files()
    del firmware[f"/a/{missing}.mpy"]
    hub = bench.add_hub(HUB, config=SERIAL_ONLY, key=KEY, speed=20, files=firmware)
    hub.wait_log("ImportError")
    end = time.monotonic() + 30
    while hub.boots < 3:
        assert time.monotonic() < end, hub.log()
        time.sleep(0.05)


def test_power_cut_keeps_what_was_heard(bench: Bench) -> None:
    hub = bench.add_hub(HUB, config=SERIAL_ONLY, key=KEY, wiring={"bedroom": 4})
    hub.wait_log("lamp cannot_tell")  # a press that is over before the hub has started is seen by nobody
    bench.press("bedroom")
    bench.wait_indicator(hub, "heard")
    bench.cut_power(hub)
    files = hub.flash_files()
    assert [path for path in files if path.startswith("/data/urgent/")]
    assert hub.nvs()["boot"] == 1
    bench.power(hub)
    bench.wait_indicator(hub, "unanswered")
    wire = Wire(hub)
    wire.wait(lambda name, event: name[0] == 1 and event[kinds.KIND] == kinds.CALL)
    wire.wait(lambda name, event: name == (2, 0) and event[kinds.PREVIOUS][0] == 1)


def test_wifi_sntp_and_mqtt(bench: Bench, tmp_path: Path) -> None:
    arrived: list[tuple[str, bytes]] = []
    with NatsBroker(tmp_path / "broker") as broker:
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, "host")
        client.on_message = lambda _client, _data, message: arrived.append((message.topic, message.payload))
        client.on_connect = lambda *_: client.subscribe("kanhu/1/hubs/+/#", 1)
        client.connect(broker.host, broker.port)
        client.loop_start()
        bench.route("broker.example", 1883, broker.host, broker.port)
        bench.serve_time("time.example", 123, 3600.0)
        config = {
            **SERIAL_ONLY,
            "links": ["serial", "mqtt"],
            "wifi": ["home", "secret"],
            "broker": ["broker.example", 1883, None, None],
            "ntp": ["time.example", 123],
        }
        hub = bench.add_hub(HUB, config=config, key=KEY, wiring={"bedroom": 4})
        wire = Wire(hub)
        try:
            wire.wait(lambda name, event: event[kinds.KIND] == kinds.CLOCK_SET and event[kinds.CLOCK] == 1)
            ahead = [event[kinds.UTC_MS] for event in wire.heard.values() if kinds.UTC_MS in event]
            assert ahead
            assert all(abs(utc_ms / 1000 - time.time() - 3600) < 30 for utc_ms in ahead)
            bench.press("bedroom")
            wire.wait(lambda name, event: event[kinds.KIND] == kinds.CALL)
            end = time.monotonic() + 15
            while f"kanhu/1/hubs/{HUB}/up/p1" not in [topic for topic, _ in arrived]:
                assert time.monotonic() < end, arrived
                time.sleep(0.05)
        finally:
            client.loop_stop()
            client.disconnect()
    assert (f"kanhu/1/hubs/{HUB}/availability", b"online") in arrived


def test_radio_hears_a_caller_of_the_device_table(bench: Bench) -> None:
    hub = bench.add_hub(HUB, config=SERIAL_ONLY, key=KEY)
    bench.add_sensor("pendant", "button", "a4:c1:38:00:00:01")
    bench.add_sensor("stranger", "button", "a4:c1:38:00:00:02")
    wire = Wire(hub)
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.BOOT)
    table = [[7, 1, bytes.fromhex("a4c138000001"), 0]]
    plain = down.encode(kinds.DEVICES, {kinds.NUMBER: 1, kinds.VERSION_OF: 1, kinds.TABLE: table})
    wire.say(frame.encode(frame.DOWN, seal.seal(AesCcm(KEY), 1, HUB, seal.DOWN, 1, 1000, 1, plain)))
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.COMMAND_DONE)
    bench.press("stranger")
    bench.press("pendant")
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.CALL)
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.HEARTBEAT and event[kinds.RADIO][1] > 0)
    calls = [event for event in wire.heard.values() if event[kinds.KIND] == kinds.CALL]
    assert [event[kinds.DEVICE] for event in calls] == [7]


def test_a_pre_alarm_is_shown_and_cancelled_by_its_key(bench: Bench) -> None:
    config = {**SERIAL_ONLY, "pirs": [], "cancel": 6}
    hub = bench.add_hub(HUB, config=config, key=KEY, wiring={"bedroom": 4})
    wire = Wire(hub)
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.BOOT)
    asked = {kinds.NUMBER: 1, kinds.ALARM_NAME: [1790000000, 4], kinds.ASK_MS: 600_000, kinds.ASK_KIND: 32}
    plain = down.encode(kinds.ASK, asked)
    wire.say(frame.encode(frame.DOWN, seal.seal(AesCcm(KEY), 1, HUB, seal.DOWN, 1, 1000, 1, plain)))
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.COMMAND_DONE)
    assert bench.wait_indicator(hub, "asking").english == "are you well? press the cancel key"
    bench.cancel(hub)
    wire.wait(
        lambda name, event: (
            event[kinds.KIND] == kinds.PRE_ALARM_CANCELLED and event[kinds.ALARM] == [1790000000, 4]
        )
    )
    bench.wait_indicator(hub, "well")
    assert kinds.CALL not in {event[kinds.KIND] for event in wire.heard.values()}
    assert not bench.presses


def test_an_unplugged_pir_is_a_fault_and_a_mended_one_moves_again(bench: Bench) -> None:
    config = {**SERIAL_ONLY, "buttons": [], "pir_warm_up": 0, "proof": 0, "heartbeat": 3600}
    hub = bench.add_hub(HUB, config=config, key=KEY, wiring={"hall-pir": 13}, speed=200)
    wire = Wire(hub)
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.BOOT)
    bench.unplug("hall-pir")
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.CONTACT_STUCK and event[kinds.DEVICE] == 2, 60)
    before = len([event for event in wire.heard.values() if event[kinds.KIND] == kinds.MOTION])
    assert before <= 1  # the edge
    bench.plug("hall-pir")
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.CONTACT_RELEASED, 60)
    bench.motion("hall-pir", 40)
    wire.wait(
        lambda name, event: event[kinds.KIND] == kinds.MOTION and event[kinds.UP_MS] > 900_000,
        60,
    )


def test_everything_fits_with_room_for_tls(bench: Bench) -> None:
    # Objects are about twice the ESP32's size here, and the stand-ins take their share: 256k is tight.
    config = {
        **SERIAL_ONLY,
        "links": ["serial", "mqtt"],
        "wifi": ["home", "x"],
        "broker": ["b.example", 1, None, None],
    }
    hub = bench.add_hub(HUB, config=config, key=KEY, wiring={"bedroom": 4}, heap="256k")
    wire = Wire(hub)
    hub.wait_log("lamp cannot_tell")
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.HEARTBEAT)
    free, largest = next(event[kinds.HEAP] for event in wire.heard.values() if kinds.HEAP in event)
    assert free > 32768
    assert largest > 24576
    bench.press("bedroom")  # nobody has answered it yet: its press opens commissioning too
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.CALL)
    wire.heard.clear()
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.HEARTBEAT)
    free, largest = next(event[kinds.HEAP] for event in wire.heard.values() if kinds.HEAP in event)
    assert free > 16384
    assert largest > 8192


def test_hub_without_key_says_what_to_do(bench: Bench) -> None:
    hub = bench.add_hub(HUB, config=SERIAL_ONLY, key=b"")
    hub.wait_log("kanhu: not provisioned: see docs/wiring.md")
    wire = Wire(hub)
    wire.say(b"\r\nprint(6 * 7)\r\n")
    hub.wait_log("42")
    assert hub.nvs().get("boot") is None


DEAD = {
    "hangs": b"def main():\n    while True:\n        pass\n",
    "ends": b"def main():\n    raise RuntimeError('this one does not start')\n",
    "torn": b"",  # has no program at all
}


@pytest.mark.parametrize("release", sorted(DEAD))
def test_a_release_that_does_not_live_is_taken_back(bench: Bench, release: str) -> None:
    """boot.py and the watchdog alone: nothing of the new release helps."""
    files = build_files()
    if DEAD[release]:
        files["/b/kanhu_hub/app.py"] = DEAD[release]
    files["/b/manifest"] = b"KFW1"  # whole, as far as boot.py looks
    hub = bench.add_hub(
        HUB, config=SERIAL_ONLY, key=KEY, wiring={"bedroom": 4}, files=files, speed=10, power=False
    )
    hub._nvs.open("kanhu")
    hub._nvs.set("kanhu", "slot", 1 | 2 << 2)  # a is permanent, b on trial
    hub._nvs.commit("kanhu")
    bench.power(hub)
    wire = Wire(hub)
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.UPDATE_FAILED and event[kinds.DETAIL] == 5, 60)
    assert hub.boots == 4
    (boot,) = [event for event in wire.heard.values() if event[kinds.KIND] == kinds.BOOT]
    assert kinds.SLOT not in boot
    bench.press("bedroom")
    wire.wait(lambda name, event: event[kinds.KIND] == kinds.CALL)
    assert hub.nvs()["slot"] & 0xFFF == 1 | 4 << 8
