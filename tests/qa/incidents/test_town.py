"""From a real journal of a running daemon to a file without secrets, and from that to the same events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers_incidents import REACHED_S, Lived, build, live
from kanhu.qa.incidents import programs
from kanhu.qa.incidents.compare import compare
from kanhu.qa.incidents.extract import extract
from kanhu.qa.incidents.form import Incident, dumps, loads
from kanhu.qa.incidents.replay import play
from kanhu.sim.city import City
from kanhu.sim.town import Town

CLOCKS_MS = 2000  # the hub's clock was set over a loaded computer's loopback
pytestmark = pytest.mark.timeout(300)


class Taken(NamedTuple):
    lived: Lived
    first: Incident
    second: Incident


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taken]:
    """Taken twice while the daemon runs."""
    folder = tmp_path_factory.mktemp("town")
    with Town(folder / "town", heartbeat_s=30) as town:
        town.start()
        city = City(town.platform_url, folder / "city.db")
        city.auto_accept = False
        city.start()
        try:
            assert city.up.wait(REACHED_S)
            lived = live(town, city, build(town))
            first, second = (_take(lived) for _ in range(2))
            yield Taken(lived, first, second)
        finally:
            city.stop()


def _take(lived: Lived) -> Incident:
    return extract(
        lived.data_dir, lived.hub, lived.since_ms, lived.until_ms, log=lived.log, installed=programs.sources()
    )


def test_it_holds_what_happened(taken: Taken) -> None:
    incident = taken.first
    said = [(one.name, one.device) for one in incident.events]
    assert [one for one in said if one[0] == "call"] == [("call", 1), ("call", 2)]
    assert ("motion", 3) in said
    assert any(name == "window.open" for name, _ in said)
    assert [one.boot for one in incident.boots] == [1, 2]
    power_on = incident.boots[1]
    assert (power_on.in_span, power_on.reset) == (True, 1)
    assert power_on.previous is not None
    assert len(incident.alarms) == 2
    for alarm in incident.alarms:
        assert alarm.stored_ms is not None
        assert alarm.delivered_ms is not None
        assert alarm.accepted_ms is not None
        assert alarm.opened_ms <= alarm.stored_ms + CLOCKS_MS
        assert alarm.stored_ms <= alarm.delivered_ms < alarm.accepted_ms
        assert [one.what for one in alarm.steps] == ["opened", "accepted", "closed"]
        assert {one.by for one in alarm.steps} == {None, "op1"}
    late = incident.alarms[1]
    assert late.stored_ms is not None
    assert late.stored_ms - late.opened_ms > 5000  # the broker was away
    assert {"alarm.accepted", "alarm.closed"} <= {one.name for one in incident.host_events}
    lamps = [one.text for one in incident.log if one.text.startswith("lamp ")]
    assert "lamp unanswered" in lamps
    assert lamps[-1] == "lamp well"
    assert {one.role for one in incident.table} == {"door", "window", "blood_pressure"}
    assert [one.encrypted for one in incident.table].count(True) == 1
    assert not incident.losses


def test_nothing_in_it_names_anybody(taken: Taken) -> None:
    data = dumps(taken.first).encode()
    assert not [secret for secret in taken.lived.secrets if secret in data]
    assert not [secret for secret in taken.lived.secrets if secret in json.dumps(json.loads(data)).encode()]
    # The same secrets are where they belong: the search itself is right.
    held = (taken.lived.data_dir / "registry.db").read_bytes()
    assert sum(secret in held for secret in taken.lived.secrets) > 10


def test_the_same_hub_has_the_same_stand_ins(taken: Taken) -> None:
    assert dumps(taken.first) == dumps(taken.second)
    assert taken.first.hub != taken.lived.hub
    assert len({one.address for one in taken.first.table}) == 3


def test_it_happens_again(taken: Taken, tmp_path: Path) -> None:
    incident = loads(dumps(taken.first).encode())
    played = play(incident, programs.sources())
    found = compare(incident, played.record)
    assert found.first is None, (found, played.script.stimuli)
    assert sum(one.recorded.startswith("call of") for one in found.pairs) == 2
    assert found.lamps
    assert not played.bad
    assert "link" in {one.what for one in played.script.away}
