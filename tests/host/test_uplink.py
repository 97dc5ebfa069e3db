"""The daemon's side towards the platform on a real broker, while disk, queue and events misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from helpers_broker import NatsBroker
from helpers_intake import HUB, Host, HubVoice
from helpers_mqtt import Observer, observing, until
from kanhu.config import Broker, Platform
from kanhu.journal import Event
from kanhu.journal.writer import Job
from kanhu.uplink import city as subject
from kanhu.uplink.city import City
from kanhu.uplink.mqtt import COMMANDS, SOON_S, Uplink
from kanhu_protocol import kinds as k

ALARM = f"{HUB}/1-1"
ACCEPT = {"command": "accept", "alarm": ALARM, "operator": "op-7", "id": "a"}
CLOSE = {"command": "close", "alarm": ALARM, "operator": "op-7", "reason": "fell, helped up", "id": "c"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[NatsBroker]:
    with NatsBroker(tmp_path / "broker", mqtt_extra='ack_wait: "1s"') as running:
        yield running


class NoHomes:
    def home_of(self, hub_id: str) -> None:
        return None


class NoHubs:
    async def order(self, hub_id: str, kind: int, fields: dict[int, Any]) -> asyncio.Future[None]:
        raise AssertionError("no hub is here")


class Side(Host):
    """A host with its uplink; the disk can be made to fail or to hang."""

    def __init__(self, data_dir: Path, port: int, hub: HubVoice, **settings: Any) -> None:
        super().__init__(data_dir, hub)
        self.city = City(self.journal, self.alarms, NoHomes(), NoHubs())
        self.uplink = self.city.uplink = Uplink(
            Broker(port=port),
            Platform(**{"retry_s": 0.3, **settings}),
            self.journal.daemon_id,
            self.journal.undelivered,
            self.city.render,
            self.city.delivered,
            self.city.command,
        )
        self.journal.on_stored.append(self.uplink.offer)
        self.disk: Callable[[], Exception | None] = lambda: None
        commit = self.journal._writer._commit

        def through_disk(jobs: list[Job]) -> Exception | None:
            return self.disk() or commit(jobs)

        self.journal._writer._commit = through_disk  # type: ignore[method-assign]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Side]:
        task = asyncio.create_task(self.uplink.run())
        try:
            await until(lambda: self.uplink.connected and self.uplink._bulk.client.connected)
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.journal.close()

    async def hears(self, hub: HubVoice, *kinds: int) -> None:
        for kind in kinds:
            await self.intake.receive(HUB, hub.say(kind, {k.DEVICE: 3}), "mqtt")


def full() -> Exception:
    return sqlite3.OperationalError("database or disk is full")


def ids(city: Observer, topic: str) -> list[str]:
    return [json.loads(payload)["id"] for payload in city.on(topic)]


def replies(city: Observer) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in city.on("/replies")]


def acknowledge(*names: str) -> bytes:
    events = [{"source": f"/kanhu/hubs/{HUB}", "id": name} for name in names]
    return json.dumps({"command": "acknowledge", "id": "k", "events": events}).encode()


@contextlib.asynccontextmanager
async def place(
    tmp_path: Path, broker: NatsBroker, **settings: Any
) -> AsyncIterator[tuple[Side, HubVoice, Observer]]:
    hub = HubVoice()
    side = Side(tmp_path / "data", broker.port, hub, **settings)
    async with observing(broker.port, "kanhu/1/events/#", "kanhu/1/replies") as city, side.running():
        await side.intake.receive(HUB, hub.start(1), "mqtt")
        yield side, hub, city


# The disk


@pytest.mark.parametrize("kind", [k.MOTION, k.CALL])
async def test_an_acknowledgement_the_disk_refuses_is_answered_so_and_the_event_comes_again(
    tmp_path: Path, broker: NatsBroker, kind: int
) -> None:
    async with place(tmp_path, broker, retry_s=0.5) as (side, hub, city):
        await side.hears(hub, kind)
        topic = f"/p{k.class_of(kind)}"
        await until(lambda: "1-1" in ids(city, topic))
        side.disk = full
        await city.client.publish(COMMANDS, acknowledge("1-0", "1-1"))
        await until(lambda: len(replies(city)) == 1)
        assert replies(city)[0]["ok"] is False
        assert "full" in replies(city)[0]["error"]
        side.disk = lambda: None
        before = len(ids(city, topic))
        await until(lambda: "1-1" in ids(city, topic)[before:], 5)
        await city.client.publish(COMMANDS, acknowledge("1-0", "1-1"))
        await until(lambda: len(replies(city)) == 2)
        assert replies(city)[1] == {"id": "k", "ok": True}
        assert side.uplink.awaiting == 0
        assert side.journal.ledger().queued == 0


async def test_an_acknowledgement_is_answered_when_it_is_on_disk(tmp_path: Path, broker: NatsBroker) -> None:
    async with place(tmp_path, broker) as (side, _, city):
        go = threading.Event()
        side.disk = lambda: None if go.wait(10) else full()
        await city.client.publish(COMMANDS, acknowledge("1-0"))
        await asyncio.sleep(0.3)
        assert replies(city) == []
        go.set()
        await until(lambda: replies(city) == [{"id": "k", "ok": True}])


async def test_under_another_source_it_is_not_acknowledged(tmp_path: Path, broker: NatsBroker) -> None:
    async with place(tmp_path, broker) as (side, _, city):
        await until(lambda: side.uplink.awaiting == 1)
        wrong = acknowledge("1-0").replace(b"/kanhu/hubs/", b"/kanhu/daemons/")
        await city.client.publish(COMMANDS, wrong)
        await until(lambda: len(replies(city)) == 1)
        assert side.uplink.awaiting == 1


async def test_a_command_is_delivered_again_after_a_kill_before_the_commit(
    tmp_path: Path, broker: NatsBroker
) -> None:
    """Sent by somebody who keeps nothing: only the broker has it."""
    hub = HubVoice()
    side = Side(tmp_path / "data", broker.port, hub)
    go = threading.Event()
    async with observing(broker.port, "kanhu/1/replies") as operator:
        async with side.running():
            await side.intake.receive(HUB, hub.start(1), "mqtt")
            await side.hears(hub, k.CALL)
            side.disk = lambda: full() if go.wait(10) else None
            await operator.client.publish(COMMANDS, json.dumps(ACCEPT).encode())
            await until(lambda: side.city.commands["accept"] > 0)
            connection = side.uplink._urgent.client._connection
            assert connection is not None
            connection.abort("killed")
            go.set()  # and nothing of it gets on disk
        after = Side(tmp_path / "data", broker.port, hub)
        alarm = after.alarms.get((HUB, 1, 1))
        assert alarm is not None
        assert alarm.state == k.OPEN
        async with after.running():
            await until(lambda: after.alarms.live()[0].state == k.ACCEPTED)
            assert after.alarms.live()[0].accepted_by == "op-7"


async def test_the_broker_may_forget_a_command_when_it_is_on_disk(tmp_path: Path, broker: NatsBroker) -> None:
    async with place(tmp_path, broker) as (side, hub, _):
        await side.hears(hub, k.CALL)
        go = threading.Event()
        side.disk = lambda: None if go.wait(10) else full()
        acks: list[str] = []

        def say(what: Any) -> None:
            name = what.get("command", "?")
            side.uplink._message(COMMANDS, json.dumps(what).encode(), lambda: acks.append(name))

        say(ACCEPT)
        say({"command": "sing"})
        say({"command": "ping", "hub": "k3v9m2x7qa"})
        await asyncio.sleep(0.2)
        assert acks == ["sing", "ping"]
        go.set()
        await until(lambda: acks == ["sing", "ping", "accept"])
        assert side.alarms.live()[0].state == k.ACCEPTED


async def test_a_command_delivered_twice_changes_nothing_more(tmp_path: Path, broker: NatsBroker) -> None:
    async with place(tmp_path, broker) as (side, hub, city):
        await side.hears(hub, k.CALL)
        for command in (ACCEPT, CLOSE):
            await city.client.publish(COMMANDS, json.dumps(command).encode())
            await city.client.publish(COMMANDS, json.dumps(command).encode())
            await until(
                lambda command=command: [one["id"] for one in replies(city)].count(command["id"]) == 2
            )
        assert all(one["ok"] for one in replies(city))
        assert len(side.own(k.ALARM_ACCEPTED)) == len(side.own(k.ALARM_CLOSED)) == 1


# Much at once


async def test_missing_is_published_in_pages_and_to_a_limit(
    tmp_path: Path, broker: NatsBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "MISSING_MAX", 250)
    async with place(tmp_path, broker) as (side, hub, city):
        await side.intake.receive(HUB, b"".join(hub.say(k.MOTION, {k.DEVICE: 3}) for _ in range(400)), "mqtt")
        await side.journal.mark_delivered(side.journal.held(HUB, 1, 0, 400))
        for key in [(HUB, 1, seq) for seq in range(401)]:
            side.uplink.acknowledged(key)
        await asyncio.sleep(0.3)
        city.messages.clear()
        pages: list[int] = []
        held = side.journal.held

        def counted(*arguments: Any) -> list[Event]:
            page = held(*arguments)
            pages.append(len(page))
            return page

        monkeypatch.setattr(side.journal, "held", counted)
        ask = {"command": "missing", "id": "m", "hub": HUB, "ranges": [[1, 0, 2**32 - 1]]}
        await city.client.publish(COMMANDS, json.dumps(ask).encode())
        await until(lambda: len(replies(city)) == 1)
        (answer,) = replies(city)
        assert answer["ok"] is False
        assert "[1, 200, 4294967295]" in answer["error"], "where to go on"
        assert max(pages) == 200
        ask["ranges"] = [[1, 200, 300], [1, 301, 349]]
        await city.client.publish(COMMANDS, json.dumps(ask).encode())
        await until(lambda: len(replies(city)) == 2)
        assert replies(city)[1]["ok"] is True
        await until(lambda: len(city.on("/p5")) + len(city.on("/p4")) >= 350)
        seqs = [int(name.split("-")[1]) for name in ids(city, "/p5") + ids(city, "/p4")]
        assert sorted(seqs) == list(range(350))


def presses(count: int) -> list[Event]:
    return [
        Event(HUB, 1, n, 1, k.CALL, b"", b"", {k.KIND: k.CALL, k.UP_MS: n}, 1, "mqtt", n=n + 1)
        for n in range(count)
    ]


def by_hand(
    port: int, events: list[Event], render: Callable[[Event], bytes] = lambda event: b"%d" % event.seq
) -> Uplink:
    """An uplink over a list of events, and commands that nobody gives."""

    def source(after: int, limit: int, classes: Sequence[int]) -> list[Event]:
        return [one for one in events[after:] if one.cls in classes][:limit]

    return Uplink(Broker(port=port), Platform(), "d0d0d0d0d0", source, render, lambda _: None, lambda _: ())


async def test_a_press_is_taken_while_thousands_catch_up(broker: NatsBroker) -> None:
    backlog = presses(3000)
    uplink = by_hand(broker.port, backlog)
    client = uplink._urgent.client
    client._window, client._max_queued = 100, 300
    fresh = Event(HUB, 2, 5, 1, k.CALL, b"", b"", {k.KIND: k.CALL, k.UP_MS: 1}, 1, "mqtt", n=9999)
    async with observing(broker.port, "kanhu/1/events/#") as city:
        task = asyncio.create_task(uplink.run())
        await until(lambda: uplink.published > 200)
        assert uplink.published < 3000, "it takes turns"
        uplink.offer([fresh])
        await until(lambda: len(city.messages) >= 3001)
        assert client.counters.dropped == 0
        # Again on the next connection, this time out of the window.
        city.messages.clear()
        assert client._connection is not None
        client._connection.abort("cut")
        await until(lambda: len(city.messages) >= 3001)
        assert client.counters.dropped == 0
        first = [int(payload) for _, payload in city.messages]
        assert first[:3] == [5, 2999, 2998], "the newest call first"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_the_queue_does_not_take_comes_soon(broker: NatsBroker) -> None:
    uplink = by_hand(broker.port, [])
    async with observing(broker.port, "kanhu/1/events/#") as city:
        task = asyncio.create_task(uplink.run())
        await until(lambda: uplink.connected)
        connection = uplink._urgent.client._connection
        assert connection is not None
        limits = connection._window, connection._max_queued
        connection._window = connection._max_queued = 0
        await asyncio.sleep(SOON_S - time.monotonic() % SOON_S)  # all in one moment
        uplink.offer(presses(5))
        await asyncio.sleep(0.1)
        connection._window, connection._max_queued = limits
        await until(lambda: len(city.messages) == 5, 3)
        assert [payload for _, payload in city.messages] == [b"4", b"3", b"2", b"1", b"0"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# Events that fail


async def test_an_event_that_cannot_be_rendered_stops_no_other(tmp_path: Path, broker: NatsBroker) -> None:
    async with place(tmp_path, broker, window=2) as (side, hub, city):
        await until(lambda: len(ids(city, "/p5")) + len(ids(city, "/p4")) > 0)
        await city.client.publish(COMMANDS, acknowledge("1-0"))
        await until(lambda: side.uplink.awaiting == 0)
        render, broken = side.uplink._render, {(HUB, 1, seq) for seq in (1, 2, 3, 5)}

        def sometimes(event: Event) -> bytes:
            if event.identity in broken:
                raise RuntimeError("registry is busy")
            return render(event)

        side.uplink._render = sometimes
        with capture_logs() as logs:
            said = [k.MOTION] * 4 + [k.CALL] * 2
            batch = b"".join(hub.say(kind, {k.DEVICE: 3}) for kind in said)
            await side.intake.receive(HUB, batch, "mqtt")  # offered at once
            await until(lambda: {"1-4"} <= set(ids(city, "/p5") + ids(city, "/p4")))
            await until(lambda: ids(city, "/p1")[:1] == ["1-6"])
            await until(lambda: side.uplink.unrendered > 10)  # and tried again
        complaints = [one for one in logs if "cannot be published" in one["event"]]
        assert sorted(one["seq"] for one in complaints) == [1, 2, 3, 5]
        broken.clear()
        everything = {f"1-{seq}" for seq in range(1, 7)}
        await until(lambda: everything <= set(ids(city, "/p5") + ids(city, "/p4") + ids(city, "/p1")))


async def test_a_journal_that_cannot_be_read_is_read_again(
    broker: NatsBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kanhu.uplink.mqtt.READ_AGAIN_S", 0.05)
    events = [*presses(1), Event(HUB, 1, 1, 5, k.MOTION, b"", b"", {}, 1, "mqtt", n=2)]
    uplink = by_hand(broker.port, events)
    source, fails = uplink._source, [True] * 4

    def sometimes(after: int, limit: int, classes: Sequence[int]) -> list[Event]:
        if fails:
            fails.pop()
            raise sqlite3.OperationalError("disk I/O error")
        return source(after, limit, classes)

    uplink._source = sometimes
    async with observing(broker.port, "kanhu/1/events/#") as city:
        task = asyncio.create_task(uplink.run())
        await until(lambda: len(city.messages) >= 2)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
