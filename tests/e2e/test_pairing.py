"""Pairing whole: a hub hears a button, `kanhu pair` takes it, its test press goes up and comes back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from helpers_e2e import wait_for
from kanhu import requests
from kanhu.registry import Registry
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town
from kanhu_protocol import cbor

KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
ADDRESS, OTHER = "A4:C1:38:77:00:01", "A4:C1:38:77:00:02"


def command(town: Town, *words: object) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "kanhu", "pair", *map(str, words), "--data-dir", str(town.daemon.data_dir)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kanhu(town: Town, *words: object) -> tuple[int, str, str]:
    process = command(town, *words)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def named(city: City, home: Home, name: str) -> list[Any]:
    return [event for event in city.events() if event.hub == home.hub_id and event.name == name]


def sensors(town: Town, home: Home) -> dict[int, Any]:
    registry = Registry.open(town.daemon.data_dir, "read")
    try:
        return {sensor.index: sensor for sensor in registry.sensors(home.hub_id)}
    finally:
        registry.close()


def test_a_button_is_paired_proven_replaced_and_unpaired(town: Town, city: City) -> None:
    home = town.add_home("north", buttons={"wired": 4})
    other = town.registry.add_hub(town.registry.add_home())[0]
    town.registry.add_sensor(other, "call", "A4:C1:38:77:00:09")
    town.wait_ready()
    town.bench.add_sensor("pendant", "button", ADDRESS)
    town.bench.press("pendant")
    time.sleep(1.0)
    assert not named(city, home, "call")

    pairing = command(
        town, home.hub_id, "--address", ADDRESS, "--name", "挂坠", "--room", "bedroom", "--json"
    )
    town.bench.wait_indicator(home.hub, "pairing", 20)
    town.bench.press("pendant")
    town.bench.wait_indicator(home.hub, "proving", 30)
    time.sleep(1.0)  # until the last copies of that press are over
    town.bench.press("pendant")
    out, err = pairing.communicate(timeout=60)
    assert pairing.returncode == 0, err
    done = json.loads(out)
    assert (done["role"], done["name"], done["room"], done["proof"]["state"]) == (
        "call",
        "挂坠",
        "bedroom",
        "delivered",
    )
    assert done["proof"]["delivered_ms"] >= done["proof"]["stored_ms"]
    index = done["index"]
    assert sensors(town, home)[index].state == "proven"
    (press,) = named(city, home, "test.press")
    assert (press.data["device"], press.data["flags"]) == (index, ["test"])
    assert not named(city, home, "call")
    (paired,) = named(city, home, "paired")
    assert paired.data["device"] == index
    told = [event.data for name in ("paired", "sensor.heard") for event in named(city, home, name)]
    assert not [
        one for one in told if one.keys() & {"address", "name", "advertised"}
    ]  # the city's no business
    assert {event.data["detail"] for event in named(city, home, "pairing.closed")} <= {
        "pressed",
        "by_command",
    }

    town.bench.wait_indicator(home.hub, "well", 10)
    town.bench.press("pendant")  # from now on a press is a call
    city.wait(lambda event: event.name == "call" and event.hub == home.hub_id)
    city.close_after_s = 0.1
    city.accept_all()
    town.bench.wait_indicator(home.hub, "well", 20)

    # Another one, which encrypts, takes its place.
    town.bench.add_sensor("new", "button", OTHER, bind_key=KEY)
    for key, wrong in ((None, "encrypts"), ("00" * 15 + "01", "does not open")):
        words = ("--bind-key", key) if key else ()
        replacing = command(town, "replace", home.hub_id, index, "--address", OTHER, "--no-proof", *words)
        town.bench.wait_indicator(home.hub, "pairing", 20)
        town.bench.press("new")
        _, err = replacing.communicate(timeout=60)
        assert replacing.returncode != 0
        assert wrong in err, err
        town.bench.wait_indicator(home.hub, "well", 20)
    spaced = " ".join(KEY.hex()[at : at + 4] for at in range(0, 32, 4))
    replacing = command(
        town, "replace", home.hub_id, index, "--address", OTHER, "--bind-key", spaced, "--no-proof"
    )
    town.bench.wait_indicator(home.hub, "pairing", 20)
    town.bench.press("new")
    _, err = replacing.communicate(timeout=60)
    assert replacing.returncode == 0, err
    wait_for(lambda: sensors(town, home)[index].state == "paired", 20)
    sensor = sensors(town, home)[index]
    assert (sensor.mac, sensor.name, sensor.room, sensor.encrypted) == (OTHER, "挂坠", "bedroom", True)
    before = len(named(city, home, "call"))
    town.bench.press("pendant")
    time.sleep(1.0)
    assert len(named(city, home, "call")) == before

    assert kanhu(town, "rename", home.hub_id, index, "--room", "bathroom")[0] == 0
    assert sensors(town, home)[index].room == "bathroom"
    gone = {event.id for event in named(city, home, "unpaired")}  # the one that was replaced
    assert kanhu(town, "unpair", home.hub_id, index)[0] == 0
    city.wait(lambda event: event.name == "unpaired" and event.id not in gone)
    town.bench.press("new")
    time.sleep(1.0)
    assert len(named(city, home, "call")) == before
    code, _, err = kanhu(town, home.hub_id, "--address", "A4:C1:38:77:00:07", "--seconds", 8)
    assert code != 0
    # Either may say by itself how its battery is.
    assert "nothing was heard" in err or f"others were: {OTHER}" in err or f"others were: {ADDRESS}" in err


def ask(town: Town, home: Home, do: str, **more: Any) -> dict[str, Any]:
    return requests.ask(town.daemon.data_dir, {"do": f"pair.{do}", "hub": home.hub_id, **more})


def hub_has(home: Home) -> list[Any] | None:
    """The device table in the hub's flash; None as long as it has not said of it what there is to say."""
    files = home.hub.flash_files()
    raw, told = files.get("/data/devices"), files.get("/data/devices.told")
    assert raw, files.keys()
    table: list[Any] = [row[:3] for row in cbor.loads(raw[:-4], 16384)[1]]
    return table if told and cbor.loads(told[:-4]) == table else None


def test_kills_and_power_cuts_leave_the_old_or_the_new_pairing(town: Town, city: City) -> None:
    home = town.add_home("north", buttons={"wired": 4})
    town.registry.add_sensor(home.hub_id, "motion", "A4:C1:38:77:00:09")
    town.wait_ready()
    town.bench.add_sensor("pendant", "button", ADDRESS)
    town.bench.add_sensor("new", "button", OTHER)

    def open_and_hear(name: str, address: str) -> None:
        ask(town, home, "open", seconds=300)
        town.bench.wait_indicator(home.hub, "pairing", 30)
        town.bench.press(name)
        wait_for(lambda: address in [one["address"] for one in ask(town, home, "heard")["heard"]], 20)

    def both_agree() -> None:
        town.registry.refresh()
        wanted = [entry[:3] for entry in town.registry.device_table(home.hub_id)[1]]
        wait_for(lambda: hub_has(home) == wanted, 40)
        wait_for(lambda: {one.state for one in sensors(town, home).values()} <= {"paired", "proven"}, 20)

    def cut_hub() -> None:
        town.bench.cut_power(home.hub)
        town.bench.power(home.hub)

    def kill_daemon() -> None:
        town.daemon.kill()
        town.daemon.start()

    # The hub goes before it can have heard of the sensor; the daemon goes with its table on the way.
    open_and_hear("pendant", ADDRESS)
    index = ask(town, home, "pair", address=ADDRESS, name="pendant")["index"]
    cut_hub()
    both_agree()
    open_and_hear("new", OTHER)
    ask(town, home, "replace", index=index, address=OTHER)
    kill_daemon()
    both_agree()
    ask(town, home, "close")
    # While the sensor is proven: afterwards a press is a call, whoever went.
    for one, go in ((index, kill_daemon), (index, cut_hub), (home.devices["wired"], cut_hub)):
        town.bench.wait_indicator(home.hub, "well", 30)
        ask(town, home, "prove", index=one, seconds=20)
        town.bench.wait_indicator(home.hub, "proving", 30)
        go()
    town.bench.wait_indicator(home.hub, "well", 30)
    both_agree()
    assert not named(city, home, "call")
    town.bench.press("new")
    (call,) = wait_for(lambda: named(city, home, "call"), 20)
    assert call.data["device"] == index
    city.close_after_s = 0.1
    city.accept_all()
    town.bench.wait_indicator(home.hub, "well", 30)
    town.bench.press("north/wired")
    call = wait_for(lambda: named(city, home, "call")[1:], 20)[0]
    assert call.data["device"] == home.devices["wired"]
    assert not named(city, home, "test.press")


def test_the_hubs_own_button_is_proven_and_a_hold_is_a_call(town: Town, city: City) -> None:
    home = town.add_home("north", buttons={"wired": 4})
    wired = home.devices["wired"]
    town.wait_ready()
    proving = command(town, "prove", home.hub_id, wired, "--json")
    town.bench.wait_indicator(home.hub, "proving", 30)
    town.bench.press("north/wired")
    out, err = proving.communicate(timeout=60)
    assert proving.returncode == 0, err
    assert json.loads(out)["proof"]["state"] == "delivered"
    (press,) = named(city, home, "test.press")
    assert (press.data["device"], press.data["flags"]) == (wired, ["test"])
    town.registry.refresh()
    assert town.registry.proven_ms(home.hub_id, wired) is not None
    assert not named(city, home, "call")

    town.bench.wait_indicator(home.hub, "well", 20)
    ask(town, home, "prove", index=wired, seconds=60)
    town.bench.wait_indicator(home.hub, "proving", 30)
    town.bench.press("north/wired", 4000)
    (call,) = wait_for(lambda: named(city, home, "call"), 20)
    assert call.data["device"] == wired
    assert len(named(city, home, "test.press")) == 2
