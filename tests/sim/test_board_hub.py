"""A simulated board with an image in its flash: the hub in it runs, and its serial port is a hub's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from helpers_board import NVS_AT, NVS_SIZE, chip_image, mpremote, nvs, provisioned, provisioning
from helpers_firmware import loaded
from kanhu.sim import Bench
from kanhu.sim.bench import BenchError
from kanhu.sim.board import Board
from kanhu.sim.board.nvs import parse

HUB, OTHER = "0123456789abcdef", "fedcba9876543210"
MAC = "240ac4c0ffee"
WIRING = {"button": 4}
WAIT = 60  # s; this computer may have much else to do

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated")  # pyserial's


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


def with_hub(
    bench: Bench, chip: str = "esp32", name: str = "board", flash_mb: int = 4, **more: object
) -> Board:
    (bench.folder / f"{name}.chip").write_bytes(provisioned(chip, HUB))
    return bench.add_board(name, chip, MAC, flash_mb, wiring=WIRING, **more)


@pytest.mark.parametrize(("chip", "flash_mb"), [("esp32s3", 8), ("esp32c3", 4)])
def test_what_is_in_the_flash_runs_and_can_call(bench: Bench, chip: str, flash_mb: int) -> None:
    board = with_hub(bench, chip, flash_mb=flash_mb)
    hub = board.wait_hub()
    assert (hub.hub_id, board.hub, board.state) == (HUB, hub, "application")
    hub.wait_log(f"hub {HUB} boot 1", WAIT)
    assert bench.press_watched("button")
    hub.wait_log("lamp heard", WAIT)
    stored = parse(board.flash()[NVS_AT : NVS_AT + NVS_SIZE]).values["kanhu"]
    assert stored["hub_id"] == HUB.encode()
    assert stored["boot"] == 1 == hub.nvs()["boot"]
    assert "/a/manifest" in hub.flash_files()
    assert any(path.startswith("/data/") for path in hub.flash_files())
    assert "\r\nrst:0x1 (POWERON)" in board.said


def test_reset_lines_and_power_start_it_anew_and_lose_nothing(bench: Bench) -> None:
    board = with_hub(bench)
    hub = board.wait_hub()
    hub.wait_log("boot 1", WAIT)
    assert bench.press_watched("button")
    hub.wait_log("lamp heard", WAIT)
    with serial.serial_for_url(board.url, 115200, timeout=30) as port:
        port.dtr = False
        port.rts = True
        board.wait_state("reset")
        assert board.hub is None
        port.rts = False
        said = b""
        while b"boot 2, 1 alarms open" not in said:
            more = port.read(1)
            assert more, said
            said += more
        assert b"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)" in said
    assert board.wait_hub() is hub
    bench.cut_power(hub)
    assert board.state == "off"
    bench.power(hub)
    hub.wait_log("boot 3, 1 alarms open", WAIT)
    board.cut_power()
    board.power_on()
    board.wait_hub().wait_log("boot 4, 1 alarms open", WAIT)


def test_the_port_is_a_hubs_console(bench: Bench, tmp_path: Path) -> None:
    board = with_hub(bench)
    hub = board.wait_hub()
    hub.wait_log("boot 1", WAIT)
    assert "/a" in mpremote(board.url, "exec", "import sys; print(sys.path)")
    code = "import machine; print(machine.unique_id().hex(), machine.reset_cause())"
    assert mpremote(board.url, "exec", code).split() == [MAC, "5"]  # mpremote has reset it softly
    (tmp_path / "table").write_bytes(bytes(range(256)) * 20)
    mpremote(board.url, "fs", "cp", tmp_path / "table", ":table")
    assert hub.flash_files()["/table"] == bytes(range(256)) * 20
    mpremote(board.url, "exec", "from esp32 import NVS; n = NVS('kanhu'); n.set_i32('starts', 3); n.commit()")
    assert parse(board.flash()[NVS_AT : NVS_AT + NVS_SIZE]).values["kanhu"]["starts"] == 3
    runs, position = hub.boots, hub.log_position()
    mpremote(board.url, "exec", "--no-follow", "import machine; machine.reset()")
    hub.wait_log("hub " + HUB, WAIT, after=position)
    assert hub.boots > runs


def test_ctrl_c_and_ctrl_d_work_on_it(bench: Bench) -> None:
    board = with_hub(bench)
    board.wait_hub().wait_log("boot 1", WAIT)
    with serial.serial_for_url(board.url, 115200, timeout=30) as port:
        port.write(b"\x03")
        assert b">>> " in port.read_until(b">>> ")
        port.write(b"while True: pass\r\n\r\n")
        port.read_until(b"pass\r\n")
        time.sleep(0.3)
        port.write(b"\x03")
        assert b"KeyboardInterrupt" in port.read_until(b"KeyboardInterrupt")
        port.write(b"\x04")
        assert b"soft reboot" in port.read_until(b"soft reboot")
        assert b"boot 2" in port.read_until(b"boot 2")


def test_a_hub_that_nobody_provisioned_says_so_and_has_its_repl(bench: Bench) -> None:
    (bench.folder / "bare.chip").write_bytes(chip_image(loaded("esp32")))
    board = bench.add_board("bare", "esp32", MAC, 4)
    hub = board.wait_hub()
    hub.wait_log("not provisioned", WAIT)
    assert hub.hub_id == "bare"
    assert mpremote(board.url, "eval", "6 * 7").strip() == "42"


def test_an_erased_file_system_is_made_and_a_damaged_one_is_told(bench: Bench) -> None:
    image = bytearray(chip_image(loaded("esp32")))
    vfs = next(part for part in loaded("esp32").partitions if part.name == "vfs")
    image[vfs.offset : vfs.offset + vfs.size] = b"\xff" * vfs.size
    (bench.folder / "empty.chip").write_bytes(image)
    board = bench.add_board("empty", "esp32", MAC, 4)
    board.wait_hub()
    assert mpremote(board.url, "exec", "import os; print(os.listdir())").strip() == "[]"
    image[vfs.offset : vfs.offset + vfs.size] = b"\0" * vfs.size
    (bench.folder / "broken.chip").write_bytes(image)
    broken = bench.add_board("broken", "esp32", "240ac4c0ffef", 4)
    broken.wait_hub().wait_log("corrupted", WAIT)


def test_a_board_becomes_the_hub_that_is_flashed_onto_it(bench: Bench) -> None:
    board = with_hub(bench)
    first = board.wait_hub()
    first.wait_log("boot 1", WAIT)
    board.cut_power()
    with open(board.image, "r+b") as file:
        file.seek(NVS_AT)
        file.write(nvs(provisioning(OTHER)))
    board.power_on()
    second = board.wait_hub()
    assert second is not first
    assert (second.hub_id, list(bench.hubs)) == (OTHER, [OTHER])
    second.wait_log(f"hub {OTHER} boot", WAIT)
    assert not first.running


def test_boards_that_cannot_be_are_refused(bench: Bench) -> None:
    for words, wrong in (
        ("no chip 'esp8266'", {"chip": "esp8266"}),
        ("12 hex digits", {"mac": "24:0a:c4"}),
        ("must be 1, 2, 4", {"flash_mb": 3}),
    ):
        with pytest.raises(BenchError, match=words):
            bench.add_board("wrong", **wrong)
    bench.add_board("right", flash_mb=1)
    with pytest.raises(BenchError, match="already"):
        bench.add_board("right", flash_mb=1)
