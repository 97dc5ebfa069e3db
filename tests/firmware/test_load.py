"""The shipped firmware in 256 kB: 10,000 events, and a minute of crowded air in which an elder presses."""

from __future__ import annotations

import random
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import serial

from kanhu.aead import AesCcm
from kanhu.install.firmware import build_files
from kanhu.sim import Bench
from kanhu.sim.sensors import Advert
from kanhu_protocol import cbor, down, events, frame, kinds, seal

HUB = "hub0000001"
KEY = bytes(range(16))
HEAP = 256 * 1024
FREE_MIN = 123 * 1024  # bytes free in it at least, were there no stand-ins for the chip
EVENTS = 10_000
SECONDS = 60
PER_SECOND, STRANGERS = 500, 200
PRESSES = 20
WRAP_AFTER_MS = 20_000  # ESP32 ticks wrap at 2^30 ms
PAIRED = "a4:c1:38:00:00:01"
IN_FLIGHT = 32  # pings not yet answered
CONFIG = {"links": ["serial"], "heartbeat": 5, "lamp": 2, "buttons": [[1, 4, None]], "pirs": [[2, 13]]}
BEFORE = "import gc\ngc.collect()\nprint('heap', 'stand-ins', gc.mem_alloc())\n"
# What the hub has loaded once it runs: the rest of its start is dropped again.
CODE = """import gc
import kanhu_hub.board.nvs, kanhu_hub.board.radio, kanhu_hub.board.console
import kanhu_hub.inputs.call_button, kanhu_hub.inputs.pir, kanhu_hub.inputs.advertisements
import kanhu_hub.app, kanhu_hub.links.serial
gc.collect()
print('heap', 'code', gc.mem_alloc())
"""


class Host(threading.Thread):
    """A host on the hub's cable: stores what comes, at once, and asks for an answer after an answer."""

    def __init__(self, tty: Path) -> None:
        super().__init__(daemon=True)
        self.port = serial.Serial(str(tty), 115200, timeout=0.02)
        self.decoder = frame.Decoder()
        self.heard: dict[tuple[int, int], dict[int, Any]] = {}
        self.pressed = 0  # presses told, of every call event once
        self.beats: list[dict[int, Any]] = []
        self.times: list[float] = []  # when the nth press was told
        self.done = self.asked = self.counter = 0
        self.asking = self.ending = False
        self.failed: BaseException | None = None

    def say(self, kind: int, fields: dict[int, Any]) -> None:
        self.counter += 1
        sealed = seal.seal(AesCcm(KEY), 1, HUB, seal.DOWN, 1, 1000, self.counter, down.encode(kind, fields))
        self.port.write(frame.encode(frame.DOWN, sealed))

    def run(self) -> None:
        try:
            self.port.write(frame.encode(frame.HELLO, cbor.dumps({0: 1})))
            while not self.ending:
                for kind, body in self.decoder.feed(self.port.read(4096)):
                    if kind == frame.UP:
                        self._take(body)
                while self.asking and self.asked < EVENTS and self.asked - self.done < IN_FLIGHT:
                    self.asked += 1
                    self.say(kinds.PING, {kinds.NUMBER: self.asked})
        except BaseException as error:
            self.failed = error

    def _take(self, body: bytes) -> None:
        names = []
        for raw in cbor.split_sequence(body):
            message = seal.parse(raw)
            name = message.a, message.b
            names.append(list(name))
            if name in self.heard:
                continue
            event = events.decode(message.open(AesCcm(KEY), HUB, seal.UP))
            self.heard[name] = {kinds.KIND: event[kinds.KIND]}
            if event[kinds.KIND] == kinds.CALL:
                for _ in range(event.get(kinds.COUNT, 1)):
                    self.times.append(time.monotonic())
            elif event[kinds.KIND] == kinds.HEARTBEAT:
                self.beats.append(event)
            self.done += event[kinds.KIND] == kinds.COMMAND_DONE
        self.say(kinds.STORED, {kinds.SINGLE: names})

    def wait(self, what: str, reached: Any, timeout: float) -> None:
        end = time.monotonic() + timeout
        while not reached():
            assert not self.failed, self.failed
            assert time.monotonic() < end, f"{what}: {self.done} answered, {len(self.times)} presses told"
            time.sleep(0.01)


def stranger(number: int, rng: random.Random) -> Advert:
    """Somebody else's beacon, of any length and content."""
    return Advert(b"\xd0\x00\x00\x00\x00" + bytes((number,)), -80, rng.randbytes(rng.randint(0, 31)))


@pytest.mark.timeout(300)
def test_a_minute_of_crowded_air_and_ten_thousand_events(tmp_path: Path) -> None:
    files = build_files()
    files["/boot.py"] = BEFORE.encode() + files["/boot.py"]
    files["/main.py"] = CODE.encode() + files["/main.py"]
    rng = random.Random(1)
    with Bench(tmp_path / "bench") as bench:
        hub = bench.add_hub(
            HUB, config=CONFIG, key=KEY, files=files, heap="256k", tick_start=(1 << 30) - WRAP_AFTER_MS
        )
        began = time.monotonic()
        host = Host(hub.tty)
        host.start()
        try:
            host.wait("start", lambda: host.heard, 15)
            table = [[7, 1, bytes.fromhex(PAIRED.replace(":", "")), 0]]
            host.say(kinds.DEVICES, {kinds.NUMBER: 99_999, kinds.VERSION_OF: 1, kinds.TABLE: table})
            host.wait("device table", lambda: host.done == 1, 10)
            host.done = 0
            bench.add_sensor("pendant", "button", PAIRED)
            host.wait("heartbeat", lambda: len(host.beats) >= 2, 20)
            quiet, sent_before = len(host.beats), bench._air.sent
            host.asking = True
            late = []
            start = time.monotonic()
            for tick in range(SECONDS * 50):
                for _ in range(PER_SECOND // 50):
                    bench.advertise(stranger(rng.randrange(STRANGERS), rng))
                if tick % (SECONDS * 50 // PRESSES) == 75:
                    late.append(time.monotonic())
                    bench.press("pendant")
                time.sleep(max(0.0, start + (tick + 1) / 50 - time.monotonic()))
            took = time.monotonic() - start
            sent = bench._air.sent - sent_before
            host.wait("presses", lambda: len(host.times) >= PRESSES, 2)
            in_time = host.done
            host.wait("events", lambda: host.done >= EVENTS, 180)  # a busy machine takes longer
            # On a busy machine a full pty cuts frames: what was sent in vain is said again after a hello.
            host.port.write(frame.encode(frame.HELLO, cbor.dumps({0: 1})))
            host.wait("every event", lambda: len(host.heard) > max(seq for _, seq in list(host.heard)), 60)
            more = len(host.beats) + 2
            host.wait("last heartbeats", lambda: len(host.beats) >= more, 20)
        finally:
            host.ending = True
            host.join()
            host.port.close()
        log = hub.log()
    assert not host.failed
    heap = {name: int(size) for name, size in re.findall(r"^heap (\S+) (\d+)\s*$", log, re.MULTILINE)}
    counted = sum(beat[kinds.RADIO][1] for beat in host.beats[quiet:])
    free = [beat[kinds.HEAP][0] for beat in host.beats]
    delays = [told - pressed for pressed, told in zip(late, host.times, strict=True)]
    stand_ins, code = heap["stand-ins"], heap["code"] - heap["stand-ins"]
    data = HEAP - free[0] - stand_ins - code
    print(f"heap of {HEAP}: {stand_ins} stand-ins, {code} code, {data} data and overhead")
    print(f"free after collection: {free[0]} at first, {min(free)} at least, {free[-1]} at last")
    print(f"advertisements: {sent} in {took:.1f} s, {counted} counted, {hub.adverts_lost} lost on the way in")
    overflows = host.beats[-1].get(kinds.FAULTS, [0, 0, 0])[1]
    print(f"radio slots that were full: {overflows}")
    print(f"events: {len(host.heard)}, {host.done} of them answers, {in_time} in that minute")
    print(f"up for {time.monotonic() - began:.0f} s; ticks wrapped {WRAP_AFTER_MS // 1000} s after the start")
    print(f"presses: {len(host.times)} told, the slowest after {max(delays) * 1000:.0f} ms")
    print(f"the slowest tenth of them: {sorted(round(delay * 1000) for delay in delays)[-2:]} ms")
    assert "MemoryError" not in log
    assert hub.boots == 1
    assert host.done == EVENTS
    assert {name[0] for name in host.heard} == {1}
    assert sorted(name[1] for name in host.heard) == list(range(len(host.heard)))  # none lost, none twice
    assert len(host.times) == PRESSES
    assert all(0 <= delay < 1 for delay in delays)
    assert counted >= 0.99 * sent
    assert sent > 0.98 * PER_SECOND * SECONDS
    assert min(free[2:]) + stand_ins >= FREE_MIN
    assert free[-1] > free[quiet] - 4096, free  # no growth
