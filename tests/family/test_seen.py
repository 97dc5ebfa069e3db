"""How sensors are: never well without evidence that is fresh enough for what they are."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from helpers_family import Place
from kanhu.care.faults import Faults
from kanhu.journal import Journal
from kanhu.web.family import seen
from kanhu.web.family.seen import Facts, bars, judge
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

NOW = 1_790_000_000_000
HOUR, DAY = 3_600_000, 86_400_000
MAC = "A4:C1:38:00:00:01"
BLE = Facts("call", True, heard_ms=NOW - HOUR, hub_heard_ms=NOW - 60_000, boot_ms=NOW - 30 * DAY)
WATCHED = replace(BLE, role="motion", supervision_s=28_800, paired_ms=NOW - 20 * DAY)
WIRED = Facts("call", False, hub_heard_ms=NOW - 60_000, boot_ms=NOW - 30 * DAY)
CUFF = replace(BLE, role="blood_pressure")


@pytest.mark.parametrize(
    ("facts", "state", "says"),
    [
        (BLE, "well", "Works"),
        (replace(BLE, hub_heard_ms=None), "cannot_tell", "never been heard"),
        (replace(BLE, hub_heard_ms=NOW - HOUR), "cannot_tell", "hub is not heard"),
        (replace(BLE, heard_ms=NOW - 2 * DAY), "cannot_tell", "2 days ago"),
        (replace(BLE, heard_ms=NOW - 2 * DAY, proven_ms=NOW - HOUR), "well", "Works"),
        (replace(BLE, heard_ms=None), "cannot_tell", "Never heard"),
        (replace(BLE, heard_ms=None, since_ms=NOW - 9 * DAY), "cannot_tell", "at least 9 days ago"),
        (replace(BLE, in_table=False), "cannot_tell", "being told"),
        (replace(BLE, battery=15), "attention", "battery"),
        (replace(BLE, battery=16), "well", "Works"),
        (replace(BLE, faults=((k.BATTERY_LOW, NOW, 0),)), "attention", "battery"),
        (replace(BLE, faults=((k.BATTERY_LOW, NOW, 0), (k.TAMPER, NOW, 0))), "attention", "opened"),
        (replace(BLE, faults=((k.SENSOR_SILENT, NOW, 0),)), "attention", "no longer hears"),
        (replace(BLE, faults=((k.SENSOR_DOUBTED, NOW, 0),)), "attention", "doubt"),
        # A hub that says nothing of a sensor it watches has heard it; its last message may be long ago.
        (replace(WATCHED, heard_ms=NOW - 9 * DAY), "well", "Works"),
        (replace(WATCHED, heard_ms=None), "well", "hub hears it"),
        (replace(WATCHED, heard_ms=NOW - 9 * DAY, boot_ms=NOW - HOUR), "cannot_tell", "9 days ago"),
        (replace(WATCHED, heard_ms=NOW - 9 * DAY, paired_ms=NOW - HOUR), "cannot_tell", "9 days ago"),
        (replace(WATCHED, faults=((k.SENSOR_UNPROVEN, NOW, 0),)), "cannot_tell", "walk test"),
        (CUFF, "well", "Works"),
        (replace(CUFF, heard_ms=NOW - 6 * DAY), "well", "Works"),
        (replace(CUFF, heard_ms=NOW - 8 * DAY), "cannot_tell", "Last used 8 days ago"),
        (replace(CUFF, faults=((k.MONITOR_FAULT, NOW, 1),)), "attention", "no longer know each other"),
        (WIRED, "cannot_tell", "Not pressed for a month"),
        (replace(WIRED, proven_ms=NOW - 30 * DAY), "well", "wire"),
        (replace(WIRED, heard_ms=NOW - 32 * DAY), "cannot_tell", "Not pressed for a month"),
        (replace(WIRED, watched_wire=True), "well", "wire"),
        (replace(WIRED, watched_wire=True, faults=((k.LINE_FAULT, NOW, 1),)), "attention", "wire is broken"),
        (replace(WIRED, role="motion"), "cannot_tell", "Never heard"),
        (replace(WIRED, role="motion", heard_ms=NOW - 6 * DAY), "well", "wire"),
        (replace(WIRED, role="motion", heard_ms=NOW - 8 * DAY), "cannot_tell", "Last heard"),
    ],
)
def test_what_a_sensor_is_said_to_be(facts: Facts, state: str, says: str) -> None:
    found, why = judge(facts, NOW)
    assert (found, says in why.en) == (state, True), (found, why.en)
    assert why.zh


def test_signals() -> None:
    assert [bars(rssi) for rssi in (None, -100, -88, -80, -78, -70, -66, -30)] == [0, 1, 2, 2, 3, 3, 4, 4]


async def looked(place: Place) -> dict[int, seen.Seen]:
    found = await seen.look(
        place.registry, place.journal, [place.hub], place.watch.past, place.journal.clock()
    )
    return {one.device.index: one for one in found}


@pytest.fixture
async def here(place: Place) -> Place:
    """With the clock of this minute, as the registry's."""
    place.clock.now_ms = int(time.time() * 1000)
    place.faults = Faults(place.journal, lambda hub: None)  # type: ignore[attr-defined]
    place.intake.notes.append(place.faults.note)  # type: ignore[attr-defined]
    await place.start_hub()
    return place


async def say(place: Place, kind: int, at_ms: int, device: int, **fields: object) -> None:
    more = {getattr(k, name): value for name, value in fields.items()}
    await place.say(kind, {k.UTC_MS: at_ms, k.CLOCK: 1, k.DEVICE: device, **more})


async def test_what_the_journal_holds_of_each(here: Place) -> None:
    now = here.clock.now_ms
    plain = here.registry.add_sensor(here.hub, "motion", MAC, supervision_s=28_800)
    sealed = here.registry.add_sensor(here.hub, "call", "A4:C1:38:00:00:02", bind_key=bytes(range(16)))
    await here.has_table()
    await here.pairing._round()
    assert (await looked(here))[plain].heard_ms is None
    await say(here, k.MOTION, now + 1000, plain, RSSI=-70, BATTERY=80)
    await say(here, k.BATTERY_OK, now + 2000, plain, BATTERY=79)
    for kind in (k.STILL, k.SENSOR_DOUBTED, k.PAIRED):  # no sign of life of the sensor itself
        await say(here, kind, now + 9000, plain, SPAN_MS=1, DETAIL=2, ADDRESS=bytes(6))
    await say(here, k.SENSOR_HEARD, now + 3000, sealed, FLAGS=k.UNVERIFIED, ADDRESS=bytes(6), RSSI=-50)
    await say(here, k.CALL, now + 4000, sealed, FLAGS=k.UNVERIFIED)
    await say(here, k.CALL_UNANSWERED, now + 5000, 1, ALARM=[1, 1], ATTEMPT=1)
    here.clock.now_ms = now + 10_000
    found = await looked(here)
    one = found[plain]
    assert (one.heard_ms, one.battery, one.rssi, one.bars) == (now + 2000, 79, -70, 3)
    assert (found[sealed].heard_ms, found[sealed].rssi, found[sealed].state) == (None, None, "cannot_tell")
    assert found[1].heard_ms is None
    assert one.state == "attention"  # it is doubted
    await say(here, k.SENSOR_HEARD, now + 6000, plain, FLAGS=k.UNVERIFIED, ADDRESS=bytes(6))
    assert (await looked(here))[plain].heard_ms == now + 6000


async def test_what_a_hub_no_longer_hears_is_not_well_whoever_closes_the_work(here: Place) -> None:
    now = here.clock.now_ms
    index = here.registry.add_sensor(here.hub, "motion", MAC, supervision_s=60)
    here.registry._db.execute("UPDATE sensors SET added_ms=added_ms-?", (2 * DAY,))
    here.watch.configure()
    await here.watch.recall()
    await say(here, k.MOTION, now - 1000, index)
    await say(here, k.SENSOR_SILENT, now, index, SPAN_MS=180_000)
    (task,) = here.faults.open(here.hub)
    await here.faults.close(task.id, "op1", "seen to")
    one = (await looked(here))[index]
    assert (one.state, "no longer hears" in one.why.en) == ("attention", True)
    await say(here, k.SENSOR_BACK, now + 1, index, SPAN_MS=200_000)
    assert "no longer hears" not in (await looked(here))[index].why.en


async def test_a_new_sensor_has_not_the_old_ones_evidence(here: Place) -> None:
    now = here.clock.now_ms
    index = here.registry.add_sensor(here.hub, "call", MAC)
    await say(here, k.CALL, now - DAY, index, BATTERY=60, RSSI=-60)
    here.registry._db.execute("UPDATE sensors SET added_ms=added_ms-?", (2 * DAY,))
    assert (await looked(here))[index].heard_ms == now - DAY
    here.registry.replace_sensor(here.hub, index, "A4:C1:38:00:00:03")
    one = (await looked(here))[index]
    assert (one.heard_ms, one.battery, one.rssi, one.state) == (None, None, None, "cannot_tell")


async def test_a_press_that_reached_the_platform_proves_a_wired_button(here: Place) -> None:
    assert (await looked(here))[1].state == "cannot_tell"
    await say(here, k.CALL, here.clock.now_ms - HOUR, 1)
    assert (await looked(here))[1].proven_ms is None
    await here.deliver()
    one = (await looked(here))[1]
    assert (one.proven_ms, one.state) == (here.clock.now_ms - HOUR, "well")
    here.registry.sensor_proven(here.registry.input(here.hub, 1), here.clock.now_ms)
    assert (await looked(here))[1].proven_ms == here.clock.now_ms


async def test_a_wired_movement_sensor_that_says_nothing_is_not_well(here: Place) -> None:
    assert (await looked(here))[2].state == "cannot_tell"  # its wire may be cut
    await say(here, k.MOTION, here.clock.now_ms, 2)
    assert (await looked(here))[2].state == "well"
    here.clock.now_ms += 8 * DAY
    await say(here, k.CALL, here.clock.now_ms, 1)  # the hub is heard
    assert (await looked(here))[2].state == "cannot_tell"


async def test_nothing_is_well_when_the_hub_is_not_heard(here: Place) -> None:
    await say(here, k.CALL, here.clock.now_ms, 1)
    await say(here, k.MOTION, here.clock.now_ms, 2)
    await here.deliver()
    assert {one.state for one in (await looked(here)).values()} == {"well"}
    here.clock.now_ms += 2 * HOUR
    assert {one.state for one in (await looked(here)).values()} == {"cannot_tell"}


HUB = "7q8k2m3x9a"


@pytest.fixture
async def large(tmp_path: Path) -> Path:
    """A journal with 200,000 events of one hub, most of them movement."""
    await Journal.open(tmp_path).close()

    def rows() -> object:
        said = {
            kind: cbor.dumps({k.KIND: kind, k.UP_MS: 70_000, k.UTC_MS: NOW, k.CLOCK: 1, k.DEVICE: device})
            for kind, device in ((k.MOTION, 2), (k.HEARTBEAT, 0), (k.CALL, 9))
        }
        for n in range(200_000):
            kind = k.CALL if n == 1000 else k.MOTION if n % 3 else k.HEARTBEAT
            yield HUB, 1, n, k.class_of(kind), kind, b"", said[kind], NOW + n * 1000, "mqtt", 1

    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.executemany(
            "INSERT INTO events (hub, boot, seq, class, kind, sealed, plain, received_ms, link, "
            "delivered_ms) VALUES (?,?,?,?,?,?,?,?,?,?)",
            rows(),
        )
        db.commit()
    return tmp_path / "journal.db"


async def test_a_large_journal_is_not_read_through(large: Path) -> None:
    with closing(sqlite3.connect(large)) as db:
        for sql, values in (
            (seen._RECENT, (HUB, seen.RECENT)),
            (seen._KIND, (HUB, k.CALL, seen.OF_A_KIND)),
            (seen._FAULTS, (HUB,)),
            (seen._EXPIRED, (HUB,)),
        ):
            (plan,) = (row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values))
            assert plan.startswith("SEARCH"), plan
            assert "(hub=?" in plan
    took = []
    for _ in range(3):
        began = time.thread_time()
        found = seen.read(large, HUB)
        took.append(time.thread_time() - began)
    assert found.devices[9].heard is not None  # long ago, and of a kind that is seldom
    assert found.since_ms == NOW + (200_000 - seen.RECENT) * 1000
    assert min(took) < 0.05
