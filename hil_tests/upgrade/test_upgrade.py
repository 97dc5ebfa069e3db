"""Upgrade matrix: every release of releases.toml to this one, and back to its program under a higher number.

Each release is built from its own commit by its own tools: what meets here is what meets in homes, old
firmware and this host, the old updater and this archive, this updater and the old archive.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rollouts import BOARD, KEY, Rollouts
from steps import ARRIVES_S, Operator, call_after_press

from kanhu.install import signing
from kanhu.install.release import number, version_of
from kanhu.qa.board import Board
from kanhu.qa.host import Platform, wait_for
from kanhu.qa.rig import Rig
from kanhu.sim.lamp import load_table

pytestmark = [
    pytest.mark.upgrade,
    pytest.mark.needs("fast_clock", "press", "indicator"),  # hubs whose files the suite lays out itself
    pytest.mark.timeout(1200),
]

LIST = Path(__file__).with_name("releases.toml")
ROOT = Path(__file__).parents[2]
TAKES_S = 300.0  # from the start of a rollout to done
BUILD_S = 300.0
DUMP = (  # path -> bytes in hexadecimal, as the release itself lays them out
    "import json; from kanhu.install.firmware import build_files;"
    " print(json.dumps({path: data.hex() for path, data in build_files().items()}))"
)


class Release(NamedTuple):
    version: str
    commit: str


def releases() -> list[Release]:
    rows = tomllib.loads(LIST.read_text(encoding="utf-8"))["release"]
    return [Release(row["version"], row["commit"]) for row in rows]


class Sources:
    """The tree of one release, and what its own tools make of it."""

    def __init__(self, release: Release, folder: Path) -> None:
        self.release = release
        self.tree = folder / release.version
        self.tree.mkdir()
        archive = folder / f"{release.version}.tar"
        done = self._git("archive", "--output", str(archive), release.commit, "host", "firmware", "protocol")
        if done.returncode:
            pytest.skip(f"commit {release.commit} is not in this clone: git fetch --unshallow")
        with tarfile.open(archive) as found:
            found.extractall(self.tree)  # noqa: S202  our own repository's
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(self.tree / name) for name in ("host", "protocol")),
        }

    def _git(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, timeout=60)

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=self.tree, env=self._environment, capture_output=True, text=True,
            timeout=BUILD_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def files(self) -> dict[str, bytes]:
        """What a board of this release has on its flash."""
        return {path: bytes.fromhex(data) for path, data in json.loads(self._run("-c", DUMP)).items()}

    def bundle(self, version: str, image: Path | None, digest: str | None, key: Path) -> Path:
        """Its program under that version."""
        out = self.tree / version
        given = ["--micropython", str(image), "--sha256", str(digest)] if image else []
        self._run(
            "-m", "kanhu", "firmware", "build", "--board", BOARD, "--key", str(key), "--out", str(out),
            "--version", version, *given,
        )  # fmt: skip
        return out


@pytest.fixture(params=releases(), ids=lambda release: release.version)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Sources:
    folder = tmp_path / "releases"
    folder.mkdir()
    return Sources(request.param, folder)


def lives(hub: Board, platform: Platform, bench: Rig) -> None:
    """It calls, a person answers, and the lamp says so."""
    call = call_after_press(hub, platform)
    hub.wait_indicator("delivered", ARRIVES_S)
    Operator(bench).accept(call.alarm)
    hub.wait_indicator("accepted", ARRIVES_S)
    Operator(bench).close(call.alarm)
    hub.wait_indicator("well", ARRIVES_S)


def bring(version: str, hub: Board, platform: Platform, rollouts: Rollouts) -> None:
    """Over the air, until it stays."""
    before = len(platform.events("update.done", hub.hub_id))
    rollouts.ask("start", version, "--hub", hub.hub_id, "--canary", "1", "--soak", "1s")

    def done() -> bool | None:
        failed = platform.events("update.failed", hub.hub_id)
        assert not failed, f"{version} failed: {failed[-1].data}"
        return len(platform.events("update.done", hub.hub_id)) > before or None

    wait_for(
        done, TAKES_S, lambda: f"{version} is {rollouts.state(hub)} after {TAKES_S} s: {hub.log()[-800:]}"
    )
    assert platform.events("boot", hub.hub_id)[-1].data["firmware"] == version
    wait_for(lambda: rollouts.state(hub) == "done" or None, ARRIVES_S, lambda: rollouts.state(hub))


def kept(hub: Board, bench: Rig) -> Any:
    """What an update must not touch."""
    nvs = bench.host.town.bench.hubs[hub.hub_id].nvs()
    return {name: nvs.get(name) for name in ("hub_id", "key", "generation", "config")}


@pytest.mark.promise("U-02")
def test_there_and_back(
    old: Sources, hubs: Any, platform: Platform, bench: Rig, rollouts: Rollouts, tmp_path: Path
) -> None:
    patterns = load_table(old.tree / "firmware" / "kanhu_hub" / "indicator.py")
    (hub,) = hubs(1, release=signing.public_bytes(KEY), files=old.files(), patterns=patterns)
    assert platform.events("boot", hub.hub_id)[-1].data["firmware"] == old.release.version
    owned = kept(hub, bench)
    lives(hub, platform, bench)

    there = rollouts.release(1)
    bring(there, hub, platform, rollouts)
    assert kept(hub, bench) == owned
    lives(hub, platform, bench)

    back = version_of(number(there) + 1)
    rollouts.add(old.bundle(back, *rollouts.image(), rollouts.key_file()))
    bring(back, hub, platform, rollouts)
    assert kept(hub, bench) == owned
    lives(hub, platform, bench)

    assert platform.calls(hub.hub_id) == 3
    sums = bench.host.wait_settled(hub.hub_id)
    assert sums["lost"] == 0, sums
