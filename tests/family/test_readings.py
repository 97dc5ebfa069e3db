"""The page of readings: what a family finds there, what it is never told, and whose a reading was."""

from __future__ import annotations

import html
import re
from datetime import date
from typing import Any

import httpx2
import pytest

from helpers_family import Place
from kanhu.care.rules.values import Words
from kanhu.registry.families import Families
from kanhu.web.family import reading_lines as lines
from kanhu.web.family import words_readings as w
from kanhu.web.family.measured import Measurement, Value
from kanhu.web.family.plots import Limit
from kanhu_protocol import events, names
from kanhu_protocol import kinds as k

HOUR, DAY = 3_600_000, 86_400_000
CUFF = "A4:C1:38:00:00:01"
LIMITS = {"systolic": {"low": 90, "high": 140}, "diastolic": {"high": 90}, "temperature": {"high": 37.3}}
PRESSURE = [[150021, 128, 0], [150022, 83, 0], [149546, 70, 0]]
WANG, LI = "王秀兰", "李建国"


async def measure(
    place: Place, device: int, values: list[list[int]], ago_ms: int = 0, kind: int = k.VITALS, hub: str = "",
    **more: Any,
) -> tuple[str, int, int]:  # fmt: skip
    """A measurement so long ago, which came at once; its identity."""
    hub = hub or place.hub
    voice = place.voices[hub]
    now_ms = place.clock.now_ms
    at_ms = place.clock.now_ms = now_ms - ago_ms
    fields = {k.DEVICE: device, k.UTC_MS: at_ms, k.CLOCK: 1}
    fields |= {k.VALUES: values} if kind == k.VITALS else {}
    fields |= {getattr(k, key.upper()): value for key, value in more.items()}
    voice.seq += 1
    plain = events.encode(kind, at_ms // 1000, fields)
    await place.intake.submit(hub, voice.sealed(plain, voice.boot, voice.seq - 1), "mqtt")
    place.clock.now_ms = now_ms
    return hub, voice.boot, voice.seq - 1


async def cuff(place: Place, wearer: str = WANG, role: str = "blood_pressure", address: str = CUFF) -> int:
    """A monitor of the home; the hub has begun to speak, and a phone is let in."""
    if not place.journal.knows(place.hub):
        await place.start_hub()
        await place.let_in()
    return place.registry.add_sensor(place.hub, role, address, wearer=wearer)


async def look(place: Place, *parts: object, client: httpx2.AsyncClient | None = None, **asked: str) -> str:
    """A page as text, its entities read."""
    answer = await (client or place.client).get(place.path("readings", *parts), params=asked)
    assert answer.status_code == 200, answer.text
    return answer.text


def told(page: str) -> str:
    """What is to be read on a page, in one line."""
    body = re.sub(r"<title.*?</title>|<desc.*?</desc>", "", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def links(page: str) -> dict[str, str]:
    """By what they say."""
    found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', page, flags=re.S)
    return {told(words).strip("‹› "): html.unescape(path) for path, words in found}


# What is there


async def test_nothing_is_said_of_health_where_there_is_no_monitor(place: Place) -> None:
    await place.start_hub()
    await place.let_in()
    assert w.TEXT["none"].zh in told(await look(place))


async def test_yesterdays_blood_pressure_is_two_taps_away(place: Place) -> None:
    device = await cuff(place)
    await measure(place, device, [[150021, 151, 0], [150022, 92, 0], [149546, 66, 0]], DAY)
    await measure(place, device, PRESSURE, HOUR)
    first = await look(place, language="en")
    assert "128/83 mmHg" in told(first)
    (row,) = [path for said, path in links(first).items() if said.startswith("Blood pressure")]
    week = (await place.client.get(row)).text
    assert "Yesterday" in told(week)
    assert "151/92" in told(week)
    assert "<svg" in week
    day = (await place.client.get(links(week)["Day"])).text
    assert "151/92" not in told(day)
    assert "151/92" in told((await place.client.get(links(day)["Yesterday"])).text)


@pytest.mark.parametrize(
    ("language", "above", "within"),
    [
        ("zh", "高压高于设定限值 140；低压高于设定限值 90", "在设定限值内"),
        (
            "en",
            "upper above the limit of 140 that was set; lower above the limit of 90 that was set",
            "within the limits that were set",
        ),
    ],
)
async def test_numbers_are_compared_with_what_a_person_set_and_with_nothing_else(
    place: Place, language: str, above: str, within: str
) -> None:
    device = await cuff(place)
    await measure(place, device, [[150021, 250, 0], [150022, 140, 0]])
    place.client.params = {"language": language}
    said = told(await look(place))
    assert "250/140" in said
    assert "▲" not in said
    one = await look(place, what="blood_pressure")
    assert w.TEXT["no_limits"]._asdict()[language] in told(one)
    assert "p-beyond" not in one
    place.registry.set_rule(place.home, "vitals", {"limits": LIMITS}, "Dr. Wu")
    assert f"▲ {above}" in told(await look(place))
    one = await look(place, what="blood_pressure")
    assert f"▲ {above}" in told(one)
    assert one.count('class="p-beyond"') == 2 + 2  # in the curve, and the two of the key
    await measure(place, device, PRESSURE)
    said = told(await look(place))
    assert within in said
    assert "▲" not in said


async def test_what_the_monitor_doubts_is_shown_and_neither_drawn_nor_compared(place: Place) -> None:
    device = await cuff(place)
    place.registry.set_rule(place.home, "vitals", {"limits": LIMITS}, "Dr. Wu")
    status = {name: bit for bit, name in names.MEASUREMENT_STATUS.items()}["questionable"]
    await measure(place, device, [[150021, 190, 0], [150022, 83, 0]], status=status)
    page = await look(place, what="blood_pressure", language="en")
    assert "190/83" in told(page)
    assert w.STATUS["questionable"].en in told(page)
    assert w.NOT_COMPARED.en in told(page)
    assert "p-dot" not in page
    assert "p-beyond" not in page


async def test_what_is_no_reading_says_what_to_do_and_is_no_number(place: Place) -> None:
    device = await cuff(place)
    await measure(place, device, [], HOUR, k.VITALS_INVALID, invalid=[[150021, 1], [150022, 1]], status=2)
    page = await look(place, language="en")
    assert "no reading" in told(page)
    assert "too loose" in told(page)
    assert "2047" not in page
    assert 'class="card reading"' not in page
    await measure(place, device, PRESSURE)
    assert w.WELL_SINCE.en in told(await look(place, language="en"))
    place.clock.now_ms += 3 * DAY
    assert "no reading" not in told(await look(place, language="en"))


async def test_a_monitor_that_gives_nothing_says_what_to_do(place: Place) -> None:
    device = await cuff(place)
    await measure(place, device, [], HOUR, k.MONITOR_FAULT, detail=1)
    assert "pairing mode" in told(await look(place, language="en"))
    await measure(place, device, [], 0, k.MONITOR_OK)
    page = told(await look(place, language="en"))
    assert w.MENDED.en in page
    assert "pairing mode" not in page


async def test_a_reading_from_memory_says_so(place: Place) -> None:
    device = await cuff(place)
    await measure(place, device, PRESSURE, flags=k.HISTORICAL)
    page = told(await look(place, what="blood_pressure", language="en"))
    assert w.CLOCKS["unknown"].en in page
    assert "p-dot" not in await look(place, what="blood_pressure")


async def test_a_strap_all_day_is_drawn_as_stretches(place: Place) -> None:
    device = await cuff(place, role="heart_rate")
    voice, plain = place.voices[place.hub], []
    for n in range(200):
        at_ms = place.clock.now_ms - (200 - n) * 60_000
        fields = {k.DEVICE: device, k.UTC_MS: at_ms, k.CLOCK: 1, k.VALUES: [[147842, 60 + n % 20, 0]]}
        plain.append(voice.say(k.VITALS, fields, at_ms // 1000))
    for first in range(0, len(plain), 10):
        await place.intake.submit(place.hub, b"".join(plain[first : first + 10]), "mqtt")
    page = await look(place, what="pulse", span="day", language="en")
    assert w.TEXT["key_mean"].en in told(page)
    assert "60–79" in told(page)
    assert page.count("<tr>") < 12


async def test_a_page_full_of_readings_stays_light(place: Place) -> None:
    device = await cuff(place, f"{WANG}、{LI}")
    voice, plain = place.voices[place.hub], []
    for n in range(400):  # more than are listed, and none is certain to be of anybody
        at_ms = place.clock.now_ms - n * 60_000
        fields = {k.DEVICE: device, k.UTC_MS: at_ms, k.CLOCK: 1, k.VALUES: PRESSURE, k.STATUS: 7}
        plain.append(voice.say(k.VITALS, fields, at_ms // 1000))
    for first in range(0, len(plain), 10):
        await place.intake.submit(place.hub, b"".join(plain[first : first + 10]), "mqtt")
    page = await look(place, what="blood_pressure", who="?")
    assert w.TEXT["cut"].zh in told(page)
    assert len(page.encode()) < 80_000
    assert len(await look(place)) < 20_000
    place.registry.rename_sensor(place.hub, device, wearer=WANG)
    page = await look(place, what="blood_pressure")
    assert len(page.encode()) < 30_000  # as stretches
    assert w.TEXT["cut"].zh not in told(page)


async def test_another_homes_readings_are_nowhere(place: Place) -> None:
    await cuff(place)
    other = place.add_hub(place.registry.add_home("cn/42/01"))
    await place.start_hub(other)
    device = place.registry.add_sensor(other, "blood_pressure", CUFF, wearer=WANG)
    await measure(place, device, [[150021, 199, 0], [150022, 99, 0]], hub=other)
    assert "199" not in await look(place)
    assert "199/99" not in await look(place, what="blood_pressure")


async def test_a_sensor_that_is_gone_leaves_its_readings(place: Place) -> None:
    device = await cuff(place)
    await measure(place, device, PRESSURE, HOUR)
    place.registry.remove_sensor(place.hub, device)
    assert "128/83" in told(await look(place))
    assert "128/83" in told(await look(place, what="blood_pressure"))


async def test_whatever_a_link_says_a_page_comes(place: Place) -> None:
    device = await cuff(place)
    await measure(place, device, PRESSURE)
    for what in (*w.WHATS, "", "nothing", "<b>", "x" * 999):
        for more in (
            {}, {"span": "month"}, {"span": "year"}, {"on": "2026-02-30"},
            {"on": "0001-01-01", "span": "month"}, {"on": "9999-12-31", "span": "week"},
            {"on": "2026-W10-1"}, {"who": "<script>"}, {"who": "?"},
        ):  # fmt: skip
            if what in ("blood_pressure", "<b>") or more == {} or "on" in more:
                assert "<script>" not in await look(place, what=what, **more)


async def test_names_are_text(place: Place) -> None:
    device = await cuff(place, wearer="<b>王</b>、&李")
    place.registry.rename_sensor(place.hub, device, name="<i>cuff")
    await measure(place, device, PRESSURE)
    await measure(place, device, PRESSURE, user=1)
    await measure(place, device, [], kind=k.MONITOR_FAULT, detail=2)
    for page in (await look(place), await look(place, what="blood_pressure")):
        assert "<b>" not in page
        assert "<i>" not in page
        assert "&lt;b&gt;王" in page


# Several wearers


async def test_each_wearer_has_a_curve_of_their_own(place: Place) -> None:
    device = await cuff(place, f"{WANG}、{LI}")
    await measure(place, device, PRESSURE, 2 * HOUR, user=1)
    await measure(place, device, [[150021, 111, 0], [150022, 71, 0]], HOUR, user=2)
    first = told(await look(place))
    assert f"血压 {WANG} 128/83" in first
    assert f"血压 {LI} 111/71" in first
    page = await look(place, what="blood_pressure", who=LI)
    assert "111/71" in told(page)
    assert "128/83" not in told(page)
    assert {WANG, LI} <= links(page).keys()


async def test_a_reading_of_one_of_several_is_nobodys_until_somebody_says_so(place: Place) -> None:
    device = await cuff(place, f"{WANG},{LI}")
    hub, boot, seq = await measure(place, device, PRESSURE)
    page = await look(place)
    assert w.TEXT["whose_title"].zh in told(page)
    assert 'class="card reading"' not in page
    assert "p-dot" not in await look(place, what="blood_pressure", who=WANG)
    assert "p-dot" not in await look(place, what="blood_pressure", who="?")
    form = {"hub": hub, "boot": str(boot), "seq": str(seq), "wearer": LI, "what": "blood_pressure"}
    answer = await place.post(place.client, place.path("readings", "whose"), form, place.path("readings"))
    assert answer.status_code == 303
    page = (await place.client.get(answer.headers["location"])).text
    assert "128/83" in told(page)
    assert "<svg" in page
    assert w.TEXT["whose_title"].zh not in told(await look(place))
    assert "128/83" not in told(await look(place, what="blood_pressure", who=WANG))
    (kept,) = [row for row in place.family.audit.page() if row["what"] == "family_whose"]
    assert (kept["operator"], kept["hub"], kept["detail"]) == ("family", hub, f"{boot}-{seq}")
    # Said wrongly: once more.
    again = await place.post(
        place.client,
        place.path("readings", "whose"),
        {**form, "wearer": WANG},
        place.path("readings") + "?what=blood_pressure&who=" + LI,
    )
    assert again.status_code == 303
    assert Families(place.registry).wearer_of(hub, boot, seq) == WANG


async def test_a_number_that_is_nobodys_makes_it_nobodys(place: Place) -> None:
    device = await cuff(place, f"{WANG}、{LI}")
    for user in (0, 3, 200):
        await measure(place, device, PRESSURE, user=user)
    page = told(await look(place))
    assert page.count(f"是{WANG}") == 3


async def test_only_what_is_asked_can_be_said(place: Place) -> None:
    device = await cuff(place, f"{WANG}、{LI}")
    hub, boot, seq = await measure(place, device, PRESSURE)
    for change, status in (
        ({"wearer": "somebody else"}, 400), ({"wearer": ""}, 400), ({"hub": "0000000000"}, 404),
        ({"seq": "99"}, 404), ({"seq": "-1"}, 404), ({"boot": "x"}, 404), ({"seq": "9" * 40}, 404),
        ({"seq": "0"}, 404), ({"key": "forged"}, 403),
    ):  # fmt: skip
        form = {"hub": hub, "boot": str(boot), "seq": str(seq), "wearer": LI, **change}
        answer = await place.post(place.client, place.path("readings", "whose"), form, place.path("readings"))
        assert answer.status_code == status, change
    alone = await cuff(place, WANG, address="A4:C1:38:00:00:09")
    hub, boot, seq = await measure(place, alone, PRESSURE)
    form = {"hub": hub, "boot": str(boot), "seq": str(seq), "wearer": WANG}
    answer = await place.post(place.client, place.path("readings", "whose"), form, place.path("readings"))
    assert answer.status_code == 404  # of a monitor that nobody shares
    assert Families(place.registry).wearers(hub) == {}


async def test_of_another_homes_reading_nothing_can_be_said(place: Place) -> None:
    device = await cuff(place, f"{WANG}、{LI}")
    await measure(place, device, PRESSURE)
    other = place.add_hub(place.registry.add_home("cn/42/01"))
    await place.start_hub(other)
    theirs = place.registry.add_sensor(other, "blood_pressure", CUFF, wearer=f"{WANG}、{LI}")
    hub, boot, seq = await measure(place, theirs, PRESSURE, hub=other)
    form = {"hub": hub, "boot": str(boot), "seq": str(seq), "wearer": LI}
    answer = await place.post(place.client, place.path("readings", "whose"), form, place.path("readings"))
    assert answer.status_code == 404
    assert Families(place.registry).wearers(other) == {}


async def test_without_the_pin_there_is_no_reading(place: Place) -> None:
    device = await cuff(place)
    await measure(place, device, PRESSURE)
    stranger = place.phone()
    for path in (place.path("readings"), place.path("readings") + "?what=blood_pressure"):
        answer = await stranger.get(path)
        assert "128" not in told(answer.text)
        assert WANG not in answer.text


# Words and numbers


def a_measurement(*values: Value, **more: Any) -> Measurement:
    given = {"at_ms": 1, "clock": "hub", "status": 0, "flags": 0, **more}
    return Measurement(
        "h",
        1,
        1,
        k.VITALS,
        1,
        received_ms=1,
        values=values,
        invalid=(),
        user=None,
        detail=0,
        measured_s=None,
        **given,
    )


def test_every_status_and_every_quantity_has_words_in_both_languages() -> None:
    assert set(w.STATUS) == set(names.MEASUREMENT_STATUS.values())
    assert set(w.MONITORS) == {number for number, name in names.ROLES.items() if number > 10}
    everything = [
        *w.STATUS.values(),
        *w.TEXT.values(),
        *w.CLOCKS.values(),
        *w.MONITORS.values(),
        *w.PARTS.values(),
    ]
    everything += [words for what in w.WHATS.values() for words in (what.words, what.unit)]
    for words in everything:
        assert words.en.strip()
        assert words.zh.strip()
        fields = [re.findall(r"\{(\w*)\}", text) for text in words]
        assert sorted(fields[0]) == sorted(fields[1])
    for what in w.WHATS.values():
        assert {names.QUANTITIES[code][0] for code in what.codes}
        if what.is_pair or len(what.codes) > 1:
            assert set(what.codes) - {160184} <= set(w.PARTS)


def test_every_bit_of_a_status_is_said() -> None:
    for bit, name in names.MEASUREMENT_STATUS.items():
        one = a_measurement(Value(150456, 97, 0), status=bit)
        assert w.STATUS[name] in lines.notes(w.WHATS["oxygen"], one)


@pytest.mark.parametrize(
    ("number", "code", "places", "text"),
    [
        (128.0, 150021, 0, "128"), (128.5, 150021, 1, "128.5"), (128.0, 150021, 2, "128"),
        (36.6, 150364, 2, "36.6"), (36.0, 150364, 1, "36.0"), (36.65, 150364, 2, "36.65"),
        (5.994, 160184, 7, "5.99"),
        (97.0, 150456, 1, "97"),
        (0.0, 188736, 0, "0.0"),
    ],
)  # fmt: skip
def test_a_number_is_written_as_people_do(number: float, code: int, places: int, text: str) -> None:
    assert lines.number(number, code, places) == text


@pytest.mark.parametrize(
    ("value", "limit", "way"),
    [
        (37.3, Limit(None, 37.3), 0), (37.4, Limit(None, 37.3), 1), (37.3, Limit(37.3, None), 0),
        (37.2, Limit(37.3, None), -1), (37.2, Limit(36, 38), 0), (37.2, None, None),
    ],
)  # fmt: skip
def test_a_limit_itself_is_within(value: float, limit: Limit | None, way: int | None) -> None:
    limits = {} if limit is None else {150364: limit}
    assert lines.beyond(Value(150364, value, 1), limits) == way


def test_limits_are_those_of_the_rule() -> None:
    found = lines.limits_of({"vitals": {"limits": {**LIMITS, "150023": {"low": 70}}}, "inactivity": {}})
    assert found[150021] == Limit(90, 140)
    assert found[150023] == Limit(70, None)
    assert lines.limits_of({}) == {}
    words = lines.limit_words(w.WHATS["blood_pressure"], found)
    assert words == Words("upper 90 to 140; lower at most 90", "高压 90 至 140；低压不高于 90")


def test_half_a_pair_is_shown_and_not_drawn() -> None:
    what = w.WHATS["blood_pressure"]
    one = a_measurement(Value(150021, 128, 0))
    assert lines.shown(what, one) == "128/–"
    assert lines.marks(what, [one], {}) == []


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2026, 9, 21), Words("Today, Monday, 21 Sep", "今天，9月21日 星期一")),
        (date(2026, 9, 20), Words("Yesterday, Sunday, 20 Sep", "昨天，9月20日 星期日")),
        (date(2025, 12, 31), Words("Wednesday, 31 Dec 2025", "2025年12月31日 星期三")),
    ],
)
def test_days_have_the_names_people_give_them(day: date, words: Words) -> None:
    assert lines.day_words(day.toordinal(), date(2026, 9, 21).toordinal()) == words
