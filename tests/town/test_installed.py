"""From a bare board to a home that has called and been updated: every step is the real command, and the board
runs what was written to its flash. Nothing is put in between but the silicon."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image

from helpers_e2e import account, wait_for
from helpers_firmware import real_image, sha256
from helpers_provision import POINTS, WIFI
from kanhu.install.firmware import source_version
from kanhu.registry import Registry
from kanhu.registry.boards import Boards
from kanhu.sim.board import Board, hasty
from kanhu.sim.city import City
from kanhu.sim.hub import Hub
from kanhu.sim.town import BROKER_NAME, Home, Town

LONG = 180.0  # s of real time that a busy computer may need for any one step
NEWER = "0.9.0"
BUTTON_PIN = 4  # of the board's file, and of a hub without settings
REGION = "cn/42/01/06/03"
PUBLIC = "https://families.example.org"


class Installer:
    """Somebody with a laptop: `kanhu` as a program, a folder, and a board in their hand."""

    def __init__(self, town: Town, folder: Path, board: Board) -> None:
        self.town, self.folder, self.board = town, folder, board
        self.environment = {**hasty(), "KANHU_WIFI_PASSWORD": WIFI[1], "LANG": "C.UTF-8"}
        folder.mkdir()

    def start(self, *words: object, here: bool = True) -> subprocess.Popen[str]:
        """here: with the town's registry."""
        more = ["--data-dir", str(self.town.daemon.data_dir)] if here else []
        return subprocess.Popen(
            [sys.executable, "-m", "kanhu", *map(str, words), *more],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=self.folder, env=self.environment,
        )  # fmt: skip

    def ended(self, process: subprocess.Popen[str], status: int = 0) -> str:
        out, err = process.communicate(timeout=LONG)
        assert process.returncode == status, f"{process.args}\n{out}\n{err}"
        return out

    def run(self, *words: object, status: int = 0, here: bool = True) -> str:
        """What it prints; it has to end like that."""
        return self.ended(self.start(*words, here=here), status)

    def build(self, out: str, *more: str) -> str:
        image = real_image()
        return self.run(
            "firmware", "build", "--board", "esp32", "--key", "release.pem", "--out", out,
            "--micropython", image, "--sha256", sha256(image), *more, here=False,
        )  # fmt: skip

    def flash(self, bundle: str, *more: str, status: int = 0) -> tuple[dict[str, Any], str]:
        """(its row of the report, what was said)."""
        said = self.run(
            "flash", bundle, "--trust", "release.pub.pem", "--port", self.board.url, "--report", "report",
            *more, status=status,
        )  # fmt: skip
        report = json.loads((self.folder / "report" / "flash.json").read_text(encoding="utf-8"))
        (row,) = report["boards"]
        return row, said


@pytest.fixture
def town(make_town: Callable[..., Town]) -> Town:
    # As hubs say it that nobody has told otherwise.
    made = make_town(
        heartbeat_s=300, daemon={"web": {"port": 0, "public_url": PUBLIC}, "family": {"enabled": True}}
    )
    made.start()
    return made


def called(town: Town, city: City, hub: Hub, before: int) -> tuple[int, int]:
    """Somebody presses, the city hears of it, a person accepts, and the lamp says so: (boot, seq)."""
    assert town.bench.press_watched("button", hub=hub)
    wait_for(lambda: len(city.events("call")) > before, LONG)
    *_, call = city.events("call")
    assert (call.hub, call.region) == (hub.hub_id, REGION)
    town.bench.wait_indicator(hub, "delivered", LONG)
    city.accept_all()
    town.bench.wait_indicator(hub, "accepted", LONG)
    town.bench.wait_indicator(hub, "well", LONG)  # closed, too
    boot, _, seq = call.id.partition("-")
    return int(boot), int(seq)


@pytest.mark.timeout(400)
def test_a_bare_board_becomes_a_home_that_calls(town: Town, city: City, tmp_path: Path) -> None:
    bench = town.bench
    board = bench.add_board("shelf", "esp32", "240ac40000a1", 4, wiring={"button": BUTTON_PIN})
    board.wait_state("no image", timeout=LONG)
    installer = Installer(town, tmp_path / "van", board)

    # The bundle, and the board that boots it.
    installer.run("firmware", "keygen", "release.pem", here=False)
    installer.build("bundle")
    row, said = installer.flash("bundle")
    assert (row["state"], row["version"], row["mac"]) == ("passed", source_version(), board.mac), said
    assert row["facts"]["firmware"] == source_version()
    hub = board.wait_hub(LONG)
    assert row["hub"] == hub.hub_id == hub.nvs()["hub_id"].decode()  # type: ignore[union-attr]
    registry = Registry.open(town.daemon.data_dir, "read")
    given = Boards(registry).of(board.mac)
    assert given is not None
    assert (given.state, given.hub) == ("trusted", hub.hub_id)
    assert dict(registry.keys(hub.hub_id)) == {1: hub.nvs()["key"]}
    registry.close()

    # Its label.
    config = ("--config", town.daemon.config)
    installer.run("label", "sheet", hub.hub_id, "--out", "label.png", "--lang", "en", *config, here=False)
    with Image.open(installer.folder / "label.png") as picture:
        (read,) = zxingcpp.read_barcodes(picture)
    assert read.text.startswith(f"{PUBLIC}/f/")

    # At the home: its Wi-Fi, its broker, its place.
    bench.access_points(POINTS, hub)
    hub.wait_log("commissioning is open", LONG)
    said = installer.run(
        "provision", hub.hub_id, "--port", board.url, "--wifi", WIFI[0], "--broker", f"{BROKER_NAME}:1883",
        "--region", REGION, "--name", "王秀英",
    )  # fmt: skip
    assert said.splitlines()[-1] == "settings kept: ok", said
    bench.wait_indicator(hub, "well", LONG)
    assert board.wait_hub() is hub
    calls = [called(town, city, hub, 0)]

    # Without power, and with it again.
    board.cut_power()
    board.power_on()
    assert board.wait_hub(LONG) is hub
    bench.wait_indicator(hub, "well", LONG)
    calls.append(called(town, city, hub, 1))
    assert calls[1][0] > calls[0][0]

    # The home is looked at before it is left, and signed for.
    installer.run("check", "keygen", "inst7.pem", here=False)
    checking = installer.start(
        "check", hub.hub_id, "--by", "inst7", "--name", "王师傅", "--key", "inst7.pem", "--json",
        "--seconds", 5, "--skip", "walk=no sensor of movement is wired",
    )  # fmt: skip
    wait_for(lambda: checking.poll() is not None or bench.indicator(hub).pattern == "proving", LONG)
    assert checking.poll() is not None or bench.press_watched("button", hub=hub)
    record = json.loads(installer.ended(checking))
    found = {one["step"]: one["what"] for one in record["findings"]}
    assert (found["press"], found["hub"]) == ("answered", "heard"), record
    accepted = city.wait(lambda event: event.name == "installation.accepted", LONG)
    assert (accepted.data["record"], accepted.data["subject"]) == (record["recorded"], hub.hub_id)

    # A newer release comes over the air, and stays; what flashing then says is what runs.
    installer.build("newer", "--version", NEWER)
    installer.run("update", "add", "newer", "--trust", "release.pub.pem")
    installer.run("update", "start", NEWER, "--hub", hub.hub_id, "--canary", 1, "--soak", "1s")
    said = installer.run("update", "watch")
    assert "is over" in said.splitlines()[-1], said
    bench.wait_indicator(hub, "well", LONG)
    calls.append(called(town, city, hub, 2))
    row, said = installer.flash("bundle", "--dry-run", status=1)
    assert row["state"] == "refused", said
    assert f"it runs {NEWER}, which is newer than {source_version()}" in row["sentence"]
    assert board.wait_hub(LONG) is hub
    bench.wait_indicator(hub, "well", LONG)
    account(town, city, Home("shelf", hub, hub.hub_id), calls)
