"""The install page in Chromium: nothing leaves this machine, and a simulated board boots what it wrote."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, expect

from helpers_browser import Seat, chromium
from helpers_cli import Kanhu
from helpers_firmware import loaded, public_key, real_image, sha256, test_key
from helpers_web_serial import WebSerial
from kanhu.install import page, signing
from kanhu.install.build import build
from kanhu.install.bundle import Bundle, load
from kanhu.install.page import PageError, serve
from kanhu.sim import Bench

WAIT_MS = 100_000  # for a step of an installation, on a busy machine
NO_SERIAL = "delete Navigator.prototype.serial"
NOT_SECURE = "Object.defineProperty(window, 'isSecureContext', { value: false })"


def light_image(path: Path) -> Path:
    """MicroPython's image, whole and valid, with zeros for its code: a simulated line is slow."""
    data = bytearray(real_image().read_bytes())
    app = 0xF000  # of the file; in flash 0x10000
    banner = data.index(b"MicroPython v1.25.0 on", app)
    place, checksum = app + 24, 0xEF
    for _ in range(data[app + 1]):
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8
        for at in (place, banner + 64) if place <= banner < place + length else (place,):
            end = banner if at == place and place <= banner < place + length else place + length
            data[at:end] = bytes(end - at)
        for byte in data[place : place + length].replace(b"\0", b""):
            checksum ^= byte
        place += length
    end = (place - app | 15) + 1 + app
    data[end - 1] = checksum
    data[end : end + 32] = hashlib.sha256(data[app:end]).digest()
    path.write_bytes(data)
    return path


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with serve.server(folder, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page for esp32, as it is written for a web server."""
    folder = tmp_path_factory.mktemp("page")
    image = light_image(folder / "light.bin")
    made = build("esp32", folder / "bundle", test_key(), image, sha256(image))
    page.make(made, folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def made(site: Path) -> Bundle:
    return load(site.parent / "bundle", [public_key()])


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    with served(site) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@contextmanager
def opened(browser: Browser, url: str, *before: str, locale: str = "en-GB") -> Iterator[Seat]:
    seat = Seat(browser, url, locale=locale)
    try:
        for script in before:
            seat.context.add_init_script(script)
        seat.page.goto("/")
        seat.page.wait_for_selector("html[data-ready]")
        yield seat
    finally:
        seat.close()


def ready(seat: Seat) -> str:
    return str(seat.page.evaluate("document.documentElement.dataset.ready"))


def test_nothing_leaves_this_machine(browser: Browser, url: str) -> None:
    seat = Seat(browser, url, locale="en-GB")
    asked: list[str] = []
    seat.context.on("request", lambda request: asked.append(request.url))
    try:
        seat.page.goto("/")
        seat.page.wait_for_selector("html[data-ready]")
        assert ready(seat) == "yes"
        assert seat.page.evaluate("!!customElements.get('esp-web-install-button')")
        expect(seat.page.get_by_role("button", name="Connect")).to_be_visible()
        assert seat.problems == []
    finally:
        seat.close()
    assert {urlsplit(one).netloc for one in asked} == {urlsplit(url).netloc}
    assert {urlsplit(one).path for one in asked} == {
        "/", "/page.css", "/page.js", "/tools/install-button.js", "/bundle/install.json"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("locale", "says", "connect"),
    [("zh-CN", "给一块板安装固件", "连接"), ("de-DE", "Install firmware on one board", "Connect")],
)
def test_both_languages(browser: Browser, url: str, locale: str, says: str, connect: str) -> None:
    with opened(browser, url, locale=locale) as seat:
        heading = seat.page.get_by_role("heading", name=says)
        expect(heading).to_be_visible()
        expect(seat.page.get_by_role("button", name=connect)).to_be_visible()
        expect(seat.page.locator("#version")).to_have_text(loaded("esp32").version)
        assert not seat.scrolls_sideways()
        assert seat.axe() == []
        seat.page.locator("#language").click()
        expect(heading).to_be_hidden()
        assert seat.axe() == []
        seat.page.locator("#language").click()
        expect(heading).to_be_visible()
        assert seat.problems == []


@pytest.mark.parametrize(
    ("before", "found", "says"),
    [(NO_SERIAL, "unsupported", "it has no Web Serial"), (NOT_SECURE, "insecure", "only https pages")],
)
def test_a_browser_that_cannot(browser: Browser, url: str, before: str, found: str, says: str) -> None:
    with opened(browser, url, before) as seat:
        assert ready(seat) == found
        expect(seat.page.get_by_role("alert")).to_contain_text(says)
        expect(seat.page.get_by_role("button", name="Connect")).to_be_hidden()
        assert seat.axe() == []
        assert seat.problems == []


def test_a_page_without_its_bundle(browser: Browser, site: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(site, tmp_path / "site"))
    (broken / "bundle" / "install.json").unlink()
    with served(broken) as url, opened(browser, url) as seat:
        assert ready(seat) == "broken"
        expect(seat.page.get_by_role("alert")).to_contain_text("run kanhu firmware page again")


def dialog(seat: Seat) -> Locator:
    return seat.page.locator("ewt-install-dialog")


@pytest.mark.timeout(300)
def test_a_board_boots_what_the_page_wrote(browser: Browser, url: str, made: Bundle, tmp_path: Path) -> None:
    with Bench(tmp_path / "bench") as bench:
        board = bench.add_board("one", "esp32", "240ac4000001", 4)
        seat = Seat(browser, url, locale="en-GB")
        serial = WebSerial(seat.context, board.url)
        asked: list[str] = []
        seat.context.on("request", lambda request: asked.append(request.url))
        try:
            seat.page.goto("/")
            seat.page.get_by_role("button", name="Connect").click()
            dialog(seat).get_by_text("Install Kanhu esp32").click(timeout=WAIT_MS)
            dialog(seat).locator("ew-checkbox").click()
            dialog(seat).get_by_role("button", name="Next").click()
            dialog(seat).get_by_role("button", name="Install").click()
            expect(dialog(seat)).to_contain_text("Installation complete!", timeout=WAIT_MS)
        finally:
            seat.close()
            serial.close()
        flash = board.flash()
        for region in made.regions:
            assert flash[region.offset : region.offset + region.size] == region.data(), region.name
        board.wait_state("application", timeout=30)
        assert b"hub_id" not in board.flash()[0x9000:0xF000]  # it is nobody yet
    assert {urlsplit(one).netloc for one in asked} == {urlsplit(url).netloc}
    fetched = {urlsplit(one).path for one in asked}
    assert {f"/bundle/{region.path.name}" for region in made.regions} < fetched


@pytest.mark.timeout(300)
def test_a_board_of_another_chip_is_left_alone(browser: Browser, tmp_path: Path) -> None:
    page.make(loaded("esp32-s3"), tmp_path / "site")
    with served(tmp_path / "site") as url, Bench(tmp_path / "bench") as bench:
        board = bench.add_board("other", "esp32", "240ac4000002", 4)
        seat = Seat(browser, url, locale="en-GB")
        serial = WebSerial(seat.context, board.url)
        try:
            seat.page.goto("/")
            seat.page.get_by_role("button", name="Connect").click()
            dialog(seat).get_by_text("Install Kanhu esp32-s3").click(timeout=WAIT_MS)
            dialog(seat).get_by_role("button", name="Next").click()
            dialog(seat).get_by_role("button", name="Install").click()
            expect(dialog(seat)).to_contain_text("Your ESP32 board is not supported", timeout=WAIT_MS)
        finally:
            seat.close()
            serial.close()
        assert set(board.flash()) == {0xFF}


def answer(url: str, path: str, host: str | None = None, method: str = "GET") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request(method, path, headers={"host": host or urlsplit(url).netloc})
    found = connection.getresponse()
    found.read()
    connection.close()
    return found


def test_what_the_server_answers(url: str, made: Bundle) -> None:
    found = answer(url, "/bundle/micropython.bin")
    assert found.status == 200
    assert int(found.headers["content-length"]) == made.region("micropython").size
    assert found.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in found.headers["content-security-policy"]
    for path in (
        "/tools/",
        "/bundle/",
        "/../manifest.json",
        "/%2e%2e/manifest.json",
        "/bundle/manifest.sig",
        "/x",
    ):
        assert answer(url, path).status == 404, path
    for method in ("GET", "HEAD"):
        assert answer(url, "/", "evil.example:80", method).status == 421
        assert answer(url, "/", "evil.example", method).status == 421
    assert answer(url, "/", "127.0.0.1:1").status == 200
    assert answer(url, "/", method="POST").status == 501


def test_only_what_was_signed_is_served(folder: Path, tmp_path: Path) -> None:
    found = load(folder, [public_key()])
    (folder / "vfs.bin").write_bytes(b"changed since")
    with pytest.raises(Exception, match=r"vfs\.bin is not what was signed"):
        page.make(found, tmp_path / "site")


def test_tools_from_a_file(tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without npm: the same scripts out of the same archive, and no other."""
    archive = page._archive(None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(page, "cache_dir", lambda: tmp_path / "none" / "mpy")
    with pytest.raises(PageError, match=r"npm is not installed.*--tools FILE"):
        page.make(loaded("esp32"), tmp_path / "site")
    assert not (tmp_path / "site").exists()
    (tmp_path / "tools.tgz").write_bytes(archive)
    page.make(loaded("esp32"), tmp_path / "site", tmp_path / "tools.tgz")
    scripts = {path.name for path in (tmp_path / "site" / "tools").iterdir()}
    assert scripts == {path.name for path in (site / "tools").iterdir()}
    assert "install-button.js" in scripts
    (tmp_path / "tools.tgz").write_bytes(archive[:-1])
    with pytest.raises(PageError, match=r"not esp-web-tools@10\.4\.0 as it was published"):
        page.make(loaded("esp32"), tmp_path / "other", tmp_path / "tools.tgz")
    with pytest.raises(PageError, match="No such file"):
        page.make(loaded("esp32"), tmp_path / "other", tmp_path / "none.tgz")
    (tmp_path / "tools.tgz").write_bytes(archive)
    with pytest.raises(PageError, match="name a new folder"):
        page.make(loaded("esp32"), tmp_path / "site", tmp_path / "tools.tgz")
    assert not (tmp_path / "other").exists()


def npm(folder: Path, script: str) -> None:
    """A program named npm that does as told."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'npm error network is down' >&2; exit 1", "npm: npm error network is down; or fetch"),
        ("exit 3", "npm: exit 3; or fetch"),
        ("exit 0", "npm: exit 0; or fetch"),
        ("echo changed > esp-web-tools-10.4.0.tgz", "not esp-web-tools@10.4.0 as it was published"),
        ("sleep 30", "timed out"),
    ],
)
def test_npm_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, says: str) -> None:
    npm(tmp_path / "bin", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr(page, "cache_dir", lambda: tmp_path / "none" / "mpy")
    monkeypatch.setattr(page, "TIMEOUT_S", 0.5 if script == "sleep 30" else 30)
    with pytest.raises(PageError) as refused:
        page.make(loaded("esp32"), tmp_path / "site")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_commands(tmp_path: Path, kanhu: Kanhu) -> None:
    trust = tmp_path / "key.pub.pem"
    trust.write_bytes(signing.public_pem(test_key().public_key()))
    words = ("firmware", "page", loaded("esp32").folder, "--trust", trust)
    done = kanhu(*words, "--out", tmp_path / "site")
    assert done.returncode == 0
    assert "by https" in done.stdout
    assert (tmp_path / "site" / "index.html").is_file()
    assert kanhu(*words, "--out", tmp_path / "site").returncode == 2
    with serve.server(tmp_path / "site", 0) as taken:
        done = kanhu(*words, "--port", taken.server_address[1])
        assert done.returncode == 2
        assert "Address already in use" in done.stderr
