"""What a call goes through in a fault, and what the lamp may say meanwhile."""

from __future__ import annotations

import time

from steps import BACK_S

from kanhu.qa.board import Board
from kanhu.qa.faults.fault import Fault
from kanhu.qa.host import Platform
from kanhu.qa.rig import Rig

HELD_S = 0.6  # of a press: a simulated hub on a busy computer has its time to see it
FAULT_S = 5.0
HEARD_S = 30.0
UP_S = 60.0  # from the supply to a lamp that speaks
LOOK_S = 0.05
LAMP = "kanhu: lamp "
UNTRUE = ("well", "accepted", "coming")
SURELY_S = 4.0  # two patterns
HEARD = ("heard", "stored", "delivered", "unanswered", "not_saved")


def survives(hub: Board, platform: Platform, bench: Rig, *faults: Fault, seconds: float = FAULT_S) -> None:
    """One press while all of that is wrong: heard at once, never called more than it is, and at the platform
    once, when the faults are over at the latest."""
    before = len(bench.host.journal_calls(hub.hub_id))
    begun: list[Fault] = []
    try:
        for fault in faults:
            fault.begin()
            begun.append(fault)
        at = hub.log_position()
        hub.press(seconds=HELD_S)
        is_heard(hub)
        truthful(hub, platform, bench, before, at, seconds)
    finally:
        for fault in reversed(begun):
            fault.end()
    arrives_once(hub, platform, bench)


def is_heard(hub: Board, timeout: float = HEARD_S) -> None:
    """The lamp has answered the press; AssertionError says what it shows."""
    end = time.monotonic() + timeout
    while (shown := hub.indicator()) not in HEARD:
        assert time.monotonic() < end, f"the lamp has not answered the press in {timeout:g} s: {shown!r}"
        time.sleep(LOOK_S)


def truthful(hub: Board, platform: Platform, bench: Rig, before: int, at: int, seconds: float) -> None:
    """The lamp calls nothing stored that is not in the journal (where `before` calls were), nothing delivered
    that the platform has not, and nothing well or accepted while nobody has the call. Told by each word of
    the console behind `at`, and by what lamp and buzzer show for as long as two patterns last: a simulated
    board that stands still for a moment shows something else."""
    end = time.monotonic() + seconds
    wrong, since = "", 0.0
    while (now := time.monotonic()) < end:
        said = [line.split()[-1] for line in hub.log(at).splitlines() if line.startswith(LAMP)]
        if untrue := set(said) & set(UNTRUE):
            raise AssertionError(f"nobody has the call, and the lamp said {', '.join(sorted(untrue))}")
        if "delivered" in said:
            assert platform.calls(hub.hub_id), "the lamp said delivered, and the platform has no call"
        if "stored" in said:
            stored = len(bench.host.journal_calls(hub.hub_id))
            assert stored > before, "the lamp said stored, and the journal has no such call"
        shown = hub.indicator()
        if shown != wrong:
            wrong, since = shown, now
        assert wrong not in UNTRUE or now - since < SURELY_S, f"nobody has the call: the lamp shows {wrong}"
        time.sleep(LOOK_S)


def arrives_once(hub: Board, platform: Platform, bench: Rig, presses: int = 1) -> None:
    """So many presses are at the platform and no more, and the books balance."""
    end = time.monotonic() + BACK_S
    while (came := platform.calls(hub.hub_id)) < presses:
        assert time.monotonic() < end, f"{came} of {presses} presses at the platform {BACK_S:g} s later"
        time.sleep(LOOK_S)
    sums = bench.host.wait_settled(hub.hub_id)
    assert sums["announced"] == sums["stored"] + sums["lost"] + sums["awaited"], sums
    assert sums["stored"] == sums["delivered"] + sums["queued"], sums
    came = platform.calls(hub.hub_id)
    assert came == presses, f"{presses} pressed, and {came} are at the platform"
