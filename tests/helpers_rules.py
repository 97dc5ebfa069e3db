"""Homes for the tests of rules: facts in any order, and times on the home's clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from kanhu.care.rules import RULES
from kanhu.care.rules.past import HUB_LIMIT_MS, Device, Mode, Past, Plan, Reading, Visit
from kanhu.care.rules.values import Verdict

ZONE = ZoneInfo("Asia/Shanghai")
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
KITCHEN, BEDROOM, BATHROOM, DOOR, CUFF = 1, 2, 3, 4, 5
DEVICES = (
    Device(KITCHEN, "motion", "kitchen"),
    Device(BEDROOM, "motion", "bedroom"),
    Device(BATHROOM, "motion", "卫生间"),
    Device(DOOR, "door", "hall", "front door"),
    Device(CUFF, "monitor", ""),
)
MOTION = (KITCHEN, BEDROOM, BATHROOM)
BLINDING = ("silent", "stuck", "line", "tamper", "doubted")

Fact = tuple[Any, ...]  # name of a method of Past, and its arguments


def at(day: int, clock: str, zone: ZoneInfo = ZONE) -> int:
    """UTC ms of a time of day in March 2026."""
    return round(datetime.fromisoformat(f"2026-03-{day:02}T{clock}").replace(tzinfo=zone).timestamp() * 1000)


def home(
    facts: Iterable[Fact],
    devices: Iterable[Device] = DEVICES,
    plans: Iterable[Plan] = (),
    zone: ZoneInfo = ZONE,
    hub_limit_ms: int = HUB_LIMIT_MS,
) -> Past:
    """A home that knows these facts."""
    past = Past(zone, devices, plans, hub_limit_ms)
    for name, *rest in facts:
        if name == "radio":
            past.devices |= radio(*rest)
        else:
            getattr(past, name)(*rest)
    return past


def radio(supervision_s: int, devices: Iterable[int] = (KITCHEN, DOOR)) -> dict[int, Device]:
    """Some of the home's sensors, without wires."""
    return {one: replace(DEVICES[one - 1], radio=True, supervision_s=supervision_s) for one in devices}


def beats(from_ms: int, until_ms: int, every_ms: int = 5 * MINUTE) -> list[Fact]:
    """The hub is heard."""
    return [("heard", 0, ms) for ms in range(from_ms, until_ms + 1, every_ms)]


def walks(*moments: int, devices: Iterable[int] = MOTION) -> list[Fact]:
    """Somebody goes through all rooms, a minute each, kitchen last."""
    order = sorted(devices, reverse=True)
    return [("moved", one, ms - MINUTE * later) for ms in moments for later, one in enumerate(order[::-1])]


def lived(days: Iterable[int], zone: ZoneInfo = ZONE) -> list[Fact]:
    """Ordinary days: up at 07:00, about the home until 21:40, the hub heard all the time."""
    facts: list[Fact] = []
    for day in days:
        midnight = at(day, "00:00", zone)
        facts += beats(midnight, midnight + DAY - MINUTE)
        facts += walks(*(at(day, f"{hour:02}:05", zone) for hour in range(7, 22, 2)), at(day, "21:40", zone))
    return facts


BEGAN = at(10, "00:00")
SPAN_MINUTES = 4 * 24 * 60
moments = st.integers(0, SPAN_MINUTES).map(lambda minute: BEGAN + minute * MINUTE)
motion = st.sampled_from(MOTION)
anything = st.sampled_from([0, *MOTION, DOOR, CUFF, 9])


def _fault(device: int, why: str, from_ms: int, last: int | None) -> list[Fact]:
    facts: list[Fact] = [("fault", device, why, from_ms)]
    return facts if last is None else [*facts, ("mended", device, why, from_ms + last * MINUTE)]


faults = st.one_of(
    st.builds(
        _fault,
        st.sampled_from([*MOTION, DOOR]),
        st.sampled_from([*BLINDING, "battery"]),
        moments,
        st.none() | st.integers(1, 2000),
    ),
    st.builds(
        _fault, st.just(0), st.sampled_from(["silent", "lost"]), moments, st.none() | st.integers(1, 300)
    ),
)
_modes = st.builds(
    lambda mode, ms, last: [("mode", Mode(mode, ms, ms + last * MINUTE))],
    st.integers(1, 5),
    moments,
    st.integers(1, 3000),
)
_visits = st.builds(
    lambda who, ms, last: [("visit", Visit(who, ms, None if last is None else ms + last * MINUTE))],
    st.sampled_from(["li", "wang"]),
    moments,
    st.none() | st.integers(1, 600),
)
_moves = st.builds(lambda device, ms: [("moved", device, ms)], anything, moments)
# Through the home, and then for the rest of an hour in one room.
_strolls = st.builds(
    lambda ms, room: [*walks(ms), *(("moved", room, ms + more * MINUTE) for more in range(3, 60, 8))],
    moments,
    motion,
)
_doors = st.builds(lambda ms, is_open: [("door", DOOR, ms, is_open)], moments, st.booleans())
_outings = st.builds(
    lambda ms: [*walks(ms - 4 * MINUTE), ("door", DOOR, ms, True), ("door", DOOR, ms + MINUTE, False)],
    moments,
)
_boots = st.builds(lambda ms: [("booted", ms)], moments)
_readings = st.builds(
    lambda ms, code, value: [("reading", Reading(ms, CUFF, code, value))],
    moments,
    st.sampled_from([150021, 150456, 7]),
    st.sampled_from([181.0, 88.0, 97.0, 120.0, 2047.0, float("inf")]),
)
_sick = st.builds(
    lambda ms, value: [
        ("reading", Reading(ms + more * 9 * MINUTE, CUFF, 150021, value)) for more in range(3)
    ],
    moments,
    st.sampled_from([186.0, 71.0]),
)


def _heard(breaks: list[tuple[int, int]]) -> list[Fact]:
    return [
        ("heard", 0, BEGAN + minute * MINUTE)
        for minute in range(0, SPAN_MINUTES + 1, 15)
        if not any(start <= minute < start + last for start, last in breaks)
    ]


_FEW = st.sampled_from([0, 0, 1, 3])
_hub = st.lists(st.tuples(st.integers(0, SPAN_MINUTES), st.integers(5, 600)), max_size=2).map(_heard)


@st.composite
def facts(draw: st.DrawFn) -> list[Fact]:
    """Four days of a home: mostly heard, walked through, with modes, visits, doors and faults."""
    found: list[Fact] = draw(_hub)
    found += [one for stroll in draw(st.lists(_strolls, max_size=12)) for one in stroll]
    found += draw(st.sampled_from([[], [("radio", 600)], [("radio", 7200)]]))
    if draw(st.integers(0, 4)):
        found += [*walks(BEGAN), ("door", DOOR, BEGAN, False)]
    for kind in (_outings, _moves, _doors, _boots, _modes, _visits, _readings, _sick, faults):
        found += [one for each in draw(st.lists(kind, max_size=draw(_FEW))) for one in each]
    return found


def known(facts: Iterable[Fact], now_ms: int) -> list[Fact]:
    """The facts that are known at a moment: those that speak of it or of before."""
    found: list[Fact] = []
    for fact in facts:
        name, *rest = fact
        value = rest[0]
        if name == "radio":
            found.append(fact)
        elif name in ("mode", "visit"):
            if value.from_ms <= now_ms:
                if name == "visit" and value.until_ms is not None and value.until_ms > now_ms:
                    fact = (name, value._replace(until_ms=None))
                found.append(fact)
        elif name == "reading":
            if value.at_ms <= now_ms:
                found.append(fact)
        elif {"booted": rest[0], "door": rest[-2] if len(rest) > 1 else 0}.get(name, rest[-1]) <= now_ms:
            found.append(fact)
    return found


BEFORE = lived(range(8, 10))  # two ordinary days: every sensor is proven, and was heard all the time


def day(*facts: Fact, until: str = "23:59", day: int = 10) -> list[Fact]:
    """Those days, and one on which the hub is heard until then and this happens."""
    return [*BEFORE, *beats(at(10, "00:00"), at(day, until)), *facts]


def say(rule: str, past: Past, now_ms: int, **settings: Any) -> Verdict:
    found = RULES[rule].evaluate(past, RULES[rule].settings.model_validate(settings), now_ms)
    assert found.rule == f"{rule}/1"
    return found
