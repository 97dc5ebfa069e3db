"""Whoever means harm: every page and form at once, for strangers, for the family next door, and for names
that are more than names."""

from __future__ import annotations

import asyncio
import re
import time
from html.parser import HTMLParser
from typing import Any

import httpx2
import pytest

from helpers_family import Place, key_of
from kanhu.web.family.contents import pages
from kanhu.web.family.visit import Page
from kanhu.web.guard import MAX_BODY
from kanhu_protocol import kinds as k

SENSOR, CUFF = bytes.fromhex("a4c138000001"), bytes.fromhex("a4c138000002")
# What a template, a format string, an attribute or a script would trip over.
EVIL = '"><img src=x>{0}{x}%s'
SECRET = "王秀兰"


def of(page: Page, place: Place, hub: str = "", index: int = 1) -> str:
    """A page's path, with a hub, a sensor and an address where it wants them."""
    path = page.path.replace("{hub}", hub or place.hub).replace("{index:number}", str(index))
    return place.path() + path.replace("{address}", SENSOR.hex())


def all_pages(place: Place) -> list[Page]:
    found = pages(place.family)
    assert len(found) > 25
    return found


class Reading(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "data-live")]


@pytest.fixture
async def phone(place: Place) -> httpx2.AsyncClient:
    place.clock.now_ms = int(time.time() * 1000)
    await place.start_hub()
    return await place.let_in()


async def first_part(client: httpx2.AsyncClient, path: str) -> str:
    """What a live page says first; empty when it is none."""
    async with client.stream("GET", path) as answer:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    return line
    return ""


async def test_a_stranger_with_the_link_sees_and_changes_nothing_anywhere(place: Place) -> None:
    place.registry.add_sensor(place.hub, "call", "A4:C1:38:00:00:01", name="secret pendant", wearer="李四")
    place.families.claim(place.home, "246813")
    stranger = place.phone()
    before = place.registry.version
    for page in all_pages(place):
        path = of(page, place, index=3)
        if page.get is not None:
            answer = await stranger.get(path)
            for secret in (SECRET, "secret pendant", "李四", place.home, "3-2-1", "A4:C1:38"):
                assert secret not in answer.text, page.path
            assert answer.status_code in (200, 303), page.path
        if page.post is not None and path != place.path("enter"):
            answer = await place.post(stranger, path, {"hub": place.hub, "sure": "yes", "pin": "135790"})
            assert (answer.status_code, answer.headers["location"]) == (303, place.path()), page.path
    assert place.down.said == []
    assert place.registry.version == before
    assert place.registry.home(place.home).name == SECRET


async def test_no_form_works_without_its_key(place: Place, phone: httpx2.AsyncClient) -> None:
    index = place.registry.add_sensor(place.hub, "call", "A4:C1:38:00:00:09")
    other = await place.let_in(place.phone())
    foreign = key_of((await other.get(place.path("sensors"))).text)
    before = place.registry.version
    for page in all_pages(place):
        if page.post is None:
            continue
        for key in ("", "x" * 64, "é", foreign):
            fields = {
                "key": key,
                "hub": place.hub,
                "kind": "away",
                "until": "2030-01-01T08:00",
                "sure": "yes",
            }
            answer = await phone.post(of(page, place, index=index), data={**fields, "pin": "246813"})
            assert answer.status_code == 403, (page.path, key)
    assert place.registry.version == before
    assert [one.type for one in place.down.said] == []
    assert (await phone.get(place.path("settings"))).status_code == 200  # and it is still let in


async def test_the_hub_next_door_is_in_no_url(place: Place, phone: httpx2.AsyncClient) -> None:
    """Neither a page, nor a form, nor what is heard there."""
    far = place.add_hub(place.registry.add_home(name="陌生人"))
    index = place.registry.add_sensor(far, "call", "A4:C1:38:00:00:09", name="their pendant")
    await place.pairing.open(far)
    said = len(place.down.said)
    before = place.registry.version
    for page in all_pages(place):
        if "{hub}" not in page.path:
            continue
        for hub in (far, "0000000000", "%2e%2e", "a" * 2000, "x%00y"):
            path = of(page, place, hub, index)
            if page.get is not None:
                answer = await phone.get(path)
                assert answer.status_code == 404, path
                assert "their pendant" not in answer.text
                assert "陌生人" not in answer.text
            if page.post is not None:
                fields = {"role": "call", "name": "mine", "room": "kitchen"}
                answer = await place.post(phone, path, fields, form_at=place.path("sensors"))
                assert answer.status_code == 404, path
    for fields in ({"hub": far}, {"hub": far, "replace": str(index)}, {"hub": place.hub, "replace": "9"}):
        answer = await place.post(phone, place.path("add"), fields, form_at=place.path("sensors"))
        assert answer.status_code == 404
    reading = {"hub": far, "boot": "1", "seq": "1", "wearer": "x"}
    answer = await place.post(phone, place.path("readings", "whose"), reading, form_at=place.path("sensors"))
    assert answer.status_code == 404
    assert len(place.down.said) == said
    assert place.registry.version == before


async def test_names_are_names_on_every_page_and_live_part(place: Place, phone: httpx2.AsyncClient) -> None:
    places = {"1": [EVIL, EVIL], "2": [EVIL, ""]}
    place.registry.set_settings(place.hub, {"buttons": [[1, 4, None]], "pirs": [[2, 5]], "places": places})
    button = place.registry.add_sensor(place.hub, "call", "A4:C1:38:00:00:07", name=EVIL, room=EVIL)
    cuff = place.registry.add_sensor(
        place.hub, "blood_pressure", "A4:C1:38:00:00:08", name=EVIL, wearer=f"{EVIL}、{EVIL}2"
    )
    await place.has_table()
    await place.pairing.open(place.hub)
    await place.confirm()
    for address, more in ((SENSOR, {}), (CUFF, {k.ADVERTISED: b"\x41" + bytes(12)})):
        heard = {k.ADDRESS: address, k.ROLE: 1, k.NAME: EVIL, k.RSSI: -60, k.FLAGS: k.UNVERIFIED, **more}
        await place.say(k.SENSOR_HEARD, heard)
    now_ms = place.clock.now_ms
    for values in ([[3, 150, 0], [4, 90, 0]], [[3, 130, 0], [4, 80, 0]]):
        await place.say(k.VITALS, {k.DEVICE: cuff, k.VALUES: values, k.UTC_MS: now_ms})
    await place.say(k.CALL, {k.DEVICE: button, k.UTC_MS: now_ms})
    await place.say(k.BATTERY_LOW, {k.DEVICE: button, k.BATTERY: 5})
    looked = []
    for page in all_pages(place):
        if page.get is None or page.path in ("/claim", "/claim/live"):
            continue
        path = of(page, place, index=button)
        if page.path.endswith("/live"):
            text = await first_part(phone, path)
            text = text.replace('\\"', '"')
        else:
            answer = await phone.get(path)
            assert answer.status_code in (200, 303, 409), (page.path, answer.text)
            text = answer.text
        looked.append(page.path)
        assert "<img" not in text, page.path
        assert "img" not in Reading(text).tags, page.path
        assert not {name for name in Reading(text).attributes if name.startswith("on") or name == "style"}
    assert {"", "/sensors", "/add/{hub}", "/readings", "/log", "/live", "/add/{hub}/live"} <= set(looked)
    for what in ("systolic", "pulse", EVIL):
        answer = await phone.get(place.path("readings"), params={"what": what, "who": EVIL, "on": EVIL})
        assert answer.status_code == 200
        assert "<img" not in answer.text
    page = (await phone.get(place.path("add", place.hub))).text
    assert "&lt;img src=x&gt;{0}{x}%s" in page  # and it is shown as what it is


async def test_pages_lead_nowhere_else(place: Place, phone: httpx2.AsyncClient) -> None:
    """No link, form or redirection leaves the label's link, whatever is in the URL."""
    index = place.registry.add_sensor(place.hub, "motion", "A4:C1:38:00:00:09", room="kitchen")
    evil = "//evil.example/x"
    asked = dict.fromkeys(("next", "to", "back", "why", "wait", "said", "kind", "language", "before"), evil)
    for page in all_pages(place):
        path = of(page, place, index=index)
        if page.get is not None and not page.path.endswith("/live"):
            answer = await phone.get(path, params=asked)
            assert answer.status_code in (200, 303, 409), (page.path, answer.text)
            links = [*Reading(answer.text).links, answer.headers.get("location", place.path())]
            for link in links:
                assert re.match(rf"/f/{place.token}(/|\?|$)|/f/static/|\?|#", link), (page.path, link)
            assert "evil" not in answer.text, page.path


async def test_bodies_that_never_end_are_refused_and_are_no_errors(
    place: Place,
    phone: httpx2.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def body() -> Any:
        for _ in range(MAX_BODY // 1000 + 5):
            yield b"key=" + b"x" * 996

    form = {"content-type": "application/x-www-form-urlencoded"}
    for client in (phone, place.phone()):
        answer = await client.post(place.path("enter"), content=body(), headers=form)
        assert answer.status_code == 413
    many = "&".join(f"a{n}=1" for n in range(5000))
    answer = await phone.post(place.path("modes"), content=many, headers=form)
    assert answer.status_code == 403
    for odd in (b"\xff\xfe\x00", b"key=%ff%fe&kind=%00", b"=&=&&&=", b"{}"):
        assert (await phone.post(place.path("modes"), content=odd, headers=form)).status_code == 403
    # Half a request, and gone.
    _, writer = await asyncio.open_connection("127.0.0.1", place.site.port)
    head = f"POST {place.path('enter')} HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n"
    writer.write((head + "Content-Type: application/x-www-form-urlencoded\r\n\r\nkey=").encode())
    await writer.drain()
    await asyncio.sleep(0.2)
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.3)
    said = capsys.readouterr().out
    assert "Traceback" not in said
    assert "has failed" not in said


@pytest.mark.parametrize("path", ["sensors/{hub}/999999999999999999", "sensors/{hub}/0", "sensors/{hub}/-1",
                                  "sensors/{hub}/1e3", "sensors/{hub}/١", "add/{hub}/zz", "add/{hub}/%00",
                                  "add/{hub}/" + "00" * 500, "nothing", "sensors/", "..;/"])  # fmt: skip
async def test_odd_paths_are_nowhere(place: Place, phone: httpx2.AsyncClient, path: str) -> None:
    answer = await phone.get(place.path() + "/" + path.replace("{hub}", place.hub))
    assert answer.status_code in (404, 409), answer.text
    assert "has failed" not in answer.text


async def test_a_phone_looks_at_few_live_pages_at_a_time(place: Place, phone: httpx2.AsyncClient) -> None:
    """One home must not take what all homes look through."""

    async def hold(done: asyncio.Event) -> int:
        async with phone.stream("GET", place.path("live")) as answer:
            if answer.status_code == 200:
                await done.wait()
            return int(answer.status_code)

    done = asyncio.Event()
    held = [asyncio.ensure_future(hold(done)) for _ in range(20)]
    await asyncio.sleep(1.0)
    done.set()
    answers = sorted(await asyncio.gather(*held))
    assert answers.count(200) <= 8
    assert answers[-1] == 503
    for _ in range(50):
        if not place.family._live._open:
            break
        await asyncio.sleep(0.1)
    assert not place.family._live._open  # and they are given back


@pytest.mark.parametrize("what", ["signed out", "renewed", "revoked", "reset", "forgotten"])
async def test_who_may_not_look_any_longer_sees_no_more(
    place: Place, phone: httpx2.AsyncClient, what: str
) -> None:
    """A page that is looked at ends with the right to look, not when the phone is put away."""
    ended = asyncio.Event()
    first = asyncio.Event()

    async def look() -> None:
        async with phone.stream("GET", place.path("live")) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    first.set()
        ended.set()

    looking = asyncio.ensure_future(look())
    async with asyncio.timeout(20):
        await first.wait()
        if what == "signed out":
            place.families.end_visits(place.home)
        elif what == "renewed":
            place.families.renew(place.hub)
        elif what == "revoked":
            place.registry.revoke_hub(place.hub)
        elif what == "reset":
            place.families.reset(place.home)
        else:
            place.registry.forget_home(place.home, False)
        await ended.wait()
        await looking
