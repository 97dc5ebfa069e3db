"""Modes: who sets them, that they end by themselves, that they are on disk with their event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from helpers_care import HOUR, MORNING_MS, CareHost
from helpers_intake import Clock
from kanhu.care.modes import LASTS_MS, MAX_MS, ModeError, checked
from kanhu.care.rules.past import AWAY, HOME, HOSPITAL, SLEEP, VISITOR, Mode
from kanhu.cli import app
from kanhu.cli.home import moment
from kanhu.journal import Journal
from kanhu.registry import Registry
from kanhu_protocol import kinds as k

WUHAN = ZoneInfo("Asia/Shanghai")


@pytest.fixture
async def care(tmp_path: Path) -> AsyncIterator[CareHost]:
    made = CareHost(tmp_path, Clock(MORNING_MS))
    yield made
    await made.stop()


async def test_a_mode_is_an_event_and_ends_by_itself(care: CareHost) -> None:
    home = care.add_home()
    made = await care.modes.set(home.hub, AWAY, MORNING_MS + 5 * HOUR, "op-1")
    (said,) = care.own(k.MODE_SET)
    assert {key: said.fields[key] for key in (k.SUBJECT, k.MODE, k.DUE_MS, k.OPERATOR)} == {
        k.SUBJECT: home.hub,
        k.MODE: AWAY,
        k.DUE_MS: MORNING_MS + 5 * HOUR,
        k.OPERATOR: "op-1",
    }
    assert care.modes.at(home.hub, MORNING_MS) == made
    assert care.modes.at(home.hub, MORNING_MS + 5 * HOUR) is None
    assert care.modes.at("2b8dr5w9tn", MORNING_MS) is None


@pytest.mark.parametrize("mode", [AWAY, HOSPITAL, VISITOR, SLEEP])
async def test_every_mode_has_an_end(care: CareHost, mode: int) -> None:
    home = care.add_home()
    made = await care.modes.set(home.hub, mode, None, "op-1")
    assert made.until_ms == MORNING_MS + LASTS_MS[mode]
    assert 0 < LASTS_MS[mode] <= MAX_MS


async def test_a_mode_ends_the_one_before_and_home_ends_all(care: CareHost) -> None:
    home = care.add_home()
    await care.modes.set(home.hub, AWAY, None, "op-1")
    care.clock.now_ms += HOUR
    await care.modes.set(home.hub, VISITOR, None, "op-1")
    assert care.modes.of(home.hub)[0] == Mode(AWAY, MORNING_MS, MORNING_MS + HOUR)
    care.clock.now_ms += HOUR
    await care.modes.set(home.hub, HOME, None, "op-1")
    assert care.modes.at(home.hub, care.clock.now_ms) is None
    past = care.watch.past(home.hub)
    assert past is not None
    assert past.mode_at(care.clock.now_ms) is None
    assert past.mode_at(care.clock.now_ms - 1) is not None


@pytest.mark.parametrize(
    ("mode", "until_ms"),
    [(AWAY, MORNING_MS), (AWAY, MORNING_MS - 1), (AWAY, MORNING_MS + MAX_MS + 1), (9, None), (0, None)],
)
def test_what_cannot_be_set(mode: int, until_ms: int | None) -> None:
    with pytest.raises(ModeError):
        checked(mode, until_ms, MORNING_MS)


@pytest.mark.parametrize("by", ["", "a\nb", "x" * 65])
async def test_who_sets_it_must_have_a_name(care: CareHost, by: str) -> None:
    home = care.add_home()
    with pytest.raises(ModeError):
        await care.modes.set(home.hub, AWAY, None, by)
    assert care.modes.of(home.hub) == []
    assert care.own(k.MODE_SET) == []


async def test_modes_survive_a_restart(care: CareHost, tmp_path: Path) -> None:
    home = care.add_home()
    await care.modes.set(home.hub, HOSPITAL, None, "op-1")
    await care.stop()
    again = CareHost(tmp_path, care.clock)
    found = again.modes.at(home.hub, MORNING_MS + HOUR)
    assert found == Mode(HOSPITAL, MORNING_MS, MORNING_MS + LASTS_MS[HOSPITAL])
    past = again.watch.past(home.hub)
    assert past is not None
    assert past.mode_at(MORNING_MS + HOUR) == found
    await again.stop()


async def test_a_mode_that_was_ended_early_does_not_come_back(care: CareHost, tmp_path: Path) -> None:
    home = care.add_home()
    await care.modes.set(home.hub, HOSPITAL, MORNING_MS + 30 * 24 * HOUR, "op-1")
    care.clock.now_ms += 24 * HOUR
    await care.modes.set(home.hub, HOME, None, "op-1")
    await care.stop()
    care.clock.now_ms += 4 * 24 * HOUR  # longer than what has ended is read back
    again = CareHost(tmp_path, care.clock)
    assert again.modes.at(home.hub, care.clock.now_ms) is None
    past = again.watch.past(home.hub)
    assert past is not None
    assert past.mode_at(care.clock.now_ms) is None
    await again.stop()


async def test_the_hub_says_away_and_home(care: CareHost) -> None:
    home = care.add_home()
    await care.start(home)
    await care.say(home, k.AWAY)
    assert (care.modes.at(home.hub, care.clock.now_ms) or Mode(0, 0, 0)).mode == AWAY
    said = care.own(k.MODE_SET)[-1]
    assert (said.fields[k.MODE], said.fields[k.OPERATOR]) == (AWAY, "home")
    care.clock.now_ms += HOUR
    late = care.sealed(home, k.AWAY)  # held up on its way
    care.clock.now_ms += HOUR
    await care.say(home, k.HOME)
    assert care.modes.at(home.hub, care.clock.now_ms) is None
    await care.receive(home, late)
    assert care.modes.at(home.hub, care.clock.now_ms) is None, "somebody has said otherwise since"


async def test_what_a_command_asked_for_is_carried_out_once(care: CareHost) -> None:
    home = care.add_home()
    care.registry.ask_mode(home.home, AWAY, MORNING_MS + HOUR, "family")
    care.registry.ask_mode(home.home, AWAY, MORNING_MS - HOUR, "family")  # over before it was looked at
    await care.modes.carry_out(care.registry)
    await care.modes.carry_out(care.registry)
    assert care.registry.mode_requests() == []
    assert len(care.own(k.MODE_SET)) == 1


# The command


async def prepare(folder: Path) -> str:
    journal = Journal.open(folder)
    registry = Registry.open(folder)
    home = registry.add_home()
    registry.add_hub(home)
    registry.close()
    await journal.close()
    return home


async def test_the_command_without_a_daemon(tmp_path: Path) -> None:
    home = await prepare(tmp_path)
    words = ["home", "mode", home, "away", "--until", "23:59", "--data-dir", str(tmp_path), "--json"]
    done = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["mode"] == "away"
    journal = Journal.open(tmp_path)
    rows = journal.reader.rows("SELECT mode, set_by FROM modes")
    assert rows == [(AWAY, "administrator")]
    await journal.close()


async def test_status_of_one_home_and_of_all(tmp_path: Path) -> None:
    home = await prepare(tmp_path)
    for words, count in (([home], 1), ([], 1)):
        done = await asyncio.to_thread(
            CliRunner().invoke, app, ["home", "status", *words, "--data-dir", str(tmp_path), "--json"]
        )
        assert done.exit_code == 0, done.output
        said = json.loads(done.output)
        rows = [said] if words else said
        assert [(row["home"], row["state"]) for row in rows] == [(home, "cannot_tell")] * count
    done = await asyncio.to_thread(
        CliRunner().invoke, app, ["home", "status", "2b8dr5w9tn", "--data-dir", str(tmp_path)]
    )
    assert done.exit_code != 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["flying"], "must be one of home, away"),
        (["away", "--until", "tomorrow"], "write a day and time"),
        (["away", "--until", "2020-01-01"], "later than now"),
        (["away", "--until", "2999-01-01"], "within 92 days"),
    ],
)
async def test_the_command_says_what_is_wrong(tmp_path: Path, words: list[str], error: str) -> None:
    home = await prepare(tmp_path)
    done = await asyncio.to_thread(
        CliRunner().invoke, app, ["home", "mode", home, *words, "--data-dir", str(tmp_path)]
    )
    assert done.exit_code != 0
    assert error in str(done.exception)


def test_until_is_on_the_homes_clock() -> None:
    now = MORNING_MS  # 06:00 in Wuhan
    assert moment("18:00", WUHAN, now) == now + 12 * HOUR
    assert moment("05:00", WUHAN, now) == now + 23 * HOUR
    assert moment("2026-09-22T06:00", WUHAN, now) == now + 24 * HOUR
    assert moment("2026-09-21T22:00+00:00", WUHAN, now) == now + 24 * HOUR
