"""Looking for what is missing costs only where something is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from helpers_intake import Host, HubVoice
from kanhu import orders
from kanhu.aead import AesCcm
from kanhu.downlink import Downlink
from kanhu.journal import books
from kanhu.journal.books import Hub
from kanhu.orders import Orders
from kanhu_protocol import kinds as k


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows with each boot that is examined."""
    seen: list[object] = []
    settled_upto = books.settled_upto

    def counted(held: Any, lost: Any) -> int:
        seen.append(held)
        return settled_upto(held, lost)

    monkeypatch.setattr(books, "settled_upto", counted)
    return seen


def test_settled_boots_are_not_looked_at_again(looked_at: list[object]) -> None:
    hub = Hub()
    for boot in range(1, 101):
        for seq in range(10):
            hub.store(boot, seq)
    assert list(hub.missing()) == []
    assert looked_at == [], "in order from the start: there never was a gap"
    hub.store(50, 12)
    hub.announce(60, 12)
    hub.lose(70, 12, 13)
    expected = [(50, 10, 11), (60, 10, 11), (70, 10, 11)]
    assert list(hub.missing()) == list(hub.missing()) == expected
    assert len(looked_at) == 6
    hub.store(50, 11)
    hub.store(50, 10)
    hub.lose(60, 10, 11)
    hub.store(70, 10)
    assert list(hub.missing()) == [(70, 11, 11)]
    looked_at.clear()
    assert list(hub.missing()) == [(70, 11, 11)]
    assert len(looked_at) == 1


class Tables:
    def refresh(self) -> bool:
        return False

    def knows(self, hub_id: str) -> bool:
        return True

    def zone_s(self, hub_id: str) -> int | None:
        return None

    def device_table(self, hub_id: str) -> tuple[int, list[list[Any]]]:
        return 0, []


async def test_the_loop_turns_while_hubs_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "HUBS_AT_ONCE", 10)
    hub = HubVoice()
    host = Host(tmp_path, hub)
    downlink = Downlink(lambda _: (1, AesCcm(hub.key)), host.journal.next_epoch)
    giver = Orders(host.journal, host.commands, host.alarms, Tables(), downlink, host.intake.identities)
    names = [f"{number:010d}" for number in range(100)]
    for name in names:
        host.journal.hub(name).store(1, 0)
    host.journal.hub(names[-1]).store(1, 5)
    turns = longest = 0
    missing = host.journal.missing

    def counted(name: str, limit: int = 32) -> list[tuple[int, int, int]]:
        nonlocal longest, turns
        turns += 1
        longest = max(longest, turns)
        return missing(name, limit)

    monkeypatch.setattr(host.journal, "missing", counted)
    task = asyncio.create_task(giver.watch_gaps(0.02))
    async with asyncio.timeout(5):
        while not host.commands.waiting(names[-1]):
            turns = 0
            await asyncio.sleep(0)
    (asked,) = host.commands.waiting(names[-1])
    assert asked.type == k.REQUEST_MISSING
    assert asked.fields[k.RANGES] == [[1, 1, 4]]
    assert longest <= 10
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await host.journal.close()
