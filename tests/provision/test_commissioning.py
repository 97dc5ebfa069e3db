"""New settings on trial: the sealed talk on a simulated hub's console, a real broker and a real daemon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from helpers_commissioning import Cable
from helpers_e2e import wait_for
from helpers_trial import (
    BROKER,
    HOME,
    WORD,
    Peer,
    bare_hub,
    config_of,
    events,
    failed,
    fresh,
    welcomes,
)
from kanhu.sim.net import AccessPoint
from kanhu.sim.town import Town
from kanhu_protocol import kinds as k


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("town")) as town:
        town.start()
        yield town


def test_what_works_is_kept_and_the_hub_starts_again_with_it(town: Town) -> None:
    hub = fresh(town, heap="288k")  # of an ESP32 without PSRAM: 144 kB
    with Cable(hub) as cable:
        assert cable.hello()
        steps = cable.trial(wifi=HOME, broker=BROKER)
        assert [one["step"] for one in steps] == ["join", "address", "time", "broker", "proof", "done"]
        assert all(one["ok"] for one in steps)
        assert steps[0]["rssi"] == -58
        cable.say({"do": "set", "wifi": ["elsewhere", WORD]})
        assert cable.until("refused")["why"] == "busy"
        hub.wait_log(f"hub {hub.hub_id} boot 2", 30)
        town.bench.wait_indicator(hub, "well", 30)
        cable.wait(0.2)
        assert not cable.hello(1.0)  # closed
    assert config_of(hub) == {
        "buttons": [[1, 4, None]],
        "pirs": [],
        "proof": 0,
        "wifi": HOME,
        "broker": BROKER,
    }
    wait_for(lambda: len(events(town, hub, k.BOOT)) == 2, 30, hub.log())
    assert [event[k.RESET] for event in events(town, hub, k.BOOT)] == [1, 9]
    assert [event[k.DETAIL] for event in events(town, hub, k.PROVISIONED)] == [1]
    assert len(events(town, hub, k.TEST_CALL)) == 1


def test_a_modem_on_trial(town: Town) -> None:
    hub = bare_hub(town, power=False, speed=5)
    modem = town.bench.add_modem(hub, sim="none")
    town.bench.power(hub)
    hub.wait_log("commissioning is open", 30)
    with Cable(hub) as cable:
        assert cable.hello()
        failed(cable.trial(network="ppp", apn="cmnet", broker=BROKER), "join", "no_sim")
        assert "network" not in config_of(hub)
        modem.sim = "ready"
        steps = cable.trial(network="ppp", apn="cmnet", broker=BROKER)
        assert [one["step"] for one in steps] == ["join", "address", "time", "broker", "proof", "done"], steps
        hub.wait_log(f"hub {hub.hub_id} boot 2", 30)
        hub.wait_log("modem: connected", 60, hub.log().index("boot 2"))
    assert (config_of(hub)["network"], config_of(hub)["apn"]) == ("ppp", "cmnet")


def test_messages_come_once_and_nonces_too(town: Town) -> None:
    hub = fresh(town)
    with Cable(hub) as cable:
        assert cable.hello()
        cable.ask({"do": "status"}, "status")
        cable.messages.clear()
        hellos = cable.hellos
        cable.say_body(cable.bodies[0])  # again
        cable.epoch -= 1
        cable.say({"do": "status"})  # of an earlier session
        cable.epoch += 1
        cable.wait(0.5)
        assert cable.messages == []
        assert cable.hellos >= hellos + 2
        cable.ask({"do": "status"}, "status")
        # Over a window of its own the same: neither comes again.
        before = cable.bodies[:]
        for _ in range(10):
            cable.say({"do": "status"}, bytes(16))
        wait_for(lambda: not cable.hello(1.0), 30, hub.log())
        assert town.bench.press_watched(f"{hub.hub_id}/bed")
        assert cable.hello()
        for body in before:
            cable.say_body(body)
        cable.wait(0.5)
        assert cable.messages == []
        cable.ask({"do": "status"}, "status")
        assert cable.numbers == sorted(set(cable.numbers))


def test_ten_wrong_codes_close_it_and_nine_do_not(town: Town) -> None:
    hub = fresh(town)
    with Cable(hub) as cable:
        assert cable.hello()
        for _ in range(9):
            cable.say({"do": "status"}, bytes(16))
        cable.ask({"do": "status"}, "status")
        cable.say({"do": "status"}, bytes(16))
        wait_for(lambda: not cable.hello(1.0), 30, hub.log())
        cable.say({"do": "status"})
        cable.wait(0.5)
        assert cable.messages == []
        assert town.bench.press_watched(f"{hub.hub_id}/bed")  # a call, as ever, and opens it again
        hub.wait_log("lamp heard", 10)
        assert cable.hello()
        cable.ask({"do": "status"}, "status")


class Moved:
    """A home whose router was changed: the hub knows only the old one, which is off."""

    def __init__(self, town: Town, **options: Any) -> None:
        self.town = town
        config = {"wifi": ["old", WORD], "broker": BROKER}
        self.hub = bare_hub(town, config=config, power=False, **options)
        self.button = f"{self.hub.hub_id}/bed"
        town.bench.power(self.hub)
        self.hub.wait_log("lamp cannot_tell", 30)

    def press(self) -> None:
        assert self.town.bench.press_watched(self.button)

    def calls(self) -> int:
        return len(events(self.town, self.hub, k.CALL))


def test_the_hubs_own_button_opens_it_and_is_a_call(town: Town) -> None:
    moved = Moved(town)
    hub = moved.hub
    with Cable(hub) as cable:
        assert not cable.hello(1.0)
        moved.press()
        hub.wait_log("lamp heard", 10)
        hub.wait_log("commissioning is open", 10)
        assert cable.hello()
        failed(cable.trial(wifi=["home", "not the word"], broker=BROKER), "join", "wrong_password")
        failed(cable.trial(wifi=HOME, broker=["nowhere.lan", 1883, None, None]), "broker", "dns")
        assert config_of(hub)["wifi"] == ["old", WORD]
        # It is back on the old one by itself: that comes, and the call gets out.
        town.bench.access_points([AccessPoint("old", WORD)], hub)
        wait_for(lambda: hub.joined == "old", 20, hub.log())
        wait_for(lambda: moved.calls() == 1, 40, hub.log())
        hub.wait_log("commissioning is closed", 40)
        assert not cable.hello(1.0)


def test_a_press_in_the_middle_of_a_trial_is_a_call(town: Town) -> None:
    """It goes out over the new broker as soon as that takes the hub; which starts again after the alarm."""
    moved = Moved(town, speed=3)
    hub = moved.hub
    moved.press()
    hub.wait_log("commissioning is open", 10)
    peer = Peer(welcomes)
    with Cable(hub) as cable:
        assert cable.hello()
        cable.say({"do": "set", "wifi": HOME, "broker": ["127.0.0.1", peer.port, None, None]})
        while cable.until("step", 30)["step"] != "broker":
            pass
        moved.press()  # nobody stores it there
        failed([cable.until("step", 60)], "proof", "not_stored")
        assert cable.trial(wifi=HOME, broker=BROKER)[-1]["step"] == "done"
        wait_for(lambda: moved.calls() == 2, 30, hub.log())
        time.sleep(5)
        assert hub.boots == 1
    peer.close()
    assert config_of(hub)["wifi"] == HOME
    moved.press()
    wait_for(lambda: moved.calls() == 3, 30, hub.log())


def test_a_press_during_a_scan_is_a_call_at_once(town: Town) -> None:
    hub = fresh(town)
    with Cable(hub) as cable:
        assert cable.hello()
        cable.say({"do": "scan"})
        cable.wait(0.5)
        after = hub.log_position()
        assert town.bench.press_watched(f"{hub.hub_id}/bed")
        hub.wait_log("lamp heard", 5, after)
        assert not [one for one in cable.messages if one["is"] == "scan"]
        assert cable.until("scan")["networks"]


def test_a_power_cut_in_the_middle_of_a_trial_leaves_what_was(town: Town) -> None:
    hub = fresh(town)
    peer = Peer(welcomes)
    with Cable(hub) as cable:
        assert cable.hello()
        cable.say({"do": "set", "wifi": HOME, "broker": ["127.0.0.1", peer.port, None, None]})
        while cable.until("step", 30)["step"] != "broker":
            pass
        town.bench.cut_power(hub)
        after = hub.log_position()
        town.bench.power(hub)
        hub.wait_log("commissioning is open", 30, after)
    peer.close()
    assert "wifi" not in config_of(hub)
    assert hub.joined is None


def test_the_serial_link_and_commissioning_share_the_wire(town: Town) -> None:
    """A hub on a cable that lacks its Wi-Fi: the daemon's frames and the installer's, each to its own."""
    hub = fresh(town, config={"links": ["serial", "mqtt"]})
    with Cable(hub) as cable:
        assert cable.hello()
        cable.ask({"do": "status"}, "status")
        assert cable.trial(wifi=HOME, broker=BROKER)[-1]["step"] == "done"
        hub.wait_log(f"hub {hub.hub_id} boot 2", 30)
    assert config_of(hub)["links"] == ["serial", "mqtt"]


@pytest.mark.timeout(200)
def test_trial_after_trial_does_not_keep_it_open(town: Town) -> None:
    """Whoever has the code holds up a hub's own network for ten minutes after a press, not longer."""
    config = {"wifi": ["gone", WORD], "broker": ["broker.lan", 1883, None, None]}
    hub = bare_hub(town, config=config, speed=20)  # faster, a busy computer's hub meets its watchdog
    with Cable(hub) as cable:
        hub.wait_log("lamp cannot_tell", 30)
        time.sleep(0.5)
        assert town.bench.press_watched(f"{hub.hub_id}/bed")
        hub.wait_log("commissioning is open", 30)
        assert cable.hello()
        end = time.monotonic() + 120
        while "commissioning is closed" not in hub.log():
            assert time.monotonic() < end, hub.log()[-3000:]
            cable.say({"do": "set", "wifi": ["nowhere", WORD], "broker": BROKER})
            cable.wait(0.02)
