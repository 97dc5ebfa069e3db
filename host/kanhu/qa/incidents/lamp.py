"""The lamp, recorded beside produced: what an elder could read off it, in order, and when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from kanhu.qa.incidents.console import lamps
from kanhu.qa.incidents.form import Incident

RECEIPTS = ("heard", "stored", "delivered")
OFF_MS = 12_000  # a change may come so much earlier or later: call.unanswered's phase
BRIEF_MS = 2000  # a pattern's period (kanhu_hub.indicator): what is shown for less cannot be read
END_MS = 2000  # a change so close to the record's end may be missing in it


class Pair(NamedTuple):
    """A line of the comparison; differs: "" when it fits, else in words; at_ms: of the recorded first."""

    at_ms: int
    recorded: str
    produced: str
    off_ms: int | None
    differs: str


Step = tuple[int | None, str]  # when, and the pattern


def lamp_pairs(recorded: Incident, produced: Incident) -> list[Pair]:
    """Pattern by pattern; where the record's lines have times, what nobody could read is no difference."""
    theirs = [(at, name) for at, name in lamps(recorded.log)]
    ours = [(at, name) for at, name in lamps(produced.log) if at is not None and at <= recorded.length_ms]
    found = _beside(recorded.length_ms, *_from_the_begin(_steps(theirs), _steps(ours)))
    if not found[-1].differs or any(at is None for at, _ in theirs):
        return found
    read = _beside(
        recorded.length_ms,
        *_from_the_begin(_steps(_readable(_steps(theirs))), _steps(_readable(_steps(ours)))),
    )
    return found if not read or read[-1].differs else read


def _from_the_begin(theirs: list[Step], ours: list[Step]) -> tuple[list[Step], list[Step]]:
    """Without what the lamp showed before the record, but for the pattern it began with."""
    before = next((name for at, name in reversed(ours) if at is not None and at < 0), None)
    ours = [(at, name) for at, name in ours if at is None or at >= 0]
    if before is not None and theirs and theirs[0][1] == before and (not ours or ours[0][1] != before):
        ours.insert(0, (0, before))
    return theirs, ours


def _beside(length_ms: int, theirs: Sequence[Step], ours: Sequence[Step]) -> list[Pair]:
    pairs = []
    for number in range(max(len(theirs), len(ours))):
        their = theirs[number] if number < len(theirs) else None
        our = ours[number] if number < len(ours) else None
        pairs.append(_pair(length_ms, their, our))
        if pairs[-1].differs:
            break  # from here on they are out of step
    return pairs


def _pair(length_ms: int, their: Step | None, our: Step | None) -> Pair:
    at_ms = their[0] if their is not None else None
    ours_ms = our[0] if our is not None else None
    off_ms = ours_ms - at_ms if at_ms is not None and ours_ms is not None else None
    differs = ""
    if their is None:
        differs = "" if ours_ms is not None and ours_ms > length_ms - END_MS else "is not in the record"
    elif our is None:
        differs = "is never shown"
    elif not _alike(their[1], our[1]):
        differs = "another pattern"
    elif off_ms is not None and abs(off_ms) > OFF_MS:
        differs = f"comes {seconds(off_ms)}"
    when = next((at for at in (at_ms, ours_ms) if at is not None), length_ms)
    return Pair(when, their[1] if their else "", our[1] if our else "", off_ms, differs)


def _steps(shown: Iterable[Step]) -> list[Step]:
    """Each pattern once; receipts that follow each other are one step, such as "heard stored"."""
    steps: list[Step] = []
    for at_ms, name in shown:
        if steps and name.split()[0] in RECEIPTS and steps[-1][1].split()[0] in RECEIPTS:
            new = [one for one in name.split() if one not in steps[-1][1].split()]
            steps[-1] = (steps[-1][0], " ".join([steps[-1][1], *new]))
        elif not steps or steps[-1][1] != name:
            steps.append((at_ms, name))
    return steps


def _readable(steps: Sequence[Step]) -> list[Step]:
    """Without patterns that gave way to another within their period; the last stays."""
    lasted = [
        begin is None or end is None or end - begin >= BRIEF_MS for (begin, _), (end, _) in pairwise(steps)
    ]
    return [one for one, stays in zip(steps, [*lasted, True], strict=False) if stays]


def _alike(one: str, other: str) -> bool:
    """The same pattern; of receipts the last may come too late to be shown, or one be passed over."""
    ours, theirs = one.split(), other.split()
    if ours[0] in RECEIPTS and theirs[0] in RECEIPTS:
        return set(ours) <= set(theirs) or set(theirs) <= set(ours)
    return one == other


def seconds(off_ms: int) -> str:
    """An offset in words."""
    return f"{abs(off_ms) / 1000:.1f} s {'late' if off_ms > 0 else 'early'}"
