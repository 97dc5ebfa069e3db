"""Readings out of the journal: when they were taken, in which unit, and what is none."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from helpers_intake import HUB, NOW_MS, OTHER, Clock
from kanhu.care.rules import vitals
from kanhu.journal import Event, Journal
from kanhu.journal.times import Anchor
from kanhu.web.family import measured
from kanhu_protocol import cbor, events
from kanhu_protocol import kinds as k

ZONE = ZoneInfo("Asia/Shanghai")
HOUR, DAY = 3_600_000, 86_400_000
CUFF = 7
PRESSURE, PULSE, OXYGEN, WARMTH, GLUCOSE = (
    (150021, 150022),
    (149546, 149530, 147842),
    (150456,),
    (150364,),
    (160184, 160212),
)
BOOT_MS = NOW_MS - 60 * DAY  # when up_ms was 0


class Book:
    """A journal that is filled event by event, and read when it is whole."""

    def __init__(self, path: Path) -> None:
        self.data_dir = path
        self.events: list[Event] = []
        self.anchors: list[tuple[str, int, Anchor]] = []

    def say(
        self, fields: dict[int, Any], at_ms: int, kind: int = k.VITALS, hub: str = HUB,
        received_ms: int | None = None, plain: bytes | None = None, own_time: bool = True,
    ) -> None:  # fmt: skip
        said = {k.DEVICE: CUFF, **fields}
        if own_time:
            said = {k.UTC_MS: at_ms, k.CLOCK: 1, **said}
        data = plain if plain is not None else events.encode(kind, max(0, at_ms - BOOT_MS), said)
        received_ms = at_ms if received_ms is None else received_ms
        self.events.append(Event(hub, 1, len(self.events), 5, kind, b"sealed", data, {}, received_ms, "mqtt"))

    async def write(self) -> Path:
        journal = Journal.open(self.data_dir, Clock())
        batch = journal.batch()
        for event in self.events:
            batch.add(event)
        for hub, boot, anchor in self.anchors:
            batch.run("INSERT INTO anchors VALUES (?,?,?,?,?)", hub, boot, *anchor)
        await batch.submit()
        await journal.close()
        return journal.path


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def between(
    path: Path, codes: Iterable[int], from_ms: int = NOW_MS - DAY, until_ms: int = NOW_MS + DAY
) -> list[measured.Measurement]:
    return measured.between(path, [HUB], from_ms, until_ms, ZONE, tuple(codes))


def wall(at_ms: int) -> int:
    """What a clock on the wall at home shows, as MEASURED_S has it."""
    local = datetime.fromtimestamp(at_ms / 1000, ZONE).replace(tzinfo=UTC)
    return int(local.timestamp())


async def test_a_reading_has_its_numbers_and_the_hubs_time(book: Book) -> None:
    book.say(
        {k.VALUES: [[150021, 1283, -1], [150022, 82, 0], [149546, 70, 0]], k.USER: 2, k.STATUS: 4}, NOW_MS
    )
    (one,) = between(await book.write(), PRESSURE)
    assert one.values == ((150021, 128.3, 1), (150022, 82.0, 0), (149546, 70.0, 0))
    assert (one.at_ms, one.clock, one.user, one.status, one.device) == (NOW_MS, "hub", 2, 4, CUFF)
    assert between(book.data_dir / "journal.db", PULSE) == [one]
    assert between(book.data_dir / "journal.db", WARMTH) == []


@pytest.mark.parametrize(
    ("item", "codes", "number"),
    [
        ([150021, 16, 0, 2], PRESSURE, 120.01),  # kPa
        ([150364, 986, -1, 4], WARMTH, 37.0),  # degrees Fahrenheit
        ([160188, 108, 0, 7], GLUCOSE, 5.995),  # mg/dL, in plasma
        ([160212, 61, -1], GLUCOSE, 6.1),  # in tissue: not compared, yet shown
        ([188736, 1287, -1, 6], (188736,), 58.377),  # pounds
    ],
)
async def test_units_are_brought_to_one(
    book: Book, item: list[int], codes: tuple[int, ...], number: float
) -> None:
    book.say({k.VALUES: [item]}, NOW_MS)
    (one,) = between(await book.write(), codes)
    (value,) = one.values
    assert value.number == pytest.approx(number, abs=0.01)


@pytest.mark.parametrize(
    "values",
    [
        [[150021, 2047, 0]],  # what an error code looks like to those who do not know it
        [[150021, 120, 0, 3]],  # in degrees
        [[150021, 2**31 - 1, 127]],
        [[150021, -120, 0]],
        [[150021, 0, -128]],
    ],
)
async def test_what_is_no_reading_is_no_number(book: Book, values: list[list[int]]) -> None:
    book.say({k.VALUES: values}, NOW_MS)
    path = await book.write()
    assert between(path, PRESSURE) == []
    (one,) = measured.newest(path, [HUB], ZONE, PRESSURE) or [None]
    assert one is None


@pytest.mark.parametrize(
    "plain",
    [
        {k.KIND: k.VITALS, k.UP_MS: 5, k.DEVICE: CUFF, k.VALUES: [150021, 120, 0]},
        {k.KIND: k.VITALS, k.UP_MS: 5, k.DEVICE: CUFF, k.VALUES: [[150021, 120]]},
        {k.KIND: k.VITALS, k.UP_MS: 5, k.DEVICE: CUFF, k.VALUES: [["x", 120, 0], [150021, 120, 0]]},
        {k.KIND: k.VITALS, k.UP_MS: 5, k.DEVICE: CUFF, k.VALUES: 150021},
        {k.KIND: k.VITALS, k.UP_MS: 5, k.DEVICE: CUFF, k.VALUES: [[150021, [120], 0]]},
        {k.KIND: k.VITALS, k.UP_MS: 5, k.DEVICE: "x", k.VALUES: [[150021, 999, 0]], k.INVALID: [1]},
        {
            k.KIND: k.VITALS,
            k.UP_MS: 5,
            k.UTC_MS: "now",
            k.CLOCK: 1,
            k.FLAGS: -1,
            k.STATUS: "s",
            k.USER: 999,
            k.VALUES: [[150021, 999, 0]],
        },
    ],
)
async def test_fields_that_cannot_be_right_harm_nobody(book: Book, plain: dict[int, Any]) -> None:
    book.say({}, NOW_MS, plain=cbor.dumps(plain))
    book.say({k.VALUES: [[150021, 120, 0], [150022, 80, 0]]}, NOW_MS)
    path = await book.write()
    (one,) = between(path, PRESSURE)
    assert [value.number for value in one.values] == [120.0, 80.0]
    assert len(measured.newest(path, [HUB], ZONE, PRESSURE)) == 1


async def test_wrong_optional_fields_leave_the_reading(book: Book) -> None:
    book.say(
        {}, NOW_MS,
        plain=cbor.dumps({
            k.KIND: k.VITALS, k.UP_MS: 5, k.UTC_MS: NOW_MS, k.CLOCK: 1, k.DEVICE: 300, k.FLAGS: 1 << 20,
            k.STATUS: "loose", k.USER: 999, k.MEASURED_S: -5, k.VALUES: [[150021, 120, 0]],
        }),
    )  # fmt: skip
    (one,) = between(await book.write(), PRESSURE)
    assert (one.device, one.flags, one.status, one.user, one.measured_s) == (0, 0, 0, None, None)


async def test_a_control_solution_is_of_nobody(book: Book) -> None:
    book.say({k.VALUES: [[160208, 61, -1]], k.FLAGS: k.TEST}, NOW_MS)
    book.say({k.VALUES: [[160184, 61, -1]], k.FLAGS: k.TEST}, NOW_MS)
    assert between(await book.write(), GLUCOSE) == []


# When


async def test_from_memory_counts_the_monitors_clock_less_its_error(book: Book) -> None:
    taken_ms = NOW_MS - 20 * HOUR
    ahead_s = 3 * 3600 + 17
    book.say(
        {
            k.VALUES: [[150021, 120, 0]],
            k.FLAGS: k.HISTORICAL,
            k.MEASURED_S: wall(taken_ms) + ahead_s,
            k.CLOCK_OFFSET_S: ahead_s,
        },
        NOW_MS,
    )
    (one,) = between(await book.write(), PRESSURE)
    assert (one.at_ms, one.clock) == (taken_ms, "corrected")


async def test_from_memory_of_a_clock_that_nobody_could_read(book: Book) -> None:
    taken_ms = NOW_MS - 20 * HOUR
    book.say({k.VALUES: [[150021, 120, 0]], k.FLAGS: k.HISTORICAL, k.MEASURED_S: wall(taken_ms)}, NOW_MS)
    (one,) = between(await book.write(), PRESSURE)
    assert (one.at_ms, one.clock) == (taken_ms, "monitor")


@pytest.mark.parametrize(
    "more",
    [
        {},  # no clock at all
        {k.MEASURED_S: wall(NOW_MS + 2 * HOUR)},  # later than it came
        {k.MEASURED_S: 0},
        {k.MEASURED_S: 253_402_300_799},
        {k.MEASURED_S: 100, k.CLOCK_OFFSET_S: 253_402_300_799},
        {k.MEASURED_S: wall(NOW_MS - HOUR), k.STATUS: measured.CLOCK_NOT_SET},
    ],
)
async def test_from_memory_without_a_time_to_believe(book: Book, more: dict[int, int]) -> None:
    book.say({k.VALUES: [[150021, 120, 0]], k.FLAGS: k.HISTORICAL, **more}, NOW_MS)
    (one,) = between(await book.write(), PRESSURE)
    assert (one.at_ms, one.clock) == (None, "unknown")
    assert between(book.data_dir / "journal.db", PRESSURE, NOW_MS + 1) == []


async def test_a_fresh_reading_has_the_hubs_time_whatever_the_monitor_thinks(book: Book) -> None:
    book.say({k.VALUES: [[150021, 120, 0]], k.MEASURED_S: 86400, k.CLOCK_OFFSET_S: -5}, NOW_MS)
    (one,) = between(await book.write(), PRESSURE)
    assert (one.at_ms, one.clock) == (NOW_MS, "hub")


async def test_a_hub_without_time_is_helped_by_an_anchor_of_its_boot(book: Book) -> None:
    book.say({k.VALUES: [[150021, 120, 0]]}, NOW_MS - 5 * HOUR, received_ms=NOW_MS, own_time=False)
    book.anchors.append((HUB, 1, Anchor(1000, BOOT_MS + 1000, 1)))
    (one,) = between(await book.write(), PRESSURE)
    assert (one.at_ms, one.clock) == (NOW_MS - 5 * HOUR, "hub")


@pytest.mark.parametrize("utc_ms", [5, NOW_MS + 400_000])
async def test_a_hubs_time_that_cannot_be_is_not_believed(book: Book, utc_ms: int) -> None:
    book.say({k.VALUES: [[150021, 120, 0]], k.UTC_MS: utc_ms, k.CLOCK: 1}, NOW_MS)
    (one,) = between(await book.write(), PRESSURE)
    assert (one.at_ms, one.clock) == (NOW_MS, "received")


async def test_what_came_late_stands_where_it_was_taken(book: Book) -> None:
    yesterday = NOW_MS - DAY
    book.say({k.VALUES: [[150021, 121, 0]]}, yesterday, received_ms=NOW_MS)  # the hub was offline
    book.say(
        {k.VALUES: [[150021, 122, 0]], k.FLAGS: k.HISTORICAL, k.MEASURED_S: wall(yesterday - 90 * DAY)},
        NOW_MS,
    )
    path = await book.write()
    (one,) = between(path, PRESSURE, yesterday - HOUR, yesterday + HOUR)
    assert one.values[0].number == 121
    (one,) = between(path, PRESSURE, yesterday - 91 * DAY, yesterday - 89 * DAY)
    assert one.values[0].number == 122


async def test_a_stored_record_that_comes_again_is_one_reading(book: Book) -> None:
    record = {
        k.VALUES: [[160184, 61, -1]],
        k.FLAGS: k.HISTORICAL,
        k.MEASURED_S: wall(NOW_MS - HOUR),
        k.CLOCK_OFFSET_S: 0,
    }
    for _ in range(3):
        book.say(record, NOW_MS)
    book.say({**record, k.VALUES: [[160184, 62, -1]]}, NOW_MS)
    assert [one.values[0].number for one in between(await book.write(), GLUCOSE)] == [6.1, 6.2]


async def test_another_homes_readings_are_not_ours(book: Book) -> None:
    book.say({k.VALUES: [[150021, 120, 0]]}, NOW_MS, hub=OTHER)
    path = await book.write()
    assert between(path, PRESSURE) == []
    assert measured.newest(path, [HUB], ZONE, PRESSURE) == []
    assert measured.find(path, HUB, 1, 0, ZONE) is None
    assert measured.find(path, OTHER, 1, 0, ZONE) is not None


# The newest


async def test_the_newest_of_each_wearer(book: Book) -> None:
    for n in range(50):
        book.say({k.VALUES: [[147842, 70 + n, 0]], k.DEVICE: 8 + n % 2}, NOW_MS - n * 60_000)
    book.say({k.VALUES: [[149546, 66, 0]], k.DEVICE: CUFF}, NOW_MS - 3 * HOUR)
    people = {8: "Wang", 9: "Wang", CUFF: "Li"}
    found = measured.newest(
        await book.write(), [HUB], ZONE, PULSE, lambda one: people[one.device], ["Wang", "Li"]
    )
    assert found[0].values[0].number == 70
    assert next(one for one in found if one.device == CUFF).values[0].number == 66


async def test_the_newest_is_the_one_taken_last_not_the_one_that_came_last(book: Book) -> None:
    book.say({k.VALUES: [[150021, 130, 0]]}, NOW_MS - HOUR)
    book.say(
        {k.VALUES: [[150021, 111, 0]], k.FLAGS: k.HISTORICAL, k.MEASURED_S: wall(NOW_MS - 9 * DAY)}, NOW_MS
    )
    assert measured.newest(await book.write(), [HUB], ZONE, PRESSURE)[0].values[0].number == 130


async def test_failures_are_those_without_a_reading(book: Book) -> None:
    book.say({k.INVALID: [[150021, 1], [150022, 1]]}, NOW_MS - 2 * HOUR, k.VITALS_INVALID)
    book.say({k.DETAIL: 3}, NOW_MS - HOUR, k.MONITOR_FAULT)
    book.say({}, NOW_MS, k.MONITOR_OK)
    book.say({k.DETAIL: 3}, NOW_MS - 3 * DAY, k.MONITOR_FAULT)
    found = measured.failures(await book.write(), [HUB], NOW_MS - 2 * DAY, ZONE)
    assert [one.kind for one in found] == [k.MONITOR_OK, k.MONITOR_FAULT, k.VITALS_INVALID]
    assert found[2].invalid == ((150021, 1), (150022, 1))
    assert found[1].detail == 3


@pytest.mark.parametrize("device", [CUFF, 23, 24, 255])
async def test_readings_of_one_device(book: Book, device: int) -> None:
    book.say({k.VALUES: [[150021, 120, 0]], k.DEVICE: device}, NOW_MS)
    book.say({k.VALUES: [[150021, 121, 0]], k.DEVICE: device % 250 + 1}, NOW_MS)
    (one,) = measured.of_device(await book.write(), HUB, device, NOW_MS - DAY, ZONE)
    assert one.values[0].number == 120


# Speed


async def test_a_month_of_a_strap_is_read_in_a_moment(book: Book) -> None:
    """Beside half as many movements, which are not looked at: as many processor seconds as it may take."""
    random.seed(1)
    count = 40_000  # one a minute, and some
    for n in range(count):
        at_ms = NOW_MS - n * 30 * DAY // count
        book.say({k.VALUES: [[147842, random.randint(50, 120), 0]]}, at_ms)
        if n % 2:
            book.say({}, at_ms, k.MOTION)
    path = await book.write()
    began = time.thread_time()
    found = between(path, PULSE, NOW_MS - 30 * DAY)
    assert len(found) == count
    assert time.thread_time() - began < 2  # 0.3 s where nothing else runs
    began = time.thread_time()
    assert measured.newest(path, [HUB], ZONE, PRESSURE) == []
    assert time.thread_time() - began < 0.5


@pytest.mark.parametrize(
    ("mantissa", "exponent", "number"), [(373, -1, 37.3), (61, -1, 6.1), (1283, -1, 128.3)]
)
def test_a_number_is_the_one_that_was_said(mantissa: int, exponent: int, number: float) -> None:
    """Not a last bit more, which would be above a limit of the same number."""
    assert vitals.comparable(150364, mantissa, exponent) == (150364, number)
