"""A replay for people: side by side, what was inferred, and the verdict; and the same as one JSON object."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kanhu.qa.incidents.compare import Comparison
from kanhu.qa.incidents.form import Bad, Incident
from kanhu.qa.incidents.lamp import Pair
from kanhu.qa.incidents.programs import Program
from kanhu.qa.incidents.replay import Played

SAID_MAX = 400  # lines of what was done


def moment(at_ms: int) -> str:
    """A time of the incident: minutes and seconds from its begin."""
    sign, at_ms = ("-", -at_ms) if at_ms < 0 else ("", at_ms)
    return f"{sign}{at_ms // 60_000}:{at_ms // 1000 % 60:02d}.{at_ms % 1000:03d}"


def verdict(found: Comparison) -> str:
    """ "reproduced", or where it differs first."""
    first = found.first
    if first is None:
        return "reproduced"
    return f"differs first at {moment(first.at_ms)}: {_what(first)}"


def _what(pair: Pair) -> str:
    if not pair.recorded:
        return f"{pair.produced} {pair.differs}"
    beside = f" ({pair.produced} here)" if pair.produced and pair.produced != pair.recorded else ""
    return f"{pair.recorded} {pair.differs}{beside}"


def as_json(
    incident: Incident,
    program: Program,
    played: Played,
    found: Comparison,
    recorded_bad: list[Bad],
    said: list[str],
) -> dict[str, Any]:
    """Everything of a replay; the same replay gives the same."""
    return {
        "hub": incident.hub,
        "begin_utc_ms": incident.begin_utc_ms,
        "firmware": {"version": program.version, "tree": program.tree},
        "verdict": "reproduced" if found.first is None else "differs",
        "text": verdict(found),
        "first": found.first and found.first._asdict(),
        "events": [one._asdict() for one in found.pairs],
        "lamp": [one._asdict() for one in found.lamps],
        "not_compared": {name: list(both) for name, both in found.ignored.items()},
        "not_replayed": played.script.skipped,
        "stimuli": [one._asdict() for one in played.script.stimuli],
        "notes": [*said, *played.script.notes],
        "forced_boots": played.forced,
        "bad_in_record": [one.model_dump() for one in recorded_bad],
        "bad_in_replay": [one.model_dump() for one in played.bad],
    }


def show(console: Console, told: dict[str, Any], full: bool = False) -> None:
    """The same on a terminal; full: stimuli too."""
    for note in told["notes"]:
        console.print(Text(f"· {note}"), style="dim")
    for name, count in told["not_replayed"].items():
        console.print(Text(f"· not replayed: {count} x {name}"), style="yellow")
    if full:
        _stimuli(console, told["stimuli"])
    _pairs(console, "event", told["events"])
    if told["lamp"]:
        _pairs(console, "lamp", told["lamp"])
    if told["not_compared"]:
        both = ", ".join(f"{name} {a}/{b}" for name, (a, b) in told["not_compared"].items())
        console.print(Text(f"not compared (recorded/produced): {both}"), style="dim")
    for title, key in (("in the record", "bad_in_record"), ("in the replay", "bad_in_replay")):
        for one in told[key]:
            console.print(
                Text(f"bad {title} at {moment(one['at_ms'])}: {one['what']}: {one['text']}"), style="red"
            )
    colour = "green" if told["verdict"] == "reproduced" else "red"
    console.print(Text(told["text"], style=f"bold {colour}"))


def _stimuli(console: Console, stimuli: list[dict[str, Any]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, title="what is done", title_justify="left")
    for name in ("at", "what", "because"):
        table.add_column(name, overflow="fold")
    for one in stimuli[:SAID_MAX]:
        args = " ".join(f"{key}={value}" for key, value in one["args"].items())
        table.add_row(moment(one["at_ms"]), Text(f"{one['do']} {args}"), Text(one["because"]))
    console.print(table)
    if len(stimuli) > SAID_MAX:
        console.print(f"and {len(stimuli) - SAID_MAX} more: --json has all")


def _pairs(console: Console, title: str, pairs: list[dict[str, Any]]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("at", f"{title} recorded", "produced", "off ms", ""):
        table.add_column(name, overflow="fold", justify="right" if name in ("at", "off ms") else "left")
    for one in pairs:
        off = "" if one["off_ms"] is None else f"{one['off_ms']:+d}"
        style = "red" if one["differs"] else ""
        table.add_row(
            moment(one["at_ms"]), one["recorded"], one["produced"], off, one["differs"], style=style
        )
    console.print(table)
