"""The daily proof of the path, as the host keeps it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from helpers_intake import HUB, NOW_MS, Clock, Host, HubVoice
from kanhu.care.faults import Faults
from kanhu.care.proofs import LIMIT_MS, LOOK_AGAIN_MS, NO_PROOF, Proof, Proofs
from kanhu_protocol import kinds as k

SHANGHAI = ZoneInfo("Asia/Shanghai")


class Street:
    def __init__(self, folder: Path, clock: Clock, hub: HubVoice) -> None:
        self.clock, self.hub = clock, hub
        self.host = Host(folder, hub, clock=clock)
        self.heard = True
        self.proofs = Proofs(self.host.journal, lambda hub: self.heard)
        self.faults = Faults(self.host.journal, lambda hub: None)
        self.host.intake.notes += [self.proofs.note, self.faults.note]

    async def say(self, kind: int, fields: dict[int, Any] | None = None) -> None:
        assert await self.host.intake.receive(HUB, self.hub.say(kind, fields), "mqtt")

    async def pass_ms(self, ms: int) -> None:
        self.clock.now_ms += ms
        await self.proofs.tick()

    def open(self) -> list[int]:
        return [task.kind for task in self.faults.open(HUB)]


Start = Callable[[], Awaitable[Street]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    clock, hub, running = Clock(), HubVoice(), []

    async def begin() -> Street:
        while running:
            await running.pop().host.journal.close()
        running.append(Street(tmp_path, clock, hub))
        return running[0]

    yield begin
    for street in running:
        await street.host.journal.close()


def test_words() -> None:
    proof = Proof(NOW_MS, 812, 0)
    assert proof.words(NOW_MS + 1000, SHANGHAI).en == "proven 22:13, 0.8 s"
    assert proof.words(NOW_MS + 1000, SHANGHAI).zh == "已验证 22:13，0.8 秒"
    assert proof.words(NOW_MS + 86_400_000, SHANGHAI).en == "proven 2026-09-21 22:13, 0.8 s"
    assert proof._replace(fault=2).words(NOW_MS, SHANGHAI).en == "failed; last proven 22:13"
    assert Proof(0, 0, 3).words(NOW_MS).en == "not proven yet"


async def test_the_newest_proof_stands(start: Start) -> None:
    street = await start()
    assert street.proofs.proof(HUB) is None
    await street.say(k.TEST_CALL, {k.FLAGS: k.TEST})
    assert street.proofs.proof(HUB) == (0, 0, 0)
    await street.say(k.PATH_PROVEN, {k.SPAN_MS: 812})
    assert street.proofs.proof(HUB) == (NOW_MS, 812, 0)
    await street.pass_ms(1000)
    await street.say(k.PATH_FAULT, {k.DETAIL: 2})
    assert street.proofs.proof(HUB) == (NOW_MS, 812, 2)
    assert street.open() == [k.PATH_FAULT]
    street = await start()
    assert street.proofs.proof(HUB) == (NOW_MS, 812, 2)
    await street.say(k.PATH_PROVEN, {k.SPAN_MS: 700})
    await street.say(k.PATH_OK)
    assert street.proofs.proof(HUB) == (NOW_MS + 1000, 700, 0)
    assert street.open() == []


async def test_no_proof_for_26_hours_is_a_fault_until_the_next(start: Start) -> None:
    street = await start()
    await street.say(k.PATH_PROVEN, {k.SPAN_MS: 812})
    await street.pass_ms(LIMIT_MS - 1)
    assert street.open() == []
    await street.pass_ms(1)
    await street.pass_ms(LOOK_AGAIN_MS)
    (said,) = street.host.own(k.PATH_FAULT)
    assert (said.fields[k.SUBJECT], said.fields[k.DETAIL]) == (HUB, NO_PROOF)
    assert street.open() == [k.PATH_FAULT]
    street = await start()
    await street.pass_ms(LIMIT_MS)
    assert street.host.own(k.PATH_FAULT) == [], "it was said before the restart"
    await street.say(k.PATH_PROVEN, {k.SPAN_MS: 700})
    assert len(street.host.own(k.PATH_OK)) == 1
    assert street.open() == []
    await street.pass_ms(LIMIT_MS)
    assert len(street.host.own(k.PATH_FAULT)) == 1, "and once more, for the next"


async def test_nothing_is_asked_of_a_hub_that_never_made_a_test_call(start: Start) -> None:
    street = await start()
    await street.say(k.MOTION, {k.DEVICE: 2})
    await street.pass_ms(10 * LIMIT_MS)
    assert street.host.own(k.PATH_FAULT) == []


async def test_one_that_made_one_and_never_proved_it_is_a_fault(start: Start) -> None:
    street = await start()
    await street.say(k.TEST_CALL, {k.FLAGS: k.TEST})
    await street.pass_ms(LIMIT_MS - 1000)
    assert street.open() == []
    await street.pass_ms(1000)
    assert street.open() == [k.PATH_FAULT]


async def test_a_silent_hub_is_silent_and_no_more(start: Start) -> None:
    street = await start()
    await street.say(k.PATH_PROVEN, {k.SPAN_MS: 812})
    street.heard = False
    await street.pass_ms(2 * LIMIT_MS)
    assert street.open() == []
    street.heard = True
    await street.pass_ms(LOOK_AGAIN_MS)
    assert street.open() == [k.PATH_FAULT]


async def test_a_proof_that_comes_late_does_not_stand_for_today(start: Start) -> None:
    """An outage's backlog: it was proven when it was, not when it arrived."""
    street = await start()
    proven = {k.SPAN_MS: 900, k.UTC_MS: NOW_MS - 3 * LIMIT_MS, k.CLOCK: 1}
    await street.say(k.PATH_PROVEN, proven)
    assert street.proofs.proof(HUB) == (NOW_MS - 3 * LIMIT_MS, 900, 0)
    await street.say(k.PATH_PROVEN, {k.SPAN_MS: 800, k.UTC_MS: NOW_MS, k.CLOCK: 1})
    await street.say(k.PATH_PROVEN, {k.SPAN_MS: 700, k.UTC_MS: NOW_MS - LIMIT_MS, k.CLOCK: 1})
    assert street.proofs.proof(HUB) == (NOW_MS, 800, 0)


async def test_a_forgotten_hub_is_not_missed(start: Start) -> None:
    street = await start()
    await street.say(k.PATH_PROVEN, {k.SPAN_MS: 812})
    street.proofs.forget(HUB)
    await street.pass_ms(2 * LIMIT_MS)
    assert street.host.own(k.PATH_FAULT) == []
