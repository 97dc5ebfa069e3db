"""A day in homes whose kitchen sensor fails, on accelerated time: the real daemon, the firmware as shipped.

The elder moves until one o'clock, then no more. A home that cannot be seen is neither well nor inactive; the
same silence in a home that can be seen is raised, but not with a visitor there or the elder in hospital."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from kanhu.care.rules.past import HOSPITAL, VISITOR
from kanhu.sim.faults.oracle import OPENERS, Arrival
from kanhu.sim.world.house import HEARTBEAT_S, House
from kanhu.sim.world.hub import library
from kanhu.sim.world.loop import COARSE
from kanhu.sim.world.schedule import Session
from kanhu.sim.world.time import EPOCH_S
from kanhu.sim.world.world import MOVED_S, Home, World

pytestmark = pytest.mark.timeout(600)

ZONE = "Etc/GMT+2"  # in which a world begins at 06:53:20
BEGINS_S = (EPOCH_S - 2 * 3600) % 86_400
KITCHEN, BATHROOM = 13, 14  # pins
RULES: dict[str, dict[str, Any]] = {"inactivity": {}, "overstay": {}, "no_return": {}}
WIRED = House(
    time_zone=ZONE,
    pirs={"bathroom": BATHROOM, "kitchen": KITCHEN},
    warm_up_s=60,
    rules=RULES,
    knows_time=True,
)
RADIO = House(
    time_zone=ZONE,
    pirs={"bathroom": BATHROOM},
    radio={"kitchen": "motion", "hall": "door"},
    supervision_s=600,
    rules=RULES,
    knows_time=True,
)
SAMPLE_S = 60.0
MARGIN_S = 90.0  # to say it, to keep it and to look at it: seconds, and here waits have 10 s of slack
STUCK_S = 15 * 60.0  # docs/wiring.md
SILENT_S = 3 * 600.0  # three supervision times
ASKED_S = 600 + 15 + MARGIN_S  # the elder is asked first
HUB_SILENT_S = 3 * HEARTBEAT_S * 1.2


def at(clock: str, day: int = 0) -> float:
    """Seconds of a world until its homes' clocks show so."""
    hours, minutes = map(int, clock.split(":"))
    return hours * 3600 + minutes * 60 + day * 86_400 - BEGINS_S


@dataclass
class Seen:
    """What a home was like each minute, and what the platform heard of it."""

    states: list[tuple[float, str, str]] = field(default_factory=list)  # when, state, reasons
    events: list[Arrival] = field(default_factory=list)

    def said(self, *names: str, device: int | None = None) -> list[float]:
        """When the platform heard events of these names."""
        return [
            one.at_s
            for one in self.events
            if one.name in names and (device is None or one.data.get("device") == device)
        ]

    def well(self) -> list[float]:
        """When it was called well."""
        return [when for when, state, _ in self.states if state == "well"]


class Day:
    """One world and its homes; later(clock, ..) is done at that hour of the first day."""

    def __init__(self, session: Session, names: list[str]) -> None:
        self.world: World = session.world
        self.homes = dict(zip(names, self.world.homes, strict=True))
        self.blind: set[str] = set()  # homes whose kitchen does not see who is there
        self.seen = {name: Seen() for name in names}

    def later(self, when_s: float, do: Callable[..., object], *args: object) -> None:
        self.world.loop.call_at(when_s, do, *args)

    def moved(self, name: str, room: str) -> None:
        """Somebody passes the sensor of that room."""
        home = self.homes[name]
        if room in home.radio:
            home.radio[room].moved()
        elif (name, room) not in [(one, "kitchen") for one in self.blind]:
            pin = home.house.pirs[room]
            home.hub.pin(pin, 1)
            self.world.loop.call_later(MOVED_S, home.hub.pin, pin, 0)

    def door(self, name: str) -> None:
        """Somebody goes through the door."""
        hall = self.homes[name].radio["hall"]
        hall.set(True)
        self.world.loop.call_later(20.0, hall.set, False)

    def mode(self, name: str, mode: int, until_s: float) -> None:
        registry = self.world.host.open_registry()
        registry.ask_mode(self.homes[name].home_id, mode, int((EPOCH_S + until_s) * 1000), "family")
        registry.close()

    def look(self) -> None:
        """How all homes are now, as every page says it."""
        daemon = self.world.host.daemon
        for name, home in self.homes.items():
            if daemon is not None and "gone" not in home.off:
                found = daemon.watch.condition(home.home_id)
                reasons = "; ".join(one.words.en for one in found.reasons)
                self.seen[name].states.append((self.world.loop.time(), found.state, reasons))
        self.world.loop.call_later(SAMPLE_S, self.look)

    def heard(self, event: Arrival) -> None:
        for name, home in self.homes.items():
            if home.hub.hub_id in (event.hub, event.data.get("subject")) and "gone" not in home.off:
                self.seen[name].events.append(event)

    def restart(self, name: str) -> None:
        """Its hub is without power for two minutes, just before a rule is due."""
        home = self.homes[name]
        self.later(at("17:50"), self.world.lose_power, home, "restart")
        self.later(at("17:52"), self.world.give_power, home, "restart")

    def leave(self, name: str) -> None:
        """The home has shown what it has to."""
        self.world.lose_power(self.homes[name], "gone")


# What happens to each home beside the elder's day.


def stuck(day: Day, name: str) -> None:
    """The PIR sees somebody and does not stop; at 06:30 it is replaced."""
    hub = day.homes[name].hub
    day.restart(name)
    day.later(at("08:00"), day.blind.add, name)
    day.later(at("08:00"), hub.drive, KITCHEN, 1)
    day.later(at("06:30", 1), hub.drive, KITCHEN, 0)
    day.later(at("06:30", 1), day.blind.discard, name)


def unplugged(day: Day, name: str) -> None:
    """Its wire is cut while the hub has no power for a minute."""
    home = day.homes[name]
    day.later(at("07:59"), day.world.lose_power, home, "cut")
    day.later(at("07:59"), day.blind.add, name)
    day.later(at("07:59"), home.hub.drive, KITCHEN, None)
    day.later(at("08:00"), day.world.give_power, home, "cut")
    day.later(at("06:30", 1), home.hub.drive, KITCHEN, 0)
    day.later(at("06:30", 1), day.blind.discard, name)


def _now(home: Home, heard: bool, percent: int) -> None:
    """How its sensor in the kitchen is from now on."""
    sensor = home.radio["kitchen"]
    sensor.heard, sensor.battery = heard, percent
    sensor.say()


def weak(day: Day, name: str) -> None:
    """Its battery is low; it goes on, and the elder goes out and does not come back."""
    day.later(at("07:45"), _now, day.homes[name], True, 10)
    day.later(at("13:02"), day.door, name)
    day.later(at("22:45"), day.leave, name)


def dead(day: Day, name: str) -> None:
    """Its battery is low, at 10:00 empty, at 06:30 new."""
    home = day.homes[name]
    day.restart(name)
    day.later(at("07:45"), _now, home, True, 10)
    day.later(at("10:00"), _now, home, False, 0)
    day.later(at("06:30", 1), _now, home, True, 100)


def out_of_range(day: Day, name: str) -> None:
    """It is carried out of range, and back at 06:30. The elder goes out, and comes back unseen."""
    home = day.homes[name]
    day.restart(name)
    day.later(at("08:00"), _now, home, False, 100)
    day.later(at("13:02"), day.door, name)
    day.later(at("14:00"), day.moved, name, "kitchen")
    day.later(at("06:30", 1), _now, home, True, 100)


def off(day: Day, name: str) -> None:
    """The hub and its PIRs are without mains from 08:00 to 20:00."""
    home = day.homes[name]
    day.later(at("08:00"), day.world.lose_power, home, "mains")
    day.later(at("20:00"), day.world.give_power, home, "mains")
    day.later(at("20:15"), day.moved, name, "kitchen")
    day.later(at("20:45"), day.leave, name)


def ill(day: Day, name: str) -> None:
    """Everything works, and the elder does not move."""
    day.later(at("18:45"), day.leave, name)


def visited(day: Day, name: str) -> None:
    """The same, but somebody is there."""
    day.later(at("12:55"), day.mode, name, VISITOR, at("21:00"))
    day.later(at("18:45"), day.leave, name)


def hospital(day: Day, name: str) -> None:
    """The same, but the elder is not."""
    day.later(at("12:55"), day.mode, name, HOSPITAL, at("12:00", 3))
    day.later(at("18:45"), day.leave, name)


Script = Callable[[Day, str], None]
WORLDS: tuple[Mapping[str, tuple[House, Script]], ...] = (
    {
        "stuck": (WIRED, stuck),
        "out of range": (RADIO, out_of_range),
        "weak": (RADIO, weak),
        "hospital": (WIRED, hospital),
    },
    {
        "unplugged": (WIRED, unplugged),
        "dead": (RADIO, dead),
        "off": (WIRED, off),
        "ill": (WIRED, ill),
        "visited": (WIRED, visited),
    },
)


def play(number: int) -> dict[str, Seen]:
    """One of the worlds from 06:53 to 06:53."""
    homes = WORLDS[number]
    with Session(number, [house for house, _ in homes.values()], COARSE) as session:
        day = Day(session, list(homes))
        day.world.platform.on_handed.append(day.heard)
        for minutes in range(7 * 60, 13 * 60 + 1, 10):
            room = "bathroom" if minutes % 20 == 0 else "kitchen"
            for index, name in enumerate(homes):
                day.later(at(f"{minutes // 60}:{minutes % 60:02d}") + index, day.moved, name, room)
        for name, (_, script) in homes.items():
            script(day, name)
            day.later(at("06:40", 1), day.moved, name, "kitchen")
        if number == 0:  # nor does a restart of the daemon make anything seen
            day.later(at("16:00"), day.world.host.kill)
            day.later(at("16:02"), day.world.host.start)
        day.later(at("07:00"), day.look)
        session.wait(86_400 - day.world.loop.time())
        assert not day.world.host.failures
        assert not [crash for home in day.world.homes for crash in home.crashes]
        return day.seen


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    """Both worlds, at once on two processors."""
    library()  # built once, used by both
    with multiprocessing.get_context("fork").Pool(len(WORLDS)) as pool:
        return {name: one for found in pool.map(play, range(len(WORLDS))) for name, one in found.items()}


@dataclass(frozen=True)
class Blind:
    """From when a home cannot be judged, by what fault, and when that ends."""

    from_s: float
    limit_s: float
    fault: str
    restoral: str
    reason: str  # among the reasons all the time
    device: int | None = None
    repaired_s: float = at("06:30", 1)
    moved_s: float = at("06:40", 1)


KITCHEN_DEVICE = 4  # wired or not: two buttons and the bathroom's PIR stand before it
STUCK = ("contact.stuck", "contact.released", "kitchen sensor: stuck", KITCHEN_DEVICE)
SILENT = ("sensor.silent", "sensor.back", "kitchen sensor: silent", KITCHEN_DEVICE)
NOT_HEARD = ("hub.silent", "hub.back", "the hub is not heard", None)
CASES = {
    "stuck": Blind(at("08:00"), STUCK_S, *STUCK),
    "unplugged": Blind(at("08:00"), STUCK_S, *STUCK),
    "out of range": Blind(at("08:00"), SILENT_S, *SILENT),
    "dead": Blind(at("10:00"), SILENT_S, *SILENT),
    "off": Blind(at("08:00"), HUB_SILENT_S, *NOT_HEARD, repaired_s=at("20:00"), moved_s=at("20:15")),
}


@pytest.mark.parametrize("name", CASES)
def test_a_home_that_cannot_be_seen_is_neither_well_nor_inactive(name: str, seen: dict[str, Seen]) -> None:
    home, blind = seen[name], CASES[name]
    late_s = blind.from_s + blind.limit_s + MARGIN_S
    assert home.well(), "it was never well: nothing is shown by what follows"
    assert min(home.well()) < at("07:45")
    assert [when for when in home.well() if late_s <= when < blind.moved_s] == []
    told = [one for one in home.states if late_s <= one[0] < blind.repaired_s]
    assert len(told) > (blind.repaired_s - late_s) / SAMPLE_S - 5
    assert {state for _, state, _ in told} == {"cannot_tell"}
    assert all(blind.reason in reasons or "being read" in reasons for *_, reasons in told)
    said = home.said(blind.fault, device=blind.device)  # again after the hub's restart
    assert blind.from_s < said[0] <= late_s
    (over,) = home.said(blind.restoral, device=blind.device)
    assert blind.repaired_s < over <= blind.repaired_s + MARGIN_S
    assert home.said(*OPENERS) == []
    assert home.states[-1][1] == "well", home.states[-1]


def test_a_low_battery_is_attention_until_the_sensor_is_silent(seen: dict[str, Seen]) -> None:
    home = seen["dead"]
    (said,) = home.said("battery.low")
    assert at("07:45") <= said <= at("07:45") + MARGIN_S
    states = [one for one in home.states if at("07:45") + MARGIN_S <= one[0] < at("10:00")]
    assert {state for _, state, _ in states} == {"attention"}
    assert all("kitchen sensor: " in reasons for *_, reasons in states)
    assert home.said("battery.ok")


def test_the_same_silence_is_raised_where_it_can_be_seen(seen: dict[str, Seen]) -> None:
    ill, gone = seen["ill"], seen["weak"]
    for home, name, clock in (
        (ill, "overstay", "15:00"),
        (ill, "inactivity", "18:00"),
        (gone, "inactivity", "21:00"),
        (gone, "no_return", "22:00"),
    ):
        (raised,) = home.said(name)
        assert at(clock) <= raised <= at(clock) + ASKED_S + SILENT_S, name
    (event,) = [one for one in gone.events if one.name == "inactivity"]
    assert "kitchen sensor: battery low" in event.data["explanation"]["en"]
    assert not [when for when in gone.well() if when > at("07:45") + MARGIN_S]


@pytest.mark.parametrize("name", ["visited", "hospital"])
def test_a_visitor_or_a_stay_in_hospital_raises_nothing(name: str, seen: dict[str, Seen]) -> None:
    home = seen[name]
    assert home.said("mode.set")
    assert home.states[-1][0] > at("18:40")
    assert home.said(*OPENERS) == []
    faults = [one.name for one in home.events if one.event_class == "p3"]
    assert faults == []
    states = {state for when, state, _ in home.states if when > at("13:00")}
    assert states == ({"well"} if name == "visited" else {"cannot_tell"})
