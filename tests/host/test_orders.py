"""What the host says to hubs of its own accord: answers, receipts that were lost, the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_intake import HUB, Clock, Host, HubVoice, NoTables, restarting
from kanhu import orders as module
from kanhu.aead import AesCcm
from kanhu.care.rules.values import Words
from kanhu.downlink import Downlink
from kanhu.journal import Event
from kanhu.orders import Orders
from kanhu_protocol import down, seal
from kanhu_protocol import kinds as k

LINK = "mqtt"
NAME = (HUB, 1, 1)
BIND_KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")


class OneTable:
    """A registry with one sensor that encrypts."""

    def __init__(self) -> None:
        self.version = 3

    def refresh(self) -> bool:
        return False

    def knows(self, hub_id: str) -> bool:
        return True

    def zone_s(self, hub_id: str) -> int | None:
        return None

    def device_table(self, hub_id: str) -> tuple[int, list[list[Any]]]:
        return self.version, [[4, 1, bytes(6), 0, BIND_KEY]]


class Line:
    """A link that opens what it is given."""

    name, connected = LINK, True

    def __init__(self, hub: HubVoice) -> None:
        self.said: list[dict[int, Any]] = []
        self._aead = AesCcm(hub.key)

    def send_down(self, hub_id: str, data: bytes) -> bool:
        self.said.append(down.decode(seal.parse(data).open(self._aead, hub_id, seal.DOWN)))
        return True

    async def run(self) -> None:
        raise AssertionError("not run here")


class Place:
    """A host with its orders and a way down to one hub."""

    def __init__(self, data_dir: Path, hub: HubVoice, clock: Clock, tables: NoTables | OneTable) -> None:
        self.host = Host(data_dir, hub, clock=clock)
        self.line = Line(hub)
        self.downlink = Downlink(lambda _: (1, AesCcm(hub.key)), self.host.journal.next_epoch)
        self.downlink.attach(self.line)
        self.downlink.heard(HUB, 1, LINK)
        self.orders = Orders(
            self.host.journal,
            self.host.commands,
            self.host.alarms,
            tables,
            self.downlink,
            self.host.intake.identities,
        )
        self.host.journal.on_stored.append(self._stored)
        self._sending = asyncio.create_task(self.downlink.run())

    def _stored(self, events: list[Event]) -> None:
        for event in events:
            if event.sealed is not None:
                self.downlink.heard(event.hub, self.host.intake.identities.boot(event.hub), event.link)
                self.orders.stored(event)

    async def close(self) -> None:
        self._sending.cancel()
        await self.host.journal.close()

    async def said(self, kind: int) -> list[dict[int, Any]]:
        """Take what was said down of one type."""
        async with asyncio.timeout(20):
            while self.orders._tasks or any(
                command.sent is None
                for hub in self.downlink._hubs.values()
                for command in hub.commands.values()
            ):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        found = [message for message in self.line.said if message[k.TYPE] == kind]
        self.line.said.clear()
        return found

    async def states(self) -> list[int]:
        return [message[k.ALARM_STATE] for message in await self.said(k.ALARM_IS)]


OpenPlace = Callable[..., Awaitable[Place]]


@pytest.fixture
def hub() -> HubVoice:
    return HubVoice()


@pytest.fixture
async def open_place(tmp_path: Path, hub: HubVoice) -> AsyncIterator[OpenPlace]:
    """open_place() starts a host; called again, it ends the old one first."""
    clock = Clock()

    async def start(tables: NoTables | OneTable | None = None) -> Place:
        return Place(tmp_path, hub, clock, tables or NoTables())

    async with restarting(start, Place.close) as opening:
        yield opening


async def call(place: Place, hub: HubVoice) -> None:
    await place.host.intake.receive(HUB, hub.start(1), LINK)
    await place.host.intake.receive(HUB, hub.say(k.CALL, {k.DEVICE: 3}), LINK)


async def unanswered(place: Place, hub: HubVoice, attempt: int) -> None:
    fields = {k.ALARM: [1, 1], k.ATTEMPT: attempt}
    await place.host.intake.receive(HUB, hub.say(k.CALL_UNANSWERED, fields), LINK)


async def confirm(place: Place, hub: HubVoice) -> None:
    for one in place.host.commands.waiting(HUB):
        await place.host.intake.receive(HUB, hub.say(k.COMMAND_DONE, {k.COMMAND: one.number}), LINK)


async def test_an_answer_leaves_at_once(open_place: OpenPlace, hub: HubVoice) -> None:
    place = await open_place()
    await call(place, hub)
    assert await place.states() == []
    await place.host.alarms.accept(NAME, "op-7")
    assert await place.states() == [k.ACCEPTED]
    await place.host.alarms.close(NAME, "op-7", "helped")
    assert await place.states() == [k.CLOSED]
    await place.host.intake.receive(HUB, hub.say(k.CALL, {k.ALARM: [1, 1]}), LINK)
    assert await place.states() == [k.OPEN]


async def test_the_daemon_dies_after_the_answer(open_place: OpenPlace, hub: HubVoice) -> None:
    place = await open_place()
    await call(place, hub)
    place.host.commands.on_kept.clear()  # killed between the commit and the sending
    await place.host.alarms.accept(NAME, "op-7")
    assert await place.states() == []
    place = await open_place()
    assert await place.states() == [k.ACCEPTED]


async def test_a_closing_that_a_hub_could_not_save_is_said_again_when_it_has_restarted(
    open_place: OpenPlace, hub: HubVoice
) -> None:
    place = await open_place()
    await call(place, hub)
    await place.host.alarms.accept(NAME, "op-7")
    await confirm(place, hub)
    await place.host.alarms.close(NAME, "op-7", "helped")
    (closing,) = place.host.commands.waiting(HUB)
    refusal = hub.say(k.COMMAND_REFUSED, {k.COMMAND: closing.number, k.DETAIL: 3})
    await place.host.intake.receive(HUB, refusal, LINK)
    await place.states()
    for boot in (2, 3):  # its flash still has the alarm as accepted
        await place.host.intake.receive(HUB, hub.start(boot), LINK)
        assert await place.states() == ([k.CLOSED] if boot == 2 else [])
        await confirm(place, hub)


async def test_an_accepted_alarm_is_said_again_after_a_start(open_place: OpenPlace, hub: HubVoice) -> None:
    place = await open_place()
    await call(place, hub)
    await place.host.alarms.accept(NAME, "op-7")
    await confirm(place, hub)
    place = await open_place()
    assert await place.states() == [k.ACCEPTED]


@pytest.mark.parametrize("closed", [False, True])
async def test_a_hub_that_does_not_know_the_answer_is_told_again(
    open_place: OpenPlace, hub: HubVoice, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    place = await open_place()
    await call(place, hub)
    await place.host.alarms.accept(NAME, "op-7")
    if closed:
        await place.host.alarms.close(NAME, "op-7", "helped")
    await unanswered(place, hub, 1)
    await place.said(k.ALARM_IS)
    assert len(place.host.commands.waiting(HUB)) == 1, "what waits is not ordered twice"
    await confirm(place, hub)
    monkeypatch.setattr(module, "TELL_AGAIN_S", 0.0)
    await unanswered(place, hub, 2)
    assert await place.states() == [k.CLOSED if closed else k.ACCEPTED]
    await confirm(place, hub)
    monkeypatch.setattr(module, "TELL_AGAIN_S", 10.0)
    await unanswered(place, hub, 3)
    assert await place.states() == [], "not twice within ten seconds"


async def test_a_hub_that_restarts_while_the_elder_is_asked_asks_for_the_rest(
    open_place: OpenPlace, hub: HubVoice
) -> None:
    place = await open_place()
    await place.host.intake.receive(HUB, hub.start(1), LINK)
    words = Words("no movement", "无活动")
    name = await place.host.alarms.ask(HUB, k.INACTIVITY, "inactivity/1", words, 60_000)
    (asked,) = await place.said(k.ASK)
    assert (asked[k.ALARM_NAME], asked[k.ASK_MS], asked[k.ASK_KIND]) == ([*name[1:]], 60_000, k.INACTIVITY)
    await confirm(place, hub)
    await place.host.journal.mark_delivered(place.host.journal.undelivered())
    place.host.clock.now_ms += 45_000
    await place.host.intake.receive(HUB, hub.start(2), LINK)
    await asyncio.sleep(0.2)
    said = [(message[k.TYPE], message.get(k.ASK_MS)) for message in place.line.said]
    assert (k.ASK, 15_000) in said
    assert k.DELIVERED not in [kind for kind, _ in said]  # the alarm's first event is none of the hub's
    place = await open_place()  # not confirmed: said again, and not twice
    await asyncio.sleep(0.1)
    assert len(place.host.commands.waiting(HUB)) == 1
    await place.host.alarms.raise_asked(name)
    assert await place.states() == [k.OPEN]
    assert [one.type for one in place.host.commands.waiting(HUB)] == [k.ALARM_IS]
    await confirm(place, hub)
    await place.host.intake.receive(HUB, hub.start(3), LINK)
    assert await place.states() == [k.OPEN]


async def test_nobody_is_asked_for_no_time(open_place: OpenPlace, hub: HubVoice) -> None:
    place = await open_place()
    await place.host.intake.receive(HUB, hub.start(1), LINK)
    await place.host.alarms.ask(HUB, k.INACTIVITY, "inactivity/1", Words("a", "b"), 60_000)
    await confirm(place, hub)
    await place.said(k.ASK)
    place.host.clock.now_ms += 59_500
    await place.host.intake.receive(HUB, hub.start(2), LINK)
    assert await place.said(k.ASK) == []


async def test_a_lost_delivered_is_said_again(open_place: OpenPlace, hub: HubVoice) -> None:
    place = await open_place()
    await call(place, hub)
    await unanswered(place, hub, 1)
    assert await place.said(k.DELIVERED) == []
    await place.host.journal.mark_delivered(place.host.journal.undelivered())
    delivered = [{k.TYPE: k.DELIVERED, k.SINGLE: [[1, 1]]}]
    await unanswered(place, hub, 2)
    assert await place.said(k.DELIVERED) == delivered
    await place.host.intake.receive(HUB, hub.start(2), LINK)
    assert await place.said(k.DELIVERED) == delivered
    assert place.host.alarms.live()[0].state == k.OPEN


async def test_the_time_is_said_once_and_not_kept(open_place: OpenPlace, hub: HubVoice) -> None:
    place = await open_place()
    await place.host.intake.receive(HUB, hub.start(1), LINK)
    await place.host.intake.receive(HUB, hub.say(k.STILL), LINK)
    assert len(await place.said(k.TIME)) == 1
    assert place.host.commands.waiting(HUB) == []


async def test_a_device_table_goes_down_with_its_keys_and_not_into_the_journal(
    open_place: OpenPlace, hub: HubVoice, tmp_path: Path
) -> None:
    tables = OneTable()
    place = await open_place(tables)
    await place.host.intake.receive(HUB, hub.start(1), LINK)
    (said,) = await place.said(k.DEVICES)
    assert (said[k.VERSION_OF], said[k.TABLE]) == (3, [[4, 1, bytes(6), 0, BIND_KEY]])
    tables.version = 4  # changed while the daemon was away: what is said again is the table of now
    place = await open_place(tables)
    await place.host.intake.receive(HUB, hub.say(k.MOTION, {k.DEVICE: 2}), LINK)
    await asyncio.sleep(0.2)
    said = (await place.said(k.DEVICES))[0]
    assert (said[k.VERSION_OF], said[k.TABLE]) == (4, [[4, 1, bytes(6), 0, BIND_KEY]])
    for path in tmp_path.iterdir():
        assert BIND_KEY not in path.read_bytes(), path.name


async def test_an_asking_confirmed_before_a_restart_is_said_again_after_it(
    open_place: OpenPlace, hub: HubVoice
) -> None:
    """A hub says its boot before all it has kept, so the confirmation of its last boot comes second."""
    place = await open_place()
    await place.host.intake.receive(HUB, hub.start(1), LINK)
    await place.host.alarms.ask(HUB, k.INACTIVITY, "inactivity/1", Words("a", "b"), 60_000)
    (asked,) = await place.said(k.ASK)
    done = hub.say(k.COMMAND_DONE, {k.COMMAND: asked[k.NUMBER]})
    boot = hub.start(2)
    await place.host.intake.receive(HUB, boot + done, LINK)
    assert (await place.said(k.ASK))[-1][k.NUMBER] > asked[k.NUMBER]
    assert place.host.commands.waiting(HUB)


async def test_a_fall_that_a_restarted_hub_has_forgotten_can_still_be_cancelled(
    open_place: OpenPlace, hub: HubVoice
) -> None:
    place = await open_place()
    fall = hub.say(k.PRE_ALARM, {k.DEVICE: 5, k.SPAN_MS: 20_000, k.DETAIL: k.FALL})
    await place.host.intake.receive(HUB, fall, LINK)
    assert not await place.said(k.ASK)  # it asks by itself
    await place.host.intake.receive(HUB, hub.start(2), LINK)
    (asked,) = await place.said(k.ASK)
    assert (asked[k.ALARM_NAME], asked[k.ASK_KIND]) == ([1, 0], k.FALL)
    assert 1000 <= asked[k.ASK_MS] <= 20_000


async def test_an_alarm_that_is_over_is_not_said_as_it_was(open_place: OpenPlace, hub: HubVoice) -> None:
    place = await open_place()
    alarms = place.host.alarms
    name = await alarms.raise_(HUB, k.INACTIVITY, "inactivity/1", Words("a", "b"))
    open_ = alarms.get(name)
    await alarms.accept(name, "op-1")
    await alarms.close(name, "op-1", "visited")
    assert open_ is not None
    await alarms.tell(open_)
    assert {one.fields[k.ALARM_STATE] for one in place.host.commands.waiting(HUB)} == {k.CLOSED}
