"""Receipts and commands down: what leaves, when, on which link, and until when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kanhu import downlink as module
from kanhu.aead import AesCcm
from kanhu.downlink import Command, Downlink
from kanhu_protocol import down, kinds, seal

HUB = "k3v9m2x7qa"
AEAD = AesCcm(b"k" * 16)


class FakeLink:
    def __init__(self, name: str, up: bool = True) -> None:
        self.name, self.up = name, up
        self.opened: list[tuple[tuple[int, int, int], dict[int, Any]]] = []

    connected = True

    def send_down(self, hub_id: str, data: bytes) -> bool:
        if self.up:
            message = seal.parse(data)
            self.opened.append(
                ((message.a, message.b, message.c), down.decode(message.open(AEAD, hub_id, seal.DOWN)))
            )
        return self.up

    async def run(self) -> None:
        raise AssertionError("not run here")


def build(*links: FakeLink, epoch: int = 1000) -> Downlink:
    given = iter(range(epoch, epoch + 100))
    downlink = Downlink(
        lambda hub: (1, AEAD) if hub == HUB else None, lambda least: max(1000, least, next(given))
    )
    for link in links:
        downlink.attach(link)
    return downlink


async def test_single_receipts_leave_at_once_and_bulk_gathers() -> None:
    link = FakeLink("mqtt")
    downlink = build(link)
    downlink.heard(HUB, 7, "mqtt")
    downlink.stored(HUB, [(7, 3)], [])
    downlink.stored(HUB, [(7, 5)], [])
    assert link.opened == []
    await asyncio.sleep(module.GATHER_S * 3)
    downlink.stored(HUB, [], [(7, 9)])
    assert [message for _, message in link.opened] == [
        {kinds.TYPE: kinds.STORED, kinds.UPTO: [[7, 5]]},
        {kinds.TYPE: kinds.STORED, kinds.SINGLE: [[7, 9]]},
    ]


async def test_a_nonce_is_never_used_twice_and_the_epoch_only_rises() -> None:
    link = FakeLink("mqtt")
    downlink = build(link)
    downlink.heard(HUB, 7, "mqtt")
    for seq in range(50):
        downlink.delivered(HUB, [(7, seq)])
    assert not downlink.reported(HUB, 4_000_000_000, 7)
    downlink.delivered(HUB, [(7, 50)])
    assert not downlink.reported(HUB, 3, 9)
    downlink.delivered(HUB, [(7, 51)])
    nonces = [nonce for nonce, _ in link.opened]
    assert len(set(nonces)) == len(nonces) == 52
    assert nonces == sorted(nonces)
    assert nonces[-1][1] == 4_000_000_001


async def test_the_link_last_heard_is_used_and_another_when_it_is_down() -> None:
    mqtt, serial = FakeLink("mqtt"), FakeLink("serial")
    downlink = build(mqtt, serial)
    downlink.heard(HUB, 1, "mqtt")
    downlink.heard(HUB, 1, "serial")
    downlink.delivered(HUB, [(1, 1)])
    serial.up = False
    downlink.delivered(HUB, [(1, 2)])
    mqtt.up = False
    downlink.delivered(HUB, [(1, 3)])
    assert (len(serial.opened), len(mqtt.opened), downlink.unsent) == (1, 1, 1)


async def test_the_longest_receipts_fit_a_sealed_message() -> None:
    link = FakeLink("mqtt")
    downlink = build(link, epoch=2**31)
    downlink.heard(HUB, 2**32 - 1, "mqtt")
    upto = [(2**32 - 1 - n, 2**32 - 1) for n in range(25)]
    downlink.stored(HUB, upto, [(boot, 2**32 - 1) for boot, _ in upto])
    got_upto = [pair for _, message in link.opened for pair in message.get(kinds.UPTO, [])]
    got_single = [row[0] for _, message in link.opened for row in message.get(kinds.SINGLE, [])]
    assert sorted(map(tuple, got_upto)) == sorted(upto)
    assert sorted(got_single) == sorted(boot for boot, _ in upto)


async def test_a_command_is_said_again_until_confirmed_and_after_a_boot(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "COMMAND_FIRST_S", 0.05)
    link = FakeLink("mqtt")
    downlink = build(link)
    downlink.heard(HUB, 1, "mqtt")
    task = asyncio.create_task(downlink.run())
    accepted = {kinds.ALARM_NAME: [1, 4], kinds.ALARM_STATE: kinds.ACCEPTED}
    closed = {kinds.ALARM_NAME: [1, 4], kinds.ALARM_STATE: kinds.CLOSED}
    downlink.command(HUB, Command(1, kinds.ALARM_IS, accepted, delay=0.05))
    await asyncio.sleep(0.2)
    assert len(link.opened) >= 2
    downlink.command(HUB, Command(2, kinds.ALARM_IS, closed, delay=0.05))
    await asyncio.sleep(0.02)
    said = len(link.opened)
    assert link.opened[-1][1][kinds.NUMBER] == 2
    await asyncio.sleep(0.2)
    assert {message[kinds.NUMBER] for _, message in link.opened[said:]} == {2}, "2 replaces 1"
    downlink.confirm(HUB, 2)
    said = len(link.opened)
    await asyncio.sleep(0.15)
    assert len(link.opened) == said
    downlink.command(HUB, Command(3, kinds.PING, {}, delay=60))
    await asyncio.sleep(0.02)
    downlink.heard(HUB, 2, "mqtt")
    downlink.booted(HUB)
    await asyncio.sleep(0.02)
    assert [nonce[0] for nonce, message in link.opened if message.get(kinds.NUMBER) == 3] == [1, 2]
    task.cancel()


async def test_nothing_is_sealed_for_an_unknown_hub_or_before_its_boot_is_known() -> None:
    link = FakeLink("mqtt")
    downlink = build(link)
    downlink.delivered(HUB, [(1, 1)])
    downlink.heard("zzzzzzzzzz", 1, "mqtt")
    downlink.delivered("zzzzzzzzzz", [(1, 1)])
    assert link.opened == []
    assert downlink.unsent == 2


class Wall:
    """The monotonic clock of the module, set by a test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_790_000_000.0 + self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(module, "time", wall)
    return wall


async def test_a_hub_heard_on_two_links_is_answered_on_one(wall: Wall) -> None:
    mqtt, serial = FakeLink("mqtt"), FakeLink("serial")
    downlink = build(mqtt, serial)
    for seq in range(20):  # a P1 event travels on every link
        for name in ("mqtt", "serial"):
            downlink.heard(HUB, 1, name)
            downlink.stored(HUB, [], [(1, seq)])
            wall.now += 0.05
    assert (len(mqtt.opened), len(serial.opened)) == (40, 0)
    wall.now += module.LINK_STICKS_S
    downlink.heard(HUB, 1, "serial")
    downlink.stored(HUB, [], [(1, 20)])
    assert (len(mqtt.opened), len(serial.opened)) == (40, 1), "the hub is on the other one now"
    serial.up = False
    downlink.stored(HUB, [], [(1, 21)])
    serial.up = True
    downlink.stored(HUB, [], [(1, 22)])
    assert (len(mqtt.opened), len(serial.opened)) == (41, 2)


async def test_a_hub_that_is_away_does_not_find_a_command_a_thousand_times(wall: Wall) -> None:
    link = FakeLink("mqtt")
    downlink = build(link)
    downlink.heard(HUB, 1, "mqtt")
    task = asyncio.create_task(downlink.run())

    async def pass_time(seconds: int) -> None:
        for _ in range(seconds // 10):
            wall.now += 10
            downlink._wake.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    downlink.command(HUB, Command(1, kinds.DEVICES, {kinds.VERSION_OF: 1, kinds.TABLE: []}))
    await pass_time(86_400)
    said = len(link.opened)
    assert 1 < said <= 7, "the first minute, and then nothing more"
    downlink.heard(HUB, 1, "mqtt")
    await asyncio.sleep(0.01)
    assert len(link.opened) == said + 1, "back, and told at once"
    await pass_time(600)
    assert len(link.opened) == said + 1
    downlink.heard(HUB, 2, "mqtt")
    downlink.booted(HUB)
    await asyncio.sleep(0.01)
    assert link.opened[-1][0][0] == 2
    task.cancel()


async def test_a_command_no_link_has_taken_is_not_counted_as_said(wall: Wall) -> None:
    link = FakeLink("mqtt", up=False)
    downlink = build(link)
    downlink.heard(HUB, 1, "mqtt")
    task = asyncio.create_task(downlink.run())
    downlink.command(HUB, Command(1, kinds.PING, {}))
    for _ in range(100):
        wall.now += 60
        downlink._wake.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    link.up = True
    wall.now += 60
    downlink._wake.set()
    await asyncio.sleep(0.01)
    assert len(link.opened) == 1
    task.cancel()
