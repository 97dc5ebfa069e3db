"""Who is asked when nobody accepts: time, duty lists and quiet hours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from helpers_intake import HUB, NOW_MS, Clock, Host, HubVoice, restarting
from kanhu import cli
from kanhu.care import AlarmName
from kanhu.care.duty import Duty, covers, is_on
from kanhu.care.escalation import Escalation
from kanhu.care.rules.values import Words
from kanhu.config import Escalation as Settings
from kanhu.config import parse
from kanhu.errors import ConfigError, KanhuError
from kanhu.registry import Home, Registry
from kanhu.registry.duty import Shift
from kanhu_protocol import kinds as k

WORDS = Words("no movement", "无活动")
REGION = "cn/42/01/06/03"
SHANGHAI = "Asia/Shanghai"


class Lists:
    """Duty lists and homes of a test."""

    def __init__(self) -> None:
        self.version = 1
        self.rows: list[Shift] = []
        self.home: Home | None = Home("h0h0h0h0h0", REGION, SHANGHAI)

    def shifts(self) -> list[Shift]:
        return self.rows

    def add(self, operator: str, level: int, region: str = REGION, days: int = 127) -> None:
        self.rows.append(Shift(len(self.rows) + 1, operator, level, region, days, 0, 1440, SHANGHAI))
        self.version += 1

    def home_of(self, hub_id: str) -> Home | None:
        return self.home


class Place:
    """A host and its escalation, on a clock that the test turns."""

    def __init__(self, data_dir: Path, clock: Clock, lists: Lists, settings: Settings) -> None:
        self.clock = clock
        self.hub = HubVoice()
        self.host = Host(data_dir, self.hub, clock=clock)
        self.seconds = 0.0
        self.escalation = Escalation(
            self.host.alarms, Duty(lists), lists, settings, clock, lambda: self.seconds
        )

    async def after(self, seconds: float) -> list[tuple[int, str | None]]:
        """(level, reason) of what is said when so much time has gone by."""
        said = len(self.host.own(k.ALARM_ESCALATED))
        self.seconds += seconds
        self.clock.now_ms += round(seconds * 1000)
        await self.escalation.step()
        events = self.host.own(k.ALARM_ESCALATED)[said:]
        return [(event.fields[k.LEVEL], event.fields.get(k.REASON)) for event in events]


@pytest.fixture
def lists() -> Lists:
    return Lists()


@pytest.fixture
async def places(tmp_path: Path, lists: Lists) -> AsyncIterator[Any]:
    """places() starts a host; called again, it ends the old one first."""
    clock = Clock()

    async def start(settings: Settings | None = None) -> Place:
        return Place(tmp_path, clock, lists, settings or Settings())

    async with restarting(start, lambda place: place.host.close()) as opening:
        yield opening


async def raise_(place: Place, kind: int = k.INACTIVITY) -> AlarmName:
    return await place.host.alarms.raise_(HUB, kind, "inactivity/1", WORDS)


async def call(place: Place, **fields: Any) -> None:
    await place.host.intake.receive(HUB, place.hub.say(k.CALL, {}), "mqtt")


async def test_all_four_levels_by_time(places: Any) -> None:
    place = await places()
    name = await raise_(place)
    assert await place.after(599.9) == []
    assert await place.after(0.2) == [(2, None)]
    assert await place.after(1199) == []
    assert await place.after(1) == [(3, None)]
    assert await place.after(1800) == [(4, None)]
    assert await place.after(100_000) == []
    place = await places()
    alarm = place.host.alarms.get(name)
    assert (alarm.state, alarm.level) == (k.OPEN, 4)
    assert [what for _, what, *_ in place.host.alarms.history(name)] == [
        "opened", "escalated to 2", "escalated to 3", "escalated to 4"
    ]  # fmt: skip


async def test_a_call_goes_up_sooner_and_stops_when_somebody_has_it(places: Any) -> None:
    place = await places()
    await call(place)
    assert await place.after(60) == [(2, None)]
    (alarm,) = place.host.alarms.live()
    await place.host.alarms.accept(alarm.name, "op-7")
    assert await place.after(10_000) == []
    assert place.host.alarms.live()[0].level == 2


async def test_a_press_that_needs_another_answer_begins_anew(places: Any) -> None:
    place = await places()
    await call(place)
    assert await place.after(200) == [(2, None), (3, None)]
    await place.host.alarms.accept((HUB, 1, 0), "op-7")
    await place.after(1000)
    await place.host.intake.receive(HUB, place.hub.say(k.CALL, {k.ALARM: [1, 0]}), "mqtt")
    assert place.host.alarms.live()[0].level == 1
    assert await place.after(59) == []
    assert await place.after(1) == [(2, None)]


async def test_what_waited_while_the_daemon_was_down(places: Any) -> None:
    place = await places()
    await raise_(place)
    assert await place.after(650) == [(2, None)]
    place.clock.now_ms += 1_200_000
    place = await places()
    assert await place.after(0) == [(3, None)]


async def test_a_clock_that_is_set_changes_nothing(places: Any) -> None:
    place = await places()
    await raise_(place)
    assert await place.after(0) == []
    place.clock.now_ms += 86_400_000
    assert await place.after(1) == []
    place.clock.now_ms -= 2 * 86_400_000
    assert await place.after(599) == [(2, None)]


async def test_nobody_is_escalated_while_the_elder_is_asked(places: Any) -> None:
    place = await places()
    await place.host.alarms.ask(HUB, k.INACTIVITY, "inactivity/1", WORDS, 60_000)
    assert await place.after(100_000) == []


async def test_a_level_without_anybody_on_duty_is_passed_at_once(places: Any, lists: Lists) -> None:
    place = await places()
    lists.add("street-1", 2)
    lists.add("city-1", 4, "cn/42")
    await call(place)
    assert await place.after(0) == [(2, "nobody on duty: community")]
    assert await place.after(59) == []
    assert await place.after(121) == [(3, None), (4, "nobody on duty: district")]


async def test_nobody_anywhere_ends_at_the_city(places: Any, lists: Lists) -> None:
    place = await places()
    lists.add("community-1", 1, days=0)
    await call(place)
    assert await place.after(0) == [
        (2, "nobody on duty: community"), (3, "nobody on duty: street"), (4, "nobody on duty: district")
    ]  # fmt: skip
    assert await place.after(1000) == []


async def test_where_nobody_keeps_lists_nobody_is_missed(places: Any, lists: Lists) -> None:
    lists.add("street-1", 2, "cn/42/02")  # of another district
    place = await places()
    await call(place)
    assert await place.after(59) == []


async def test_a_shift_that_ends_while_the_alarm_waits(places: Any, lists: Lists) -> None:
    place = await places()
    at = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    minute = (at.hour * 60 + at.minute + 2) % 1440
    lists.rows = [
        Shift(1, "a", 1, REGION, 127, (minute + 720) % 1440, minute, "UTC"),
        Shift(2, "b", 2, REGION, 127, 0, 1440, "UTC"),
    ]
    await raise_(place)
    assert await place.after(0) == []
    assert await place.after(121) == [(2, "nobody on duty: community")]


@pytest.mark.parametrize(("kind", "held"), [(k.CALL, False), (k.INACTIVITY, False), (k.SENSOR_SILENT, True)])
async def test_quiet_hours_hold_back_only_what_is_neither_life_nor_welfare(
    places: Any, kind: int, held: bool
) -> None:
    # 22:13 in Shanghai
    place = await places(Settings(p1=(1, 2, 3), p2=(1, 2, 3), others=(1, 2, 3)))
    await raise_(place, kind)
    assert await place.after(2) == ([] if held else [(2, None), (3, None)])
    morning = 9 * 3600
    assert await place.after(morning) == ([(2, None), (3, None), (4, None)] if held else [(4, None)])


def test_settings() -> None:
    data = {"data_dir": "x", "care": {"escalation": {"p1": [1, 2, 3], "quiet_hours": ["12:00", "13:00"]}}}
    read = parse(data, "test").care.escalation
    assert read.of(1) == (1, 2, 3)
    assert read.of(2) == (600, 1800, 3600)
    assert [read.is_quiet(minute) for minute in (719, 720, 779, 780)] == [False, True, True, False]
    night = Settings()
    assert [night.is_quiet(minute) for minute in (0, 419, 420, 1319, 1320)] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert not any(Settings(quiet_hours=("08:00", "08:00")).is_quiet(minute) for minute in range(1440))
    for wrong in (
        {"p1": [3, 2, 1]}, {"p1": [0, 1, 2]}, {"p2": [1, 2]}, {"quiet_hours": ["24:00", "07:00"]},
        {"quiet_hours": ["7:00", "08:00"]}, {"p9": [1, 2, 3]},
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r"care\.escalation"):
            parse({"data_dir": "x", "care": {"escalation": wrong}}, "test")


# Duty lists


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("moment", "on"),
    [
        ("2026-09-21T18:59+08:00", False),  # a Monday
        ("2026-09-21T19:00+08:00", True),
        ("2026-09-22T00:30+08:00", True),  # begun on Monday
        ("2026-09-22T06:59+08:00", True),
        ("2026-09-22T07:00+08:00", False),
        ("2026-09-22T19:30+08:00", False),  # Tuesday has no shift
        ("2026-09-21T03:00+08:00", False),  # nor had Sunday
        ("2026-09-21T11:30+00:00", True),
    ],
)
def test_a_shift_over_midnight(moment: str, on: bool) -> None:
    night = Shift(1, "a", 1, "", 1, 19 * 60, 7 * 60, SHANGHAI)
    assert is_on(night, at(moment)) is on


def test_the_whole_day_and_a_clock_that_is_put_forward() -> None:
    whole = Shift(1, "a", 1, "", 127, 0, 1440, "Europe/Berlin")
    morning = Shift(1, "a", 1, "", 127, 60, 240, "Europe/Berlin")
    for hour in range(72):  # over the night of 29 March 2026, in which 02:00 to 03:00 is missing
        moment = at("2026-03-28T00:00+00:00") + hour * 3_600_000
        assert is_on(whole, moment)
    on = [hour for hour in range(24) if is_on(morning, at("2026-03-28T23:00+00:00") + hour * 3_600_000)]
    assert on == [1, 2]


@given(st.integers(0, 127), st.integers(0, 1439), st.integers(0, 1440), st.integers(0, 7 * 1440 - 1))
def test_a_shift_against_a_list_of_its_minutes(days: int, begin: int, end: int, minute: int) -> None:
    shift = Shift(1, "a", 1, "", days, begin, end, "UTC")
    length = end - begin if end > begin else end - begin + 1440
    minutes = {
        (day * 1440 + begin + step) % (7 * 1440)
        for day in range(7)
        if days >> day & 1
        for step in range(length)
    }
    monday = at("2026-09-21T00:00+00:00")
    assert is_on(shift, monday + minute * 60_000) is (minute in minutes)


@pytest.mark.parametrize(
    ("region", "place", "yes"),
    [
        ("", REGION, True), ("", None, True), ("cn/42", REGION, True), (REGION, REGION, True),
        ("cn/42/01/06/03/1", REGION, False), ("cn/4", REGION, False), ("cn/42", None, False),
    ],
)  # fmt: skip
def test_regions(region: str, place: str | None, yes: bool) -> None:
    assert covers(region, place) is yes


def operators(data_dir: Path, *names: str) -> None:
    registry = Registry.open(data_dir)
    with registry._change() as db:
        for name in names:
            db.execute(
                "INSERT INTO operators (id, name, role, region, language, created_ms) VALUES (?,?,?,?,?,?)",
                (name, name, "operator", "", "zh", 1),
            )
    registry.close()


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, ["duty", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_duty_lists_at_a_terminal(tmp_path: Path) -> None:
    operators(tmp_path, "op-1", "op-2")
    data = ["--data-dir", str(tmp_path)]
    assert "no duty lists" in run("list", *data)
    assert "shift 1: op-1 is on duty for street" in run(
        "add", "op-1", "street", "--region", "cn/42/01", "--days", "mon-fri", "--from", "19:00",
        "--until", "07:00", *data,
    )  # fmt: skip
    assert json.loads(run("add", "op-2", "city", "--days", "sat,sun", "--json", *data)) == {"shift": 2}
    first, second = json.loads(run("list", "--json", *data))
    assert (first["days"], first["from"], first["until"], first["level"]) == (
        "mon,tue,wed,thu,fri", "19:00", "07:00", "street"
    )  # fmt: skip
    assert (second["region"], second["until"], second["days"]) == ("everywhere", "24:00", "sat,sun")
    registry = Registry.open(tmp_path)
    duty = Duty(registry)
    assert duty.on_duty(2, REGION, at("2026-09-21T20:00+08:00")) == ["op-1"]
    assert duty.on_duty(2, REGION, at("2026-09-21T12:00+08:00")) == []
    assert duty.on_duty(4, None, at("2026-09-26T12:00+08:00")) == ["op-2"]
    assert (duty.has_lists(REGION), duty.has_lists(None)) == (True, True)
    run("remove", "2", *data)
    assert registry.refresh()
    assert duty.on_duty(4, None, at("2026-09-26T12:00+08:00")) == []
    with registry._change() as db:
        db.execute("UPDATE operators SET disabled_ms=1 WHERE id='op-1'")
    assert duty.on_duty(2, REGION, at("2026-09-21T20:00+08:00")) == []
    registry.close()


@pytest.mark.parametrize(
    ("arguments", "about"),
    [
        (["add", "op-9", "street"], "op-9"),
        (["add", "op-1", "village"], "village"),
        (["add", "op-1", "street", "--days", "mo-fr"], "mon-fri"),
        (["add", "op-1", "street", "--from", "25:00"], "--from"),
        (["add", "op-1", "street", "--from", "24:00"], "--from"),
        (["add", "op-1", "street", "--until", "7"], "--until"),
        (["add", "op-1", "street", "--region", "China"], "region"),
        (["add", "op-1", "street", "--time-zone", "Wuhan"], "time zone"),
        (["remove", "7"], "shift 7"),
    ],
)
def test_bad_lines_of_duty_lists(tmp_path: Path, arguments: list[str], about: str) -> None:
    operators(tmp_path, "op-1")
    with pytest.raises(KanhuError, match=about):
        run(*arguments, "--data-dir", str(tmp_path))
    assert json.loads(run("list", "--json", "--data-dir", str(tmp_path))) == []


async def test_duty_lists_are_worked_out_once_a_minute(places: Any, lists: Lists) -> None:
    for number in range(500):
        lists.add(f"op-{number}", 1 + number // 20 % 4, f"cn/42/01/{number % 20:02d}")
    place = await places()
    lists.home = Home("h0h0h0h0h0", "cn/42/01/07/01", SHANGHAI)
    for _ in range(20):
        await raise_(place)
    looked = 0

    def count() -> list[Shift]:
        nonlocal looked
        looked += 1
        return lists.rows

    place.escalation._duty._lists.shifts = count
    for _ in range(50):
        assert await place.after(0.1) == []
    assert looked <= 4  # for each minute, not for each alarm and step
