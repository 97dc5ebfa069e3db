"""Which presses the elder was told were heard, from what the hub's lamp showed and when. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .oracle import Pressed

RECEIPTS = ("heard", "stored", "delivered")
RESTING = ("well", "cannot_tell", "fault", "accepted")
SHOWN_S = 1.5  # from a press to its "heard" on a machine with much to do
QUIET_S = 0.6  # of undisturbed power after a further press: it is in flash a few ms after its debouncing
READY_S = 0.3  # from "the hub has started" until its inputs are read


class Spell(NamedTuple):
    """From begin to end, in monotonic s."""

    begin: float
    end: float


def told(
    presses: Sequence[tuple[float, int]],
    lines: Sequence[tuple[float, str]],
    dark: Sequence[Spell],
    full: Sequence[Spell],
    hub: str,
) -> list[Pressed]:
    """presses: (monotonic s, device); lines: the hub's log; dark: without power; full: flash full.

    A press that opens an alarm is heard when the lamp says so. A further press changes no lamp: it counts as
    heard when the hub was up, with room on its flash, and kept its power QUIET_S longer."""
    lamp = [(when, text.split()[-1]) for when, text in lines if text.startswith("kanhu: lamp ")]
    starts = [when for when, text in lines if text.startswith("kanhu: hub ") and " boot " in text]
    resets = [spell.begin for spell in dark]
    resets += [when for when, text in lines if text.startswith("ets sim: rst") or "soft reboot" in text]
    result = []
    in_order = sorted(presses)
    for number, (at_s, device) in enumerate(in_order):
        # What is shown later, or after another press that nothing was shown for, may be of either.
        until = min([at_s + SHOWN_S, *(when for when, _ in in_order[number + 1 : number + 2])])
        before = in_order[number - 1][0] if number else 0.0
        if at_s - before < SHOWN_S and not any(before < when <= at_s for when, _ in lamp):
            until = at_s
        shown = _heard(at_s, until, lamp, starts, sorted(resets), dark, full)
        result.append(Pressed(at_s, hub, device, shown))
    return result


def _heard(
    at_s: float,
    until: float,
    lamp: Sequence[tuple[float, str]],
    starts: Sequence[float],
    resets: Sequence[float],
    dark: Sequence[Spell],
    full: Sequence[Spell],
) -> float | None:
    last_reset = max((when for when in resets if when <= at_s), default=0.0)
    next_reset = min((when for when in resets if when > at_s), default=float("inf"))
    started = max((when for when in starts if when <= at_s), default=None)
    if started is None or started < last_reset or at_s < started + READY_S or _within(at_s, dark):
        return None
    shown = [name for when, name in lamp if last_reset <= when <= at_s]
    if shown and shown[-1] in RESTING:
        for when, name in lamp:
            if at_s < when < min(next_reset, until) and name in (*RECEIPTS, "not_saved"):
                return None if name == "not_saved" else when
    return _quietly(at_s, next_reset, full)


def _quietly(at_s: float, next_reset: float, full: Sequence[Spell]) -> float | None:
    """A press of a hub that is up, has room and keeps its power has to be heard, lamp or not."""
    until = at_s + QUIET_S
    if next_reset <= until or any(spell.begin <= until and at_s <= spell.end for spell in full):
        return None
    return until


def _within(at_s: float, spells: Sequence[Spell]) -> bool:
    return any(spell.begin <= at_s <= spell.end for spell in spells)
