"""`kanhu demo`: two homes, a broker, the daemon and the city in one terminal, with faults to inject."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live

from kanhu.demo.keys import keyboard
from kanhu.demo.scenario import HUBS_BUTTON, Scenario
from kanhu.demo.view import draw

FRAMES_PER_S = 8


def main(*, seconds: float, as_json: bool, seed: int) -> int:
    """Run the demo; returns 0 when nothing was lost or doubled and the ledger balances, else 1."""
    folder = Path(tempfile.mkdtemp(prefix="kanhu-demo-"))
    keep = True
    try:
        with Scenario(folder, seed) as scenario:
            status = _unattended(scenario, seconds or 30.0) if as_json else _attended(scenario, seconds)
            if keep := bool(status):
                for name, home in scenario.town.homes.items():
                    (folder / f"{name}.log").write_text(home.hub.log(), encoding="utf-8")
    finally:
        if keep:
            _say(f"journal and logs of this run are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return status


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _unattended(scenario: Scenario, seconds: float) -> int:
    told = 0

    def progress() -> None:
        nonlocal told
        lines = list(scenario.story)
        for when, text in lines[told:]:
            _say(f"{when:6.1f} s  {text}")
        told = len(lines)

    player = threading.Thread(target=scenario.play, args=(seconds, threading.Event()), daemon=True)
    player.start()
    while player.is_alive():
        progress()
        player.join(0.2)
    settled = scenario.settle()
    progress()
    scenario.city.stop()
    status = scenario.town.daemon.stop()
    result = scenario.account()
    problems = _problems(result, settled, status, scenario.city.error)
    for problem in problems:
        _say(f"FAILED: {problem}")
    print(json.dumps({**result, "ok": not problems}), flush=True)
    return 1 if problems else 0


def _problems(result: dict[str, object], settled: bool, status: int, error: str | None) -> list[str]:
    found = []
    if result["lost"] or result["duplicates"]:
        found.append(f"{result['lost']} presses lost, {result['duplicates']} doubled")
    classes = result["events_by_class"]
    if isinstance(classes, dict) and not all(classes.values()):
        found.append(f"a class of events never arrived: {classes}")
    sums = result["ledger"]
    if not isinstance(sums, dict) or not sums["balanced"] or sums["awaited"] or sums["queued"]:
        found.append(f"the ledger does not balance or something is still under way: {sums}")
    if not result["presses"]:
        found.append("no press was made")
    if not settled:
        found.append("the town did not come to rest in time")
    if status:
        found.append(f"the daemon ended with status {status}")
    if error:
        found.append(error)
    return found


def _attended(scenario: Scenario, seconds: float) -> int:
    console = Console()
    stop = threading.Event()
    scenario.city.auto_accept = False
    player: threading.Thread | None = None
    if seconds:
        scenario.city.auto_accept = True
        player = threading.Thread(target=scenario.play, args=(seconds, stop), daemon=True)
        player.start()
    else:
        scenario.tell("press c to call for help, a to answer as the operator, m to measure")
    turn = measured = 0
    end = time.monotonic() + seconds if seconds else float("inf")
    with keyboard() as read, Live(console=console, screen=True, auto_refresh=False) as live:
        while time.monotonic() < end:
            live.update(draw(scenario, console.size.height), refresh=True)
            key = read(1 / FRAMES_PER_S).lower()
            if key == "q":
                break
            if key in ("c", "h"):
                where = HUBS_BUTTON if key == "h" else scenario.callers[turn % len(scenario.callers)]
                turn += key == "c"
                threading.Thread(target=scenario.call, args=(where,), daemon=True).start()
            elif key == "m":
                where = scenario.monitors[measured % len(scenario.monitors)]
                measured += 1
                threading.Thread(target=scenario.measure, args=(where,), daemon=True).start()
            elif key == "a":
                scenario.city.accept_all()
            elif key == "b":
                scenario.break_broker()
            elif key == "d":
                scenario.kill_daemon()
            elif key == "p":
                scenario.cut_power()
    stop.set()
    if player:
        player.join()
    scenario.city.accept_all()
    settled = scenario.settle(10.0)
    result = scenario.account()
    presses = f"{result['presses']} press{'' if result['presses'] == 1 else 'es'}"
    rest = "balanced" if settled else "not yet at rest"
    console.print(
        f"{presses}, {result['lost']} lost, {result['duplicates']} doubled; ledger {rest}: {result['ledger']}"
    )
    return 0
