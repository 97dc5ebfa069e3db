"""MicroPython's image: fetched over HTTP once, cached, and never used unless its hash is right."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from helpers_firmware import for_chip, micropython_image, real_image
from kanhu.install import boards, firmware, micropython, partitions
from kanhu.install.boards import Board
from kanhu.install.micropython import MicroPythonError, obtain, take_apart

REAL = real_image().read_bytes()
HASH = hashlib.sha256(REAL).hexdigest()


class Mirror(ThreadingHTTPServer):
    """Serves one image, badly if it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked = 0
        self.status = 200
        self.body = REAL
        self.length: int | None = len(REAL)
        self.moved = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/image.bin"


class _Answer(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.moved and self.path == "/image.bin":
            self.send_response(302)
            self.send_header("location", "/elsewhere.bin")
            self.end_headers()
            return
        self.send_response(self.server.status)
        if self.server.length is not None:
            self.send_header("content-length", str(self.server.length))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    firmware.cache_dir.cache_clear()
    yield tmp_path / "kanhu" / "micropython" / f"{HASH}.bin"
    firmware.cache_dir.cache_clear()


def at(url: str | None, sha256: str | None = HASH) -> Board:
    board = boards.load("esp32")
    changed = board.micropython.model_copy(update={"url": url, "sha256": sha256})
    return replace(board, micropython=changed)


def quiet(_done: int, _all: int | None) -> None:
    pass


def test_the_board_file_names_the_image_that_is_tested_with() -> None:
    assert boards.load("esp32").micropython.sha256 == HASH
    assert str(boards.load("esp32").micropython.url).endswith("/" + real_image().name)


def test_fetched_once(mirror: Mirror, cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    assert obtain(at(mirror.url), None, None, lambda *now: seen.append(now)) == REAL
    assert seen[-1] == (len(REAL), len(REAL))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert cache.read_bytes() == REAL
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]
    assert obtain(at(mirror.url), None, None, quiet) == REAL
    assert mirror.asked == 1


def test_moved_and_of_unknown_length(mirror: Mirror, cache: Path) -> None:
    mirror.moved, mirror.length = True, None
    seen = []
    assert obtain(at(mirror.url), None, None, lambda *now: seen.append(now)) == REAL
    assert seen[-1] == (len(REAL), None)


def test_a_damaged_cache_is_fetched_anew(mirror: Mirror, cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_bytes(REAL[:-1] + b"\0")
    assert obtain(at(mirror.url), None, None, quiet) == REAL
    assert cache.read_bytes() == REAL
    assert mirror.asked == 1


def test_a_cache_that_cannot_be_written(mirror: Mirror, cache: Path) -> None:
    cache.parent.parent.mkdir(parents=True)
    cache.parent.write_text("in the way")
    assert obtain(at(mirror.url), None, None, quiet) == REAL


@pytest.mark.parametrize(
    ("status", "body", "length", "says"),
    [
        (404, b"", 0, "the server answers 404"),
        (503, b"later", 5, "the server answers 503"),
        (200, REAL[: len(REAL) // 2], len(REAL), "--micropython FILE"),  # cut off
        (200, REAL[: len(REAL) // 2], None, "its SHA-256 is"),  # cut off, and nobody said how long it is
        (200, REAL[:-1] + b"\0", len(REAL), "its SHA-256 is"),
        (200, b"<html>log in</html>", 19, "its SHA-256 is"),
        (200, bytes(micropython.IMAGE_MAX + 1), None, "that is no image"),
    ],
)
def test_a_bad_download_leaves_nothing(
    mirror: Mirror, cache: Path, status: int, body: bytes, length: int | None, says: str
) -> None:
    mirror.status, mirror.body, mirror.length = status, body, length
    with pytest.raises(MicroPythonError) as refused:
        obtain(at(mirror.url), None, None, quiet)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not cache.parent.exists()


def test_no_network(cache: Path) -> None:
    closed = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port = closed.server_address[1]
    closed.server_close()
    for url in (f"http://127.0.0.1:{port}/", "http://nowhere.invalid/", "http://[bad/"):
        with pytest.raises(MicroPythonError, match="--micropython FILE"):
            obtain(at(url), None, None, quiet)


def test_a_file_instead(tmp_path: Path) -> None:
    assert obtain(at(None), real_image(), None, quiet) == REAL
    assert obtain(at(None, None), real_image(), HASH.upper(), quiet) == REAL
    changed = tmp_path / "changed.bin"
    changed.write_bytes(REAL[:-1] + b"\0")
    with pytest.raises(MicroPythonError, match="its SHA-256 is"):
        obtain(at(None), changed, None, quiet)
    with pytest.raises(MicroPythonError, match="No such file"):
        obtain(at(None), tmp_path / "none", None, quiet)


def test_no_hash_no_image() -> None:
    for file in (None, real_image()):
        with pytest.raises(
            MicroPythonError, match=r"micropython\.org/download/ESP32_GENERIC_S3/.*--sha256 HEX"
        ):
            obtain(boards.load("esp32-s3"), file, None, quiet)
    with pytest.raises(MicroPythonError, match="64 hexadecimal digits"):
        obtain(boards.load("esp32-s3"), real_image(), "abc", quiet)
    with pytest.raises(MicroPythonError, match="give it as --micropython FILE"):
        obtain(boards.load("esp32-s3"), None, HASH, quiet)


def test_taken_apart() -> None:
    found = take_apart(REAL, boards.load("esp32"))
    assert found.version == "v1.25.0"
    assert found.sha256 == HASH
    assert found.bootloader == REAL[: len(found.bootloader)]
    assert found.app == REAL[0xF000:]


def test_taken_apart_for_a_chip_that_boots_at_0() -> None:
    data = micropython_image("esp32s3").read_bytes()
    found = take_apart(data, boards.load("esp32-s3"))
    assert found.app == data[0x10000:]
    assert len(found.bootloader) == 23_264
    assert found.bootloader[3] >> 4 == 3  # 8 MB, where the image said 4


@pytest.mark.parametrize(
    ("data", "board", "says"),
    [
        (b"", "esp32", "its first byte is not 0xE9"),
        (REAL[:0x6000], "esp32", "no whole partition table"),
        (REAL[:0x9000], "esp32", "the application in the MicroPython image is no image"),
        (REAL[:-1], "esp32", "the application in the MicroPython image is cut short"),
        (REAL[:0x7010] + b"x" + REAL[0x7011:], "esp32", "no whole partition table"),
        (REAL, "esp32-s3", "is for an ESP32, not for an ESP32-S3"),
        (REAL[:0xF000] + for_chip(REAL[0xF000:], "esp32c3"), "esp32", "the application in the MicroPython"),
    ],
)
def test_images_that_cannot_be_used(data: bytes, board: str, says: str) -> None:
    with pytest.raises(MicroPythonError) as refused:
        take_apart(data, boards.load(board))
    assert says in str(refused.value)


def test_an_ota_variant_is_named() -> None:
    table = tuple(
        replace(one, name="ota_0", subtype=0x10) if one.name == "factory" else one
        for one in partitions.decode(REAL[0x7000:])
    )
    data = REAL[:0x7000] + partitions.encode(table) + REAL[0x7C00:]
    with pytest.raises(MicroPythonError, match="OTA variant"):
        take_apart(data, boards.load("esp32"))


def test_too_large_or_not_micropython_or_another_version() -> None:
    board = boards.load("esp32")
    small = tuple(replace(one, size=0x100000) if one.name == "factory" else one for one in board.partitions)
    with pytest.raises(MicroPythonError, match="larger than esp32's factory partition"):
        take_apart(REAL, replace(board, partitions=small))
    loader = REAL[:23_264]
    with pytest.raises(MicroPythonError, match="it is not MicroPython"):
        take_apart(REAL[:0xF000] + loader, board)
    wrong = board.micropython.model_copy(update={"version": "v1.26.0"})
    with pytest.raises(MicroPythonError, match=r"says MicroPython v1\.26\.0, but its image is v1\.25\.0"):
        take_apart(REAL, replace(board, micropython=wrong))
