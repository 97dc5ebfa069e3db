"""A bare simulated board under the real esptool: what it is, what it takes and refuses, a cut supply."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helpers_board import chip_image, esptool
from helpers_firmware import loaded
from kanhu.sim import Bench
from kanhu.sim.board import Board

FAST = ("--baud", "460800")
STAYS = ("--after", "no-reset")  # a hub that starts writes into its flash
SECTOR = 4096


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("shelf")) as bench:
        yield bench


def regions(chip: str) -> list[str]:
    return [word for region in loaded(chip).regions for word in (hex(region.offset), str(region.path))]


def pattern(path: Path, size: int, seed: int = 1) -> bytes:
    data = bytes((n * seed + n // 251) & 0xFF for n in range(size))
    path.write_bytes(data)
    return data


@pytest.mark.parametrize(
    ("chip", "says", "flash_mb"),
    [("esp32", "ESP32-D0WD", 16), ("esp32s3", "ESP32-S3", 8), ("esp32c3", "ESP32-C3", 2)],
)
def test_chip_mac_and_flash_size_are_the_boards(shelf: Bench, chip: str, says: str, flash_mb: int) -> None:
    mac = f"7cdfa1{flash_mb:02x}0102"
    board = shelf.add_board(chip, chip, mac, flash_mb)
    done = esptool("--port", board.url, "flash-id")
    assert done.returncode == 0, done.stdout + done.stderr
    assert says in done.stdout
    assert f"7c:df:a1:{flash_mb:02x}:01:02" in done.stdout
    assert f"Detected flash size: {flash_mb}MB" in done.stdout
    board.wait_state("no image")
    assert "invalid header: 0xffffffff" in board.said


@pytest.fixture(scope="module")
def flashed(shelf: Bench) -> Board:
    board = shelf.add_board("flashed", "esp32s3", "7cdfa1000001")
    done = esptool("--port", board.url, *FAST, *STAYS, "write-flash", *regions("esp32s3"))
    assert done.returncode == 0, done.stdout + done.stderr
    same = board.flash() == chip_image(loaded("esp32s3"))
    assert same
    return board


def test_what_is_written_is_verified_read_back_and_skipped(flashed: Board, tmp_path: Path) -> None:
    done = esptool("--port", flashed.url, *STAYS, "verify-flash", *regions("esp32s3"))
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Verification successful") == len(loaded("esp32s3").regions)
    out = tmp_path / "read"
    assert esptool("--port", flashed.url, *STAYS, "read-flash", "0x8000", "0x12345", out).returncode == 0
    same = out.read_bytes() == flashed.flash()[0x8000 : 0x8000 + 0x12345]
    assert same
    skip = ("write-flash", "--skip-flashed")
    done = esptool("--port", flashed.url, *FAST, *STAYS, *skip, *regions("esp32s3"))
    assert done.returncode == 0, done.stdout
    assert "already in flash, skipping write" in done.stdout
    assert "Wrote" not in done.stdout
    wrong = bytearray(loaded("esp32s3").regions[-1].data())
    wrong[1000] ^= 1
    (tmp_path / "wrong").write_bytes(wrong)
    last = hex(loaded("esp32s3").regions[-1].offset)
    assert esptool("--port", flashed.url, *STAYS, "verify-flash", last, tmp_path / "wrong").returncode != 0
    flashed.reset()
    flashed.wait_hub()


def test_a_wrong_chip_and_a_flash_too_small_are_refused(flashed: Board, tmp_path: Path) -> None:
    done = esptool("--port", flashed.url, "--chip", "esp32c3", "flash-id")
    assert done.returncode != 0
    assert "ESP32-S3" in done.stdout + done.stderr
    pattern(tmp_path / "large", 9 << 20)
    before = flashed.flash()
    done = esptool("--port", flashed.url, *FAST, "write-flash", "0x0", tmp_path / "large")
    assert done.returncode != 0
    assert "will not fit in 8388608 bytes" in done.stdout + done.stderr
    same = flashed.flash()[0x10000:0x200000] == before[0x10000:0x200000]
    assert same


def test_the_rom_alone_serves_too(shelf: Bench, tmp_path: Path) -> None:
    board = shelf.add_board("rom", "esp32c3", "7cdfa1000002", 4)
    data = pattern(tmp_path / "part", 5 * SECTOR)
    plain = ("--port", board.url, "--no-stub")
    done = esptool(*plain, "write-flash", "0x10000", tmp_path / "part")
    assert done.returncode == 0, done.stdout + done.stderr
    assert board.flash()[0x10000:][: len(data)] == data
    assert esptool(*plain, "verify-flash", "0x10000", tmp_path / "part").returncode == 0
    assert esptool(*plain, "read-flash", "0x10000", "256", tmp_path / "read").returncode == 0
    assert (tmp_path / "read").read_bytes() == data[:256]


def test_erasing_and_running(shelf: Bench, tmp_path: Path) -> None:
    (shelf.folder / "erased.chip").write_bytes(chip_image(loaded("esp32")))
    board = shelf.add_board("erased", "esp32", "7cdfa1000003", 4)
    board.wait_hub()
    assert esptool("--port", board.url, "--after", "no-reset", "chip-id").returncode == 0
    board.wait_state("rom")
    assert board.hub is None
    done = esptool("--port", board.url, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    board.wait_hub()
    assert esptool("--port", board.url, "erase-region", "0x10000", "0x2000").returncode == 0
    assert board.flash()[0x10000:0x12000] == b"\xff" * 0x2000
    assert board.flash()[0x12000:0x13000] != b"\xff" * 0x1000
    board.wait_state("no image")
    assert "image at 0x10000 has invalid magic byte" in board.said
    assert esptool("--port", board.url, "erase-flash").returncode == 0
    assert board.flash() == b"\xff" * (4 << 20)


def test_a_power_cut_tears_the_write_and_the_next_one_mends_it(shelf: Bench, tmp_path: Path) -> None:
    old = pattern(tmp_path / "old", 40 * SECTOR, seed=7)
    new = pattern(tmp_path / "new", 40 * SECTOR, seed=3)
    cut = 17 * SECTOR + 1234
    (shelf.folder / "cut.chip").write_bytes(old.ljust(4 << 20, b"\xff"))
    board = shelf.add_board("cut", "esp32s3", "7cdfa1000004", 4, cut_after=cut)
    port = ("--port", board.url)
    assert esptool(*port, *FAST, "write-flash", "0x0", tmp_path / "new").returncode != 0
    board.wait_state("off")
    flash = board.flash()
    assert flash[:cut] == new[:cut]  # programmed
    assert flash[cut : 18 * SECTOR] == b"\xff" * (18 * SECTOR - cut)  # erased and no more
    assert flash[18 * SECTOR : 40 * SECTOR] == old[18 * SECTOR :]  # not reached
    assert esptool(*port, "--connect-attempts", "1", "flash-id").returncode != 0  # nobody is there
    board.power_on()
    assert board.cut_after is None
    board.wait_state("no image")
    assert esptool(*port, *FAST, "write-flash", "0x0", tmp_path / "new").returncode == 0
    assert board.flash()[: len(new)] == new
    (tmp_path / "newer").write_bytes(new[: 5 * SECTOR] + b"\x55" + new[5 * SECTOR + 1 :])
    difference = ("write-flash", "0x0", tmp_path / "newer", "--diff-with", tmp_path / "new")
    done = esptool(*port, *FAST, *difference)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Wrote 4096 bytes" in done.stdout
    assert board.flash()[: len(new)] == (tmp_path / "newer").read_bytes()


def test_a_bad_cable_works_at_a_lower_rate(shelf: Bench, tmp_path: Path) -> None:
    data = pattern(tmp_path / "data", 20 * SECTOR)
    board = shelf.add_board("cable", "esp32", "7cdfa1000005", 4, bad_above_baud=230400)
    write = ("write-flash", "--no-compress", "0x10000", tmp_path / "data")
    done = esptool("--port", board.url, "--baud", "921600", *write)
    assert done.returncode != 0
    assert board.flash()[0x10000:][: len(data)] != data
    done = esptool("--port", board.url, "--baud", "230400", *write)
    assert done.returncode == 0, done.stdout + done.stderr
    assert board.flash()[0x10000:][: len(data)] == data


def test_two_boards_at_once_keep_apart(shelf: Bench, tmp_path: Path) -> None:
    chips = {"left": "esp32", "right": "esp32c3"}
    boards = [
        shelf.add_board(name, chip, f"7cdfa10000{n}6", 4) for n, (name, chip) in enumerate(chips.items())
    ]
    words = [pattern(tmp_path / name, 60 * SECTOR, seed) for seed, name in ((5, "left"), (9, "right"))]

    def write(board: Board) -> str:
        done = esptool("--port", board.url, *FAST, "write-flash", "0x10000", tmp_path / board.name)
        return done.stdout if done.returncode == 0 else ""

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(write, boards))
    for board, data, text in zip(boards, words, said, strict=True):
        assert ":".join(board.mac[n : n + 2] for n in range(0, 12, 2)) in text
        assert board.flash()[0x10000:][: len(data)] == data
