"""A bare board becomes a hub by the documented lines: firmware files, one exported program, a reset."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from helpers_e2e import wait_for
from kanhu import ledger
from kanhu.sim.town import BROKER_NAME, Town

BARE = "0000000000"  # what the bench calls the board


def test_a_bare_board_becomes_a_hub(town: Town, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        environment = {
            **os.environ,
            "KANHU_DATA_DIR": str(town.daemon.data_dir),
            "KANHU_WIFI_PASSWORD": "a password",
        }
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    board = town.bench.add_hub(BARE, key=b"", files={})
    remote = ("mpremote", "connect", str(board.tty))
    run("kanhu.install.firmware", "kanhu-firmware")
    run(*remote, "cp", "-r", "kanhu-firmware/.", ":")
    folder = tmp_path / "kanhu-firmware"
    written = {f"/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*.*py")}
    assert board.flash_files() == written
    assert {"/boot.py", "/main.py", "/a/kanhu_hub/app.mpy"} <= written.keys()

    home = json.loads(run("kanhu", "registry", "home", "add", "--json"))["home"]
    hub = json.loads(run("kanhu", "registry", "hub", "add", home, "--json"))["hub"]
    run("kanhu", "registry", "hub", "settings", hub, 'links=["mqtt"]', "heartbeat=5")
    run(
        "kanhu", "registry", "hub", "export", hub, "--wifi", "kanhu-lab", "--broker", f"{BROKER_NAME}:1883",
        "-o", "hub.py",
    )  # fmt: skip
    assert f"this board is hub {hub}" in run(*remote, "run", "hub.py")
    assert board.nvs()["hub_id"] == hub.encode()
    run(*remote, "reset")
    journal = town.daemon.data_dir / "journal.db"
    wait_for(lambda: ledger.recompute(journal).get(hub, {"stored": 0})["stored"] > 1, 20, board.log())


def test_firmware_goes_into_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep me off the board")
    done = subprocess.run(
        [sys.executable, "-m", "kanhu.install.firmware", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"kanhu: {tmp_path}: not empty; all of it is copied to the board, so name a new folder\n"
    )
