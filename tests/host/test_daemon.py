"""The daemon without links: silence that a disk or a restart would swallow, receipts, keys."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_intake import HubVoice
from kanhu import config, silence
from kanhu import daemon as module
from kanhu.daemon import Daemon
from kanhu.registry import Registry
from kanhu.status import read_status
from kanhu_protocol import down, seal
from kanhu_protocol import kinds as k

LINK = "serial"
DAY_MS = 86_400_000


class Line:
    """A link that opens what it is given, with the key it was given."""

    name, connected = LINK, True

    def __init__(self) -> None:
        self.said: list[tuple[int, bytes]] = []

    def send_down(self, hub_id: str, data: bytes) -> bool:
        self.said.append((seal.parse(data).generation, data))
        return True

    async def run(self) -> None:
        raise AssertionError("not run here")


class Place:
    """A daemon over a data_dir with one hub."""

    def __init__(self, data_dir: Path) -> None:
        self.daemon = Daemon(
            config.parse(
                {"data_dir": str(data_dir), "hubs": {"serial": ["/dev/null"]}, "metrics": {"enabled": False}},
                "test",
            )
        )
        self.line = Line()
        self.daemon.downlink.attach(self.line)

    async def receive(self, payload: bytes, hub_id: str) -> None:
        await self.daemon.submit(hub_id, payload, LINK)
        await asyncio.sleep(0.05)

    def own(self, kind: int) -> list[Any]:
        events = self.daemon.journal.undelivered()
        return [event for event in events if event.kind == kind]

    def make_old(self, ms: int) -> None:
        """Everything in the journal was received so much earlier."""
        path = self.daemon.journal.path
        with sqlite3.connect(path) as db:
            db.execute("UPDATE events SET received_ms = received_ms - ?", (ms,))
        db.close()

    async def close(self) -> None:
        await self.daemon.journal.close()
        self.daemon.registry.close()


OpenPlace = Callable[[], Awaitable[Place]]


@pytest.fixture
def hub(tmp_path: Path) -> HubVoice:
    registry = Registry.open(tmp_path)
    hub_id, key = registry.add_hub(registry.add_home())
    registry.close()
    return HubVoice(hub_id, key)


@pytest.fixture
async def open_place(tmp_path: Path) -> AsyncIterator[OpenPlace]:
    """open_place() starts a daemon; called again, it ends the old one first."""
    running: list[Place] = []

    async def start() -> Place:
        while running:
            await running.pop().close()
        running.append(Place(tmp_path))
        return running[0]

    yield start
    for place in running:
        await place.close()


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_daemon_that_restarts_often_still_reports_silence(
    open_place: OpenPlace, hub: HubVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await open_place()
    await place.receive(hub.start(1), hub.hub_id)
    place.make_old(DAY_MS)
    monkeypatch.setattr(silence, "GRACE_S", 0.05)
    monkeypatch.setattr(module, "SILENCE_CHECK_S", 0.02)
    place = await open_place()
    watching = asyncio.create_task(place.daemon._watch_silence())
    await wait_for(lambda: len(place.own(k.HUB_SILENT)) == 1)
    watching.cancel()
    (said,) = place.own(k.HUB_SILENT)
    assert said.fields[k.SUBJECT] == hub.hub_id
    assert said.fields[k.SPAN_MS] >= DAY_MS
    place = await open_place()
    assert list(place.daemon.silence.fallen_silent(time.monotonic() + 1000)) == [], "said already"


async def test_silence_the_disk_refused_is_said_later(
    open_place: OpenPlace, hub: HubVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await open_place()
    await place.receive(hub.start(1), hub.hub_id)
    place.daemon.silence.limit_s = 0.0
    monkeypatch.setattr(module, "SILENCE_CHECK_S", 0.02)
    database = place.daemon.journal._writer._db
    database.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    watching = asyncio.create_task(place.daemon._watch_silence())
    await wait_for(lambda: not place.daemon.journal.healthy)
    database.execute("DROP TRIGGER full")
    await wait_for(lambda: len(place.own(k.HUB_SILENT)) == 1)
    watching.cancel()


async def test_a_hub_back_the_disk_refused_is_said_later(open_place: OpenPlace, hub: HubVoice) -> None:
    place = await open_place()
    await place.receive(hub.start(1), hub.hub_id)
    place.daemon.silence.limit_s = 0.0
    assert list(place.daemon.silence.fallen_silent(time.monotonic() + 1))
    database = place.daemon.journal._writer._db
    database.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON events WHEN NEW.sealed IS NULL "
        "BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    await place.receive(hub.say(k.STILL), hub.hub_id)
    assert place.own(k.HUB_BACK) == []
    database.execute("DROP TRIGGER full")
    await place.receive(hub.say(k.STILL), hub.hub_id)
    await wait_for(lambda: len(place.own(k.HUB_BACK)) == 1)


async def test_status_does_not_call_heard_what_was_not(
    open_place: OpenPlace, hub: HubVoice, tmp_path: Path
) -> None:
    place = await open_place()
    await place.receive(hub.start(1), hub.hub_id)
    limit_ms = int(place.daemon.silence.limit_s * 1000)
    for older_ms, state in ((0, "heard"), (limit_ms - 30_000, "heard"), (60_000, "cannot tell")):
        place.make_old(older_ms)
        (one,) = read_status(tmp_path).hubs
        assert one.state == state
    await place.daemon.journal.host_event(k.HUB_SILENT, {k.SUBJECT: hub.hub_id})
    assert read_status(tmp_path).hubs[0].state == "silent"


async def test_status_knows_the_limit_of_the_daemon(
    open_place: OpenPlace, hub: HubVoice, tmp_path: Path
) -> None:
    place = await open_place()
    await place.receive(hub.start(1), hub.hub_id)
    place.make_old(60_000)
    assert read_status(tmp_path).hubs[0].state == "heard"
    place.daemon.journal.note("silence_limit_s", 30)
    await wait_for(lambda: read_status(tmp_path).hubs[0].state == "cannot tell")


async def test_a_known_call_is_answered_with_all_that_is_known(open_place: OpenPlace, hub: HubVoice) -> None:
    place = await open_place()
    await place.receive(hub.start(1), hub.hub_id)
    call = hub.say(k.CALL)
    await place.receive(call, hub.hub_id)
    await place.daemon.journal.mark_delivered(place.daemon.journal.undelivered())
    place.line.said.clear()
    await place.receive(call, hub.hub_id)
    aead = place.daemon.downlink._key_of(hub.hub_id)
    assert aead is not None
    messages = [
        down.decode(seal.parse(raw).open(aead[1], hub.hub_id, seal.DOWN)) for _, raw in place.line.said
    ]
    assert [one[k.TYPE] for one in messages] == [k.STORED, k.DELIVERED]
    assert messages[1][k.SINGLE] == [[1, 1]]


async def test_a_hub_is_answered_with_the_key_it_has(open_place: OpenPlace, hub: HubVoice) -> None:
    place = await open_place()
    assert place.daemon._key_of(hub.hub_id) is not None
    generation, key, _ = place.daemon.registry.new_key(hub.hub_id)  # the hub is not provisioned yet
    newest = place.daemon._key_of(hub.hub_id)
    assert newest is not None
    assert newest[0] == generation == 2, "never heard: the newest"
    await place.receive(hub.start(1), hub.hub_id)
    place = await open_place()  # known from the journal
    await place.receive(hub.say(k.CALL), hub.hub_id)
    await place.daemon.journal.mark_delivered(place.daemon.journal.undelivered())
    assert {said for said, _ in place.line.said} == {1}
    again = HubVoice(hub.hub_id, key, generation)
    again.boot = 2
    await place.receive(again.start(2, (1, 1)), hub.hub_id)
    place.line.said.clear()
    await place.receive(hub.say(k.STILL), hub.hub_id)  # the backlog of the old key
    assert place.line.said
    assert {said for said, _ in place.line.said} == {2}
