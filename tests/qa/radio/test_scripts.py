"""Scripts: their bytes are those of the simulator's devices, and what no radio can play is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bthome_ble import BTHomeBluetoothDeviceData

from helpers_bthome import service_info
from helpers_collector import air, until
from kanhu.qa import monitor_scripts, scripts
from kanhu.sim.sensors import Advert, Sensor

ADDRESS = "A4:C1:38:00:00:01"
MONITOR = "F0:F1:F2:F3:F4:01"
KEY = bytes(range(16))


async def test_a_sensor_says_what_its_script_says() -> None:
    on_air: list[Advert] = []
    steps = {"press": ("button", lambda s: s.press("double")), "state": ("smoke", lambda s: s.set(True))}
    for how, (kind, act) in steps.items():
        for key in (None, KEY):
            options = {"packet_id": 7, "battery": 64, "bind_key": key, "counter": 9, "repeats": 3}
            real = Sensor("real", kind, bytes.fromhex("a4c138000001"), period=None, **options)  # type: ignore[arg-type]
            real.start(on_air.append)
            act(real)  # type: ignore[no-untyped-call]
            await until(lambda: len(on_air) == 3)
            real.stop()
            one = scripts.sensor(kind, ADDRESS, **options)  # type: ignore[arg-type]
            script = scripts.press(one, "double") if how == "press" else scripts.state(one, True)
            assert [advert.data for advert in on_air] == [script.advertisements[0].data] * 3
            assert script.address == on_air[0].address
            assert script.advertisements[0].copies == 3
            on_air.clear()


def test_an_independent_decoder_opens_an_encrypted_script() -> None:
    one = scripts.sensor("button", ADDRESS, KEY, packet_id=1)
    decoder = BTHomeBluetoothDeviceData(bindkey=KEY)
    for how, event in (("press", "press"), ("long", "long_press")):
        data = scripts.press(one, how).advertisements[0].data
        update = decoder.update(service_info(data[7:], ADDRESS))
        assert decoder.bindkey_verified
        assert [event.event_type for event in update.events.values()] == [event]
    assert one.counter == 2


def test_messages_of_one_sensor_go_on_counting_and_a_replay_does_not() -> None:
    one = scripts.sensor("button", ADDRESS, packet_id=255)
    first, second = scripts.press(one), scripts.press(one)
    assert first.advertisements[0].data != second.advertisements[0].data
    again = first.then(second, first, pause_ms=5000)
    assert [row.data for row in again.advertisements] == [
        first.advertisements[0].data,
        second.advertisements[0].data,
        first.advertisements[0].data,
    ]
    assert [row.pause_ms for row in again.advertisements] == [5000, 5000, 0]
    assert again.lasts_s == pytest.approx(3 * 1.5 + 10)
    turns = scripts.rotating((first, second), 4)
    assert [row.copies for row in turns.advertisements] == [1, 1]
    assert turns.rounds == 4


def test_a_script_outlives_its_way_to_a_stimulus() -> None:
    one = scripts.sensor("motion", ADDRESS, KEY)
    script = scripts.state(one, True).then(scripts.alive(one), scripts.battery(one, 4))
    assert scripts.Script.from_json(json.loads(json.dumps(script.to_json()))) == script


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"address": "a4c138000001", "adverts": []},
        {"address": "a4c1", "adverts": [["00", 1, 250, 0]]},
        {"address": "a4c138000001", "adverts": [["00" * 32, 1, 250, 0]]},
        {"address": "a4c138000001", "adverts": [["zz", 1, 250, 0]]},
        {"address": "a4c138000001", "adverts": [["00", 1, 20, 0]]},
        {"address": "a4c138000001", "adverts": [["00", 0, 250, 0]]},
        {"address": "a4c138000001", "adverts": [["00", 1, 250, 0]], "rounds": 0},
    ],
)
def test_what_no_radio_can_play_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(scripts.ScriptError) as refused:
        scripts.Script.from_json(data)
    assert "\n" not in str(refused.value)


READINGS: dict[str, dict[str, Any]] = {
    "blood_pressure": {"systolic": 128, "diastolic": 81, "pulse": 66},
    "thermometer": {"temperature": 36.6},
    "weight_scale": {"weight": 61.5, "user": 2},
    "pulse_oximeter": {"spo2": 97, "pulse": 64},
}


@pytest.mark.parametrize("kind", READINGS)
async def test_a_monitor_says_what_its_script_says(kind: str) -> None:
    script = monitor_scripts.monitor(kind, MONITOR, READINGS[kind], clock=None, bonding=False, hang_up_s=0.1)
    async with air() as world:
        real = await world.monitor(kind, MONITOR, clock=None, bonding=False, hang_up_s=0.1)
        await real.measure(**READINGS[kind])
        await until(lambda: world.adverts)
        assert world.adverts[0].data == script.advertising
        hub = await world.collector()
        await hub.connect()
        found = {uuid.lower(): {one.lower() for one in names} for uuid, names in hub.services.items()}
        for service, values in script.services:
            assert {one.uuid for one in values} == found[service]
            for one in values:
                assert int(hub.found[one.uuid.upper()].properties) == one.properties
                if one.properties & monitor_scripts.READ:
                    assert await hub.read(one.uuid.upper()) == one.data
        saying = script.sayings[0]
        await hub.subscribe(saying.uuid.upper())
        await hub.gone()
        assert hub.got(saying.uuid.upper()) == [saying.data]


def test_what_a_monitor_is_worn_for_is_notified_once_a_second() -> None:
    script = monitor_scripts.monitor("pulse_oximeter", MONITOR, worn={"spo2": 96, "pulse": 61}, seconds=12)
    assert [(one.uuid, one.times, one.every_ms) for one in script.sayings] == [("2a5f", 12, 1000)]
    assert script.writes == ("2a2b",)
    strap = monitor_scripts.monitor("heart_rate", MONITOR, {"pulse": 70})
    assert [one.uuid for one in strap.sayings] == ["2a37"]


def test_what_was_not_collected_is_from_storage() -> None:
    rows = [{"spo2": 97, "pulse": 64, "status": 0}, {"spo2": 98, "pulse": 66, "status": 0}]
    script = monitor_scripts.monitor("pulse_oximeter", MONITOR, *rows, clock=None)
    assert [one.data[5:7] for one in script.sayings] == [b"\x00\x02", b"\x00\x00"]


def test_a_monitor_that_there_is_not_is_refused() -> None:
    with pytest.raises(scripts.ScriptError, match="glucose"):
        monitor_scripts.monitor("glucose", MONITOR)
    with pytest.raises(scripts.ScriptError, match="manners"):
        monitor_scripts.monitor("thermometer", MONITOR, politeness=3)
    with pytest.raises(scripts.ScriptError, match="not worn"):
        monitor_scripts.monitor("thermometer", MONITOR, worn={})
