"""The stimulus's image: what is in it, and which boards it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers_board import esptool
from helpers_firmware import micropython_image
from helpers_stimulus import flashed, image
from kanhu.install import filesystem
from kanhu.install.boards import load
from kanhu.install.firmware import BuildError
from kanhu.install.flash.troubles import Trouble
from kanhu.qa import stimulus_image
from kanhu.qa.targets.haste import hurried
from kanhu.sim import Bench
from kanhu.sim.board.image import CHIPS, check

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated")  # pyserial's


def test_the_same_sources_make_the_same_image_and_its_hash_is_of_its_files() -> None:
    again = stimulus_image.build()
    assert again == image()
    vfs = next(one for one in load("esp32").partitions if one.name == "vfs")
    (region,) = [one for one in again.regions if one.name == "vfs"]
    found = filesystem.read(region.data, vfs.size)
    assert found == stimulus_image.files()
    assert again.tree == stimulus_image.tree(found)
    assert stimulus_image.tree({**found, "/main.py": found["/main.py"] + b"\n"}) != again.tree
    assert {"/boot.py", "/main.py", "/stimulus/app.mpy", "/stimulus/lines.mpy"} <= set(found)
    assert check(flashed(), CHIPS["esp32"]).vfs == (vfs.offset, vfs.size)


def test_another_chip_is_built_for_with_an_image_given(tmp_path: Path) -> None:
    made = stimulus_image.build("esp32-s3", micropython_image("esp32s3"))
    assert (made.chip, made.tree) == ("esp32s3", image().tree)
    with pytest.raises(stimulus_image.micropython.MicroPythonError, match="No such file"):
        stimulus_image.build("esp32", tmp_path / "none.bin")
    with pytest.raises(BuildError, match=r"no boot\.py: reinstall kanhu"):
        stimulus_image.files(tmp_path)


def test_a_board_that_does_not_fit_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    with hurried(), Bench(tmp_path) as bench:
        other = bench.add_board("s3", "esp32s3", "240ac40000a4", 8, hub=False)
        with pytest.raises(
            Trouble, match="this is an esp32s3, and the stimulus was built for an esp32: name"
        ):
            stimulus_image.flash(other.url, image())
        right = bench.add_board("right", "esp32", "240ac40000a5", 4, hub=False)
        with pytest.raises(Trouble, match="this is board 240ac40000a5, not 24:0a:c4:00:00:a6: exchange the"):
            stimulus_image.flash(right.url, image(), mac="24:0a:c4:00:00:a6")
        small = bench.add_board("small", "esp32", "240ac40000a7", 2, hub=False)
        with pytest.raises(Trouble, match="its flash of 2097152 bytes is too small for esp32's image"):
            stimulus_image.flash(small.url, image())
        for board in (other, right, small):
            assert set(board.flash()) == {0xFF}
            board.wait_state("no image")


def test_a_bad_cable_costs_speed_and_nothing_else(tmp_path: Path) -> None:
    with hurried(), Bench(tmp_path) as bench:
        board = bench.add_board("cable", "esp32", "240ac40000a8", 4, hub=False, bad_above_baud=200_000)
        shares: list[float] = []
        written = stimulus_image.flash(board.url, image(), progress=lambda name, share: shares.append(share))
        assert set(written.regions.values()) <= {"written", "kept"}
        assert (written.chip, written.mac, written.tree) == ("esp32", "240ac40000a8", image().tree)
        assert max(shares) == 1.0
        board.wait_hub().wait_log(image().tree, 60)
        assert esptool("--port", board.url, "flash-id").returncode == 0
