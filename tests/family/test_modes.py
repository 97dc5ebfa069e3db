"""Modes that a family sets: what is offered when, what is taken, and what it does to the home."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_care import BEAT
from helpers_family import Place
from kanhu.care.modes import MAX_MS, ModeError
from kanhu.care.rules.past import AWAY, HOSPITAL, VISITOR, Mode
from kanhu.journal import JournalUnavailable
from kanhu.registry.operators import RESERVED
from kanhu.web.family.modes import choices, mode_words, until_ms, utc_ms
from kanhu.web.family.visit import Problem
from kanhu_protocol import kinds as k

WUHAN, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
HOUR = 3_600_000


def at(text: str, zone: ZoneInfo = WUHAN) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def test_in_the_morning_all_is_offered() -> None:
    offered = list(choices(at("2026-11-22T09:00"), WUHAN))
    assert [one.value for one in offered] == [
        "2026-11-22T20:00", "2026-11-23T08:00", "2026-11-23T20:00", "2026-11-25T20:00", "2026-11-29T20:00"
    ]  # fmt: skip
    assert (offered[1].name.zh, offered[1].moment.zh) == ("明天早上", "8:00")
    assert (offered[3].name.zh, offered[3].moment) == ("3 天后", ("25 Nov, 20:00", "25日 20:00"))
    assert list(choices(at("2026-11-29T09:00"), WUHAN))[4].moment.zh == "12月6日 20:00"


def test_late_in_the_evening_this_evening_is_not() -> None:
    assert next(choices(at("2026-11-22T19:30"), WUHAN)).value == "2026-11-23T08:00"


ZONES = ("Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Pacific/Apia")


@given(st.integers(at("2025-01-02"), at("2060-01-01")), st.sampled_from(ZONES))
def test_whatever_is_offered_is_taken(now_ms: int, name: str) -> None:
    zone = ZoneInfo(name)
    offered = list(choices(now_ms, zone))
    assert len(offered) >= 4
    for one in offered:
        until = until_ms({"until": one.value}, now_ms, zone)
        assert datetime.fromtimestamp(until / 1000, zone).isoformat()[:16] == one.value


def test_the_clock_of_the_home_counts_when_it_changes() -> None:
    # In March 02:30 is skipped: it is an hour later; in October it comes twice: it is the first.
    assert utc_ms("2026-03-28T08:00", BERLIN) == at("2026-03-28T07:00", ZoneInfo("UTC"))
    assert utc_ms("2026-03-29T08:00", BERLIN) == at("2026-03-29T06:00", ZoneInfo("UTC"))
    assert utc_ms("2026-03-29T02:30", BERLIN) == at("2026-03-29T01:30", ZoneInfo("UTC"))
    assert utc_ms("2026-10-25T02:30", BERLIN) == at("2026-10-25T00:30", ZoneInfo("UTC"))


NOW = at("2026-11-22T09:00")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "Choose until when"),
        ({"until": "soon"}, "Choose until when"),
        ({"until": "other"}, "Choose until when"),
        ({"until": "other", "date": "2026-02-30", "time": "08:00"}, "Choose until when"),
        ({"until": "other", "date": "2026-11-23", "time": ""}, "Choose until when"),
        ({"until": "other", "date": "2026-11-23", "time": "25:00"}, "Choose until when"),
        ({"until": "other", "date": "٢٠٢٦-11-23", "time": "08:00"}, "Choose until when"),
        ({"until": "other", "date": "2026-11-22", "time": "08:59"}, "is over"),
        ({"until": "0001-01-01T00:00"}, ""),
        ({"until": "9999-12-31T23:59"}, "92 days"),
        ({"until": "other", "date": "2027-02-23", "time": "08:00"}, "92 days"),
        ({"until": "2026-11-23T08:00\n"}, "Choose until when"),
    ],
)
def test_what_cannot_be_is_said_in_words(form: dict[str, str], said: str) -> None:
    with pytest.raises(Problem) as found:
        until_ms(form, NOW, WUHAN)
    assert said in found.value.words.en
    assert found.value.status == 400
    assert found.value.back == ("modes",)


@given(st.text(max_size=30), st.text(max_size=12), st.text(max_size=8))
def test_any_text_is_a_moment_or_a_problem(until: str, date: str, time: str) -> None:
    for form in ({"until": until}, {"until": "other", "date": date, "time": time}):
        try:
            found = until_ms(form, NOW, WUHAN)
        except Problem:
            continue
        assert NOW < found <= NOW + MAX_MS


@given(st.datetimes(timezones=st.none()))
def test_any_date_is_a_moment_or_a_problem(when: datetime) -> None:
    for zone in (WUHAN, BERLIN, ZoneInfo("America/New_York")):
        try:
            found = until_ms({"until": when.isoformat()[:16]}, NOW, zone)
        except Problem:
            continue
        assert NOW < found <= NOW + MAX_MS


def test_what_holds_is_said_with_its_end() -> None:
    assert mode_words(Mode(AWAY, NOW, at("2026-11-23T08:00")), NOW, WUHAN) == (
        "Away until 08:00 tomorrow. The call button still works.",
        "外出，至 明天08:00。呼叫按钮照常可用。",
    )


def test_no_operator_can_be_called_family() -> None:
    assert "family" in RESERVED


async def test_a_family_sets_away_and_ends_it(place: Place) -> None:
    client = await place.let_in()
    second = place.add_hub(place.home)
    answer = await place.post(
        client, place.path("modes"), {"kind": "away", "until": tomorrow(place)}, form_at=place.path("modes")
    )
    assert (answer.status_code, answer.headers["location"]) == (303, place.path())
    for hub in (place.hub, second):
        mode = place.modes.at(hub, place.clock.now_ms)
        assert mode is not None
        assert (mode.mode, mode.until_ms) == (AWAY, utc_ms(tomorrow(place), WUHAN))
    page = (await client.get(place.path())).text
    assert "外出" in page
    assert "呼叫按钮照常可用" in page
    answer = await place.post(client, place.path("modes"), {"kind": "home"})
    assert answer.status_code == 303
    assert place.modes.at(place.hub, place.clock.now_ms) is None
    rows = place.journal.reader.rows("SELECT operator, detail FROM audit WHERE what = 'family_mode'")
    assert rows == [("family", "away"), ("family", "home")]
    assert place.journal.reader.rows("SELECT DISTINCT set_by FROM modes") == [("family",)]


@pytest.mark.parametrize(("kind", "mode"), [("visitor", VISITOR), ("hospital", HOSPITAL)])
async def test_other_modes(place: Place, kind: str, mode: int) -> None:
    client = await place.let_in()
    await place.post(client, place.path("modes"), {"kind": kind, "until": tomorrow(place)})
    found = place.modes.at(place.hub, place.clock.now_ms)
    assert found is not None
    assert found.mode == mode
    assert "现在结束" in (await client.get(place.path("modes"))).text


async def test_bad_forms_change_nothing(place: Place) -> None:
    client = await place.let_in()
    over = {"kind": "away", "until": "2020-01-01T00:00"}
    for form in ({}, {"kind": "sleep"}, {"kind": "away"}, {"kind": "<b>"}, over):
        answer = await place.post(client, place.path("modes"), form)
        assert answer.status_code == 400
        assert f'href="{place.path("modes")}"' in answer.text
    assert place.modes.of(place.hub) == []


async def test_what_cannot_be_kept_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await place.let_in()
    form = {"kind": "away", "until": tomorrow(place)}

    async def refuses(*args: object) -> None:
        raise JournalUnavailable("the disk is full")

    monkeypatch.setattr(place.family.audit, "record", refuses)
    answer = await place.post(client, place.path("modes"), form)
    assert answer.status_code == 503
    assert "disk" not in answer.text
    assert "暂时无法保存" in answer.text

    async def over(*args: object) -> None:
        raise ModeError("a mode ends later than now")

    async def kept(*args: object) -> None:
        return None

    monkeypatch.setattr(place.family.audit, "record", kept)
    monkeypatch.setattr(place.family, "sources", replace(place.family.sources, set_mode=over))
    answer = await place.post(client, place.path("modes"), form)
    assert answer.status_code == 400
    assert "更晚的时间" in answer.text


async def test_without_a_key_or_a_pin_nothing_changes(place: Place) -> None:
    stranger = place.phone()
    form = {"kind": "away", "until": tomorrow(place)}
    await stranger.post(place.path("modes"), data=form)
    client = await place.let_in()
    await client.post(place.path("modes"), data=form)
    await client.post(place.path("modes"), data={**form, "key": "0" * 64})
    assert place.modes.of(place.hub) == []


async def test_the_page_offers_what_was_asked_for(place: Place) -> None:
    client = await place.let_in()
    for kind in ("away", "visitor", "hospital", "nonsense", ""):
        page = (await client.get(place.path("modes"), params={"kind": kind, "language": "en"})).text
        chosen = kind if kind in ("away", "visitor", "hospital") else "away"
        assert f'value="{chosen}" checked' in page
        assert page.count(" checked") == 2
        assert "nobody is watched" in page


async def test_away_until_tomorrow_is_two_taps(place: Place) -> None:
    client = await place.let_in()
    page = (await client.get(place.path())).text
    link = re.search(r'href="([^"]*kind=away)"', page)
    assert link is not None
    page = (await client.get(link[1])).text
    form = dict(re.findall(r'<input type="radio" name="(\w+)" value="([^"]+)" checked>', page))
    form |= dict(re.findall(r'name="(date|time|key)"[^>]* value="([^"]*)"', page))
    assert (await client.post(place.path("modes"), data=form)).status_code == 303
    found = place.modes.at(place.hub, place.clock.now_ms)
    assert found is not None
    assert (found.mode, found.until_ms) == (AWAY, utc_ms(tomorrow(place), WUHAN))


@pytest.mark.parametrize("away", [True, False])
async def test_away_quiets_the_rule_of_inactivity(place: Place, away: bool) -> None:
    place.clock.now_ms = at("2026-09-21T06:00")
    place.registry.set_rule(place.home, "inactivity", {"day_minutes": 300}, "test")
    place.watch.configure()
    await place.watch.recall()
    await place.start_hub()
    for _ in range(2):
        await passes(place, 120_000)
        await place.say(k.MOTION, {k.DEVICE: 2, **now(place)})
    client = await place.let_in()
    if away:
        await place.post(client, place.path("modes"), {"kind": "away", "until": tomorrow(place)})
    for _ in range(72):
        await passes(place, 300_000)
    asked = [(alarm.kind, alarm.state) for alarm in place.alarms.live()]
    assert asked == ([] if away else [(k.INACTIVITY, k.PRE)])
    page = (await client.get(place.path())).text
    assert ("外出，至 明天08:00" if away else "正在询问老人是否平安") in page


async def passes(place: Place, span_ms: int) -> None:
    """Time goes by; the hub beats, and the watch looks at what is due."""
    place.clock.now_ms += span_ms
    await place.say(k.HEARTBEAT, BEAT | now(place))
    for _ in range(3):
        await place.watch.look()


def now(place: Place) -> dict[int, int]:
    return {k.UTC_MS: place.clock.now_ms, k.CLOCK: 1}


def tomorrow(place: Place) -> str:
    return next(one.value for one in choices(place.clock.now_ms, WUHAN) if one.value.endswith("T08:00"))
