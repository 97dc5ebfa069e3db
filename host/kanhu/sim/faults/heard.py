"""Which presses the elder was told were heard, from what the hub's lamp showed and when. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .oracle import Pressed

RECEIPTS = ("heard", "stored", "delivered")
RESETS = ("ets sim: rst", "rst:0x")  # a simulated hub's, a chip's ROM
RESTING = ("well", "cannot_tell", "fault", "accepted")


class Spell(NamedTuple):
    """From begin to end, in monotonic s."""

    begin: float
    end: float


class Made(NamedTuple):
    """One press. noticed_s: when the hub, up all the time, had surely written it down; None: it went off."""

    at_s: float
    device: int
    noticed_s: float | None


def told(
    presses: Sequence[Made],
    lines: Sequence[tuple[float, str]],
    dark: Sequence[Spell],
    full: Sequence[Spell],
    hub: str,
) -> list[Pressed]:
    """lines: the hub's log; dark: from before a power cut until the hub was dead and its last words
    read; full: spells with a full flash.

    A press that opens an alarm is heard when the lamp says so. A further press changes no lamp: it counts as
    heard when the hub noticed it with room on its flash, and so does any press that its lamp passed over. A
    press during which the power went stands twice: it may be reported before and after."""
    lamp = [(when, text.split()[-1]) for when, text in lines if text.startswith("kanhu: lamp ")]
    own = [when for when, text in lines if text.startswith(RESETS) or "soft reboot" in text]
    resets = [*dark, *(Spell(when, when) for when in own)]
    result = []
    in_order = sorted(presses, key=lambda press: press.at_s)
    for number, press in enumerate(in_order):
        # What is shown after the next press, or after one that nothing was shown for, may be of either.
        until = in_order[number + 1].at_s if number + 1 < len(in_order) else float("inf")
        before = in_order[number - 1].at_s if number else float("-inf")
        if number and not any(before < when <= press.at_s for when, _ in lamp):
            until = press.at_s
        until = min([until, *(spell.begin for spell in resets if spell.begin > press.at_s)])
        since = max([0.0, *(spell.end for spell in resets if spell.begin <= press.at_s)])
        result.append(Pressed(press.at_s, hub, press.device, _heard(press, since, until, lamp, full)))
        if press.noticed_s is None and any(since <= when <= press.at_s for when, _ in lamp):
            # The power went during it: a hub that starts with a closed contact takes it for a press anew.
            result.append(Pressed(press.at_s, hub, press.device, None))
    return result


def _heard(
    press: Made,
    since: float,
    until: float,
    lamp: Sequence[tuple[float, str]],
    full: Sequence[Spell],
) -> float | None:
    shown = [name for when, name in lamp if since <= when <= press.at_s]
    if not shown:
        return None  # off, or still starting
    if shown[-1] in RESTING:
        for when, name in lamp:
            if press.at_s < when < until and name in (*RECEIPTS, "not_saved"):
                return None if name == "not_saved" else when
    noticed = press.noticed_s
    if noticed is None or any(spell.begin <= noticed and press.at_s <= spell.end for spell in full):
        return None
    return noticed
