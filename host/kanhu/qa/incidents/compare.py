"""Recorded beside produced: what fits, and where they differ first.

Compared are kind, device, the alarm that an event belongs to, the reset cause of a boot, order and time.
Sequence numbers are not: what the hub says in its own rhythm (IGNORED) takes some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from kanhu.qa.incidents.console import lamps
from kanhu.qa.incidents.form import Event, Incident
from kanhu.qa.incidents.lamp import Pair, lamp_pairs, seconds
from kanhu.qa.incidents.script import NOT_REPLAYED
from kanhu_protocol import kinds as k

TOLERANCE_MS = 2000  # of an event that follows from a stimulus
ORDER_MS = 1000  # closer than this in the record, two events may change places
# Of what follows from when a connection comes back: the hub tries again after up to 60 s
# (kanhu_hub.links.mqtt), unless a call hurries it; call.unanswered waits for the link and then counts on.
TOLERANCES = {
    k.LINK_LOST: 15_000, k.LINK_BACK: 62_000, k.CALL_UNANSWERED: 12_000, k.MOTION_COUNT: 62_000,
    k.STILL: 62_000, k.SENSOR_SILENT: 62_000, k.SENSOR_BACK: 62_000, k.MAINS_LOST: 3000, k.MAINS_BACK: 3000,
    k.STORAGE_FULL: 15_000, k.STORAGE_OK: 15_000, k.EVENTS_LOST: 62_000,
}  # fmt: skip
# What a hub says in a rhythm of its own, or in answer to its host, and what no stimulus here can bring about.
IGNORED = frozenset(
    {k.HEARTBEAT, k.CLOCK_SET, k.COMMAND_DONE, k.COMMAND_REFUSED, k.TEST_CALL, k.PATH_PROVEN, k.PATH_FAULT,
     k.PATH_OK, k.CLOCK_FAULT, k.CLOCK_OK, *NOT_REPLAYED}
)  # fmt: skip
ANSWERS = ("accepted", "dispatched", "on_scene", "closed")


class Comparison(NamedTuple):
    """pairs in order of time; lamps: the same of the lamp, empty where the record has no log."""

    pairs: list[Pair]
    lamps: list[Pair]
    ignored: dict[str, tuple[int, int]]  # kind: how many recorded and produced, not compared

    @property
    def first(self) -> Pair | None:
        """Where they differ first; None: reproduced."""
        different = [one for one in (*self.pairs, *self.lamps) if one.differs]
        return min(different, key=lambda one: one.at_ms, default=None)


def compare(recorded: Incident, produced: Incident) -> Comparison:
    """Events and, where the record has a log, the lamp; produced may reach beyond the record's span."""
    theirs, ours = _compared(recorded), _compared(produced)
    pairs = _at_edges(_events(recorded, theirs, produced, ours), _edges(recorded))
    lamp = lamp_pairs(recorded, produced) if any(lamps(recorded.log)) else []
    names = sorted({one.name for one in (*recorded.events, *produced.events) if one.kind in IGNORED})
    inside = [one for one in produced.events if 0 <= one.at_ms <= recorded.length_ms]
    ignored = {name: (_count(recorded.events, name), _count(inside, name)) for name in names}
    return Comparison(pairs, lamp, {name: both for name, both in ignored.items() if any(both)})


def _compared(incident: Incident) -> list[Event]:
    return sorted(
        (one for one in incident.events if one.kind not in IGNORED),
        key=lambda one: (one.at_ms, one.boot, one.seq),
    )


def _events(recorded: Incident, theirs: list[Event], produced: Incident, ours: list[Event]) -> list[Pair]:
    free = list(ours)
    pairs: list[Pair] = []
    matched: list[tuple[Event, Event]] = []
    their_alarms, our_alarms = _ordinals(recorded), _ordinals(produced)
    for one in theirs:
        fits = _token(one, their_alarms)
        limit = TOLERANCES.get(one.kind, TOLERANCE_MS)
        found = next(
            (e for e in free if _token(e, our_alarms) == fits and abs(e.at_ms - one.at_ms) <= limit), None
        )
        if found is None:
            near = next((e for e in free if _token(e, our_alarms) == fits), None)
            said = "does not happen" if near is None else f"comes {seconds(near.at_ms - one.at_ms)}"
            if near is not None:
                free.remove(near)
            pairs.append(Pair(one.at_ms, _words(one), "" if near is None else _words(near), None, said))
            continue
        free.remove(found)
        late = next((e for before, e in matched if _apart(before, one) and _after(e, found)), None)
        differs = "" if late is None else f"comes before {_words(late)}"
        matched.append((one, found))
        pairs.append(Pair(one.at_ms, _words(one), _words(found), found.at_ms - one.at_ms, differs))
    for extra in free:
        limit = TOLERANCES.get(extra.kind, TOLERANCE_MS)
        if limit < extra.at_ms < recorded.length_ms - limit:
            pairs.append(Pair(extra.at_ms, "", _words(extra), None, "is not in the record"))
    return sorted(pairs, key=lambda one: one.at_ms)


def _edges(incident: Incident) -> list[int]:
    """Where a repetition ends: a person's answer, or a daemon that starts and has one to pass on."""
    answers = [step.at_ms for alarm in incident.alarms for step in alarm.steps if step.what in ANSWERS]
    return sorted([*answers, *incident.host_starts_ms])


def _at_edges(pairs: list[Pair], edges: list[int]) -> list[Pair]:
    """Where a repetition ends within its own phase, one call.unanswered more or less is no difference."""
    left, found, phase = list(edges), [], 0
    for one in pairs:
        if f"{one.recorded}{one.produced}".startswith("call.unanswered "):
            if one.off_ms is not None:
                phase = abs(one.off_ms)
            else:
                edge = next((at for at in left if abs(at - one.at_ms) <= ORDER_MS + phase), None)
                if edge is not None:
                    left.remove(edge)
                    one = one._replace(differs="")
        found.append(one)
    return found


def _apart(before: Event, one: Event) -> bool:
    """Whether their times in the record say which came first."""
    limit = max(ORDER_MS, TOLERANCES.get(before.kind, 0), TOLERANCES.get(one.kind, 0))
    return one.at_ms - before.at_ms > limit


def _after(one: Event, other: Event) -> bool:
    """Whether the hub said `one` after `other`; of two boots by their numbers."""
    return (one.boot, one.seq) > (other.boot, other.seq) and one.at_ms - other.at_ms > ORDER_MS


def _token(one: Event, alarms: dict[tuple[int, int], int]) -> tuple[Any, ...]:
    named = one.data.get("alarm")
    known = isinstance(named, list) and len(named) == 2 and all(type(part) is int for part in named)
    alarm = alarms.get((named[0], named[1]), -1) if known and isinstance(named, list) else None
    if alarm is None:
        alarm = alarms.get((one.boot, one.seq))
    return one.kind, one.device, alarm, one.data.get("reset") if one.kind == k.BOOT else None


def _ordinals(incident: Incident) -> dict[tuple[int, int], int]:
    own = [one for one in incident.alarms if one.boot < 1 << 30 and 0 <= one.opened_ms <= incident.length_ms]
    return {(one.boot, one.seq): number for number, one in enumerate(own)}


def _words(one: Event) -> str:
    where = f" of device {one.device}" if one.device else ""
    return f"{one.name}{where} ({one.boot}-{one.seq})"


def _count(events: Sequence[Event], name: str) -> int:
    return sum(one.name == name for one in events)
