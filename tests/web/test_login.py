"""Who gets in at the desk, how long, and what a stranger can make of it."""

from __future__ import annotations

import asyncio
import stat
import time
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from itsdangerous import TimestampSigner

from helpers_desk import PASSWORD, Place, log_in_as, running
from kanhu.errors import DataError
from kanhu.registry import Registry, RegistryError
from kanhu.registry import operators as people
from kanhu.web import pages, sessions, throttle
from kanhu.web.sessions import kept_secret
from kanhu.web.throttle import Throttle

PRIVATE = ("/desk/api/state", "/desk/api/events", "/desk/api/homes", "/desk/api/operators", "/desk/api/audit")


async def test_a_password_opens_the_desk_and_logging_out_shuts_it(place: Place) -> None:
    li = await place.operator("li", log_in=False)
    for path in PRIVATE:
        assert (await li.get(path)).status_code == 401
    for path in ("/desk", "/desk/wall"):
        answer = await li.get(path)
        assert (answer.status_code, answer.headers["location"].startswith("/desk/login?next=")) == (303, True)
    answer = await log_in_as(li, "li", "not the password")
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    answer = await log_in_as(li, "li")
    assert (answer.status_code, answer.headers["location"]) == (303, "/desk")
    cookie = SimpleCookie(answer.headers["set-cookie"])["kanhu_desk"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
    assert int(cookie["max-age"]) == 12 * 3600
    assert (await li.get("/desk")).status_code == 200
    assert (await li.post("/desk/logout")).status_code == 303
    assert (await li.get("/desk/api/state")).status_code == 401
    assert [(row["operator"], row["what"]) for row in reversed(place.desk.audit.page())] == [
        ("li", "login_failed"), ("li", "login"), ("li", "logout"),
    ]  # fmt: skip


async def test_a_log_in_ends_with_the_operators_right_to_it(place: Place) -> None:
    first, second = await place.operator("li"), place.client()
    await log_in_as(second, "li")
    place.desk.operators.set_password("li", "another long one")
    for client in (first, second):
        assert (await client.get("/desk/api/state")).status_code == 401
    assert (await log_in_as(first, "li")).status_code == 401
    assert (await log_in_as(first, "li", "another long one")).status_code == 303
    place.desk.operators.disable("li")
    assert (await first.get("/desk/api/state")).status_code == 401
    assert (await log_in_as(first, "li", "another long one")).status_code == 401
    place.desk.operators.enable("li")
    assert (await first.get("/desk/api/state")).status_code == 401  # the old log-in stays over
    assert (await log_in_as(first, "li", "another long one")).status_code == 303
    place.desk.operators.log_out("li")
    assert (await first.get("/desk/api/state")).status_code == 401


async def test_another_process_takes_a_right_away(place: Place, tmp_path: Path) -> None:
    li = await place.operator("li")
    with_cli = people.Operators(place.registry.open(tmp_path))
    with_cli.disable("li")
    assert place.registry.refresh()  # the daemon does it every second
    assert (await li.get("/desk/api/state")).status_code == 401


async def test_only_our_own_cookies_are_believed(place: Place) -> None:
    li = await place.operator("li")
    good = li.cookies["kanhu_desk"]
    forged = sessions.URLSafeTimedSerializer("0" * 64, salt="kanhu.desk.session").dumps(["li", 0, "x"])
    strange = place.desk.sessions._signer.dumps({"li": 0})
    changed = good[:-5] + ("A" if good[-5] != "A" else "B") + good[-4:]
    for value in (changed, forged, strange, "", "a.b.c", "x" * 4000):
        answer = await place.client(cookies={"kanhu_desk": value}).get("/desk/api/state")
        assert answer.status_code == 401
    assert (await place.client(cookies={"kanhu_desk": good}).get("/desk/api/state")).status_code == 200


async def test_a_log_in_is_over_after_its_hours_and_survives_a_restart(
    tmp_path: Path, cheap_passwords: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as place:
        li = await place.operator("li")
        good = li.cookies["kanhu_desk"]
    async with running(tmp_path) as place:
        assert (await place.client(cookies={"kanhu_desk": good}).get("/desk/api/state")).status_code == 200
        now = int(time.time())
        for later, status in ((12 * 3600 - 60, 200), (12 * 3600 + 60, 401)):
            monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _, at=now + later: at)
            answer = await place.client(cookies={"kanhu_desk": good}).get("/desk/api/state")
            assert answer.status_code == status


async def test_another_site_cannot_act_for_an_operator(place: Place) -> None:
    _, hub = place.add_home("cn")
    li = await place.operator("li")
    alarm = await place.call(hub)
    path = f"/desk/api/alarms/{alarm}/accept"
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        for target in (path, "/desk/login", "/desk/logout"):
            assert (await li.post(target, json={}, headers=headers)).status_code == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert (await li.post(path, content=b"{}", headers={"content-type": kind})).status_code == 415
    for body in (b"[]", b"{", b"\xff", b"[" * 60_000):
        answer = await li.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
    assert place.alarms.get(alarm.name) == alarm
    answer = await li.post(path, json={}, headers={"origin": place.url, "sec-fetch-site": "same-origin"})
    assert answer.status_code == 200


async def test_behind_a_proxy_the_public_address_is_the_origin(tmp_path: Path, cheap_passwords: None) -> None:
    settings = {"public_url": "https://desk.example", "proxies": ["127.0.0.1"]}
    async with running(tmp_path, **settings) as place:
        li = await place.operator("li", log_in=False)
        proxied = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.7", "host": "desk.example"}
        form = {"operator": "li", "password": PASSWORD}
        for origin, status in (("https://desk.example", 303), ("http://desk.example", 403), (place.url, 403)):
            answer = await li.post("/desk/login", data=form, headers={**proxied, "origin": origin})
            assert answer.status_code == status
            if status == 303:
                cookie = SimpleCookie(answer.headers["set-cookie"])["__Host-kanhu_desk"]
                assert cookie["secure"]
                assert "strict-transport-security" in answer.headers
        (row,) = place.desk.audit.page()
        assert (row["what"], row["detail"]) == ("login", "192.0.2.7")


async def test_every_answer_is_private_and_says_so(place: Place) -> None:
    li = await place.operator("li")
    for path in (
        "/desk",
        "/desk/login",
        "/desk/wall",
        "/desk/api/state",
        "/desk/none",
        "/desk/static/desk.css",
    ):
        answer = await li.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == ("no-cache" if "static" in path else "no-store")
        assert "server" not in answer.headers
    assert (await li.get("/desk/static/../pages.py")).status_code == 404
    assert (await li.get("/desk/static/%2e%2e/pages.py")).status_code == 404


async def test_the_log_in_leads_to_our_own_pages_only(place: Place) -> None:
    await place.operator("li", log_in=False)
    for path, target in (
        ("/desk/wall", "/desk/wall"), ("//evil.example", "/desk"), ("https://evil.example/desk", "/desk"),
        ("/desk/../x", "/desk"), ("", "/desk"), ("/desk\r\nx: y", "/desk"),
    ):  # fmt: skip
        form = {"operator": "li", "password": PASSWORD, "next": path}
        answer = await place.client().post("/desk/login", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, target)
    page = (await place.client().get('/desk/login?next="><script>&error=<b>')).text
    assert "<script>&" not in page
    assert "<b>" not in page


async def test_guessing_is_slowed_down_and_the_owner_still_gets_in(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(place.desk.throttle, "_clock", lambda: now[0])
    await place.operator("li", log_in=False)
    stranger = place.client()
    for _ in range(throttle.PAIR_FREE):
        assert (await log_in_as(stranger, "li", "a guess, and a wrong one")).status_code == 401
    assert (await log_in_as(stranger, "li")).status_code == 429  # even the right one
    now[0] += throttle.FIRST_S
    assert (await log_in_as(stranger, "li")).status_code == 303
    # Whether there is such an account does not show.
    for _ in range(throttle.PAIR_FREE):
        assert (await log_in_as(stranger, "nobody", "a guess, and a wrong one")).status_code == 401
    assert (await log_in_as(stranger, "nobody")).status_code == 429
    names = {row["operator"] for row in place.desk.audit.page()}
    assert names == {"li", "?"}  # what was typed as a name may have been a password


async def test_log_ins_do_not_pile_up_in_front_of_the_loop(place: Place) -> None:
    await place.operator("li", log_in=False)
    answers = await asyncio.gather(
        *(log_in_as(place.client(), f"nobody{at}", "wrong") for at in range(2 * pages.WAITING))
    )
    assert {answer.status_code for answer in answers} <= {401, 429}
    assert (await log_in_as(place.client(), "li")).status_code == 303


def test_a_failure_is_forgotten_in_time_and_memory_is_bounded() -> None:
    now = [0.0]
    guard = Throttle(lambda: now[0])
    for _ in range(throttle.PAIR_FREE + 30):
        guard.failed("li", "192.0.2.1")
    assert guard.wait_s("li", "192.0.2.1") == throttle.PAIR_MAX_S
    # Somebody else's guesses never keep an operator out for long.
    assert 0 < guard.wait_s("li", "192.0.2.2") <= throttle.ACCOUNT_MAX_S
    assert guard.wait_s("wang", "192.0.2.1") == 0
    now[0] += throttle.FORGET_S + 1
    assert guard.wait_s("li", "192.0.2.1") == 0
    for at in range(throttle.MAX_KEYS):
        guard.failed(f"a{at}", f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}")
    assert len(guard._failed) <= throttle.MAX_KEYS


def test_the_cookies_key_is_made_once_and_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "desk.secret"
    made = kept_secret(path)
    assert kept_secret(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("short\n")
    with pytest.raises(DataError, match="holds no key"):
        kept_secret(path)


async def test_a_password_is_kept_as_a_hash_of_all_of_it(place: Place) -> None:
    operators = place.desk.operators
    long = "七" * 40 + "a"  # 121 bytes, where bcrypt alone sees 72
    operators.add("li", password=long)
    kept = operators.hash_of("li") or ""
    assert long not in kept
    assert people.verify(long, kept)
    assert not people.verify("七" * 40 + "b", kept)
    assert not people.verify("", None)
    for wrong in ("short", "x" * 257, "new\nline and more"):
        with pytest.raises(RegistryError, match="password: must be") as error:
            people.hashed(wrong)
        assert wrong not in str(error.value)


def test_what_an_operator_may_be_is_checked(tmp_path: Path) -> None:
    operators = people.Operators(Registry.open(tmp_path))
    operators.add("op17", "Li", "operator", "cn/42/01", "zh", subject="a")
    for wrong in (
        {"operator_id": "Op"}, {"operator_id": ""}, {"operator_id": "op17"}, {"operator_id": "a" * 33},
        {"operator_id": "home"},
        {"operator_id": "b", "role": "king"}, {"operator_id": "b", "region": "China"},
        {"operator_id": "b", "language": "fr"}, {"operator_id": "b", "subject": "a"},
        {"operator_id": "b", "subject": ""}, {"operator_id": "b", "password": "short"},
    ):  # fmt: skip
        with pytest.raises(RegistryError):
            operators.add(**wrong)
    assert [one.id for one in operators.list()] == ["op17"]
    with pytest.raises(RegistryError, match="kanhu operator list"):
        operators.disable("nobody")
    changed = operators.change("op17", role="supervisor", region="")
    assert (changed.role, changed.region, changed.epoch) == ("supervisor", "", 0)


def test_what_a_desk_changes_of_operators_reads_no_homes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry.open(tmp_path)
    operators, others = people.Operators(registry), people.Operators(registry)
    assert others.list() == []
    reads: list[int] = []  # of the whole registry: half a second of the daemon's loop in a city
    monkeypatch.setattr(registry, "_load", lambda: reads.append(1))
    operators.add("op17", role="viewer", language="zh", subject="a")
    operators.set_language("op17", "en")
    operators.change("op17", role="operator")
    found = others.get("op17")
    assert found is not None
    assert (found.language, found.role) == ("en", "operator")
    assert not reads
    operators.disable("op17")
    assert reads  # the duty lists depend on it
