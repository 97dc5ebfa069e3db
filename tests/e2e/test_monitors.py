"""Health monitors whole: from a measurement at home to the platform, and no call that waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from helpers_e2e import wait_for
from kanhu.platform import Event
from kanhu.sim import flash
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town

ZONE_S = 8 * 3600
SLOW_S = 90  # the cuff's clock, until the hub sets it
Reading = dict[str, tuple[float, str]]
# What is taken, and what must come of it: name: (value, UCUM unit), and the status.
MEASURED: dict[str, tuple[dict[str, Any], Reading, list[str]]] = {
    "blood_pressure": (
        {"systolic": 128, "diastolic": 79, "pulse": 64, "user": 1, "status": 4},
        {"systolic": (128, "mm[Hg]"), "diastolic": (79, "mm[Hg]"), "pulse": (64, "/min")},
        ["irregular_pulse"],
    ),
    "heart_rate": ({"pulse": 71, "seconds": 12}, {"heart_rate": (71, "/min")}, []),
    "pulse_oximeter": (
        {"spo2": 96, "pulse": 66},
        {"oxygen": (96, "%"), "oximeter_pulse": (66, "/min")},
        [],
    ),
    "thermometer": ({"temperature": 36.7}, {"temperature": (36.7, "Cel")}, []),
    "weight_scale": ({"weight": 61.5}, {"weight": (61.5, "kg")}, []),
    "glucose": ({"glucose": 104}, {"glucose": (104, "mg/dL")}, []),
}
THREE = ("blood_pressure", "thermometer", "weight_scale")


def of(city: City, home: Home, label: str, *names: str) -> list[Event]:
    """What the platform has of one device of a home, oldest first."""
    return [
        event
        for event in city.events()
        if event.hub == home.hub_id
        and event.name in names
        and event.data.get("device") == home.devices[label]
    ]


def vitals(city: City, home: Home, label: str) -> list[Event]:
    return of(city, home, label, "vitals", "vitals.invalid")


def readings(event: Event) -> Reading:
    return {one["name"]: (one["value"], one["unit"]) for one in event.data.get("values", ())}


def rests(town: Town, home: Home) -> None:
    """Until the hub is connected and no call stands; a fault of a monitor may."""
    wait_for(lambda: town.bench.indicator(home.hub).pattern in ("well", "fault"), 40, "the hub does not rest")


def calls_take(town: Town, city: City, home: Home, presses: int) -> list[float]:
    """Seconds from a press, of the wired button and the one on the air in turn, to the platform."""
    took = []
    for number in range(presses):
        label = ("wired", "pendant")[number % 2]
        rests(town, home)
        before = len(of(city, home, label, "call"))
        pressed = time.monotonic()
        town.bench.press(f"{home.name}/{label}")
        wait_for(lambda n=before, one=label: len(of(city, home, one, "call")) > n, 20, f"no call by {label}")
        called = of(city, home, label, "call")[before]
        with city.lock:
            arrived = next(at for at, event in city.log if event.id == called.id)
        took.append(arrived - pressed)
    return took


def has_both_clocks(event: Event, offset_s: int) -> None:
    """The hub's time of the event, and the monitor's own, how far ahead it was said beside it."""
    now = datetime.now(UTC)
    assert event.clock_status == "synced", event
    assert event.time is not None
    assert now - timedelta(minutes=5) < event.time <= now + timedelta(seconds=2)
    local = datetime.fromisoformat(event.data["measured"]).replace(tzinfo=UTC)
    assert abs((local - event.time).total_seconds() - ZONE_S - offset_s) < 60
    assert abs(event.data["clock_offset_s"] - offset_s) <= 5


def test_each_profile_reaches_the_platform_beside_calls_and_a_power_cut_needs_no_new_pairing(
    town: Town, make_city: Callable[..., City]
) -> None:
    home = town.add_home("north", buttons={"wired": 4}, sensors={"pendant": "button"})
    for kind in MEASURED:
        slow = {"clock_offset_s": ZONE_S - SLOW_S} if kind == "blood_pressure" else {}
        town.add_monitor(home, kind, kind, advertise_s=60.0, **slow)
    city = make_city(town, auto_accept=True)
    city.close_after_s = 0.1
    town.wait_ready()
    quiet = calls_take(town, city, home, 3)

    for kind, (fields, _, _) in MEASURED.items():
        town.bench.measure(f"north/{kind}", **fields)
    busy = calls_take(town, city, home, 3)
    for kind, (_, expected, status) in MEASURED.items():
        event = wait_for(lambda one=kind: vitals(city, home, one), 40, f"nothing of the {kind}")[0]
        assert event.name == "vitals", event
        found = readings(event)
        assert {name: found.get(name) for name in expected} == {
            name: (pytest.approx(value), unit) for name, (value, unit) in expected.items()
        }
        assert event.data.get("status", []) == status
        assert event.data["battery_percent"] == 90
        if "measured" in event.data:
            has_both_clocks(event, -SLOW_S if kind == "blood_pressure" else 0)
        else:  # the profile's messages carry no time
            assert kind == "heart_rate"
            assert event.clock_status == "synced"
    assert vitals(city, home, "blood_pressure")[0].data["user"] == 1

    town.bench.cut_power(home.hub)
    town.bench.power(home.hub)
    rests(town, home)
    before = {kind: len(vitals(city, home, kind)) for kind in THREE}
    began = time.monotonic()
    for kind in THREE:
        town.bench.measure(f"north/{kind}", **MEASURED[kind][0])
    assert time.monotonic() - began < 10
    busy += calls_take(town, city, home, 2)
    for kind in THREE:
        wait_for(lambda one=kind: len(vitals(city, home, one)) > before[one], 40, f"nothing of the {kind}")
        (event,) = vitals(city, home, kind)[before[kind] :]
        assert readings(event).items() >= readings(vitals(city, home, kind)[0]).items()
        has_both_clocks(event, 0)  # the hub has set the one that was slow
        assert town.bench.monitors[f"north/{kind}"].count("bonded") == 1
    assert not [event for event in city.events() if event.name.startswith("monitor.")]
    assert max(quiet + busy) < 5, (quiet, busy)
    assert max(busy) < max(quiet) + 2.5, (quiet, busy)


def test_bad_monitors_end_in_an_event_that_says_so_and_the_hub_goes_on_scanning(
    town: Town, make_city: Callable[..., City]
) -> None:
    home = town.add_home("north", sensors={"pendant": "button"})
    manners: dict[str, dict[str, Any]] = {
        "ten_seconds": {"awake_s": 10.0},
        "drops": {"drops": 2},
        "lost": {"pairs": "once"},
        "nan": {},
        "never": {"pairs": "never"},
    }
    for label, how in manners.items():
        town.add_monitor(home, label, "blood_pressure", **how)
    city = make_city(town, auto_accept=True)
    city.close_after_s = 0.1
    town.wait_ready()

    def still_calls() -> None:
        rests(town, home)
        before = len(of(city, home, "pendant", "call"))
        town.bench.press("north/pendant")
        wait_for(lambda: len(of(city, home, "pendant", "call")) > before, 20, "the hub hears no press")

    def measure(label: str, **fields: Any) -> None:
        town.bench.measure(f"north/{label}", **(fields or {"systolic": 131, "diastolic": 84, "pulse": 70}))

    measure("ten_seconds")
    event = wait_for(lambda: vitals(city, home, "ten_seconds"), 30)[0]
    assert readings(event)["systolic"] == (131, "mm[Hg]")
    still_calls()

    measure("drops")
    town.bench.wait_monitor("north/drops", "confirmed", timeout=40)
    event = wait_for(lambda: vitals(city, home, "drops"), 30)[0]
    assert readings(event)["diastolic"] == (84, "mm[Hg]")
    still_calls()
    assert len(vitals(city, home, "drops")) == 1  # it was said three times

    measure("nan", systolic="NaN", diastolic="NaN", mean="NaN", pulse="NaN", status=2)
    event = wait_for(lambda: vitals(city, home, "nan"), 30)[0]
    assert event.name == "vitals.invalid"
    assert "values" not in event.data
    assert {(one["name"], one["special"]) for one in event.data["invalid"]} >= {
        ("systolic", "nan"), ("diastolic", "nan"), ("pulse", "nan"),
    }  # fmt: skip
    assert event.data["status"] == ["cuff_loose"]
    still_calls()

    measure("never")
    event = wait_for(lambda: of(city, home, "never", "monitor.fault"), 30)[0]
    assert event.data["detail"] == "pairing_refused"

    measure("lost")
    wait_for(lambda: vitals(city, home, "lost"), 30)
    town.bench.wait_monitor("north/lost", "asleep", timeout=30)
    town.bench.cut_power(home.hub)
    image = home.hub._flash_image
    flash.install(image, {**flash.read(image), "/data/devices.bonds": b""})
    town.bench.power(home.hub)
    rests(town, home)
    measure("lost")
    event = wait_for(lambda: of(city, home, "lost", "monitor.fault"), 40)[0]
    assert event.data["detail"] == "bond_lost"
    still_calls()
    assert len(vitals(city, home, "lost")) == 1
    # What the words say is what helps.
    town.bench.wake("north/lost", pairing=True)
    wait_for(lambda: of(city, home, "lost", "monitor.ok"), 40)
    wait_for(lambda: len(vitals(city, home, "lost")) == 2, 30)
    assert len(of(city, home, "lost", "monitor.fault")) == 1
