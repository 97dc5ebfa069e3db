"""An encrypted caller of a real hub: replays over reboots, downgrades, forgeries, and a changed battery."""

from __future__ import annotations

import time
from typing import Any

from kanhu.registry.registry import MAX_SENSORS
from kanhu.sim import sensors
from kanhu.sim.city import City
from kanhu.sim.sensors import BUTTON, PACKET_ID, Advert
from kanhu.sim.town import Home, Town

KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
OTHER_KEY = bytes(range(16))
UNHEARD_S = 1.5  # a press that is heard is at the city within a tenth of this


def calls(city: City, home: Home) -> list[Any]:
    return [event for event in city.events() if event.hub == home.hub_id and event.name == "call"]


def press(town: Town, city: City, home: Home) -> Any:
    """A press, the call it makes, and a person who takes and closes it."""
    before = len(calls(city, home))
    town.bench.press("north/pendant")
    city.wait(lambda _: len(calls(city, home)) > before)
    city.accept_all()
    town.bench.wait_indicator(home.hub, "well", 10)
    return calls(city, home)[-1]


def test_replays_downgrades_and_a_changed_battery(town: Town, city: City) -> None:
    home = town.add_home("north")
    index = town.add_sensor(home, "pendant", "button", KEY)
    for number in range(MAX_SENSORS - 1):  # the longest device table there is
        address = f"A4:C1:38:FF:00:{number:02X}"
        town.registry.add_sensor(home.hub_id, "smoke", address, supervision_s=86_400, bind_key=OTHER_KEY)
    town.wait_ready()
    city.close_after_s = 0.1
    pendant = town.bench.sensors["north/pendant"][0]
    sent: list[Advert] = []
    transmit = pendant._transmit
    pendant._transmit = lambda advert: (sent.append(advert), transmit(advert))[1]

    assert "flags" not in press(town, city, home).data
    recorded = list(sent)
    for _ in range(2):  # before and after a reboot
        for advert in recorded:
            town.bench.advertise(advert)
        time.sleep(UNHEARD_S)
        assert len(calls(city, home)) == 1
        town.bench.cut_power(home.hub)
        town.bench.power(home.hub)
        town.bench.wait_indicator(home.hub, "well", 15)
    assert "flags" not in press(town, city, home).data
    assert len(calls(city, home)) == 2

    pendant.counter = 0
    assert press(town, city, home).data["flags"] == ["unverified"]
    said = city.wait(lambda event: event.name == "sensor.doubted")
    assert (said.data["device"], said.data["detail"]) == (index, "counter_went_back")

    objects = [(PACKET_ID, 77), (BUTTON, 1)]
    forged = sensors.encrypt(objects, OTHER_KEY, pendant.address, 9_999, trigger=True)
    for data, why in ((sensors.encode(objects, trigger=True), "not_encrypted"), (forged, "forged")):
        town.bench.advertise(Advert(pendant.address, -50, data))
        city.wait(lambda event, why=why: event.name == "sensor.doubted" and event.data["detail"] == why)
    assert len(calls(city, home)) == 3
    assert press(town, city, home).data["flags"] == ["unverified"]  # for a day, if nothing above comes

    # The key is where it must be, and nowhere else.
    files = home.hub.flash_files()
    assert [name for name, data in files.items() if KEY in data] == ["/data/devices"]
    for path in town.daemon.data_dir.iterdir():
        if path.is_file() and not path.name.startswith("registry"):
            assert KEY not in path.read_bytes(), path.name
    assert KEY.hex() not in home.hub.log()
