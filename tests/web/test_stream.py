"""The live state, and clients that are slow, hostile or many."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
import ssl
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from helpers_desk import PASSWORD, Place, act, events_of, log_in_as, running, state_of
from helpers_tls import Papers
from kanhu import config
from kanhu.care.condition import Condition
from kanhu.errors import ConfigError
from kanhu.web import board, guard, server, stream, tallies
from kanhu.web.server import Server
from kanhu_protocol import kinds as k

REGION = "cn/42/01/06"


async def within(reader: Any, seconds: float = 5.0) -> Any:
    """The next event of a stream."""
    return await asyncio.wait_for(anext(reader), seconds)


async def end_of(reader: Any) -> None:
    """All that is left of a stream, which ends."""
    async with asyncio.timeout(5):
        async for _ in reader:
            pass


async def test_the_state_comes_at_once_and_on_each_change(place: Place) -> None:
    _, hub = place.add_home(f"{REGION}/03")
    li = await place.operator("li", REGION)
    async with li.stream("GET", "/desk/api/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        reader = events_of(answer)
        event, state = await within(reader)
        assert (event, state["alarms"], state["me"]["id"]) == ("state", [], "li")
        alarm = await place.call(hub)
        while not state["alarms"]:
            event, state = await within(reader)
        assert state["alarms"][0]["name"] == str(alarm)
        await act(li, alarm, "accept")
        while state["alarms"][0]["state"] != "accepted":
            event, state = await within(reader)
        assert state["alarms"][0]["mine"]


async def test_many_changes_are_five_states_a_second_at_most_and_the_last_is_true(place: Place) -> None:
    li = await place.operator("li")
    hubs = [place.add_home("cn")[1] for _ in range(3)]
    async with li.stream("GET", "/desk/api/events") as answer:
        reader = events_of(answer)
        await within(reader)
        began, count, state = time.monotonic(), 0, {"alarms": []}
        raising = asyncio.gather(*(place.call(hub) for hub in hubs for _ in range(30)))
        while len(state["alarms"]) < 90:
            _, state = await within(reader)
            count += 1
        await raising
        assert count <= 2 + (time.monotonic() - began) / 0.2


async def test_a_quiet_stream_pings_with_the_servers_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PING_S", 0.2)
    li = await place.operator("li")
    async with li.stream("GET", "/desk/api/events") as answer:
        reader = events_of(answer)
        while (await within(reader))[0] != "ping":
            pass
        assert await within(reader) == ("ping", {"now_ms": place.clock()})


async def test_a_stream_ends_with_the_log_in_and_with_the_daemon(
    tmp_path: Path, cheap_passwords: None
) -> None:
    async with running(tmp_path) as place:
        li, wang = await place.operator("li"), await place.operator("wang")
        async with li.stream("GET", "/desk/api/events") as one, wang.stream("GET", "/desk/api/events") as two:
            first, second = events_of(one), events_of(two)
            await within(first)
            await within(second)
            place.desk.operators.disable("li")
            place.desk.board.changed()
            await end_of(first)
            began = time.monotonic()
            place.desk.streams.close()
            await end_of(second)
            assert time.monotonic() - began < 1
            assert (await wang.get("/desk/api/events")).status_code == 429
    assert place.desk.streams.open == 0


async def test_a_region_that_changes_changes_what_an_open_stream_says(place: Place) -> None:
    _, hub = place.add_home(f"{REGION}/03")
    li = await place.operator("li", REGION)
    await place.call(hub)
    async with li.stream("GET", "/desk/api/events") as answer:
        reader = events_of(answer)
        state: Any = {"alarms": []}
        while not state["alarms"]:
            _, state = await within(reader)
        place.desk.operators.change("li", region="cn/43")
        place.desk.board.changed()
        while state["alarms"]:
            _, state = await within(reader)
        assert state["me"]["region"] == "cn/43"


async def test_one_operator_opens_so_many_windows_and_no_more(place: Place) -> None:
    li = await place.operator("li")
    wang = await place.operator("wang")
    readers = []
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(stream.MAX_OF_ONE):
            answer = await stack.enter_async_context(li.stream("GET", "/desk/api/events"))
            assert answer.status_code == 200
            readers.append(events_of(answer))
            await within(readers[-1])
        assert (await li.get("/desk/api/events")).status_code == 429
        async with wang.stream("GET", "/desk/api/events") as answer:
            assert answer.status_code == 200
    async with asyncio.timeout(5):
        while place.desk.streams.open:
            await asyncio.sleep(0.05)


# Slow and hostile


async def raw(place: Place, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    writer.write(data)
    return reader, writer


async def ended(reader: asyncio.StreamReader, seconds: float = 5.0) -> bytes:
    """All that comes until the server hangs up."""
    try:
        return await asyncio.wait_for(reader.read(), seconds)
    except ConnectionError:
        return b""


async def test_half_a_request_is_not_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_LIMIT_S", 0.5)
    monkeypatch.setattr(guard, "BODY_LIMIT_S", 0.5)
    head = b"GET /desk/login HTTP/1.1\r\nhost: x\r\n"
    for data in (b"", head):
        reader, writer = await raw(place, data)
        assert await ended(reader) == b""
        writer.close()
    reader, writer = await raw(place, head + b"\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await asyncio.sleep(0.2)
    writer.write(head)  # slow at the second request of a connection
    await ended(reader)
    writer.close()
    reader, writer = await raw(
        place, b"POST /desk/login HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\noperator"
    )
    assert (await ended(reader)).startswith(b"HTTP/1.1 408")
    writer.close()


async def test_what_is_too_large_is_refused_before_it_is_held(place: Place) -> None:
    client = place.client()
    with contextlib.suppress(httpx2.NetworkError):  # it may hang up before all of it was sent
        assert (await client.post("/desk/login", content=b"x" * (guard.MAX_BODY + 1))).status_code == 413

    async def endless() -> Any:
        for _ in range(200):
            yield b"x" * 1024

    with contextlib.suppress(httpx2.NetworkError):
        answer = await client.post("/desk/login", content=endless())
        assert answer.status_code == 413
    for length in ("-1", "x", "9" * 30):
        reader, writer = await raw(
            place, f"POST /desk/login HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n".encode()
        )
        assert (await ended(reader))[9:12] in (b"400", b"413")
        writer.close()
    reader, writer = await raw(place, b"GET /desk HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 70_000)
    assert (await ended(reader))[9:12] in (b"400", b"431")
    writer.close()
    reader, writer = await raw(place, bytes(range(256)) * 40)
    assert (await ended(reader))[9:12] in (b"400", b"")
    writer.close()


async def test_idle_connections_make_room_for_an_operator(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 20)
    li = await place.operator("li")
    async with li.stream("GET", "/desk/api/events") as answer:
        reader = events_of(answer)
        await within(reader)
        idle = [await raw(place, b"GET /desk HTTP/1.1\r\n") for _ in range(60)]
        assert (await (await place.operator("wang")).get("/desk")).status_code == 200
        place.desk.board.changed()
        await within(reader)  # who is being answered stays
        for _, writer in idle:
            writer.close()


async def test_who_does_not_read_is_let_go_and_delays_nobody(
    tmp_path: Path, cheap_passwords: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STALLED_LIMIT_S", 1.0)
    monkeypatch.setattr(server, "SEND_BUFFER", 16_384)
    async with running(tmp_path) as place:
        li, wang = await place.operator("li"), await place.operator("wang")
        hub = place.add_home("cn")[1]
        for _ in range(60):
            await place.call(hub, k.FALL)
        cookie = f"kanhu_desk={li.cookies['kanhu_desk']}"
        request = f"GET /desk/api/events HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\n\r\n".encode()
        deaf = []
        for _ in range(stream.MAX_OF_ONE):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", place.port))
            one.sendall(request)
            deaf.append(one)
        async with wang.stream("GET", "/desk/api/events") as answer:
            heard = events_of(answer)
            await within(heard)
            async with asyncio.timeout(30):
                while place.desk.streams.open != 1 + len(deaf):
                    await asyncio.sleep(0.05)
                while place.desk.streams.open != 1:
                    place.desk.board.changed()
                    await within(heard)
        for one in deaf:
            one.close()


async def test_a_taken_port_is_said_at_once(place: Place, tmp_path: Path) -> None:
    async def nothing(*_: object) -> None:
        raise AssertionError

    with pytest.raises(ConfigError, match=r"web\.port .*choose another port"):
        Server(nothing, "127.0.0.1", place.port)
    with pytest.raises(ConfigError, match=r"web\.tls"):
        Server(nothing, "127.0.0.1", 0, tls=(str(tmp_path / "no.crt"), str(tmp_path / "no.key")))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"web": {"host": "0.0.0.0"}}, "in the clear"),
        ({"web": {"public_url": "http://desk.example"}}, "https://host"),
        ({"web": {"public_url": "https://desk.example/?x=1"}}, "https://host"),
        ({"desk": {"time_zone": "Mars/Base"}}, "no time zone"),
        ({"web": {"proxies": ["everybody"]}}, "proxies"),
        ({"desk": {"oidc": {"issuer": "https://id.example", "client_id": "desk"}}}, "public_url"),
        (
            {
                "web": {"public_url": "https://d.example"},
                "desk": {"oidc": {"issuer": "http://id.example", "client_id": "d"}},
            },
            "https",
        ),
        ({"desk": {"session_hours": 0}}, "session_hours"),
        ({"desk": {"port": 1}}, "is now web.port"),
    ],
)
def test_a_setting_that_cannot_be_right_is_refused(settings: dict[str, Any], why: str) -> None:
    settings["desk"] = {"enabled": True, **settings.get("desk", {})}
    with pytest.raises(ConfigError, match=why):
        config.parse({"data_dir": "/x", **settings}, "test")


async def test_a_quiet_desk_still_says_what_time_it_is(place: Place) -> None:
    hub = place.add_home("cn")[1]
    li = await place.operator("li")
    await place.call(hub)
    first = await state_of(li)
    place.clock.now_ms += 3_600_000
    await asyncio.sleep(0.6)
    later = await state_of(li)
    assert later["now_ms"] - first["now_ms"] == 3_600_000
    assert later["alarms"][0]["age_s"] - first["alarms"][0]["age_s"] == 3600


async def test_over_tls_cookies_are_secure_and_plain_text_gets_nothing(
    tmp_path: Path, cheap_passwords: None
) -> None:
    papers = Papers(tmp_path / "pki")
    tls = {"cert_file": str(papers.cert_file), "key_file": str(papers.key_file)}
    async with running(tmp_path / "data", host="127.0.0.1", tls=tls) as place:
        place.desk.operators.add("li", password=PASSWORD)
        trust = ssl.create_default_context(cafile=str(papers.ca_file))
        url = f"https://127.0.0.1:{place.port}"
        async with httpx2.AsyncClient(base_url=url, verify=trust) as client:
            answer = await log_in_as(client, "li")
            assert answer.status_code == 303
            said = answer.headers["set-cookie"]
            assert said.startswith("__Host-kanhu_desk=")
            assert "secure" in said.lower()
            assert answer.headers["strict-transport-security"]
            answer = await client.get("/desk/api/state", headers={"cookie": said.partition(";")[0]})
            assert answer.status_code == 200
        reader, writer = await raw(place, b"GET /desk HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200" not in await ended(reader)
        writer.close()


async def test_homes_do_not_stay_well_when_the_journal_cannot_be_read(
    tmp_path: Path, cheap_passwords: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "COUNT_EVERY_S", 0.05)
    async with running(tmp_path) as place:
        home, _ = place.add_home("cn/42")
        place.conditions[home] = Condition("well", (), 0)
        li = await place.operator("li")

        async def until(state: str) -> None:
            async with asyncio.timeout(10):
                while (await state_of(li))["homes"][state] != 1:
                    await asyncio.sleep(0.05)

        await until("well")

        def unreadable(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(tallies, "count", unreadable)
        del place.conditions[home]
        await until("cannot_tell")
