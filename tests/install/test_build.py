"""Building: same sources, same bytes, wherever and by whom; and what is in a bundle."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers_firmware import bundle, loaded, micropython_image, public_key, real_image, sha256, test_key
from kanhu.errors import KanhuError
from kanhu.install import boards, filesystem, firmware, release
from kanhu.install.boards import BoardError
from kanhu.install.build import build
from kanhu.install.bundle import load

ONE = """
import sys
from pathlib import Path
import helpers_firmware as h
from kanhu.install.build import build
image = h.micropython_image("esp32s3")
build("esp32-s3", Path(sys.argv[1]), h.test_key(), image, h.sha256(image))
"""


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def elsewhere(out: Path, **environment: str) -> None:
    """A build in a process of its own: other folder, umask, language, hash seed, time zone, empty cache."""
    out.parent.mkdir(parents=True)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment}
    subprocess.run(
        [sys.executable, "-c", ONE, out.name], cwd=out.parent, env=env, umask=0o077, check=True, timeout=100
    )


def test_same_sources_same_bytes(tmp_path: Path) -> None:
    here = contents(bundle("esp32-s3"))
    elsewhere(
        tmp_path / "far" / "away" / "other",
        PYTHONHASHSEED="7", LC_ALL="C", TZ="Asia/Shanghai", XDG_CACHE_HOME=str(tmp_path / "cache"),
        SOURCE_DATE_EPOCH="1", HOME=str(tmp_path),
    )  # fmt: skip
    assert contents(tmp_path / "far" / "away" / "other") == here
    assert len(here) == 8
    assert load(tmp_path / "far" / "away" / "other", [public_key()]).digest == loaded("esp32-s3").digest


def test_what_lies_in_flash() -> None:
    made = loaded("esp32")
    files = filesystem.read(made.region("vfs").data(), made.partition("vfs").size)
    built = firmware.build_files()
    archive = release.read_archive(made.application.read_bytes(), [public_key()])
    assert {path: files[path] for path in built} == built
    for slot in ("/a/", "/safe/"):
        assert {path: files[slot + path] for path in archive.files} == archive.files
        assert files[slot + "manifest"] == archive.manifest
    extra = {path for path in files if not path.startswith("/safe/")} - built.keys()
    assert extra == {"/a/manifest"}
    assert {"/boot.py", "/main.py", "/a/kanhu_hub/app.mpy"} <= files.keys()


def test_two_releases_from_one_tree() -> None:
    before = contents(bundle("esp32"))
    newer = loaded("esp32", "7.8.9")
    assert (newer.version, newer.number) == ("7.8.9", release.number("7.8.9"))
    own = firmware.source_version()
    assert loaded("esp32").version == own != "7.8.9"
    apps = [
        release.read_archive(one.application.read_bytes(), [public_key()]).files["kanhu_hub/app.mpy"]
        for one in (loaded("esp32"), newer)
    ]
    assert b"7.8.9" in apps[1]
    assert b"7.8.9" not in apps[0]
    assert own.encode() in apps[0]
    for one, other in zip(loaded("esp32").regions, newer.regions, strict=True):
        assert (one.sha256 == other.sha256) == (one.name != "vfs")
    assert contents(bundle("esp32")) == before


def test_a_board_of_ones_own(tmp_path: Path) -> None:
    """Larger flash than the image was made for: the boot loader is told."""
    text = (boards.FOLDER / "esp32.toml").read_text()
    assert "0x400000" in text
    text = text.replace("flash_size = 0x400000", "flash_size = 0x1000000")
    text = text.replace("0x200000, 0x200000", "0x200000, 0xe00000")
    (tmp_path / "Big.toml").write_text(text)
    made = build(str(tmp_path / "Big.toml"), tmp_path / "out", test_key(), real_image())
    assert (made.board, made.flash_size) == ("big", 16 << 20)
    files = filesystem.read(made.region("vfs").data(), 14 << 20)
    assert "/boot.py" in files
    assert made.region("vfs").size == loaded("esp32").region("vfs").size


def test_a_board_without_room_for_updates(tmp_path: Path) -> None:
    text = (boards.FOLDER / "esp32.toml").read_text()
    (tmp_path / "small.toml").write_text(text.replace("0x200000, 0x200000", "0x200000, 0x100000"))
    with pytest.raises(KanhuError, match="has no room for updates"):
        build(str(tmp_path / "small.toml"), tmp_path / "out", test_key(), real_image())
    (tmp_path / "tiny.toml").write_text(text.replace("0x200000, 0x200000", "0x200000, 0x40000"))
    with pytest.raises(KanhuError, match="do not fit in a partition"):
        build(str(tmp_path / "tiny.toml"), tmp_path / "out", test_key(), real_image())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("version", ["0.1", "1.2.3-rc1", "0.2.0.dev1", "x"])
def test_no_release_no_folder(tmp_path: Path, version: str) -> None:
    with pytest.raises(KanhuError, match=r"X\.Y\.Z"):
        build("esp32", tmp_path / "out", test_key(), real_image(), version=version)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_new(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    build("esp32", tmp_path / "out", test_key(), real_image())
    before = contents(tmp_path / "out")
    with pytest.raises(KanhuError, match="name a new folder"):
        build("esp32", tmp_path / "out", test_key(), real_image())
    (tmp_path / "file").write_text("")
    with pytest.raises(KanhuError, match="name a new folder"):
        build("esp32", tmp_path / "file", test_key(), real_image())
    with pytest.raises(KanhuError, match="file: "):
        build("esp32", tmp_path / "file" / "out", test_key(), real_image())
    for name in (".", "..", "/"):
        with pytest.raises(KanhuError, match="name a new folder"):
            build("esp32", Path(name), test_key(), real_image())
    assert contents(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_wrong_image_no_folder(tmp_path: Path) -> None:
    image = micropython_image("esp32c3")
    with pytest.raises(KanhuError, match="is for an ESP32-C3, not for an ESP32-S3"):
        build("esp32-s3", tmp_path / "out", test_key(), image, sha256(image))
    with pytest.raises(KanhuError, match="its SHA-256 is"):
        build("esp32", tmp_path / "out", test_key(), image)
    assert list(tmp_path.iterdir()) == []


def test_files_for_mpremote_still(tmp_path: Path) -> None:
    """python -m kanhu.install.firmware FOLDER: a board for the lab."""
    words = [sys.executable, "-m", "kanhu.install.firmware", str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0
    assert "next: mpremote cp -r" in done.stdout
    found = {"/" + path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
             for path in (tmp_path / "out").rglob("*") if path.is_file()}  # fmt: skip
    assert found == firmware.build_files()


def test_sources_without_a_version(tmp_path: Path) -> None:
    (tmp_path / "kanhu_hub").mkdir()
    app = tmp_path / "kanhu_hub" / "app.py"
    for text, says in (("", "no line FIRMWARE"), ("FIRMWARE = 1", "no line FIRMWARE"), ("def", "line 1")):
        app.write_text(text)
        with pytest.raises(firmware.BuildError, match=says):
            firmware.source_version(tmp_path)
    app.unlink()
    with pytest.raises(firmware.BuildError, match="No such file"):
        firmware.source_version(tmp_path)


def test_boards_that_come_with_kanhu() -> None:
    assert boards.names() == ["esp32", "esp32-c3", "esp32-s3"]
    for name in boards.names():
        board = boards.load(name)
        assert board.name == name
        pins = [pin for pin in board.pins.model_dump().values() if pin is not None]
        assert len(pins) == len(set(pins))
        # docs/wiring.md: flash, PSRAM, USB, console; and what has no place on the chip.
        forbidden = {
            "esp32": {*range(6, 12), 1, 3, 20, 24, 28, 29, 30, 31, 37, 38, *range(40, 64)},
            "esp32s3": {*range(22, 38), 19, 20, 43, 44, *range(49, 64)},
            "esp32c3": {2, 8, 9, *range(11, 20), 20, 21, *range(22, 64)},
        }[board.chip.name]
        assert not forbidden.intersection(pins)
        assert board.micropython.sha256 or board.micropython.page


GOOD = (boards.FOLDER / "esp32.toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('chip = "esp32"', 'chip = "esp8266"', "chip: not one of esp32"),
        ('chip = "esp32"', "", "chip: Field required"),
        ("0x400000", "0x300000", "flash_size: 2 to 128 MB"),
        ("0x400000", '"4MB"', "flash_size: "),
        ("0x400000", "0x200000", "past the flash's end at 0x200000"),
        ("0x200000, 0x200000", "0x1ff000, 0x200000", "overlap"),
        ('"nvs", 0x9000', '"nvram", 0x9000', "partitions.nvs: [type, subtype, offset, size]"),
        ('"data", "nvs"', '"date", "nvs"', "partitions.nvs: [type"),
        (", 0x9000, 0x6000", ", 0x9000", "partitions.nvs: [type"),
        (", 0x9000, 0x6000", ', "a", "b"', "partitions.nvs: [type"),
        (", 0x9000, 0x6000", ", true, 1", "partitions.nvs"),
        ("lamp = 2", "lamp = -2", "pins.lamp"),
        ("lamp = 2", "lamb = 2", "pins.lamp: Field required"),
        ("lamp = 2", "lamp = 2\nlamb = 3", "pins.lamb: Extra"),
        ("lamp = 2", "lamp = ", "Invalid value"),
        ("https://", "ftp://", "micropython.url"),
        ('sha256 = "1', 'sha256 = "x', "micropython.sha256"),
    ],
)
def test_board_files_with_a_mistake(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(BoardError) as refused:
        boards.load(str(path))
    assert says in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_board_files_that_are_none(tmp_path: Path) -> None:
    for name in ("esp99", "../esp32", "", "boards/esp32"):
        with pytest.raises(BoardError):
            boards.load(name)
    with pytest.raises(BoardError, match="No such file"):
        boards.load(str(tmp_path / "none.toml"))
    (tmp_path / "x.toml").write_bytes(b"\xff")
    with pytest.raises(BoardError, match="UTF-8"):
        boards.load(str(tmp_path / "x.toml"))
    (tmp_path / "x.toml").write_text(GOOD)
    assert boards.load(str(tmp_path / "x.toml")).partitions == boards.load("esp32").partitions
