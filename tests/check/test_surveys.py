"""Surveys at the host: what is asked of a hub, and what its answers come to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from helpers_pairing import Home
from kanhu.errors import DataError
from kanhu.install.check.requests import handler
from kanhu.install.check.surveys import ANSWER_S, Survey, SurveyError, Surveys
from kanhu.journal import Event
from kanhu.journal.commands import Commands
from kanhu.pairing.walks import Walks
from kanhu.registry import RegistryError
from kanhu_protocol import kinds as k

LEVELS = [-70, -64, -60]


class Place(Home):
    """A home of which surveys are asked; seconds pass when the test says so."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.monotonic = 1000.0
        monkeypatch.setattr("kanhu.install.check.surveys.time.monotonic", lambda: self.monotonic)
        self.surveys = Surveys(self.registry, Commands(self.journal), self.down)
        self.walks = Walks(self.registry, self.journal)
        self.ask = handler(self.surveys, self.walks, self.registry, self.journal)
        self.button = self.registry.add_sensor(self.hub, "call", "A4:C1:38:00:00:01")
        self.door = self.registry.add_sensor(self.hub, "door", "A4:C1:38:00:00:02")

    def tell(self, kind: int, boot: int = 1, **fields: Any) -> Event:
        event = self.say(kind, {getattr(k, name): value for name, value in fields.items()}, boot)
        self.surveys.stored([event])
        return event

    async def begin(self, seconds: int = 60) -> Survey:
        return await self.surveys.begin(self.hub, seconds)

    def confirm_it(self) -> None:
        self.tell(k.COMMAND_DONE, COMMAND=self.down.said[-1].number)


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    made = Place(tmp_path, monkeypatch)
    yield made
    await made.journal.close()
    made.registry.close()


async def test_a_survey_is_done_when_every_sensor_was_told_of(place: Place) -> None:
    survey = await place.begin(60)
    command = place.down.said[-1]
    assert (command.type, command.fields) == (k.SURVEY_FOR, {k.SURVEY_MS: 60_000})
    assert survey.state == "asked"
    place.tell(k.SURVEY, DEVICE=place.door, SPAN_MS=9000)  # of an earlier one
    assert not survey.heard
    place.confirm_it()
    assert survey.state == "running"
    place.tell(k.SURVEY, DEVICE=place.button, SPAN_MS=60_000, COUNT=30, LEVELS_DBM=LEVELS, INTERVAL_MS=2000)
    assert survey.state == "running"
    place.tell(k.SURVEY, DEVICE=place.door, SPAN_MS=60_000)
    assert survey.state == "done"
    answer = await place.ask({"do": "check.surveyed", "hub": place.hub})
    assert answer["state"] == "done"
    assert answer["heard"] == [
        {"device": place.button, "count": 30, "span_ms": 60_000, "interval_ms": 2000, "levels_dbm": LEVELS},
        {"device": place.door, "count": 0, "span_ms": 60_000, "interval_ms": None, "levels_dbm": None},
    ]
    assert command.number in place.down.quiet


async def test_one_advertisement_alone_is_one(place: Place) -> None:
    await place.begin()
    place.confirm_it()
    place.tell(k.SURVEY, DEVICE=place.door, SPAN_MS=60_000, LEVELS_DBM=LEVELS)
    (heard,) = (await place.ask({"do": "check.surveyed", "hub": place.hub}))["heard"]
    assert heard["count"] == 1


@pytest.mark.parametrize(
    ("detail", "why"), [(1, "update it"), (6, "no radio"), (9, "pairing is under way"), (77, "reason")]
)
async def test_a_hub_that_refuses(place: Place, detail: int, why: str) -> None:
    survey = await place.begin()
    place.tell(k.COMMAND_REFUSED, COMMAND=place.down.said[-1].number, DETAIL=detail)
    assert survey.state == "failed"
    assert why in survey.why


async def test_a_hub_that_restarts_or_never_answers(place: Place) -> None:
    survey = await place.begin()
    place.confirm_it()
    place.tell(k.BOOT, boot=2)
    assert (survey.state, survey.why) == ("failed", "the hub has restarted")
    survey = await place.begin(60)
    place.monotonic += 60 + ANSWER_S
    assert place.surveys.of(place.hub) is survey
    assert survey.state == "failed"
    assert "is it connected" in survey.why
    assert place.down.said[-1].number in place.down.quiet


async def test_what_was_heard_counts_although_an_event_is_missing(place: Place) -> None:
    survey = await place.begin(60)
    place.confirm_it()
    place.tell(k.SURVEY, DEVICE=place.button, SPAN_MS=60_000, COUNT=3, LEVELS_DBM=LEVELS)
    place.monotonic += 60 + ANSWER_S
    assert place.surveys.of(place.hub).state == "done"
    assert list(survey.heard) == [place.button]


async def test_a_second_one_takes_the_place_of_the_first(place: Place) -> None:
    first = await place.begin()
    number = place.down.said[-1].number
    second = await place.begin()
    assert number in place.down.quiet
    place.tell(k.COMMAND_DONE, COMMAND=number)
    assert (first.state, second.state) == ("asked", "asked")
    place.confirm_it()
    assert second.state == "running"


async def test_what_is_refused(place: Place) -> None:
    with pytest.raises(SurveyError, match="1 to 600"):
        await place.begin(601)
    with pytest.raises(RegistryError, match="not known"):
        await place.surveys.begin("0000000000", 60)
    with pytest.raises(SurveyError, match="begin again"):
        place.surveys.of(place.hub)
    place.registry.revoke_hub(place.hub)
    with pytest.raises(SurveyError, match="revoked"):
        await place.begin()
    with pytest.raises(DataError, match="another version"):
        await place.ask({"do": "check.dance", "hub": place.hub})
    with pytest.raises(DataError, match="begin again"):
        await place.ask({"do": "check.walked", "hub": place.hub})


async def test_it_is_forgotten_with_the_hub_and_in_time(place: Place) -> None:
    await place.begin()
    place.surveys.forget(place.hub)
    with pytest.raises(SurveyError):
        place.surveys.of(place.hub)
    survey = await place.begin()
    place.tell(k.COMMAND_REFUSED, COMMAND=survey.number, DETAIL=9)
    place.monotonic += 601
    await place.surveys.begin(place.second, 60)
    with pytest.raises(SurveyError):
        place.surveys.of(place.hub)


async def test_a_walk_is_of_the_hub_that_asked(place: Place) -> None:
    await place.ask({"do": "check.walk", "hub": place.hub, "seconds": 60})
    with pytest.raises(DataError, match="begin again"):
        await place.ask({"do": "check.walked", "hub": place.second})
    event = place.say(k.MOTION, {k.UP_MS: 1, k.UTC_MS: place.clock.now_ms, k.CLOCK: 1, k.DEVICE: 2})
    for take in place.journal.on_stored:
        take([event])
    found = await place.ask({"do": "check.walked", "hub": place.hub})
    assert found["ends_ms"] - found["begun_ms"] == 60_000
    assert [(one["hub"], one["device"], one["count"]) for one in found["seen"]] == [(place.hub, 2, 1)]
