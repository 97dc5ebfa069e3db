"""The way in, as phones walk it: the first claim by a press, the PIN, its lock, leaving, settings."""

from __future__ import annotations

import asyncio
import re

import httpx2
import pytest

from helpers_family import PIN, Place, key_of
from kanhu.journal import JournalUnavailable
from kanhu.registry.families import LOCKS_S, TRIES, FamilyRecord
from kanhu.web.family import pins
from kanhu_protocol import kinds as k

OTHER = "842075"
EN = {"accept-language": "en"}
SECRETS = ("王秀兰", "3-2-1", "cn/42", "hall", "kitchen")


async def claim_begun(place: Place, client: httpx2.AsyncClient) -> httpx2.Response:
    """A phone that has tapped "begin"."""
    return await place.post(client, place.path("claim"), form_at=place.path())


async def press(place: Place) -> None:
    """The hub is told, waits, and somebody presses."""
    await place.confirm()
    await place.say(k.TEST_PRESS, {k.DEVICE: 1, k.FLAGS: k.TEST})


async def claimed(place: Place, pin: str = PIN) -> httpx2.AsyncClient:
    """A phone that has walked the whole way."""
    client = place.phone(headers=EN)
    await claim_begun(place, client)
    await press(place)
    answer = await place.post(client, place.path("pin"), {"pin": pin}, form_at=place.path("claim"))
    assert answer.status_code == 303
    return client


def rows(place: Place) -> list[str]:
    """What the audit says, oldest first."""
    found = place.family.audit.page()
    assert {row["operator"] for row in found} <= {"family"}
    assert {row["hub"] for row in found} <= {place.hub}
    assert not any(pin in str(row) for row in found for pin in (PIN, OTHER))
    return [row["what"] for row in reversed(found) if row["what"].startswith("family_")]


def family(place: Place) -> FamilyRecord:
    found = place.families.of(place.home)
    assert found is not None
    return found


def shows_nothing(answer: httpx2.Response) -> None:
    for secret in SECRETS:
        assert secret not in answer.text


# The claim


async def test_a_family_claims_its_home_by_a_press(place: Place) -> None:
    await place.start_hub()
    client = place.phone(headers=EN)
    answer = await client.get(place.path())
    assert answer.status_code == 200
    assert "when to press its call button" in answer.text
    assert "calls nobody" in answer.text
    shows_nothing(answer)
    answer = await claim_begun(place, client)
    assert (answer.status_code, answer.headers["location"]) == (303, place.path("claim"))
    answer = await client.get(place.path("claim"))
    assert "Asking the hub" in answer.text
    assert 'http-equiv="refresh"' in answer.text  # without JavaScript it looks again
    shows_nothing(answer)
    order = place.down.said[-1]
    assert (order.type, order.fields[k.PROVE], order.fields[k.PAIR_MS]) == (k.PAIR, 1, 120_000)
    await place.confirm()
    answer = await client.get(place.path("claim"))
    assert "Press the call button on the hub once, now." in answer.text
    assert "Time left: 120 s" in answer.text
    assert (await client.get(place.path())).headers["location"] == place.path("claim")
    await place.say(k.TEST_PRESS, {k.DEVICE: 1, k.FLAGS: k.TEST})
    assert not place.alarms.live()
    answer = await client.get(place.path("claim"))
    assert "Choose a PIN" in answer.text
    shows_nothing(answer)
    answer = await client.post(place.path("pin"), data={"key": key_of(answer.text), "pin": "１３９ ２４６"})
    assert (answer.status_code, answer.headers["location"]) == (303, place.path())
    answer = await client.get(place.path("settings"))
    assert "Another PIN" in answer.text
    assert rows(place) == ["family_claim_begun", "family_claimed", "family_in"]
    other = place.phone(headers=EN)
    await place.let_in(other, "139246")


async def test_the_press_shows_itself_live(place: Place) -> None:
    await place.start_hub()
    client = place.phone(headers=EN)
    await claim_begun(place, client)
    seen = []
    async with asyncio.timeout(20), client.stream("GET", place.path("claim", "live")) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            seen.append(line)
            if "Asking the hub" in line:
                await place.confirm()
            elif "once, now" in line:
                await place.say(k.TEST_PRESS, {k.DEVICE: 1, k.FLAGS: k.TEST})
            elif '"_to"' in line:
                break
    assert place.path("claim") in seen[-1]


async def test_without_a_press_nothing_is_claimed(place: Place) -> None:
    await place.start_hub()
    client = place.phone(headers=EN)
    first = await client.get(place.path())
    answer = await client.post(place.path("pin"), data={"key": key_of(first.text), "pin": PIN})
    assert answer.headers["location"] == place.path()
    await claim_begun(place, client)
    for pin_at in ("asked", "ready"):
        page = await client.get(place.path())
        key = key_of(first.text)  # the browser's, while its cookie is the same
        answer = await client.post(place.path("pin"), data={"key": key, "pin": PIN})
        assert answer.status_code == 303, (pin_at, page.text)
        await place.confirm()
    assert place.families.of(place.home) is None
    place.clock.now_ms += 121_000
    await until_over(place)
    answer = await client.get(place.path("claim"))
    assert "No press arrived within two minutes" in answer.text
    assert "Try again" in answer.text
    assert place.families.of(place.home) is None


async def until_over(place: Place) -> None:
    await asyncio.wait_for(place.pairing.proof(place.hub).over.wait(), 20)


async def test_only_the_browser_that_began_may_set_the_pin(place: Place) -> None:
    await place.start_hub()
    mine, theirs = place.phone(headers=EN), place.phone(headers=EN)
    await claim_begun(place, mine)
    answer = await claim_begun(place, theirs)
    answer = await theirs.get(answer.headers["location"])
    assert "Another phone is setting up this hub" in answer.text
    assert len(place.down.said) == 1  # nothing new was said to the hub
    await press(place)
    answer = await theirs.get(place.path("claim"))
    assert answer.headers["location"] == place.path()
    page = await theirs.get(place.path())
    assert "Choose" not in page.text
    await theirs.post(place.path("pin"), data={"key": key_of(page.text), "pin": OTHER})
    assert place.families.of(place.home) is None
    answer = await claim_begun(place, theirs)
    assert "why=other" in answer.headers["location"]
    answer = await place.post(mine, place.path("pin"), {"pin": PIN}, form_at=place.path("claim"))
    assert answer.status_code == 303
    for path in (place.path(), place.path("claim")):
        page = await theirs.get(path, follow_redirects=True)
        assert "Enter the PIN" in page.text
        shows_nothing(page)
    await theirs.post(place.path("claim"), data={"key": key_of(page.text)})
    await theirs.post(place.path("pin"), data={"key": key_of(page.text), "pin": OTHER})
    assert await place.let_in(theirs, PIN)


async def test_a_second_browser_may_when_the_first_is_late(place: Place) -> None:
    await place.start_hub()
    mine, theirs = place.phone(headers=EN), place.phone(headers=EN)
    await claim_begun(place, mine)
    await place.confirm()
    place.clock.now_ms += 121_000
    await until_over(place)
    assert "why=other" in (await claim_begun(place, theirs)).headers["location"]  # a press may be on its way
    place.clock.now_ms += 20_000
    assert (await claim_begun(place, theirs)).headers["location"] == place.path("claim")
    await press(place)
    answer = await mine.get(place.path("claim"), follow_redirects=True)
    assert "Choose" not in answer.text
    answer = await theirs.get(place.path("claim"))
    assert "Choose" in answer.text
    place.clock.now_ms += 600_000
    answer = await theirs.get(place.path("claim"))
    assert "too long ago" in answer.text
    await theirs.post(place.path("pin"), data={"key": key_of(answer.text), "pin": OTHER})
    assert place.families.of(place.home) is None


async def test_a_press_counts_whether_or_not_the_platform_has_it(place: Place) -> None:
    await place.start_hub()
    client = place.phone(headers=EN)
    await claim_begun(place, client)
    await press(place)
    place.clock.now_ms += 150_000
    await until_over(place)
    assert place.pairing.proof(place.hub).state == "failed"
    assert "Choose" in (await client.get(place.path("claim"))).text


WHY = {
    5: "A call for help is open here", 4: "does not know the time", 7: "pressed already", 3: "busy",
    1: "Ask whoever installed it", 99: "Ask whoever installed it",
}  # fmt: skip


async def test_why_the_hub_does_not_wait(place: Place) -> None:
    await place.start_hub()
    for detail, says in WHY.items():
        client = place.phone(headers=EN)
        answer = await claim_begun(place, client)  # nobody waits for what was refused to another
        assert answer.headers["location"] == place.path("claim")
        await place.say(k.COMMAND_REFUSED, {k.COMMAND: place.down.said[-1].number, k.DETAIL: detail})
        assert says in (await client.get(place.path("claim"))).text
        place.clock.now_ms += 3_600_000


async def test_a_call_instead_of_a_test_ends_the_claim(place: Place) -> None:
    await place.start_hub()
    client = place.phone(headers=EN)
    await claim_begun(place, client)
    await place.confirm()
    await place.say(k.CALL, {k.DEVICE: 1})
    await place.say(k.PAIRING_CLOSED, {k.DETAIL: 4})
    assert "taken as a call for help" in (await client.get(place.path("claim"))).text
    assert len(place.alarms.live()) == 1


async def test_a_hub_that_is_not_there(place: Place) -> None:
    client = place.phone(headers=EN)
    await claim_begun(place, client)
    assert "Asking" in (await client.get(place.path("claim"))).text
    place.clock.now_ms += 9_000
    assert "Is it plugged in" in (await client.get(place.path("claim"))).text
    place.clock.now_ms += 120_000
    await until_over(place)
    assert "did not answer" in (await client.get(place.path("claim"))).text


async def test_five_claims_an_hour(place: Place) -> None:
    await place.start_hub()
    for n in range(5):
        client = place.phone(headers=EN)
        key = key_of((await client.get(place.path())).text)
        answer = await client.post(place.path("claim"), data={"key": key})
        assert answer.headers["location"] == place.path("claim"), n
        answer = await client.post(place.path("claim"), data={"key": key})  # two taps, one claim
        assert answer.headers["location"] == place.path("claim")
        await place.say(k.COMMAND_REFUSED, {k.COMMAND: place.down.said[-1].number, k.DETAIL: 5})
    answer = await client.post(place.path("claim"), data={"key": key})
    answer = await client.get(answer.headers["location"], follow_redirects=True)
    assert "Try again in 60 min" in answer.text
    assert len(place.down.said) == 5
    place.clock.now_ms += 3_600_000
    answer = await client.post(place.path("claim"), data={"key": key})
    assert answer.headers["location"] == place.path("claim")


async def test_a_claim_is_forgotten_when_it_is_over_or_its_home_is_erased(place: Place) -> None:
    await place.start_hub()
    claims = place.family.access.claims
    for ends in ("time", "erased"):
        client = place.phone(headers=EN)
        key = key_of((await client.get(place.path())).text)
        await client.post(place.path("claim"), data={"key": key})
        claims.look()
        assert set(claims._claims) == {place.home}
        assert set(claims._begun) == {place.hub}
        if ends == "erased":
            place.registry.forget_home(place.home, False)
        else:
            place.clock.now_ms += 86_400_000
            await until_over(place)
        claims.look()
        assert not claims._claims
        assert not claims._begun


async def test_twelve_claims_a_day(place: Place) -> None:
    """Whoever has found a label does not keep a hub taking presses for tests."""
    await place.start_hub()
    for n in range(12):
        client = place.phone(headers=EN)
        key = key_of((await client.get(place.path())).text)
        answer = await client.post(place.path("claim"), data={"key": key})
        assert answer.headers["location"] == place.path("claim"), n
        await place.say(k.COMMAND_REFUSED, {k.COMMAND: place.down.said[-1].number, k.DETAIL: 5})
        place.clock.now_ms += 3_600_000
    key = key_of((await client.get(place.path())).text)
    answer = await client.post(place.path("claim"), data={"key": key})
    answer = await client.get(answer.headers["location"], follow_redirects=True)
    assert "Try again in 720 min" in answer.text
    place.clock.now_ms += 12 * 3_600_000
    key = key_of((await client.get(place.path())).text)
    answer = await client.post(place.path("claim"), data={"key": key})
    assert answer.headers["location"] == place.path("claim")


async def test_a_hub_without_a_button_of_its_own(place: Place) -> None:
    place.registry.set_settings(place.hub, {"buttons": [], "pirs": []})
    await place.start_hub()
    client = place.phone(headers=EN)
    answer = await client.get((await claim_begun(place, client)).headers["location"])
    assert "no call button" in answer.text
    index = place.registry.add_sensor(place.hub, "call", "A4:C1:38:0B:5E:9D", "pendant", "hall")
    assert "why=no_button" in (await claim_begun(place, client)).headers["location"]  # the hub has not got it
    await place.has_table()
    await asyncio.sleep(0.5)
    assert (await claim_begun(place, client)).headers["location"] == place.path("claim")
    assert place.down.said[-1].fields[k.PROVE] == index


async def test_a_first_pin_that_will_not_do(place: Place) -> None:
    await place.start_hub()
    client = place.phone(headers=EN)
    await claim_begun(place, client)
    await press(place)
    for pin in ("123456", "111111", "12345", "", "abcdef", "1" * 500):
        answer = await place.post(client, place.path("pin"), {"pin": pin}, form_at=place.path("claim"))
        answer = await client.get(answer.headers["location"])
        assert "6 to 12 digits, and nothing else" in answer.text or "guessed too easily" in answer.text, pin
        assert "Choose a PIN" in answer.text
        assert place.families.of(place.home) is None


# The PIN


async def test_the_pin_lets_in_and_a_wrong_one_does_not(place: Place) -> None:
    place.families.claim(place.home, PIN)
    client = place.phone(headers=EN)
    answer = await place.post(client, place.path("enter"), {"pin": OTHER}, form_at=place.path())
    answer = await client.get(answer.headers["location"])
    assert "That is not the PIN. 4 more tries." in answer.text
    shows_nothing(answer)
    answer = await place.post(client, place.path("enter"), {"pin": "12"}, form_at=place.path())
    assert "6 to 12 digits" in (await client.get(answer.headers["location"])).text
    assert family(place).wrong == 1  # what cannot be a PIN is no try
    await place.let_in(client)
    assert (await client.get(place.path("settings"))).status_code == 200
    assert rows(place) == ["family_wrong_pin", "family_in"]
    assert family(place).wrong == 0


async def test_five_wrong_ones_lock_everybody_who_is_not_in(place: Place) -> None:
    place.families.clock = place.clock
    inside = await place.let_in()
    thief = place.phone(headers=EN)
    for _ in range(TRIES):
        page = await thief.get(place.path())
        answer = await thief.post(place.path("enter"), data={"key": key_of(page.text), "pin": OTHER})
    key = key_of(page.text)
    for lock_s in LOCKS_S:
        answer = await thief.get(place.path())
        assert f"Try again in {lock_s // 60} min" in answer.text
        assert "<form" not in answer.text
        place.clock.now_ms += lock_s * 1000 - 1
        answer = await thief.post(place.path("enter"), data={"key": key, "pin": PIN})  # the right one
        assert (await thief.get(place.path("settings"))).text.count("Another PIN") == 0
        assert (await inside.get(place.path("settings"))).status_code == 200
        place.clock.now_ms += 1
        await thief.post(place.path("enter"), data={"key": key, "pin": OTHER})
    assert rows(place).count("family_locked") == 1 + len(LOCKS_S)
    place.clock.now_ms += LOCKS_S[-1] * 1000
    await place.let_in(thief)


@pytest.mark.parametrize("pins_at_once", [pins.HASHING, 100])
async def test_a_burst_of_guesses_gets_no_more_looks(
    place: Place, monkeypatch: pytest.MonkeyPatch, pins_at_once: int
) -> None:
    monkeypatch.setattr(pins, "WAITING", 100)
    monkeypatch.setattr(place.family.access.pins, "_hashing", asyncio.Semaphore(pins_at_once))
    place.families.claim(place.home, PIN)
    looked = []
    real = pins.fits
    monkeypatch.setattr(pins, "fits", lambda pin, kept: looked.append(pin) or real(pin, kept))
    phones = [place.phone() for _ in range(4)]
    keys = [key_of((await phone.get(place.path())).text) for phone in phones]
    guesses = [f"{135_790 + n}" for n in range(40)]
    await asyncio.gather(
        *(
            phones[n % 4].post(place.path("enter"), data={"key": keys[n % 4], "pin": guess})
            for n, guess in enumerate(guesses)
        )
    )
    assert len(looked) == TRIES
    assert family(place).wrong == TRIES
    answer = await phones[0].post(place.path("enter"), data={"key": keys[0], "pin": PIN})
    assert answer.status_code == 303
    assert len(looked) == TRIES


async def test_two_taps_with_the_right_pin_are_both_let_in(place: Place) -> None:
    place.families.claim(place.home, PIN)
    client = place.phone()
    key = key_of((await client.get(place.path())).text)
    for _ in range(TRIES - 1):
        await client.post(place.path("enter"), data={"key": key, "pin": OTHER})
    answers = await asyncio.gather(
        *(client.post(place.path("enter"), data={"key": key, "pin": PIN}) for _ in range(3))
    )
    assert all("kanhu_family=" in str(answer.headers.get_list("set-cookie")) for answer in answers)


async def test_a_queue_of_guesses_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "WAITING", 0)
    place.families.claim(place.home, PIN)
    client = place.phone(headers=EN)
    answer = await place.post(client, place.path("enter"), {"pin": PIN}, form_at=place.path())
    assert answer.status_code == 503
    assert family(place).wrong == 0


# Leaving, settings


async def test_leaving_ends_this_phones_visit(place: Place) -> None:
    client = await claimed_without_hub(place)
    other = await place.let_in(place.phone(headers=EN))
    answer = await place.post(client, place.path("leave"), form_at=place.path("settings"))
    assert "signed out" in (await client.get(answer.headers["location"])).text
    assert "Enter the PIN" in (await client.get(place.path("settings"))).text
    assert "Another PIN" in (await other.get(place.path("settings"))).text
    assert rows(place)[-1] == "family_out"


async def claimed_without_hub(place: Place) -> httpx2.AsyncClient:
    return await place.let_in(place.phone(headers=EN))


async def test_another_pin_ends_all_other_visits(place: Place) -> None:
    client = await claimed_without_hub(place)
    other = await place.let_in(place.phone(headers=EN))
    answer = await place.post(client, place.path("settings"), {"do": "pin", "pin": "1234567"})
    assert "guessed too easily" in (await client.get(answer.headers["location"])).text
    assert "Another PIN" in (await other.get(place.path("settings"))).text
    answer = await place.post(client, place.path("settings"), {"do": "pin", "pin": OTHER})
    assert "The PIN is changed" in (await client.get(answer.headers["location"])).text
    assert "Enter the PIN" in (await other.get(place.path("settings"))).text
    await place.post(other, place.path("enter"), {"pin": PIN}, form_at=place.path())
    assert "Enter the PIN" in (await other.get(place.path("settings"))).text
    await place.let_in(other, OTHER)
    assert rows(place)[-3:] == ["family_pin_changed", "family_wrong_pin", "family_in"]


async def test_all_other_phones_can_be_signed_out(place: Place) -> None:
    client = await claimed_without_hub(place)
    other = await place.let_in(place.phone(headers=EN))
    answer = await place.post(client, place.path("settings"), {"do": "others"})
    assert "All other phones" in (await client.get(answer.headers["location"])).text
    assert "Enter the PIN" in (await other.get(place.path("settings"))).text
    await place.let_in(other)
    assert "family_visits_ended" in rows(place)


async def test_a_disk_without_room_keeps_nobody_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*row: object) -> None:
        raise JournalUnavailable("no room")

    monkeypatch.setattr(place.family.audit, "record", full)
    client = await claimed_without_hub(place)
    assert "Another PIN" in (await client.get(place.path("settings"))).text


async def test_both_languages_say_it_all(place: Place) -> None:
    await place.start_hub()
    for language, mark in (("zh", "首次使用"), ("en", "First visit")):
        client = place.phone()
        answer = await client.get(place.path(), params={"language": language})
        assert f"<h1>{mark}</h1>" in answer.text
        answer = await client.get(place.path())  # remembered
        assert f"<h1>{mark}</h1>" in answer.text
        assert not re.search(r"{[a-z]+}", answer.text)
        assert answer.text.count("<h1>") == 1


async def test_forms_opened_as_pages_lead_back(place: Place) -> None:
    client = await claimed_without_hub(place)
    for path in ("enter", "pin", "leave", "claim"):
        assert (await client.get(place.path(path))).headers["location"] == place.path()
