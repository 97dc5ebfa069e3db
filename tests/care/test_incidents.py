"""Many faults with one cause: what makes an incident, who belongs to it, when it is over."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_intake import Clock, Host, HubVoice
from kanhu import ledger
from kanhu.care.fault_tasks import FaultError
from kanhu.care.faults import Faults
from kanhu.care.incidents import EVERYWHERE, JOIN_MS, Crowd, Incident, Incidents, common, holds, prefixes
from kanhu.journal.identity import new_id
from kanhu_protocol import kinds as k

PATHS = st.lists(st.sampled_from(["a", "b", "aa"]), max_size=4).map("/".join)


# Regions


def test_regions() -> None:
    assert list(prefixes("cn/42/01")) == ["cn/42/01", "cn/42", "cn", EVERYWHERE]
    assert list(prefixes(None)) == [EVERYWHERE]
    assert holds("cn/42", "cn/42/01")
    assert not holds("cn/4", "cn/42")
    assert not holds("cn/42/01", "cn/42")
    assert not holds("cn", None)
    assert common("cn/42/01/06", "cn/42/02") == "cn/42"
    assert common("cn/42", "de/1") == EVERYWHERE


@given(PATHS, PATHS)
def test_the_common_region_is_the_deepest_that_holds_both(one: str, other: str) -> None:
    found = common(one, other)
    assert holds(found, one)
    assert holds(found, other)
    assert found == common(other, one)
    deeper = [path for path in prefixes(one) if holds(path, other) and len(path) > len(found)]
    assert deeper == []


# Crowds


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3), st.integers(0, 40)), max_size=80))
def test_a_crowd_is_what_a_plain_count_says(steps: list[tuple[int, int, int]]) -> None:
    """(hub, street, ms since the last): the same as looking at all that was ever heard."""
    crowd, heard, now = Crowd(4, 100), {}, 0
    for hub, street, later in steps:
        region = f"cn/{street % 2}/{street}"
        name = f"{hub}-{street}"  # a hub does not move
        now += later
        heard[name] = (region, now)
        found = crowd.add(name, region, now)
        expected = None
        for path in prefixes(region):
            near = [one for one, (place, at) in heard.items() if holds(path, place) and now - at <= 100]
            if len(near) >= 4:
                expected = path
                assert set(near) == set(crowd.within(path))
                break
        assert found == expected


def test_an_incident_counts_hubs_and_those_restored() -> None:
    incident = Incident(1, k.MAINS_LOST, "cn", 0, 0)
    for hub in ("a", "b", "c"):
        incident.add(hub, 1)
    incident.add("a", 1)  # two devices of one hub
    assert (incident.members, incident.standing) == (3, 3)
    incident.add("a", -1)
    assert incident.restored == 0
    incident.add("a", -1)
    assert incident.restored == 1
    incident.add("a", 1)
    assert incident.restored == 0
    incident.add("d", 0)  # known from the disk, and mended
    assert (incident.members, incident.restored) == (4, 1)
    incident.forget("d")
    incident.forget("b")
    incident.forget("nobody")
    assert (incident.members, incident.standing) == (2, 2)


def test_it_grows_while_hubs_come_and_widens_for_as_many_again() -> None:
    incidents = Incidents(3, 1000, 0)
    for hub in range(3):
        joined = incidents.joins(k.MAINS_LOST, f"a{hub}", "cn/42/01", hub)
    incident = joined.incident
    assert incident is not None
    assert (joined.opened, incident.region, set(joined.others)) == (True, "cn/42/01", {"a0", "a1", "a2"})
    for hub in joined.others:
        incidents.left(k.MAINS_LOST, hub, "cn/42/01")
    assert incidents.joins(k.TAMPER, "a5", "cn/42/01", 5) == (None, False, ())
    assert incidents.joins(k.MAINS_LOST, "b0", "cn/42/02", 5).incident is None, "one of another street"
    assert incidents.joins(k.MAINS_LOST, "a3", "cn/42/01/07", 6) == (incident, False, ())
    incidents.joins(k.MAINS_LOST, "b1", "cn/42/02", 7)
    joined = incidents.joins(k.MAINS_LOST, "b2", "cn/42/02", 8)
    assert (joined.opened, set(joined.others)) == (False, {"b0", "b1", "b2"})
    assert incident.region == "cn/42"
    assert incidents.joins(k.MAINS_LOST, "a9", "cn/42/01", 8 + JOIN_MS).incident is incident
    assert incidents.joins(k.MAINS_LOST, "a8", "cn/42/01", 9 + 2 * JOIN_MS).incident is None, "nobody came"


# In the journal


class Town:
    """Hubs of two streets on one host."""

    def __init__(self, folder: Path, clock: Clock, voices: list[HubVoice]) -> None:
        self.host = Host(folder, *voices, clock=clock)
        self.clock = clock
        self.voices = voices
        self.street = {voice.hub_id: f"cn/42/0{number % 2}" for number, voice in enumerate(voices)}
        self.faults = Faults(self.host.journal, self.street.get, lambda *_: ["op-a"])
        self.host.intake.notes.append(self.faults.note)

    async def all(self, kind: int, voices: list[HubVoice]) -> None:
        done = [self.host.intake.submit(voice.hub_id, voice.say(kind), "mqtt") for voice in voices]
        for one in done:
            assert await one

    async def pass_s(self, seconds: float) -> None:
        self.clock.now_ms += int(seconds * 1000)
        await self.faults.tick()

    def own(self, kind: int) -> list[dict[int, Any]]:
        return [event.fields for event in self.host.own(kind)]

    def row(self) -> Any:
        with closing(sqlite3.connect(self.host.journal.path)) as db:
            return db.execute("SELECT kind, region, closed_ms, members FROM incidents").fetchall()


Start = Callable[..., Awaitable[Town]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    clock, running = Clock(), []
    voices = [HubVoice(new_id(), bytes([number]) * 16) for number in range(60)]

    async def begin() -> Town:
        while running:
            await running.pop().host.journal.close()
        running.append(Town(tmp_path, clock, voices))
        return running[0]

    yield begin
    for town in running:
        await town.host.journal.close()


async def test_a_street_without_mains_is_one_incident(start: Start) -> None:
    town = await start()
    south = town.voices[::2]
    await town.all(k.MAINS_LOST, south[:19])
    assert town.faults.incidents() == []
    assert len(town.own(k.FAULT_ASSIGNED)) == 19
    await town.all(k.MAINS_LOST, south[19:])
    (incident,) = town.faults.incidents()
    assert (incident.region, incident.members, incident.standing) == ("cn/42/00", 30, 30)
    assert town.faults.counts() == (30, 0, 0), "nothing is left to be shown one by one"
    assert len(town.own(k.FAULT_ASSIGNED)) == 19
    (said,) = town.own(k.INCIDENT_OPENED)
    assert (said[k.INCIDENT], said[k.DETAIL], said[k.MEMBERS]) == (incident.name, k.MAINS_LOST, 20)
    assert town.faults.region_of_incident(incident.name) == "cn/42/00"
    assert town.faults.region_of_incident("nonsense") is None
    assert len(town.faults.members(incident.id)) == 30
    page = town.faults.members(incident.id, limit=4)
    assert [task.id for task in town.faults.members(incident.id, page[-1].id, 2)] == [5, 6]
    await town.pass_s(1)
    assert town.row() == [(k.MAINS_LOST, "cn/42/00", None, 30)]
    sums = ledger.recompute(town.host.journal.path)
    assert all(map(ledger.balanced, sums.values()))
    assert all(sums[voice.hub_id]["queued"] == 1 for voice in south), "each goes to the platform all the same"


async def test_it_is_over_when_nearly_all_are_restored_and_the_rest_is_work(start: Start) -> None:
    town = await start()
    await town.all(k.MAINS_LOST, town.voices)
    (incident,) = town.faults.incidents()
    assert (incident.region, incident.members) == ("cn/42", 60)
    await town.all(k.MAINS_BACK, town.voices[:56])
    await town.pass_s(121)
    assert town.faults.incidents() == [incident], "93 %"
    await town.all(k.MAINS_BACK, town.voices[56:57])
    await town.pass_s(1)
    assert town.faults.incidents() == []
    (said,) = town.own(k.INCIDENT_CLOSED)
    assert (said[k.MEMBERS], k.OPERATOR in said) == (60, False)
    assert town.faults.counts() == (3, 0, 3)
    assert town.row() == [(k.MAINS_LOST, "cn/42", incident.closed_ms, 60)]
    assert not town.own(k.FAULT_CLOSED), "of no member"
    await town.all(k.MAINS_BACK, town.voices[57:])
    assert town.faults.counts() == (0, 0, 0)
    assert len(town.own(k.FAULT_CLOSED)) == 3, "of those that were single work"


async def test_a_dip_does_not_make_an_incident_again_and_again(start: Start) -> None:
    town = await start()
    for _ in range(3):
        await town.all(k.MAINS_LOST, town.voices)
        await town.pass_s(1)
        await town.all(k.MAINS_BACK, town.voices)
        await town.pass_s(10)
    assert len(town.own(k.INCIDENT_OPENED)) == 1
    (incident,) = town.faults.incidents()
    assert (incident.members, incident.standing) == (60, 0)
    await town.pass_s(121)
    assert town.faults.incidents() == []


async def test_a_person_closes_it_and_what_stands_is_single_work(start: Start) -> None:
    town = await start()
    await town.all(k.MAINS_LOST, town.voices)
    (incident,) = town.faults.incidents()
    with pytest.raises(FaultError, match="no incident 9 is open"):
        await town.faults.close_incident(9, "op-a", "x")
    await town.faults.close_incident(incident.id, "op-a", "the grid says Tuesday")
    with pytest.raises(FaultError):
        await town.faults.close_incident(incident.id, "op-a", "twice")
    assert town.faults.counts() == (60, 0, 60)
    (said,) = town.own(k.INCIDENT_CLOSED)
    assert said[k.REASON] == "the grid says Tuesday"
    assert town.faults.region_of_incident(said[k.INCIDENT]) == "cn/42", "also when it is over"


async def test_an_incident_survives_a_restart(start: Start) -> None:
    town = await start()
    await town.all(k.MAINS_LOST, town.voices)
    await town.all(k.MAINS_BACK, town.voices[:30])
    town = await start()
    (incident,) = town.faults.incidents()
    assert (incident.members, incident.standing, incident.region) == (60, 30, "cn/42")
    assert town.faults.counts() == (30, 0, 0)
    await town.all(k.MAINS_BACK, town.voices[30:])
    await town.pass_s(121)
    assert town.faults.incidents() == []
    assert not town.own(k.INCIDENT_OPENED), "it had been said"
    await town.pass_s(600)
    await town.all(k.MAINS_LOST, town.voices)
    assert town.faults.incidents()[0].id == incident.id + 1


async def test_silence_after_a_broker_is_one_incident_too(start: Start) -> None:
    town = await start()
    for voice in town.voices:
        await town.host.journal.host_event(k.HUB_SILENT, {k.SUBJECT: voice.hub_id, k.SPAN_MS: 1})
    (incident,) = town.faults.incidents()
    assert (incident.kind, incident.members) == (k.HUB_SILENT, 60)


async def test_faults_that_come_slowly_are_no_incident(start: Start) -> None:
    town = await start()
    for voice in town.voices:
        await town.all(k.BATTERY_LOW, [voice])
        town.clock.now_ms += 4000  # 15 a minute
    assert town.faults.incidents() == []
    assert town.faults.counts().single == 60


async def test_an_opening_that_the_disk_did_not_take_is_said_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = await start()
    await town.all(k.MAINS_LOST, town.voices[:19])
    writer: Any = town.host.journal._writer
    real = writer._commit
    monkeypatch.setattr(writer, "_commit", lambda jobs: sqlite3.OperationalError("disk I/O error"))
    lost = town.voices[19].say(k.MAINS_LOST)
    assert not await town.host.intake.receive(town.voices[19].hub_id, lost, "mqtt")
    monkeypatch.setattr(writer, "_commit", real)
    await town.pass_s(1)
    (said,) = town.own(k.INCIDENT_OPENED)
    assert said[k.MEMBERS] >= 19
    assert await town.host.intake.receive(town.voices[19].hub_id, lost, "mqtt")
    town = await start()
    (incident,) = town.faults.incidents()
    assert incident.standing == 20


async def test_a_fault_costs_the_same_among_many(tmp_path: Path) -> None:
    """O(1) for each: of 8,000 that come at once the last ones cost about what the first ones do."""
    voices = [HubVoice(new_id(), bytes(16)) for _ in range(4000)]
    host = Host(tmp_path, *voices)
    faults = Faults(host.journal, lambda hub: f"cn/42/{hub[0]}/{hub[1]}")
    costs = []
    for kind in (k.MAINS_LOST, k.TAMPER):
        for start in range(0, len(voices), 1000):
            batch = host.journal.batch()
            begun = time.process_time()
            for voice in voices[start : start + 1000]:
                batch.add_own(kind, {k.SUBJECT: voice.hub_id})
            costs.append(time.process_time() - begun)
            await batch.submit()
    assert faults.counts().open == 8000
    assert sorted(costs)[-2] < 6 * sorted(costs)[1], costs
    await host.journal.close()
