"""What a stimulus's radio plays, as a hub hears it: the same bytes as from the simulator's own devices."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers_e2e import wait_for
from helpers_two_radios import Asked, Refused
from kanhu.platform import Event
from kanhu.qa import monitor_scripts, scripts
from kanhu.qa.air import Air
from kanhu.qa.radio import RadioTrouble
from kanhu.sim import Bench
from kanhu.sim.city import City
from kanhu.sim.hub import Hub
from kanhu.sim.town import Home, Town

KEY = bytes(range(16))
LISTENER = """
import asyncio, bluetooth
ble = bluetooth.BLE()
def irq(event, data):
    if event == 5:
        kind, address, adv_type, rssi, payload = data
        print("adv", bytes(address).hex(), adv_type, bytes(payload).hex())
ble.irq(irq)
ble.active(True)
ble.gap_scan(0, 30000, 30000)
print("listening")
async def main():
    await asyncio.sleep(600)
asyncio.run(main())
"""
READINGS: dict[str, dict[str, Any]] = {
    "blood_pressure": {"systolic": 128, "diastolic": 81, "pulse": 66},
    "thermometer": {"temperature": 36.6},
    "weight_scale": {"weight": 61.5, "user": 2},
    "pulse_oximeter": {"spo2": 97, "pulse": 64},
}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "bench") as bench:
        yield bench


@pytest.fixture
def listener(bench: Bench) -> Hub:
    hub = bench.add_hub("aaaaaaaaaa", files={"/main.py": textwrap.dedent(LISTENER).encode()})
    hub.wait_log("listening", 30)
    return hub


@pytest.fixture
def stimulus(bench: Bench) -> Iterator[Asked]:
    asked = Asked(bench)
    yield asked
    asked.close()


def heard(hub: Hub, after: int) -> list[str]:
    return [line for line in hub.log(after).splitlines() if line.startswith("adv")]


def test_a_hub_hears_the_same_bytes_from_the_stimulus_and_from_the_simulators_air(
    bench: Bench, listener: Hub, stimulus: Asked
) -> None:
    radio, air = stimulus.radio, Air(bench)
    caller = radio.sensor("button", packet_id=7, battery=66)
    smoke = radio.sensor("smoke", KEY, packet_id=1)
    first, alarm = scripts.press(caller), scripts.state(smoke, True)
    quiet = scripts.state(smoke, False)
    replayed = alarm.then(quiet, alarm, pause_ms=200)
    motion = scripts.state(radio.sensor("motion"), True)
    low = scripts.battery(radio.sensor("battery"), 3)
    mixed = scripts.rotating((first, scripts.press(caller, "double")), 3)
    for script in (first, replayed, motion, low, mixed):
        last = script.advertisements[-1].data.hex()
        copies = script.rounds * sum(one.copies for one in script.advertisements)
        said = []
        for play in (radio.play, air.play):
            mark = listener.log_position()
            play(script)
            listener.wait_log(last, 10, after=mark)
            rows = heard(listener, mark)
            said.append(list(dict.fromkeys(rows)))
            # A board counts by time: it may be one more or fewer of each, and fewer on a busy computer.
            assert len(rows) <= copies + len(script.advertisements) * script.rounds
        assert said[0] == said[1]
        data = list(dict.fromkeys(one.data.hex() for one in script.advertisements))
        assert said[0] == [f"adv {radio.address.hex()} 3 {one}" for one in data]


def test_a_press_is_advertised_as_often_as_by_a_sensor(listener: Hub, stimulus: Asked) -> None:
    mark = listener.log_position()
    stimulus.radio.press()
    assert 4 <= len(heard(listener, mark)) <= 7  # six, as far as this computer is not busy
    mark = listener.log_position()
    stimulus.radio.press("long")
    (one,) = set(heard(listener, mark))
    assert one.endswith("3a04")
    assert stimulus.radio.on_air is None


def test_a_storm_comes_from_many_addresses_and_ends_at_the_boards_own(listener: Hub, stimulus: Asked) -> None:
    radio = stimulus.radio
    own, mark = radio.address, listener.log_position()
    radio.storm(40, 1.5)
    assert radio.on_air == "storm"
    radio.wait(30)
    rows = heard(listener, mark)
    assert radio.sent() >= 20
    assert len({row.split()[1] for row in rows}) >= 20
    assert f"adv {own.hex()}" not in "\n".join(rows)
    assert bytes.fromhex(stimulus.ask("address")["address"]) == own
    radio.storm(20)
    radio.stop()
    assert radio.on_air is None
    mark = listener.log_position()
    radio.press()
    assert {row.split()[1] for row in heard(listener, mark)} == {own.hex()}


def test_another_address_is_another_sensor_and_a_script_of_a_former_one_is_refused(stimulus: Asked) -> None:
    radio = stimulus.radio
    own, script = radio.address, scripts.press(radio.sensor("button"))
    drawn = radio.draw()
    assert drawn != own
    assert drawn[0] & 0xC0 == 0xC0
    with pytest.raises(Refused, match=f"sends from {drawn.hex()}"):
        radio.play(script)
    assert radio.own() == own
    radio.play(script)


@pytest.mark.parametrize(
    ("do", "fields", "said"),
    [
        ("advertise", {"adverts": []}, "adverts: a list"),
        ("advertise", {"adverts": [["00", 1, 250]]}, "adverts: each"),
        ("advertise", {"adverts": [["zz", 1, 250, 0]]}, "hexadecimal"),
        ("advertise", {"adverts": [["00" * 32, 1, 250, 0]]}, "1 to 31 bytes"),
        ("advertise", {"adverts": [["00", 1, 20, 0]]}, "100 to 10240"),
        ("advertise", {"adverts": [["00", 1, 250, 0]]}, "address"),
        ("storm", {"per_s": 0, "ms": 10}, "per_s"),
        ("storm", {"per_s": 10}, "ms"),
        ("address", {"draw": "yes"}, "draw"),
        ("monitor", {"advertising": "020106", "services": [], "sayings": []}, "services: a list"),
        ("monitor", {"advertising": "020106", "services": [["1810", [["2a35", 32, ""]]]]}, "services: each"),
        (
            "monitor",
            {
                "advertising": "020106",
                "services": [["1810", [["2a35", 32, "", 1]]]],
                "sayings": [["2a36", "", 1, 1]],
            },
            "2a36",
        ),
        (
            "monitor",
            {"advertising": "020106", "services": [["18", [["x", 32, "", 1]]]], "sayings": [["x", "", 1, 1]]},
            "UUID",
        ),
    ],
)
def test_what_it_cannot_play_is_said_in_one_sentence(
    stimulus: Asked, do: str, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(Refused) as refused:
        stimulus.ask(do, **fields)
    assert said in str(refused.value)
    assert stimulus.ask("status")["counts"]["failed"] == 0
    assert stimulus.radio.on_air is None


def test_nobody_comes_to_a_monitor(stimulus: Asked) -> None:
    script = monitor_scripts.monitor("thermometer", stimulus.radio.address, advertise_s=0.5)
    stimulus.radio.monitor(script, wait=True)
    with pytest.raises(RadioTrouble, match="0 of 1 measurements were collected; it saw: advertising, asleep"):
        stimulus.radio.wait_said(5)


def paired(town: Town, home: Home, kind: str, address: bytes) -> int:
    """The device index of a monitor in a hub's table."""
    index = town.registry.add_sensor(home.hub_id, kind, address.hex(":").upper(), kind)
    wait_for(lambda: town._has_table(home), 40, "the hub has no new table")
    return index


def of(city: City, index: int, name: str) -> list[Event]:
    return [one for one in city.events() if one.data.get("device") == index and one.name == name]


def values(event: Event) -> dict[str, float]:
    return {one["name"]: one["value"] for one in event.data.get("values", ())}


def test_a_hub_collects_from_each_monitor_that_the_stimulus_plays(
    town: Town, make_city: Callable[..., City]
) -> None:
    home = town.add_home("north", buttons={"wired": 4})
    city = make_city(town, auto_accept=True)
    stimulus = Asked(town.bench)
    try:
        town.wait_ready(60)
        radio = stimulus.radio
        for kind, fields in READINGS.items():
            index = paired(town, home, kind, radio.draw())
            script = monitor_scripts.monitor(kind, radio.address, fields)
            radio.monitor(script)
            visit = radio.wait_said(60)
            assert visit.count("encrypted") == 1
            assert visit.count("confirmed") == 1
            assert set(visit.written) == set(script.writes)
            event = wait_for(lambda one=index: of(city, one, "vitals"), 40, f"no {kind}")[0]
            number = next(iter(fields.values()))
            assert number in values(event).values()
            radio.wait(60)
        # The bond holds for the next one; once the monitor has lost it, the hub says what to do.
        again = monitor_scripts.monitor("pulse_oximeter", radio.address, {"spo2": 91, "pulse": 88})
        radio.monitor(again)
        assert radio.wait_said(60).count("encrypted") == 1
        wait_for(lambda: len(of(city, index, "vitals")) == 2, 40, "no second reading")
        assert len(of(city, index, "paired")) == 1
        radio.wait(60)
        radio.forget()
        radio.monitor(again)
        wait_for(lambda: of(city, index, "monitor.fault"), 60, "no fault of a lost bond")
    finally:
        stimulus.close()


def test_a_finger_in_the_oximeter_is_notified_once_a_second(
    town: Town, make_city: Callable[..., City]
) -> None:
    home = town.add_home("north", buttons={"wired": 4})
    city = make_city(town, auto_accept=True)
    stimulus = Asked(town.bench)
    try:
        town.wait_ready(60)
        radio = stimulus.radio
        index = paired(town, home, "pulse_oximeter", radio.address)
        worn = {"spo2": 95, "pulse": 71}
        script = monitor_scripts.monitor("pulse_oximeter", radio.address, worn=worn, seconds=13)
        radio.monitor(script)
        assert radio.wait_said(90).count("notified") == 1
        event = wait_for(lambda: of(city, index, "vitals"), 40, "nothing of the oximeter")[0]
        assert sorted(values(event).values()) == [71, 95]
    finally:
        stimulus.close()


@pytest.mark.parametrize("kind", READINGS)
def test_a_hub_collects_a_script_from_the_simulators_air(
    town: Town, make_city: Callable[..., City], kind: str
) -> None:
    home = town.add_home("north", buttons={"wired": 4})
    city = make_city(town, auto_accept=True)
    town.wait_ready(60)
    address = bytes.fromhex("f0f1f2f3f401")
    index = paired(town, home, kind, address)
    made = Air(town.bench).monitor(monitor_scripts.monitor(kind, address, READINGS[kind]))
    event = wait_for(lambda: of(city, index, "vitals"), 60, f"no {kind}")[0]
    assert next(iter(READINGS[kind].values())) in values(event).values()
    assert made.count("bonded") == 1
