"""A release over the air: after every alarm, signed, and for good only once it has proven itself."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from steps import ARRIVES_S, Operator, call_after_press

from kanhu.install import build, signing
from kanhu.install.firmware import source_version
from kanhu.install.release import number, version_of
from kanhu.qa.board import Board
from kanhu.qa.host import Platform, wait_for
from kanhu.qa.installing import packaged
from kanhu.qa.rig import Rig

pytestmark = [pytest.mark.release, pytest.mark.needs("fast_clock", "press", "indicator")]

BOARD = "esp32"
POSTPONED_S = 10.0  # the daemon asks within one
TAKES_S = 240.0  # from the start to done: some 15 s, on a quiet computer
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class Rollouts:
    """`kanhu update` at the daemon of the bench."""

    def __init__(self, bench: Rig, folder: Path) -> None:
        self._config = bench.host.town.daemon.config
        self.folder = folder
        self.trust = folder / "trust.pem"
        self.trust.write_bytes(signing.public_pem(KEY.public_key()))

    def ask(self, *words: str) -> str:
        """What it says; AssertionError with its words when it ends with an error."""
        done = subprocess.run(
            [sys.executable, "-m", "kanhu", "update", *words, "--config", str(self._config)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def release(self, above: int, key: Ed25519PrivateKey = KEY) -> str:
        """The hub's own program under a higher version, kept by the daemon; the version."""
        version = version_of(number(source_version()) + above)
        image = packaged(BOARD)
        digest = hashlib.sha256(image.read_bytes()).hexdigest() if image else None
        build.build(BOARD, self.folder / version, key, image, digest, version)
        self.ask("add", str(self.folder / version), "--trust", str(self.trust))
        return version

    def state(self, hub: Board) -> str:
        """How the newest rollout stands at a hub."""
        units = json.loads(self.ask("status", "--hubs", "--json"))
        found = [one for one in units["hubs"] if one["hub"] == hub.hub_id]
        return str(found[0]["state"]) if found else ""


@pytest.fixture
def rollouts(bench: Rig, tmp_path: Path) -> Any:
    """Whatever a test has begun is cancelled."""
    made = Rollouts(bench, tmp_path)
    yield made
    subprocess.run(
        [sys.executable, "-m", "kanhu", "update", "cancel", "--config", str(made._config)],
        capture_output=True,
        timeout=120,
    )


@pytest.mark.promise("U-01")
def test_an_update_waits_until_a_person_has_closed_the_alarm(
    hubs: Any, platform: Platform, bench: Rig, rollouts: Rollouts
) -> None:
    (one,) = hubs(1, release=signing.public_bytes(KEY))
    call = call_after_press(one, platform)
    version = rollouts.release(1)
    rollouts.ask("start", version, "--hub", one.hub_id, "--canary", "1", "--soak", "1s")

    def held() -> str:
        found = rollouts.state(one)
        assert found in {"waiting", "postponed"}, f"asked in the middle of an alarm: {found}"
        assert platform.events("update.progress", one.hub_id) == []
        return found

    wait_for(lambda: held() == "postponed" or None, POSTPONED_S + ARRIVES_S, held)
    Operator(bench).accept(call.alarm)
    assert held() == "postponed"
    Operator(bench).close(call.alarm)
    platform.wait_event("update.progress", one.hub_id, 3 * ARRIVES_S)


@pytest.mark.promise("U-02")
def test_a_release_proves_itself_before_it_stays(
    hubs: Any, platform: Platform, bench: Rig, rollouts: Rollouts
) -> None:
    (one,) = hubs(1, release=signing.public_bytes(KEY))
    version = rollouts.release(1)
    rollouts.ask("start", version, "--hub", one.hub_id, "--canary", "1", "--soak", "1s")
    platform.wait_event("update.done", one.hub_id, TAKES_S)
    tried = platform.events("test_call", one.hub_id)
    assert tried, "it stays without a test call"
    wait_for(lambda: rollouts.state(one) == "done" or None, ARRIVES_S, lambda: rollouts.state(one))
    assert platform.events("boot", one.hub_id)[-1].data["firmware"] == version
    call = call_after_press(one, platform)
    Operator(bench).accept(call.alarm)
    Operator(bench).close(call.alarm)
