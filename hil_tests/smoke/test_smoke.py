"""Smoke: what has to work on every board before anything else is tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kanhu.broker import EmbeddedBroker
from kanhu.install.firmware import build_files, source_dir, source_version
from kanhu.qa.board import Board
from kanhu.qa.host import Platform
from kanhu.qa.hub import Hub
from kanhu.qa.measure import Measures
from kanhu.qa.rig import Rig
from kanhu.qa.stimulus import Stimulus

pytestmark = pytest.mark.smoke

LATENCY_LIMIT_S = 5.0  # press to the platform: far below the 60 s in which 97.5 % of calls are to be answered
UP_S = 90.0  # a start, on a busy computer
SOON_S = 20.0
MPREMOTE_LIMIT_S = 60.0
SAY_TREES = "print(json.dumps({top: tree(top) for top in %r}))"


def mpremote(hub: Hub, *words: str) -> str:
    """Run the real mpremote on the board; its output."""
    program = Path(sys.executable).with_name("mpremote")
    with hub.holding() as url:
        done = subprocess.run(
            [str(program), "connect", url, *words],
            capture_output=True,
            text=True,
            timeout=MPREMOTE_LIMIT_S,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.promise("D-01")
@pytest.mark.needs("press", "indicator")
def test_a_press_reaches_a_person_and_the_elder_sees_it(
    hub: Board, platform: Platform, measure: Measures
) -> None:
    pressed = hub.press()
    platform.wait_event("call", hub.hub_id)
    ((arrived, event),) = platform.timed("call", hub.hub_id)
    assert event.event_class == "p1"
    hub.wait_indicator("delivered", SOON_S)
    platform.accept_all()
    hub.wait_indicator("accepted", SOON_S)
    assert platform.calls(hub.hub_id) == 1
    assert platform.repeated() == {}
    measure("press to platform", arrived - pressed.at, "s", LATENCY_LIMIT_S)


@pytest.mark.needs("motion")
def test_motion_reaches_the_platform(hub: Board, platform: Platform) -> None:
    hub.motion(seconds=2.0)
    event = platform.wait(lambda event: event.name.startswith("motion") and event.hub == hub.hub_id, UP_S)
    assert event.event_class == "p5"
    assert event.data["device"] == 2


@pytest.mark.needs("radio", "indicator")
def test_a_press_on_bluetooth_reaches_the_platform(
    bench: Rig, hub: Hub, stimulus: Stimulus, platform: Platform
) -> None:
    with bench.host.paired(hub.hub_id, "call", stimulus.radio.address, "caller") as device:
        stimulus.radio.press()
        event = platform.wait_event("call", hub.hub_id, SOON_S)
        assert event.data["device"] == device
        hub.wait_indicator("delivered", SOON_S)
        platform.accept_all()
        hub.wait_indicator("well", UP_S)
        assert platform.calls(hub.hub_id) == 1


@pytest.mark.promise("D-02")
@pytest.mark.needs("power", "press", "indicator")
def test_a_heard_press_survives_a_power_cut(hub: Board, platform: Platform, broker: EmbeddedBroker) -> None:
    broker.kill()  # nothing can leave the hub before the cut
    hub.press()
    hub.wait_indicator("heard", SOON_S)
    hub.power(False)
    hub.power(True)
    hub.wait_indicator("unanswered", UP_S)
    broker.start()
    platform.wait_event("call", hub.hub_id, UP_S)
    assert platform.calls(hub.hub_id) == 1


@pytest.mark.needs("flash", "exec", "reset")
def test_the_hub_runs_what_was_flashed(bench: Rig, hub: Hub, platform: Platform) -> None:
    made, expected = bench.installer.bundle(hub.kind)
    selftest = (source_dir() / "selftest.py").read_text(encoding="utf-8")
    said = hub.exec(f"{selftest}\n{SAY_TREES % (sorted(expected.trees),)}", UP_S)
    assert json.loads(said.splitlines()[-1]) == expected.trees
    boot = platform.wait_event("boot", hub.hub_id, UP_S)
    assert boot.data["firmware"] == made.version == source_version()


@pytest.mark.needs("flash", "reset")
def test_mpremote_sees_the_files_that_an_esp32_would_get(hub: Hub, platform: Platform) -> None:
    listing = mpremote(hub, "fs", "ls", ":/")
    assert "main.py" in listing
    assert "boot.py" in listing
    assert "a/" in listing
    for path in ("/main.py", "/boot.py"):
        assert mpremote(hub, "fs", "cat", ":" + path).encode() == build_files()[path]
    hub.reset()
    platform.wait_event("boot", hub.hub_id, UP_S)


@pytest.mark.needs("press", "exec")
def test_a_soft_reset_goes_on_with_events(hub: Hub, platform: Platform) -> None:
    mpremote(hub, "soft-reset")
    boot = platform.wait_event("boot", hub.hub_id, UP_S)
    # main.py does not run after this soft reset; the watchdog, which survives it, brings the hub back.
    assert boot.data["reset"] == "watchdog"
    hub.press()
    call = platform.wait_event("call", hub.hub_id, UP_S)
    assert call.id.split("-")[0] == boot.id.split("-")[0]
