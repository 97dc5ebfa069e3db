"""Improv Wi-Fi over serial against the real firmware, through the console of a simulated hub.

Each test names what the published specification (improv-wifi.com/serial) says of it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import cbor2
import pytest

from helpers_commissioning import Cable, packet, packets, rpc, strings, wifi
from kanhu.sim import Bench
from kanhu.sim.net import AccessPoint

HUB = "k3v9m2x7qa"
STATE, ERROR, COMMAND, RESULT = 1, 2, 3, 4
READY, PROVISIONING, PROVISIONED = b"\x02", b"\x03", b"\x04"
NONE, INVALID, UNKNOWN, UNABLE, OTHER = (STATE + 1, b"\0"), (2, b"\1"), (2, b"\2"), (2, b"\3"), (2, b"\xff")
HOME, WORD = "Zum Löwen 3", "geheim geheim"
POINTS = [AccessPoint(HOME, WORD), AccessPoint("cafe", rssi=-71), AccessPoint("hidden", WORD, hidden=True)]
CURRENT = rpc(2)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("bench")) as bench:
        yield bench


@pytest.fixture(scope="module")
def shared(bench: Bench) -> Iterator[Cable]:
    """A hub without a network: these tests leave it so."""
    hub = bench.add_hub(HUB)
    bench.access_points(POINTS, hub)
    hub.wait_log("commissioning is open", 20)
    with Cable(hub) as cable:
        yield cable


@pytest.fixture
def cable(shared: Cable) -> Cable:
    shared.wait(0.05)
    shared.raw.clear()
    return shared


def said(cable: Cable, count: int, timeout: float = 20.0) -> list[tuple[int, bytes]]:
    """That many packets, and the next moment no more."""
    end = time.monotonic() + timeout
    while len(packets(cable.raw)) < count and time.monotonic() < end:
        cable.wait(0.05)
    cable.wait(0.2)
    found = packets(cable.raw)
    cable.raw.clear()
    assert len(found) == count, found
    return found


def answers(cable: Cable, data: bytes, count: int) -> list[tuple[int, bytes]]:
    cable.send(data)
    return said(cable, count)


def still_well(cable: Cable) -> None:
    """A good command is answered as ever."""
    assert answers(cable, CURRENT, 2) == [NONE, (STATE, READY)]


def test_current_state_of_a_device_that_has_no_network_is_ready(cable: Cable) -> None:
    assert answers(cable, CURRENT, 2) == [NONE, (STATE, READY)]


def test_device_information_is_at_least_four_strings(cable: Cable) -> None:
    first, (kind, data) = answers(cable, rpc(3), 2)
    assert (first, kind) == (NONE, RESULT)
    command, (firmware, version, chip, name) = strings(data)
    assert (command, firmware, name) == (3, "Kanhu", f"Kanhu {HUB}")
    assert version[0].isdigit()
    assert chip


def test_scanned_networks_end_with_an_empty_result(cable: Cable) -> None:
    first, *rows = answers(cable, rpc(4), 4)
    assert first == NONE
    assert [kind for kind, _ in rows] == [RESULT] * 3
    found = [strings(data) for _, data in rows]
    assert found == [(4, [HOME, "-55", "YES"]), (4, ["cafe", "-71", "NO"]), (4, [])]


@pytest.mark.parametrize("command", [0, 5, 6, 7, 8, 255])
def test_a_command_that_is_not_supported_is_unknown(cable: Cable, command: int) -> None:
    assert answers(cable, rpc(command), 2) == [NONE, UNKNOWN]
    assert answers(cable, rpc(command, b"name"), 2) == [NONE, UNKNOWN]


def test_one_byte_at_a_time(cable: Cable) -> None:
    for byte in CURRENT:
        cable.send(bytes((byte,)))
        cable.wait(0.02)
    assert said(cable, 2) == [NONE, (STATE, READY)]


def test_many_in_one_write(cable: Cable) -> None:
    assert answers(cable, CURRENT * 5 + rpc(5), 12) == [NONE, (STATE, READY)] * 5 + [NONE, UNKNOWN]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"hello\r\n",
        b"I",
        b"IMPRO",
        b"IMPROIMPRO",
        b"IMPROX\x01\x04",
        b"\x00\xff\x7e\x7d\x7e",
        b"~~~~",
        bytes(range(4, 256)),
        CURRENT[:6],
    ],
)
def test_garbage_around_a_packet(cable: Cable, garbage: bytes) -> None:
    assert answers(cable, garbage + CURRENT + garbage, 2) == [NONE, (STATE, READY)]
    still_well(cable)


def test_a_wrong_checksum_is_an_invalid_packet(cable: Cable) -> None:
    assert answers(cable, CURRENT[:-1] + bytes(((CURRENT[-1] + 1) & 255,)), 1) == [INVALID]
    damaged = bytearray(wifi(HOME, WORD))
    damaged[20] ^= 1
    assert answers(cable, bytes(damaged), 1) == [INVALID]
    still_well(cable)


@pytest.mark.parametrize("version", [0, 2, 3, 255])
def test_another_version_means_nothing(cable: Cable, version: int) -> None:
    cable.send(packet(COMMAND, b"\x02\x00", version))
    cable.wait(0.3)
    assert packets(cable.raw) == []
    still_well(cable)


@pytest.mark.parametrize("kind", [0, STATE, ERROR, RESULT, 5, 255])
def test_a_packet_that_is_no_command_is_ignored(cable: Cable, kind: int) -> None:
    cable.send(packet(kind, b"\x02\x00") + packet(kind, b""))
    cable.wait(0.3)
    assert packets(cable.raw) == []
    still_well(cable)


@pytest.mark.parametrize(
    "data",
    [
        b"",  # no command
        b"\x02",  # no length
        b"\x02\x01",  # a length that claims what is not there
        b"\x02\x00\x00",  # and one that leaves something over
        b"\x02\x01x",  # data for a command that has none
        b"\x03\x01x",
        b"\x04\x01x",
        b"\x02" + bytes((255,)) + bytes(252),
        b"\x01\x00",  # Wi-Fi settings without anything
        b"\x01\x01\x00",  # an empty name, no password
        b"\x01\x02\x00\x00",  # an empty name
        b"\x01\x02\x05a",  # a name longer than the data
        b"\x01\x03\x01a\x05",  # a password longer than the data
        b"\x01\x05\x01a\x01bc",  # something after the password
        b"\x01\x04\x02\xff\xfe\x00",  # a name that is no UTF-8
        b"\x01\x05\x01a\x02\xff\xfe",
        b"\x01" + bytes((1 + 33 + 1, 33)) + b"n" * 33 + b"\0",  # longer than a name may be
        b"\x01" + bytes((3 + 65, 1)) + b"n" + bytes((65,)) + b"p" * 65,
    ],
)
def test_lengths_that_lie_are_an_invalid_packet(cable: Cable, data: bytes) -> None:
    assert answers(cable, packet(COMMAND, data), 1) == [INVALID]
    still_well(cable)


def test_the_longest_packet_is_read(cable: Cable) -> None:
    assert answers(cable, packet(COMMAND, bytes((9, 253)) + bytes(253)), 2) == [NONE, UNKNOWN]
    # Bytes 3 and 0x7E, Ctrl-C and a frame's flag, are data like any other.
    assert answers(cable, packet(COMMAND, bytes((9, 250)) + b"\x03\x7e" * 125), 2) == [NONE, UNKNOWN]


def test_a_packet_that_stops_is_given_up(cable: Cable) -> None:
    cable.send(packet(COMMAND, bytes((9, 250)) + bytes(250))[:40])
    cable.wait(1.3)
    still_well(cable)


def test_wrong_password_network_and_open_network(cable: Cable) -> None:
    for ssid, password in ((HOME, "not the word"), ("nowhere", WORD), ("cafe", WORD), (HOME, "")):
        found = answers(cable, wifi(ssid, password), 4)
        assert found == [NONE, (STATE, PROVISIONING), UNABLE, (STATE, READY)]
    assert cable.hub.nvs()["config"] == cbor2.dumps({})


def test_while_it_tries_it_says_so_and_takes_no_other_settings(cable: Cable) -> None:
    cable.send(wifi(HOME, "not the word") + CURRENT + wifi("cafe", "") + rpc(4) + rpc(3))
    found = said(cable, 12)
    assert found[:4] == [NONE, (STATE, PROVISIONING), NONE, (STATE, PROVISIONING)]
    assert found[4:8] == [NONE, OTHER, NONE, OTHER]
    assert found[8] == NONE
    assert strings(found[9][1])[0] == 3
    assert found[10:] == [UNABLE, (STATE, READY)]
    still_well(cable)


def test_noise_harms_nothing(cable: Cable) -> None:
    """Bytes of all kinds, packets among them, damaged ones more than whole: the next good one is answered."""
    dice = random.Random(7)
    good = [CURRENT, rpc(3), rpc(9), packet(STATE, b"\x02")]
    for _ in range(60):
        noise = bytearray(b"".join(dice.choice(good) for _ in range(4)))
        for _ in range(dice.randrange(6)):
            at = dice.randrange(len(noise))
            if dice.random() < 0.5:
                del noise[at : at + dice.randrange(1, 9)]
            else:
                noise[at] = dice.randrange(256)
        # A Ctrl-C outside a packet opens the REPL, as it is meant to.
        cable.send(bytes(noise).replace(b"\x03", b"\x02"))
    cable.wait(1.3)
    cable.raw.clear()
    still_well(cable)
    assert cable.hub.boots == 1


def test_ctrl_c_opens_the_repl(bench: Bench) -> None:
    hub = bench.add_hub("m2x7qak3v9")
    hub.wait_log("commissioning is open", 20)
    with Cable(hub) as cable:
        cable.send(b"IMPRO\x03")
        hub.wait_log(">>> ", 10)
        cable.send(b"print(6 * 7)\r")
        hub.wait_log("42", 10)
        # A command that runs there is interrupted as ever.
        cable.send(b"while True: pass\r\r")
        cable.wait(0.5)
        cable.send(b"\x03")
        hub.wait_log("KeyboardInterrupt", 10)


@pytest.mark.parametrize("point", [POINTS[0], POINTS[1], POINTS[2]], ids=lambda point: point.ssid)
def test_settings_that_work_are_kept(bench: Bench, point: AccessPoint) -> None:
    """State provisioning, then provisioned and the result; a restart changes nothing of it."""
    hub = bench.add_hub("x7qak3v9m" + str(POINTS.index(point)), config={"heartbeat": 60})
    bench.access_points(POINTS, hub)
    hub.wait_log("commissioning is open", 20)
    with Cable(hub) as cable:
        found = answers(cable, wifi(point.ssid, point.password), 4)
        assert found == [NONE, (STATE, PROVISIONING), (STATE, PROVISIONED), (RESULT, b"\x01\x00")]
        expected = {"heartbeat": 60, "wifi": [point.ssid, point.password]}
        assert cbor2.loads(bytes(hub.nvs()["config"])) == expected
        assert hub.joined == point.ssid
        assert answers(cable, CURRENT, 3) == [NONE, (STATE, PROVISIONED), (RESULT, b"\x02\x00")]
        bench.cut_power(hub)
        after = hub.log_position()
        bench.power(hub)
        hub.wait_log("commissioning is open", 20, after)  # there is no broker yet
        cable.wait(1.0)
        cable.raw.clear()
        assert answers(cable, CURRENT, 3) == [NONE, (STATE, PROVISIONED), (RESULT, b"\x02\x00")]


def test_a_hub_with_a_network_speaks_no_improv(bench: Bench, tmp_path: Path) -> None:
    config = {"wifi": ["cafe", ""], "broker": ["broker.lan", 1883, None, None]}
    hub = bench.add_hub("qak3v9m2x7", config=config)
    hub.wait_log("lamp", 20)
    with Cable(hub) as cable:
        cable.send(CURRENT.replace(b"\x03", b"\x04"))  # with its Ctrl-C it would stop the hub
        cable.wait(0.5)
        assert packets(cable.raw) == []
    assert "commissioning" not in hub.log()
