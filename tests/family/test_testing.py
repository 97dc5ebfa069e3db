"""The test of a sensor with each receipt, and the walk past the sensors of movement."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import httpx2
import pytest

from helpers_family import Place
from kanhu.pairing.walks import WALK_MS, Walks
from kanhu_protocol import kinds as k

MAC = "A4:C1:38:00:00:01"


@pytest.fixture
async def phone(place: Place) -> httpx2.AsyncClient:
    place.clock.now_ms = int(time.time() * 1000)
    place.client.headers["accept-language"] = "en"
    await place.start_hub()
    return await place.let_in()


async def say(place: Place, kind: int, device: int, before_ms: int = 0, **fields: Any) -> None:
    more = {getattr(k, name): value for name, value in fields.items()}
    at_ms = place.clock.now_ms - before_ms
    await place.say(kind, {k.UTC_MS: at_ms, k.CLOCK: 1, k.DEVICE: device, **more})


async def begun(place: Place, index: int) -> str:
    at = place.path("sensors", place.hub, index)
    answer = await place.post(place.client, f"{at}/test", form_at=at)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def see(place: Place, path: str) -> str:
    answer = await place.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def receipts(page: str) -> list[str]:
    """What stands beside each receipt: a mark."""
    return re.findall(r'class="(?:good|bad|quiet)">([✓✗○])</span>', page)


@pytest.mark.parametrize("wired", [False, True])
async def test_each_receipt_of_a_press(place: Place, phone: httpx2.AsyncClient, wired: bool) -> None:
    index = 1 if wired else place.registry.add_sensor(place.hub, "call", MAC, name="pendant")
    at = await begun(place, index)
    page = await see(place, at)
    if not wired:
        assert place.pairing.proof(place.hub).state == "waiting"
        await place.has_table()
        await place.pairing._round()
        page = await see(place, at)
    assert "Do not press yet" in page
    assert place.down.said[-1].fields[k.PROVE] == index
    assert receipts(page) == ["○"] * 4
    await place.confirm()
    page = await see(place, at)
    assert "Press the button once now" in page
    assert "This press calls nobody. If help is needed, press again." in page
    assert "2:00" in page
    await say(place, k.TEST_PRESS, index, FLAGS=k.TEST)
    page = await see(place, at)
    assert receipts(page) == ["✓", "✓", "○", "○"]
    assert len(re.findall(r"\d\d:\d\d:\d\d", page)) == 2
    assert "Press the button" not in page
    await place.deliver()
    page = await see(place, at)
    assert receipts(page) == ["✓"] * 4
    assert "It works" in page
    assert "data-live" not in page
    assert place.registry.proven_ms(place.hub, index) == place.clock.now_ms


@pytest.mark.parametrize(
    ("ends", "said"),
    [("time", "Nothing came from the sensor"), ("alarm", "There was a call"), ("ended", "It was ended"),
     ("platform", "has not confirmed"), ("restart", "A press is a call again"),
     ("refused", "a call at this hub")],
)  # fmt: skip
async def test_a_test_that_fails_says_what_to_do(
    place: Place, phone: httpx2.AsyncClient, ends: str, said: str
) -> None:
    at = await begun(place, 1)
    if ends == "refused":
        await place.say(k.COMMAND_REFUSED, {k.COMMAND: place.down.said[-1].number, k.DETAIL: 5})
    else:
        await place.confirm()
    if ends == "alarm":
        await place.say(k.PAIRING_CLOSED, {k.DETAIL: 4})
    elif ends == "restart":
        await place.intake.submit(place.hub, place.voices[place.hub].start(2, (1, 2)), "mqtt")
    elif ends == "ended":
        answer = await place.post(phone, at, form_at=at)
        assert answer.headers["location"] == place.path("sensors")
        assert place.down.said[-1].fields[k.PAIR_MS] == 0  # the hub is told: a press is a call again
    elif ends != "refused":
        if ends == "platform":
            await say(place, k.TEST_PRESS, 1, FLAGS=k.TEST)
        place.clock.now_ms += 121_000
        await place.pairing._round()
    page = await see(place, at)
    assert said in page
    assert "Not proven yet" in page
    assert receipts(page) == (["✓", "✓", "✗", "✗"] if ends == "platform" else ["✗"] * 4)
    assert place.registry.proven_ms(place.hub, 1) is None
    assert await begun(place, 1) == at  # once more
    assert receipts(await see(place, at)) == ["○"] * 4


@pytest.mark.parametrize(
    ("role", "said"),
    [("motion", "Walk past it"), ("door", "Open the door"), ("blood_pressure", "Measure now"),
     ("weight_scale", "Step on the scale"), ("smoke", "would be a real alarm")],
)  # fmt: skip
async def test_what_to_do_for_each(place: Place, phone: httpx2.AsyncClient, role: str, said: str) -> None:
    index = place.registry.add_sensor(place.hub, role, MAC)
    await place.has_table()
    await place.pairing._round()
    at = await begun(place, index)
    if role == "smoke":
        await place.confirm()
    page = await see(place, at)
    assert said in page
    assert "calls nobody" not in page


async def test_without_a_test_the_page_says_so(place: Place, phone: httpx2.AsyncClient) -> None:
    page = await see(place, place.path("test", place.hub))
    assert "No test is under way" in page
    index = place.registry.add_sensor(place.hub, "call", MAC)
    at = await begun(place, index)
    place.registry.remove_sensor(place.hub, index)
    await place.pairing._round()
    assert "No test is under way" in await see(place, at)
    assert (await phone.post(place.path("sensors", place.hub, 99, "test"), data={})).status_code == 403
    answer = await place.post(
        phone, place.path("sensors", place.hub, 99, "test"), form_at=at[: at.rindex("/test")]
    )
    assert answer.status_code == 404


async def next_parts(lines: Any) -> dict[str, str]:
    async for line in lines:
        if line.startswith("data: {"):
            found: dict[str, str] = json.loads(line.removeprefix("data: "))
            return found
    raise AssertionError("the stream has ended")


async def test_receipts_arrive_by_themselves(place: Place, phone: httpx2.AsyncClient) -> None:
    at = await begun(place, 1)
    async with phone.stream("GET", f"{at}/live") as stream:
        lines = stream.aiter_lines()
        assert set(await next_parts(lines)) == {"left", "test"}
        await place.confirm()
        assert "Press the button once now" in (await next_parts(lines))["test"]
        await say(place, k.TEST_PRESS, 1, FLAGS=k.TEST)
        assert receipts((await next_parts(lines))["test"]) == ["✓", "✓", "○", "○"]
        await place.deliver()
        assert receipts((await next_parts(lines))["test"]) == ["✓"] * 4


# The walk


def dots(page: str) -> list[bool]:
    return ["lit" in one for one in re.findall(r'class="(dot[^"]*)"', page)]


async def set_out(place: Place) -> str:
    at = place.path("walk")
    answer = await place.post(place.client, at, form_at=at)
    assert (answer.status_code, answer.headers["location"]) == (303, at)
    return at


async def test_a_walk_lights_the_dots_of_what_saw_it(place: Place, phone: httpx2.AsyncClient) -> None:
    hall = place.registry.add_sensor(place.hub, "motion", MAC, room="hall")
    place.registry.add_sensor(place.hub, "door", "A4:C1:38:00:00:02", room="hall")
    await say(place, k.MOTION, hall)
    at = place.path("walk")
    assert dots(await see(place, at)) == [False, False]
    place.clock.now_ms += 20_000
    await set_out(place)
    page = await see(place, at)
    assert "data-live" in page
    assert dots(page) == [False, False]
    assert "Nothing is switched off meanwhile" in page
    await say(place, k.MOTION, hall, before_ms=6000)  # before it was begun
    await say(place, k.MOTION, hall, FLAGS=k.UNVERIFIED)
    await say(place, k.MOTION_COUNT, hall, COUNT=4, SPAN_MS=60_000)  # of the minute before
    assert dots(await see(place, at)) == [False, False]
    await say(place, k.MOTION, 2)
    page = await see(place, at)
    assert dots(page) == [True, False]
    assert "kitchen" in page
    assert "seen just now" in page
    assert "1 of 2 have seen you" in page
    place.clock.now_ms += 65_000
    await say(place, k.MOTION_COUNT, hall, COUNT=4, SPAN_MS=60_000)
    page = await see(place, at)
    assert dots(page) == [True, True]
    assert "(4)" in page
    assert "seen 1 min ago" in page
    assert "All sensors have seen you" in page


async def test_a_walk_ends_after_five_minutes_and_by_hand(place: Place, phone: httpx2.AsyncClient) -> None:
    at = await set_out(place)
    await say(place, k.MOTION, 2)
    place.clock.now_ms += WALK_MS
    await say(place, k.MOTION, 2)
    page = await see(place, at)
    assert "The walk is over" in page
    assert "data-live" not in page
    assert dots(page) == [True]
    assert "(2)" not in page
    await set_out(place)
    assert dots(await see(place, at)) == [False]
    answer = await place.post(phone, at, {"do": "end"}, form_at=at)
    assert answer.headers["location"] == place.path("sensors")
    assert "Begin the walk" in await see(place, at)


async def test_an_erased_home_leaves_no_walk(place: Place, phone: httpx2.AsyncClient) -> None:
    second = place.add_hub(place.registry.add_home())
    await place.start_hub(second)
    await set_out(place)
    (walks,) = {
        one.__self__ for one in place.journal.on_stored if isinstance(getattr(one, "__self__", None), Walks)
    }
    assert walks.of(place.home) is not None
    place.registry.forget_home(place.home, discard=True)
    await place.say(k.MOTION, {k.UTC_MS: place.clock.now_ms, k.CLOCK: 1, k.DEVICE: 2}, second)
    assert walks.of(place.home) is None


async def test_each_home_walks_alone(place: Place, phone: httpx2.AsyncClient) -> None:
    far_home = place.registry.add_home()
    far = place.add_hub(far_home)
    await place.start_hub(far)
    at = await set_out(place)
    await place.say(k.MOTION, {k.UTC_MS: place.clock.now_ms, k.CLOCK: 1, k.DEVICE: 2}, far)
    assert dots(await see(place, at)) == [False]


async def test_the_walk_goes_on_by_itself(place: Place, phone: httpx2.AsyncClient) -> None:
    at = await set_out(place)
    async with phone.stream("GET", f"{at}/live") as stream:
        lines = stream.aiter_lines()
        assert set(await next_parts(lines)) == {"left", "summary", "rooms"}
        await say(place, k.MOTION, 2)
        assert dots((await next_parts(lines))["rooms"]) == [True]
        place.clock.now_ms += WALK_MS
        assert (await asyncio.wait_for(next_parts(lines), 20))["_to"] == at
