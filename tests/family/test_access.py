"""Who sees anything: nobody without the PIN, by a revoked link, of another home; and no form but our own."""

from __future__ import annotations

import time
from http.cookies import SimpleCookie
from pathlib import Path

import httpx2
import pytest
from starlette.requests import Request

from helpers_family import PIN, Place, key_of, running
from helpers_intake import Clock
from kanhu.errors import DataError
from kanhu.registry import Registry
from kanhu.registry.families import Families
from kanhu.web.family import access
from kanhu.web.sessions import kept_secret

EN = {"accept-language": "en"}
INSIDE = "Another PIN"


async def is_in(place: Place, client: httpx2.AsyncClient, token: str = "") -> bool:
    answer = await client.get(place.path("settings", token=token))
    assert "王秀兰" not in answer.text
    return INSIDE in answer.text


def cookies(answer: httpx2.Response) -> SimpleCookie:
    found = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        found.load(line)
    return found


async def let_in(place: Place, client: httpx2.AsyncClient | None = None) -> httpx2.AsyncClient:
    return await place.let_in(client or place.phone(headers=EN))


async def test_the_link_alone_shows_nothing(place: Place) -> None:
    client = place.phone(headers=EN)
    before = await client.get(place.path())
    place.families.claim(place.home, PIN)
    after = await client.get(place.path())
    for answer in (before, after):
        for secret in ("王秀兰", "3-2-1", "cn/42", "kitchen", place.home, place.hub):
            assert secret not in answer.text
        assert "<nav" not in answer.text
    assert not await is_in(place, client)


async def test_links_that_lead_nowhere_look_alike(place: Place) -> None:
    revoked = place.add_hub(place.home)
    dead = place.families.label(revoked)
    place.registry.revoke_hub(revoked)
    old = place.token
    place.token = place.families.renew(place.hub)
    inside = await let_in(place)
    assert await is_in(place, inside)
    texts = set()
    for client in (place.phone(headers=EN), inside):
        for token in ("A" * 22, dead, old, "x", "%00", "..%2f..", "a" * 3000):
            for path in ("", "/settings", "/claim", "/claim/live", "/x/y"):
                answer = await client.get(f"/f/{token}{path}")
                assert answer.status_code == 404, (token, path)
                assert "set-cookie" not in answer.headers
                texts.add(answer.text)
                answer = await client.post(f"/f/{token}{path}", data={"pin": PIN})
                assert answer.status_code in (404, 405)
    assert len(texts) == 1


async def test_what_ends_a_visit(place: Place) -> None:
    def claimed_anew() -> None:
        place.families.reset(place.home)
        place.families.claim(place.home, PIN)  # the same PIN, and yet another family

    def renewed() -> None:
        place.token = place.families.renew(place.hub)

    for ending in (
        claimed_anew, renewed, lambda: place.families.set_pin(place.home, PIN),
        lambda: place.families.end_visits(place.home), lambda: place.families.reset(place.home),
        lambda: place.registry.revoke_hub(place.hub),
    ):  # fmt: skip
        client = await let_in(place)
        assert await is_in(place, client)
        ending()
        assert not await is_in(place, client)


async def test_a_forgotten_home_ends_a_visit(place: Place) -> None:
    client = await let_in(place)
    place.registry.forget_home(place.home, True)
    assert not await is_in(place, client)


async def test_another_process_ends_a_visit_too(place: Place) -> None:
    client = await let_in(place)
    command = Registry.open(place.data_dir)
    Families(command).reset(place.home)
    command.close()
    assert place.registry.refresh()
    assert not await is_in(place, client)


async def test_a_visit_is_one_homes_and_one_links(place: Place) -> None:
    second = place.add_hub(place.home)
    neighbour = place.registry.add_home(name="王秀兰")
    foreign = place.add_hub(neighbour)
    place.families.claim(neighbour, PIN)
    client = await let_in(place)
    cookie = client.cookies[place.family.access.cookie]
    for hub in (second, foreign):
        token = place.families.label(hub)
        other = place.phone(headers={**EN, "cookie": f"{place.family.access.cookie}={cookie}"})
        assert not await is_in(place, other, token)
    other = place.phone(headers={**EN, "cookie": f"{place.family.access.cookie}={cookie}"})
    assert await is_in(place, other)


async def test_the_hubs_of_a_visit_are_those_of_its_home(place: Place) -> None:
    second, gone = place.add_hub(place.home), place.add_hub(place.home)
    foreign = place.add_hub(place.registry.add_home())
    place.registry.revoke_hub(gone)
    for hub, others in ((place.hub, [second]), (second, [place.hub]), (foreign, [])):
        request = asked(place.families.label(hub))
        visit = place.family.access.visit(request, place.families.label(hub))
        assert visit is not None
        assert visit.hubs == [hub, *others]
        assert not visit.let_in


def asked(token: str) -> Request:
    """A browser's first request."""
    return Request(
        {"type": "http", "method": "GET", "headers": [], "path": f"/f/{token}", "query_string": b""}
    )


async def test_a_forged_cookie_lets_nobody_in(place: Place) -> None:
    place.families.claim(place.home, PIN)
    names = place.family.access.cookie, place.family.access.door_cookie
    for value in ("", "x", "a.b.c", "WyJhIl0.aaaa.bbbb", "é", "." * 500):
        header = "; ".join(f"{name}={value}" for name in names).encode("utf-8")
        client = place.phone(headers=[(b"accept-language", b"en"), (b"cookie", header)])
        assert not await is_in(place, client), value


async def test_the_doors_cookie_is_not_a_visits(place: Place) -> None:
    place.families.claim(place.home, PIN)
    client = place.phone(headers=EN)
    await client.get(place.path())
    door = client.cookies[place.family.access.door_cookie]
    other = place.phone(headers={**EN, "cookie": f"{place.family.access.cookie}={door}"})
    assert not await is_in(place, other)


async def test_a_visit_lasts_half_a_year(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await let_in(place)
    now = time.time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + access.VISIT_S - 60)
    assert await is_in(place, client)
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + access.VISIT_S + 60)
    assert not await is_in(place, client)


async def test_cookies_are_for_this_link_and_no_script(place: Place) -> None:
    client = place.phone(headers=EN)
    door = cookies(await client.get(place.path()))[place.family.access.door_cookie]
    place.families.claim(place.home, PIN)
    answer = await place.post(client, place.path("enter"), {"pin": PIN}, form_at=place.path())
    visit = cookies(answer)[place.family.access.cookie]
    for cookie, seconds in ((door, access.DOOR_S), (visit, access.VISIT_S)):
        assert cookie["path"] == place.path()
        assert cookie["httponly"]
        assert cookie["samesite"].lower() == "lax"
        assert not cookie["secure"]  # plain http to this machine
        assert int(cookie["max-age"]) == seconds
    assert "set-cookie" not in (await client.get(place.path("settings"))).headers


async def test_with_https_cookies_are_secure(tmp_path: Path, cheap_pins: None) -> None:
    async with running(tmp_path, public_url="https://kanhu.example.org") as place:
        place.families.claim(place.home, PIN)
        client = place.phone(headers=EN)
        page = await client.get(place.path())
        ((name, door),) = cookies(page).items()
        assert name == "__Secure-kanhu_family_door"
        assert door["secure"]
        answer = await client.post(
            place.path("enter"), data={"key": key_of(page.text), "pin": PIN},
            headers={"cookie": f"{name}={door.value}", "origin": "https://kanhu.example.org"},
        )  # fmt: skip
        ((name, visit),) = cookies(answer).items()
        assert name == "__Secure-kanhu_family"
        assert visit["secure"]


# Forms


async def test_no_form_of_anybody_elses(place: Place) -> None:
    client = await let_in(place)
    stranger = place.phone(headers=EN)
    foreign = key_of((await stranger.get(place.path())).text)
    epoch = place.families.of(place.home)
    for key in ({}, {"key": ""}, {"key": "0" * 64}, {"key": foreign}, {"key": "密码"}):
        for path in ("settings", "leave"):
            answer = await client.post(place.path(path), data={**key, "do": "others"})
            assert answer.status_code == 403
    assert place.families.of(place.home) == epoch
    assert await is_in(place, client)
    other = await let_in(place)
    theirs = key_of((await other.get(place.path("settings"))).text)
    answer = await client.post(place.path("settings"), data={"key": theirs, "do": "others"})
    assert answer.status_code == 403
    own = key_of((await client.get(place.path("settings"))).text)
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = await client.post(place.path("settings"), data={"key": own, "do": "others"}, headers=headers)
        assert answer.status_code == 403
    assert place.families.of(place.home) == epoch


async def test_a_form_needs_the_browser_that_asked_for_it(place: Place) -> None:
    place.families.claim(place.home, PIN)
    page = await place.phone().get(place.path())
    answer = await place.phone().post(place.path("enter"), data={"key": key_of(page.text), "pin": PIN})
    assert answer.status_code == 403
    found = place.families.of(place.home)
    assert found is not None
    assert found.wrong == 0


async def test_a_door_that_grows_old_stays_the_same_for_its_browser(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = place.phone(headers=EN)
    first = key_of((await client.get(place.path())).text)
    assert "set-cookie" not in (await client.get(place.path())).headers
    now = time.time()
    monkeypatch.setattr("kanhu.web.family.access.time.time", lambda: now + access.DOOR_S / 2 + 1)
    answer = await client.get(place.path())
    assert "set-cookie" in answer.headers
    assert key_of(answer.text) == first
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + 2 * access.DOOR_S)
    assert key_of((await client.get(place.path())).text) != first


async def test_visits_outlive_a_restart_of_the_daemon(tmp_path: Path, cheap_pins: None) -> None:
    async with running(tmp_path, Clock()) as place:
        client = await let_in(place)
        token, cookie = place.token, client.cookies[place.family.access.cookie]
    assert (tmp_path / "family.secret").stat().st_mode & 0o777 == 0o600
    async with running(tmp_path, Clock()) as place:
        again = place.phone(headers={**EN, "cookie": f"{place.family.access.cookie}={cookie}"})
        assert await is_in(place, again, token)


def test_a_key_that_is_none_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "family.secret").write_text("short")
    with pytest.raises(DataError, match="holds no key"):
        kept_secret(tmp_path / "family.secret")
