"""The sealed talk on a simulated hub's console: messages of no use, status, scans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from helpers_commissioning import Cable
from helpers_trial import (
    BROKER,
    HOME,
    POINTS,
    WORD,
    bare_hub,
    fresh,
)
from kanhu.sim.net import AccessPoint
from kanhu.sim.town import Town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("town")) as town:
        town.start()
        yield town


@pytest.fixture(scope="module")
def shared(town: Town) -> Iterator[Cable]:
    """On a hub without a network; these tests leave it so."""
    with Cable(fresh(town)) as cable:
        assert cable.hello()
        yield cable


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"do": "fly"}, "unknown"),
        ({}, "malformed"),
        ({"do": "set"}, "malformed"),
        ({"do": "set", "wifi": ["", ""]}, "malformed"),
        ({"do": "set", "wifi": "home"}, "malformed"),
        ({"do": "set", "wifi": HOME, "broker": ["broker.lan"]}, "malformed"),
        ({"do": "set", "wifi": HOME, "broker": BROKER, "ntp": 5}, "malformed"),
        ({"do": "set", "wifi": HOME, "ca": b""}, "malformed"),
        ({"do": "set", "wifi": HOME, "ca": "text"}, "malformed"),
        ({"do": "set", "wifi": ["h" * 300, "p" * 600]}, "malformed"),
        ({"do": "set", "wifi": HOME, "broker": None}, "malformed"),
        ({"do": "set", "network": "ppp", "apn": 'x"\rAT+CFUN=0'}, "malformed"),
        ({"do": "set", "network": "ppp", "modem": [1, 17, 4, 115200]}, "malformed"),
        ({"do": "time", "utc_ms": 3094168447001}, "malformed"),
        ({"do": "time"}, "malformed"),
        ({"do": "time", "utc_ms": -1}, "malformed"),
        ({"do": "ca", "at": 0}, "malformed"),
        ({"do": "ca", "at": 0, "data": "text"}, "malformed"),
        ({"do": ["set"]}, "unknown"),
    ],
)
def test_a_message_of_no_use(shared: Cable, message: dict[str, Any], why: str) -> None:
    shared.messages.clear()
    shared.say(message)
    assert shared.until("refused")["why"] == why


def test_status_identify_and_scan(town: Town, shared: Cable) -> None:
    status = shared.ask({"do": "status", "later": [1, 2]}, "status")
    assert status["wifi"] is None
    assert (status["link"], status["busy"], status["broker"], status["rssi"]) == (False, False, None, None)
    assert len(status["mac"]) == 6
    after = shared.hub.log_position()
    shared.ask({"do": "identify"}, "status")
    shared.hub.wait_log("lamp identify", 5, after)
    shared.hub.wait_log("lamp cannot_tell", 15, after)
    shared.say({"do": "scan"})
    shared.say({"do": "scan"})
    assert shared.until("refused")["why"] == "busy"
    found = shared.until("scan")
    assert found["last"]
    around = [[point.ssid, point.rssi, not point.password] for point in POINTS]
    assert sorted(found["networks"]) == sorted(around)
    levels = [level for _, level, _ in found["networks"]]
    assert levels == sorted(levels, reverse=True)


def test_a_scan_of_many_networks_is_told_in_pieces(town: Town) -> None:
    around = [AccessPoint(f"网络网络网络网络网络{n:02}", WORD, -40 - n) for n in range(30)]
    hub = bare_hub(town, [*around, AccessPoint("网络网络网络网络网络00", WORD, -90)])
    hub.wait_log("commissioning is open", 30)
    with Cable(hub) as cable:
        assert cable.hello()
        cable.say({"do": "scan"})
        rows, last = [], False
        while not last:
            message = cable.until("scan")
            rows += message["networks"]
            last = message["last"]
    assert rows == [[point.ssid, point.rssi, False] for point in around[:20]]
