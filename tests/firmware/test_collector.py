"""The collector on the simulated hub: monitors with realistic manners, and the host's end of the cable."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
from bumble import att
from bumble.core import UUID
from bumble.gatt import Characteristic, Service

from kanhu.aead import AesCcm
from kanhu.sim import Bench
from kanhu_protocol import cbor, down, events, frame, kinds, names, seal

HUB = "hub0000001"
KEY = bytes(range(16))
CONFIG = {"links": ["serial"], "heartbeat": 300, "lamp": 2, "buttons": [[1, 4, None]], "proof": 0}
ZONE_S = 8 * 3600
PENDANT = "a4:c1:38:00:00:01"
ROLES = {name: number for number, name in names.ROLES.items()}
BOND_LOST, REFUSED, GAVE_NOTHING = 1, 2, 3
SYSTOLIC, DIASTOLIC, PULSE = 150021, 150022, 149546
CUFF = "F0:F1:F2:F3:F4:0B"


def address(kind: str) -> str:
    return f"F0:F1:F2:F3:F4:{ROLES[kind]:02X}"


class Home:
    """A hub on a bench, and the host's end of its cable."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder)

    def __enter__(self) -> Home:
        self.bench.__enter__()
        self.hub = self.bench.add_hub(HUB, config=CONFIG, key=KEY)
        self.port = serial.Serial(str(self.hub.tty), 115200, timeout=0.02)
        self.events: dict[tuple[int, int], dict[int, Any]] = {}
        self.version = self._number = 0
        self._decoder = frame.Decoder()
        self.hello()
        return self

    def __exit__(self, *error: object) -> None:
        self.port.close()
        self.bench.__exit__(None, None, None)

    def hello(self) -> None:
        self.port.write(frame.encode(frame.HELLO, cbor.dumps({0: 1})))
        boots = len(self.of(kinds.BOOT))
        self.until(lambda: len(self.of(kinds.BOOT)) > boots)

    def restart(self, **files: bytes) -> None:
        """A power cut; meanwhile files on its flash (by the end of their names) are replaced."""
        self.bench.cut_power()
        if files:
            from kanhu.sim import flash

            image = self.hub._flash_image
            flash.install(image, {**flash.read(image), **{f"/data/devices.{n}": d for n, d in files.items()}})
        self.bench.power()
        self.hello()

    def poll(self) -> None:
        names: list[list[int]] = []
        for kind, body in self._decoder.feed(self.port.read(4096)):
            if kind == frame.HELLO and 32 in cbor.loads(body):
                self.port.write(frame.encode(frame.HELLO, cbor.dumps({0: 1})))
            if kind == frame.UP:
                for raw in cbor.split_sequence(body):
                    message = seal.parse(raw)
                    plain = message.open(AesCcm(KEY), HUB, seal.UP)
                    self.events[message.a, message.b] = events.decode(plain)
                    names.append([message.a, message.b])
        if names:
            self.say(kinds.STORED, {kinds.SINGLE: names})

    def say(self, kind: int, fields: dict[int, Any]) -> None:
        self._number += 1
        boot = max(name[0] for name in self.events)
        plain = down.encode(kind, fields)
        sealed = seal.seal(AesCcm(KEY), 1, HUB, seal.DOWN, boot, 1000, self._number, plain)
        self.port.write(frame.encode(frame.DOWN, sealed))

    def command(self, kind: int, fields: dict[int, Any]) -> None:
        number = self._number + 1
        again = 0.0

        def done() -> bool:
            nonlocal again
            if time.monotonic() > again:  # on a busy machine a full pty cuts frames
                again = time.monotonic() + 4
                self.port.write(frame.encode(frame.HELLO, cbor.dumps({0: 1})))
                self.say(kind, {kinds.NUMBER: number, **fields})
            return any(event.get(kinds.COMMAND) == number for event in self.events.values())

        self.until(done)

    def pair(self, *table: list[Any]) -> None:
        self.version += 1
        rows = [[row[0], row[1], bytes.fromhex(row[2].replace(":", "")), 0] for row in table]
        fields = {kinds.VERSION_OF: self.version, kinds.TABLE: rows, kinds.ZONE_S: ZONE_S}
        self.command(kinds.DEVICES, fields)

    def set_clock(self) -> None:
        number = self._number + 1
        self.say(kinds.TIME, {kinds.NUMBER: number, kinds.TIME_MS: int(time.time() * 1000)})
        self.until(lambda: self.of(kinds.CLOCK_SET))

    def of(self, *wanted: int, device: int | None = None) -> list[dict[int, Any]]:
        found = [event for _, event in sorted(self.events.items()) if event[kinds.KIND] in wanted]
        return [event for event in found if device in (None, event.get(kinds.DEVICE))]

    def vitals(self, device: int | None = None) -> list[dict[int, Any]]:
        return self.of(kinds.VITALS, kinds.VITALS_INVALID, device=device)

    def until(self, reached: Any, timeout: float = 20.0) -> None:
        end = time.monotonic() + timeout
        while not reached():
            assert time.monotonic() < end, (list(self.events.values())[-12:], self.hub.log()[-1500:])
            self.poll()

    def during(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.poll()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with Home(tmp_path / "bench") as home:
        yield home


# What is measured, and what the event must hold: (code, value, exponent).
MEASURED: dict[str, tuple[dict[str, Any], list[tuple[int, float]]]] = {
    "blood_pressure": (
        {"systolic": 128, "diastolic": 79, "pulse": 64, "user": 1, "status": 4},
        [(SYSTOLIC, 128), (DIASTOLIC, 79), (PULSE, 64)],
    ),
    "heart_rate": ({"pulse": 71, "seconds": 4}, [(147842, 71)]),
    "pulse_oximeter": ({"spo2": 96, "pulse": 66}, [(150456, 96), (149530, 66)]),
    "thermometer": ({"temperature": 36.7}, [(150364, 36.7)]),
    "weight_scale": ({"weight": 61.5}, [(188736, 61.5)]),
    "glucose": ({"glucose": 104}, []),
}


def said(event: dict[int, Any]) -> list[tuple[int, float]]:
    return [
        (code, pytest.approx(value * 10.0**exponent)) for code, value, exponent, *_ in event[kinds.VALUES]
    ]


def test_six_monitors_at_once_deliver_while_calls_keep_their_latency_and_a_restart_needs_no_pairing(
    home: Home,
) -> None:
    bench = home.bench
    home.set_clock()
    bench.add_sensor("pendant", "button", PENDANT)
    for kind in MEASURED:
        bench.monitor(kind, address(kind), clock_offset_s=-90.0, advertise_s=60.0)
    table = [[1, 1, PENDANT], *([ROLES[kind], ROLES[kind], address(kind)] for kind in MEASURED)]
    home.pair(*table)
    for again in (False, True):
        if again:
            home.restart()
            home.set_clock()
        before = len(home.vitals())
        for kind, (fields, _) in MEASURED.items():
            bench.measure(kind, **fields)
        delays = []
        for _ in range(3):
            home.during(0.7)
            calls = sum(call.get(kinds.COUNT, 1) for call in home.of(kinds.CALL))
            pressed = time.monotonic()
            bench.press("pendant")
            home.until(lambda n=calls: sum(c.get(kinds.COUNT, 1) for c in home.of(kinds.CALL)) > n, 5)
            delays.append(time.monotonic() - pressed)
        assert max(delays) < 1, delays
        home.until(lambda n=before: {e[kinds.DEVICE] for e in home.vitals()[n:]} == set(range(11, 17)), 40)
        for kind, (_, expected) in MEASURED.items():
            event = home.vitals(ROLES[kind])[-1]
            assert event[kinds.KIND] == kinds.VITALS
            assert event[kinds.BATTERY] == 90
            assert all(pair in said(event) for pair in expected), (kind, event)
    for kind in MEASURED:
        assert bench.monitors[kind].count("bonded") == 1, kind
    first, second = home.vitals(ROLES["blood_pressure"])
    assert -92 <= first[kinds.CLOCK_OFFSET_S] + ZONE_S <= -88
    assert abs(second[kinds.CLOCK_OFFSET_S]) <= 2  # its clock was set
    assert abs(second[kinds.MEASURED_S] - ZONE_S - time.time()) < 60
    assert (first[kinds.USER], first[kinds.STATUS]) == (1, 4)
    assert not home.of(kinds.MONITOR_FAULT)


def test_a_cuff_that_gives_ten_seconds_and_its_error_reading(home: Home) -> None:
    home.bench.monitor("blood_pressure", CUFF, name="cuff", awake_s=10.0, asks_for_security=True)
    home.pair([3, ROLES["blood_pressure"], CUFF])
    home.bench.measure("cuff", systolic="NaN", diastolic="NaN", pulse="NaN")
    home.until(lambda: home.vitals(3))
    (event,) = home.vitals(3)
    assert event[kinds.KIND] == kinds.VITALS_INVALID
    assert [SYSTOLIC, 1] in event[kinds.INVALID]
    assert kinds.VALUES not in event
    assert kinds.CLOCK_OFFSET_S not in event  # nobody has told the hub the time


def test_a_link_lost_in_mid_indication_gives_the_measurement_once_and_no_fault(home: Home) -> None:
    home.bench.monitor("blood_pressure", CUFF, name="cuff", drops=2, hangs_up_paired=True)
    home.pair([3, ROLES["blood_pressure"], CUFF])
    home.bench.measure("cuff", systolic=131, diastolic=84)
    home.bench.wait_monitor("cuff", "confirmed", timeout=30)
    home.during(1)
    (event,) = home.vitals(3)
    assert [SYSTOLIC, 131, 0] in event[kinds.VALUES]
    assert not home.of(kinds.MONITOR_FAULT)


def test_a_bond_the_hub_has_lost_is_a_fault_said_once_and_scanning_goes_on(home: Home) -> None:
    bench = home.bench
    cuff = bench.monitor("blood_pressure", CUFF, name="cuff", pairs="once")
    thermometer = address("thermometer")
    bench.monitor("thermometer", thermometer)
    home.pair([3, ROLES["blood_pressure"], CUFF], [4, ROLES["thermometer"], thermometer])
    bench.measure("cuff")
    home.until(lambda: home.vitals(3))
    home.restart(bonds=b"")
    bench.measure("cuff")
    home.until(lambda: home.of(kinds.MONITOR_FAULT))
    bench.measure("thermometer")
    home.until(lambda: home.vitals(4))
    home.during(4)
    (fault,) = home.of(kinds.MONITOR_FAULT)
    assert (fault[kinds.DEVICE], fault[kinds.DETAIL]) == (3, BOND_LOST)
    assert cuff.count("connected") <= 5  # no loop
    # Put right: the family holds the cuff's key for pairing.
    bench.wake("cuff", pairing=True)
    home.until(lambda: home.of(kinds.MONITOR_OK), 40)
    assert len(home.vitals(3)) == 2


def test_a_monitor_that_has_lost_its_bond_or_another_host(home: Home) -> None:
    bench = home.bench
    for name, kind in (("forgetful", "thermometer"), ("taken", "weight_scale")):
        bench.monitor(kind, address(kind), name=name, pairs="once")
    bench.run(bench.monitors["taken"].bond_elsewhere())
    home.pair(*([ROLES[kind], ROLES[kind], address(kind)] for kind in ("thermometer", "weight_scale")))
    bench.measure("forgetful")
    bench.wait_monitor("forgetful", "asleep")
    bench.run(bench.monitors["forgetful"].forget())
    bench.measure("forgetful")
    bench.measure("taken")
    home.until(lambda: len(home.of(kinds.MONITOR_FAULT)) == 2)
    faults = {event[kinds.DEVICE]: event[kinds.DETAIL] for event in home.of(kinds.MONITOR_FAULT)}
    assert faults == {ROLES["thermometer"]: BOND_LOST, ROLES["weight_scale"]: REFUSED}
    # Put right: while pairing is open, the hub lets the old key go.
    home.command(kinds.PAIR, {kinds.PAIR_MS: 60_000})
    bench.wake("taken", pairing=True)
    bench.wake("forgetful", pairing=True)
    home.until(lambda: len(home.of(kinds.MONITOR_OK)) == 2, 40)


def test_what_leaves_the_table_is_forgotten_with_its_bond(home: Home) -> None:
    cuff = home.bench.monitor("blood_pressure", CUFF, name="cuff")
    secret = bytes(reversed(bytes.fromhex(CUFF.replace(":", ""))))
    home.pair([3, ROLES["blood_pressure"], CUFF])
    home.bench.measure("cuff")
    home.until(lambda: home.vitals(3))
    home.until(lambda: secret in home.hub.flash_files()["/data/devices.bonds"])
    home.pair()
    home.until(lambda: secret not in home.hub.flash_files()["/data/devices.bonds"])
    home.bench.measure("cuff")
    home.during(3)
    assert len(home.vitals()) == 1
    home.restart()
    assert "/data/devices.bonds" not in home.hub.flash_files()
    home.pair([5, ROLES["blood_pressure"], CUFF])
    home.until(lambda: home.vitals(5))
    assert cuff.count("bonded") == 2


def test_one_that_hangs_costs_itself_only(home: Home) -> None:
    value = Characteristic("2A1C", Characteristic.Properties.INDICATE, Characteristic.Permissions(0))
    device = home.bench.add_peripheral(
        "mute",
        "F0:F1:F2:F3:F4:0A",
        lambda one: one.add_service(Service(UUID("1809"), [value])),
        advertising=b"\x02\x01\x06",
    )
    answer, hung = device.gatt_server.on_gatt_pdu, []

    def mute(bearer: Any, pdu: att.ATT_PDU) -> None:
        if hung or pdu.op_code == att.Opcode.ATT_WRITE_REQUEST:  # the subscription, and from then on nothing
            hung.append(pdu)
        else:
            answer(bearer, pdu)

    device.gatt_server.on_gatt_pdu = mute
    home.bench.monitor("blood_pressure", CUFF, name="cuff")
    home.pair([2, ROLES["thermometer"], "F0:F1:F2:F3:F4:0A"], [3, ROLES["blood_pressure"], CUFF])
    home.until(lambda: hung)
    home.bench.measure("cuff")
    home.until(lambda: home.vitals(3))
    home.until(lambda: not device.connections, 15)
