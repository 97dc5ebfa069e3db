"""Faults as work: deadlines, owners, ends, over restarts and disks that fail."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers_intake import HUB, OTHER, Clock, Host, HubVoice
from kanhu import config, ledger
from kanhu.care.fault_tasks import DEADLINE_H, HOUR_MS, KINDS, FaultError
from kanhu.care.faults import AT_ONCE, REOPEN_MS, Faults
from kanhu.errors import ConfigError
from kanhu.journal import Event, JournalUnavailable
from kanhu_protocol import kinds as k
from kanhu_protocol import names

REGION = "cn/42/01"


class Work:
    """A host with its faults; two hubs of one street."""

    def __init__(self, folder: Path, clock: Clock, hubs: Sequence[HubVoice], **settings: Any) -> None:
        self.host = Host(folder, *hubs, clock=clock)
        self.hub, self.other = hubs[:2]
        self.clock = clock
        self.duty: list[str] = []
        self.faults = Faults(self.host.journal, lambda hub: REGION, lambda *_: self.duty, **settings)
        self.host.intake.notes.append(self.faults.note)
        self.changes: list[Any] = []
        self.faults.on_change.append(self.changes.append)

    async def say(self, kind: int, fields: dict[int, Any] | None = None, hub: HubVoice | None = None) -> None:
        voice = hub or self.hub
        receipts = await self.host.intake.receive(voice.hub_id, voice.say(kind, fields), "mqtt")
        assert receipts

    def own(self, kind: int) -> list[dict[int, Any]]:
        return [event.fields for event in self.host.own(kind)]

    def rows(self) -> list[Any]:
        with closing(sqlite3.connect(self.host.journal.path)) as db:
            return db.execute("SELECT hub, device, kind, owner, overdue_ms, closed_ms FROM faults").fetchall()


Start = Callable[..., Awaitable[Work]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """start() begins, or stops and begins again."""
    clock, hubs = Clock(), (HubVoice(), HubVoice(OTHER, bytes(range(16, 32))))
    running: list[Work] = []

    async def begin(**settings: Any) -> Work:
        while running:
            await running.pop().host.journal.close()
        running.append(Work(tmp_path, clock, hubs, **settings))
        return running[0]

    yield begin
    for work in running:
        await work.host.journal.close()


def test_every_fault_with_an_end_is_work() -> None:
    ends = {one for one in names.RESTORAL if one != k.INCIDENT_OPENED}
    assert ends | {k.SENSOR_DOUBTED} == KINDS == set(DEADLINE_H)
    for kind in KINDS:
        config.parse({"data_dir": "x", "care": {"deadlines": {names.KINDS[kind]: 5}}}, "test")
    with pytest.raises(ConfigError, match=r"has no deadline; write one of battery\.low"):
        config.parse({"data_dir": "x", "care": {"deadlines": {"incident.opened": 5}}}, "test")
    with pytest.raises(ConfigError, match="hours above 0"):
        config.parse({"data_dir": "x", "care": {"deadlines": {"tamper": 0}}}, "test")


async def test_a_fault_opens_once_and_ends_with_its_restoral(start: Start) -> None:
    work = await start()
    now = work.clock.now_ms
    await work.say(k.BATTERY_LOW, {k.DEVICE: 3, k.BATTERY: 9})
    await work.say(k.BATTERY_LOW, {k.DEVICE: 3, k.BATTERY: 8})
    await work.say(k.BATTERY_LOW, {k.DEVICE: 4, k.BATTERY: 9})
    await work.say(k.EVENTS_LOST, {k.LOST: [[1, 0, 0]], k.DETAIL: 1})  # a record, nobody's work
    first, second = work.faults.open()
    assert first.key == (HUB, 3, k.BATTERY_LOW)
    assert first.due_ms == now + 168 * HOUR_MS
    assert (second.device, second.region) == (4, REGION)
    assert work.faults.counts() == work.faults.counts("cn/42") == (2, 0, 2)
    assert work.faults.counts("cn/4") == (0, 0, 0)
    await work.say(k.BATTERY_OK, {k.DEVICE: 3, k.BATTERY: 90})
    assert work.faults.open() == [second]
    assert work.faults.counts(REGION).open == 1
    mended = work.faults.get(first.id)
    assert mended is not None
    assert (mended.closed_ms, mended.closed_by) == (now, None)
    assert not work.own(k.FAULT_ASSIGNED), "nobody is on duty"
    assert not work.own(k.FAULT_CLOSED), "its restoral says it"
    assert [change.id for change in work.changes] == [first.id, second.id, first.id]


async def test_what_a_daemon_says_of_a_hub_is_that_hubs_fault(start: Start) -> None:
    work = await start()
    journal = work.host.journal
    await journal.host_event(k.HUB_SILENT, {k.SUBJECT: OTHER, k.SPAN_MS: 9})
    await journal.host_event(k.IDENTITY_FAULT, {k.SUBJECT: OTHER, k.DETAIL: 1, k.DEVICE: 4})
    assert {task.key for task in work.faults.open(OTHER)} == {
        (OTHER, 0, k.IDENTITY_FAULT),
        (OTHER, 0, k.HUB_SILENT),
    }
    await journal.host_event(k.IDENTITY_OK, {k.SUBJECT: OTHER})
    await journal.host_event(k.HUB_BACK, {k.SUBJECT: OTHER})
    assert work.faults.open() == []
    assert work.faults.open(HUB) == []


async def test_two_links_of_a_hub_are_two_faults(start: Start) -> None:
    work = await start()
    await work.say(k.LINK_LOST, {k.DETAIL: 1})
    await work.say(k.LINK_LOST, {k.DETAIL: 2})
    await work.say(k.LINK_BACK, {k.DETAIL: 2, k.SPAN_MS: 7})
    (task,) = work.faults.open(HUB)
    assert task.device == -1
    assert k.DEVICE not in task.fields()


async def test_whoever_is_on_duty_owns_it_and_the_platform_hears(start: Start) -> None:
    work = await start(deadlines_h={k.MAINS_LOST: 2})
    work.duty.append("op-street")
    await work.say(k.MAINS_LOST, {k.POWER: [False, None]})
    (task,) = work.faults.open()
    assert task.owner == "op-street"
    (said,) = work.own(k.FAULT_ASSIGNED)
    assert said[k.SUBJECT] == HUB
    assert said[k.DETAIL] == k.MAINS_LOST
    assert said[k.OPERATOR] == "op-street"
    assert said[k.DUE_MS] == task.due_ms == work.clock.now_ms + 2 * HOUR_MS
    await work.say(k.MAINS_BACK)
    assert [one[k.SUBJECT] for one in work.own(k.FAULT_CLOSED)] == [HUB]


async def test_past_its_deadline_it_is_said_once(start: Start) -> None:
    work = await start()
    await work.say(k.TAMPER, {k.DEVICE: 2})
    (task,) = work.faults.open()
    work.clock.now_ms = task.due_ms - 1
    await work.faults.tick()
    assert not work.own(k.FAULT_OVERDUE)
    work.clock.now_ms = task.due_ms
    for _ in range(3):
        await work.faults.tick()
    (said,) = work.own(k.FAULT_OVERDUE)
    assert (said[k.SUBJECT], said[k.DEVICE], said[k.DUE_MS]) == (HUB, 2, task.due_ms)
    assert work.faults.counts(REGION) == (1, 1, 1)
    work = await start()
    await work.faults.tick()
    assert not work.own(k.FAULT_OVERDUE), "it was said before the restart"
    assert work.faults.counts() == (1, 1, 1)
    assert work.faults.open()[0].overdue_ms == task.due_ms
    later = await work.faults.assign(task.id, "op-a", work.clock.now_ms + 1000, "op-b")
    assert work.faults.counts() == (1, 0, 1)
    assert later.overdue_ms is None
    (said,) = work.own(k.FAULT_ASSIGNED)
    assert (said[k.OPERATOR], said[k.REASON]) == ("op-a", "op-b")
    work.clock.now_ms += 1000
    await work.faults.tick()
    assert len(work.own(k.FAULT_OVERDUE)) == 1


async def test_a_person_ends_what_does_not_end_itself(start: Start) -> None:
    work = await start()
    await work.say(k.SENSOR_DOUBTED, {k.DEVICE: 5, k.DETAIL: 4})
    (task,) = work.faults.open()
    with pytest.raises(FaultError, match="reason must be 1 to"):
        await work.faults.close(task.id, "op-a", "")
    with pytest.raises(FaultError, match="no fault 77 is known"):
        await work.faults.close(77, "op-a", "replaced")
    both = await asyncio.gather(
        work.faults.close(task.id, "op-a", "replaced"),
        work.faults.close(task.id, "op-b", "mine"),
        return_exceptions=True,
    )
    assert [type(one).__name__ for one in both] == ["FaultTask", "FaultError"]
    assert work.faults.open() == []
    (said,) = work.own(k.FAULT_CLOSED)
    assert (said[k.OPERATOR], said[k.REASON]) == ("op-a", "replaced")
    with pytest.raises(FaultError, match="over already: replaced"):
        await work.faults.assign(task.id, "op-a", None, "op-a")
    with pytest.raises(FaultError, match="owner must be"):
        await work.faults.assign(task.id, "\n", None, "op-a")


async def test_a_fault_that_flaps_is_one_piece_of_work(start: Start) -> None:
    work = await start()
    for _ in range(30):
        await work.say(k.MAINS_LOST, {k.POWER: [False, None]})
        work.clock.now_ms += 60_000
        await work.say(k.MAINS_BACK)
        work.clock.now_ms += 60_000
        await work.faults.tick()
    assert len(work.rows()) == 1
    work = await start()  # also over a restart
    await work.say(k.MAINS_LOST, {k.POWER: [False, None]})
    assert len(work.rows()) == 1
    assert work.faults.open()[0].id == 1
    await work.say(k.MAINS_BACK)
    work.clock.now_ms += REOPEN_MS
    await work.faults.tick()
    await work.say(k.MAINS_LOST, {k.POWER: [False, None]})
    assert [row[5] is None for row in work.rows()] == [False, True]


async def test_everything_survives_a_restart(start: Start) -> None:
    work = await start()
    work.duty.append("op-a")
    await work.say(k.MAINS_LOST, {k.POWER: [False, None]})
    await work.say(k.TAMPER, {k.DEVICE: 1}, work.other)
    before = [(task.id, task.key, task.owner, task.due_ms) for task in work.faults.open()]
    work = await start()
    assert [(task.id, task.key, task.owner, task.due_ms) for task in work.faults.open()] == before
    await work.say(k.TAMPER_RESTORED, {k.DEVICE: 1}, work.other)
    assert len(work.faults.open()) == 1
    await work.say(k.LINE_FAULT, {k.DEVICE: 1, k.DETAIL: 1})
    assert work.faults.open(HUB)[-1].id == 3


@pytest.mark.parametrize("restart", [False, True])
async def test_what_was_held_up_on_its_way_changes_nothing(start: Start, restart: bool) -> None:
    """A hub says again what was not stored: a fault may come after its own restoral, a restoral after the
    next fault."""
    work = await start()
    lost, back = work.hub.say(k.MAINS_LOST, {k.POWER: [False, None]}), work.hub.say(k.MAINS_BACK)
    again, end = work.hub.say(k.MAINS_LOST, {k.POWER: [False, None]}), work.hub.say(k.MAINS_BACK)
    await work.host.intake.receive(HUB, back, "mqtt")
    if restart:
        work = await start()
    await work.host.intake.receive(HUB, lost, "mqtt")
    assert work.faults.open() == [], "it ended before it came"
    await work.host.intake.receive(HUB, end, "mqtt")
    if restart:
        work = await start()
    await work.host.intake.receive(HUB, again, "mqtt")
    assert work.faults.open() == []
    tamper, restored = work.hub.say(k.TAMPER, {k.DEVICE: 1}), work.hub.say(k.TAMPER_RESTORED, {k.DEVICE: 1})
    second = work.hub.say(k.TAMPER, {k.DEVICE: 1})
    await work.host.intake.receive(HUB, tamper, "mqtt")
    await work.host.intake.receive(HUB, second, "mqtt")
    if restart:
        work = await start()
    await work.host.intake.receive(HUB, restored, "mqtt")
    assert len(work.faults.open()) == 1, "it has begun again since"


async def test_a_disk_that_fails_leaves_memory_as_the_disk_is(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = await start()
    writer: Any = work.host.journal._writer
    real = writer._commit
    lost = work.hub.say(k.MAINS_LOST, {k.POWER: [False, None]})
    monkeypatch.setattr(writer, "_commit", lambda jobs: sqlite3.OperationalError("disk I/O error"))
    assert not await work.host.intake.receive(HUB, lost, "mqtt")
    assert work.faults.open() == []
    assert work.faults.counts() == (0, 0, 0)
    monkeypatch.setattr(writer, "_commit", real)
    assert await work.host.intake.receive(HUB, lost, "mqtt")
    (task,) = work.faults.open()
    monkeypatch.setattr(writer, "_commit", lambda jobs: sqlite3.OperationalError("disk I/O error"))
    with pytest.raises(JournalUnavailable):
        await work.faults.close(task.id, "op-a", "x")
    work.clock.now_ms = task.due_ms
    with pytest.raises(JournalUnavailable):
        await work.faults.tick()
    assert work.faults.open() == [task]
    monkeypatch.setattr(writer, "_commit", real)
    await work.faults.tick()
    assert len(work.own(k.FAULT_OVERDUE)) == 1
    assert ledger.balanced(ledger.recompute(work.host.journal.path)[work.host.journal.daemon_id])


async def test_many_deadlines_at_once_fall_due_in_portions(start: Start) -> None:
    work = await start(incident_hubs=1000)
    for device in range(1, AT_ONCE + 21):
        await work.say(k.TAMPER, {k.DEVICE: device})
    work.clock.now_ms += 24 * HOUR_MS
    await work.faults.tick()
    assert len(work.own(k.FAULT_OVERDUE)) == AT_ONCE
    await work.faults.tick()
    assert len(work.own(k.FAULT_OVERDUE)) == AT_ONCE + 20
    assert len(work.faults.open(limit=5)) == 5


async def test_a_hub_that_is_forgotten_leaves_nothing_in_memory(start: Start) -> None:
    work = await start()
    await work.say(k.TAMPER, {k.DEVICE: 1})
    await work.say(k.TAMPER, {k.DEVICE: 1}, work.other)
    work.faults.forget(HUB)
    assert [task.hub for task in work.faults.open()] == [OTHER]
    assert work.faults.counts() == (1, 0, 1)


async def test_a_defect_costs_no_event(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    work = await start()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(work.faults, "_is_late", broken)
    stored: list[Event] = []
    work.host.journal.on_stored.append(stored.extend)
    await work.say(k.TAMPER, {k.DEVICE: 1})
    assert [event.kind for event in stored] == [k.TAMPER]
