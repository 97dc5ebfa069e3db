"""`kanhu firmware`: what a person types and reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers_cli import Kanhu
from helpers_firmware import bundle, micropython_image, real_image, sha256, test_key
from kanhu.install import signing


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    path = tmp_path / "tests.pub.pem"
    path.write_bytes(signing.public_pem(test_key().public_key()))
    return path


def test_from_key_to_bundle(tmp_path: Path, kanhu: Kanhu) -> None:
    key = tmp_path / "release.pem"
    done = kanhu("firmware", "keygen", key)
    assert done.returncode == 0
    assert str(tmp_path / "release.pub.pem") in done.stdout
    assert key.read_text() not in done.stdout
    out = tmp_path / "out"
    done = kanhu("firmware", "build", "--board", "esp32", "--key", key, "--out", out,
                 "--micropython", real_image(), "--version", "7.8.9")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Kanhu 7.8.9 for esp32, MicroPython v1.25.0" in done.stdout
    done = kanhu("firmware", "verify", out, "--trust", tmp_path / "release.pub.pem", "--newer-than", "7.8.8")
    assert done.returncode == 0
    assert "whole and signed by" in done.stdout
    done = kanhu("firmware", "verify", out, "--trust", tmp_path / "release.pub.pem", "--newer-than", "7.8.9")
    assert done.returncode == 2
    assert "release 7.8.9 is the same as 7.8.9 that is there" in done.stderr
    done = kanhu("firmware", "verify", out, "--trust", tmp_path / "release.pub.pem", "--newer-than", "8.0.0")
    assert "release 7.8.9 is older than 8.0.0" in done.stderr


def test_another_board_needs_an_image_and_its_hash(tmp_path: Path, kanhu: Kanhu) -> None:
    key = tmp_path / "release.pem"
    kanhu("firmware", "keygen", key)
    words = ("firmware", "build", "--board", "esp32-c3", "--key", key, "--out", tmp_path / "out")
    done = kanhu(*words)
    assert done.returncode == 2
    assert "--micropython FILE" in done.stderr
    assert "--sha256 HEX" in done.stderr
    assert "ESP32_GENERIC_C3" in done.stderr
    image = micropython_image("esp32c3")
    done = kanhu(*words, "--micropython", image, "--sha256", "0" * 64)
    assert done.returncode == 2
    assert "its SHA-256 is" in done.stderr
    assert not (tmp_path / "out").exists()
    done = kanhu(*words, "--micropython", image, "--sha256", sha256(image), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["chip"] == "esp32c3"


def test_verify_says_no(tmp_path: Path, folder: Path, trust: Path, kanhu: Kanhu) -> None:
    assert kanhu("firmware", "verify", folder, "--trust", trust).returncode == 0
    kanhu("firmware", "keygen", tmp_path / "other.pem")
    done = kanhu("firmware", "verify", folder, "--trust", tmp_path / "other.pub.pem")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "not signed by a key that is trusted here" in done.stderr
    both = ("--trust", tmp_path / "other.pub.pem", "--trust", trust)
    assert kanhu("firmware", "verify", folder, *both).returncode == 0
    data = bytearray((folder / "micropython.bin").read_bytes())
    data[777_777] ^= 4
    (folder / "micropython.bin").write_bytes(data)
    done = kanhu("firmware", "verify", folder, "--trust", trust)
    assert done.returncode == 2
    assert "micropython.bin is not what was signed" in done.stderr
    assert kanhu("firmware", "page", folder, "--trust", trust, "--out", tmp_path / "page").returncode == 2
    assert not (tmp_path / "page").exists()


def test_show(folder: Path, kanhu: Kanhu, tmp_path: Path) -> None:
    done = kanhu("firmware", "show", folder)
    assert done.returncode == 0
    assert "not verified here" in done.stdout
    for word in ("0x200000", "bootloader.bin", "factory", "application.kfw"):
        assert word in done.stdout
    rows = [[cell.strip() for cell in line.split("│")[1:4]] for line in done.stdout.splitlines()]
    assert [row for row in rows if row[:1] == ["nvs"]] == [["nvs", "data", "nvs"]]
    assert ["vfs", "data", "fat"] in rows
    assert ["factory", "app", "factory"] in rows
    done = kanhu("firmware", "show", folder, "--json")
    assert json.loads(done.stdout) == json.loads((folder / "manifest.json").read_bytes())
    done = kanhu("firmware", "show", tmp_path / "none")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_boards(kanhu: Kanhu) -> None:
    rows = {row["board"]: row for row in json.loads(kanhu("firmware", "boards", "--json").stdout)}
    assert rows["esp32"]["micropython"] == "v1.25.0"
    assert rows["esp32-s3"]["flash_mb"] == 8
    assert "esp32-c3" in kanhu("firmware", "boards").stdout


def test_mistakes_are_one_line(tmp_path: Path, kanhu: Kanhu) -> None:
    key = tmp_path / "release.pem"
    kanhu("firmware", "keygen", key)
    out = ("--out", tmp_path / "out")
    for words in (
        ("keygen", key),
        ("keygen", "/proc/none/key.pem"),
        ("build", "--board", "esp99", "--key", key, *out),
        ("build", "--board", "esp32", "--key", tmp_path / "none.pem", *out),
        ("build", "--board", "esp32", "--key", tmp_path / "release.pub.pem", *out),
        ("build", "--board", "esp32", "--key", key, "--micropython", key, *out),
        ("verify", bundle("esp32"), "--trust", key),
        ("verify", bundle("esp32")),
        ("page", bundle("esp32"), "--trust", tmp_path / "release.pub.pem"),
    ):
        done = kanhu("firmware", *words)
        assert done.returncode == 2, words
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("kanhu: ")
    assert not (tmp_path / "out").exists()
