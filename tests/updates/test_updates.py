"""A rollout in a daemon: real journal, sealed messages, hubs that do what the contract says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from helpers_intake import NOW_MS
from helpers_updates import KEY, Lab, Taker, write_release
from kanhu import ledger
from kanhu.install import signing
from kanhu.journal.retention import retire
from kanhu.updates import book
from kanhu.updates.updates import RESTORED
from kanhu.updates.values import CHUNK_BYTES, Settings, UpdateError
from kanhu_protocol import kinds as k

OpenLab = Callable[[], Awaitable[Lab]]
QUICK = Settings(soak_ms=300, at_once=2)


async def begin(
    lab: Lab, takers: list[Taker], canary: str = "1", release: str = "0.2.0", **more: Any
) -> dict[str, Any]:
    hubs = [one.hub_id for one in takers]
    begun: dict[str, Any] = await lab.updates.start(release, hubs, replace(QUICK, **more), canary, "op-a")
    return begun


def add_long(lab: Lab, folder: Path) -> str:
    """A release that takes 3 s and more to fetch."""
    path, _ = write_release(folder, "0.3.0", size=25_000)
    lab.updates.releases.add(path, [signing.public_bytes(KEY)], 2)
    return "0.3.0"


def beat(taker: Taker) -> None:
    """A sign of life."""
    taker.say(k.STILL, {k.SPAN_MS: 1})


async def test_a_good_release_reaches_the_canary_then_all(open_lab: OpenLab, takers: list[Taker]) -> None:
    lab = await open_lab()
    begun = await begin(lab, takers, "40%")
    assert (begun["waiting"], begun["canary"], begun["skipped"]) == (5, 2, 0)
    await lab.until(lambda: list(lab.states().values()).count("done") == 2)
    first = [one for one in takers if one.updates()]
    assert len(first) == 2
    assert {lab.daemon.registry.home_of(one.hub_id).region for one in first} == {"cn/42/01", "cn/42/02"}  # type: ignore[union-attr]
    await asyncio.sleep(0.4)
    assert [one for one in takers if one.updates()] == first, "the rest before the canary was heard again"
    for one in first:
        beat(one)
    await lab.until(lambda: lab.updates.engine.rollout.state == "ended")
    assert set(lab.states().values()) == {"done"}
    assert {one.firmware for one in takers} == {"0.2.0"}
    assert all(len(one.updates()) == 1 for one in takers)
    assert {lab.updates.running.version(one.hub_id) for one in takers} == {"0.2.0"}
    with pytest.raises(UpdateError, match="is not newer than what runs on all 5 hubs"):
        await begin(lab, takers)


async def test_pieces_come_one_by_one_and_four_for_a_wish(open_lab: OpenLab, takers: list[Taker]) -> None:
    lab = await open_lab()
    await begin(lab, takers[:1])
    await lab.until(lambda: lab.states()[takers[0].hub_id] == "done")
    said = [one for one in takers[0].heard if one[k.TYPE] == k.CHUNK]
    assert all(len(one[k.CHUNK_DATA]) <= CHUNK_BYTES for one in said)
    times = takers[0].chunk_times
    for start in range(0, len(times), 4):
        each = times[start : start + 4]
        assert all(after - before > 0.05 for before, after in pairwise(each))
    chunks = lab.updates.chunks
    assert (chunks.sent, chunks.bytes) == (len(said), lab.updates.engine.rollout.size)
    with_nobody = len(said)
    takers[0].say(k.UPDATE_PROGRESS, {k.FIRMWARE: "0.2.0", k.OFFSET: 0, k.SIZE: chunks.bytes})
    await lab.until(lambda: not takers[0].outbox)
    await asyncio.sleep(0.2)
    assert chunks.sent == with_nobody, "a hub that is done was sent more"


async def test_a_bad_release_stops_at_the_canary(open_lab: OpenLab, takers: list[Taker]) -> None:
    lab = await open_lab()
    for one in takers:
        one.good = False
    await begin(lab, takers, "1")
    await lab.until(lambda: lab.updates.engine.rollout.state == "paused")
    assert lab.updates.engine.rollout.why == "1 of 1 failed"
    await asyncio.sleep(0.3)
    assert sum(bool(one.updates()) for one in takers) == 1
    states = sorted(lab.states().values())
    assert states == ["failed"] + ["waiting"] * 4
    (unit,) = [one for one in lab.updates.engine.units.values() if one.state == "failed"]
    assert unit.why == "did_not_start"
    with pytest.raises(UpdateError, match=r"rollout 1 of .* is not over"):
        await begin(lab, takers)
    for one in takers:
        one.good = True
    await lab.updates.resume("op-a")
    await lab.until(lambda: "done" in lab.states().values())
    assert sum(bool(one.updates()) for one in takers) == 2, "a new hub takes the canary's place"


async def test_an_open_alarm_postpones_it(open_lab: OpenLab, takers: list[Taker]) -> None:
    lab = await open_lab()
    taker = takers[0]
    taker.say(k.CALL, {k.DEVICE: 1})
    (alarm,) = await lab.until(lambda: lab.daemon.alarms.live(taker.hub_id))
    await begin(lab, takers[:1])
    await lab.until(lambda: lab.states()[taker.hub_id] == "postponed")
    await asyncio.sleep(0.2)
    assert taker.updates() == []
    await lab.daemon.alarms.accept(alarm.name, "op-a")
    await asyncio.sleep(0.2)
    assert taker.updates() == [], "a person is on the way, and the alarm is not closed"
    await lab.daemon.alarms.close(alarm.name, "op-a", "well")
    await lab.until(lambda: lab.states()[taker.hub_id] == "done")


async def test_an_alarm_in_the_middle_holds_the_pieces_back(
    open_lab: OpenLab, takers: list[Taker], tmp_path: Path
) -> None:
    lab = await open_lab()
    taker = takers[0]
    await begin(lab, takers[:1], release=add_long(lab, tmp_path))
    await lab.until(lambda: taker.archive)
    taker.say(k.CALL, {k.DEVICE: 1})
    (alarm,) = await lab.until(lambda: lab.daemon.alarms.live(taker.hub_id))
    await lab.until(lambda: lab.states()[taker.hub_id] == "postponed")
    had = len(taker.archive)
    taker.wish()
    await asyncio.sleep(0.3)
    assert len(taker.archive) == had
    await lab.daemon.alarms.accept(alarm.name, "op-a")
    await lab.daemon.alarms.close(alarm.name, "op-a", "well")
    await lab.until(lambda: lab.states()[taker.hub_id] == "done")
    assert len(taker.updates()) == 1, "it goes on where it was"


async def test_the_daemon_is_killed_again_and_again(
    open_lab: OpenLab, takers: list[Taker], data: Path
) -> None:
    lab = await open_lab()
    await begin(lab, takers, "2")
    for _ in range(6):
        await asyncio.sleep(0.25)
        await lab.close()
        lab = await open_lab()
        for one in takers:
            beat(one)
            one.wish()  # nobody has answered the last one
    async with asyncio.timeout(30):
        while lab.updates.engine.rollout.state != "ended":
            for one in takers:
                beat(one)
                if one.wanted is not None and not one.outbox:
                    one.wish()
            await asyncio.sleep(0.3)
    assert set(lab.states().values()) == {"done"}
    assert [len({one[k.NUMBER] for one in taker.updates()}) for taker in takers] == [1] * 5
    sums = ledger.recompute(data / "journal.db")
    assert all(map(ledger.balanced, sums.values())), sums
    assert sum(one["lost"] + one["awaited"] for one in sums.values()) == 0


async def test_paused_nobody_is_asked_and_nobody_fetches(
    open_lab: OpenLab, takers: list[Taker], tmp_path: Path
) -> None:
    lab = await open_lab()
    await begin(lab, takers, "2", release=add_long(lab, tmp_path))
    await lab.until(lambda: sum(bool(one.archive) for one in takers) == 2)
    await lab.updates.pause("op-a")
    had = [len(one.archive) for one in takers]
    for one in takers:
        one.wish()
    await asyncio.sleep(0.4)
    assert sum(len(one.archive) for one in takers) == sum(had)
    assert sum(bool(one.updates()) for one in takers) == 2
    with pytest.raises(UpdateError, match="is paused"):
        await lab.updates.pause("op-a")
    await lab.updates.resume("op-a")
    await lab.until(lambda: list(lab.states().values()).count("done") == 2)


async def test_cancelled_it_is_given_up(open_lab: OpenLab, takers: list[Taker], tmp_path: Path) -> None:
    lab = await open_lab()
    await begin(lab, takers[:1], release=add_long(lab, tmp_path))
    await lab.until(lambda: takers[0].archive)
    await lab.updates.cancel("op-a")
    await lab.until(lambda: len(takers[0].updates()) == 2)
    assert takers[0].updates()[1][k.RELEASE_SIZE] == 0
    with pytest.raises(UpdateError, match="is cancelled"):
        await lab.updates.resume("op-a")
    await begin(lab, takers[1:2])  # another may begin
    await lab.until(lambda: lab.states()[takers[1].hub_id] == "done")


async def test_a_release_that_is_gone_pauses_it(open_lab: OpenLab, takers: list[Taker]) -> None:
    lab = await open_lab()
    lab.daemon.silence._heard.clear()  # nobody is heard: nobody is asked yet
    await begin(lab, takers)
    await lab.close()
    (file,) = lab.updates.releases.folder.glob("*.kfw")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    lab = await open_lab()
    await lab.until(lambda: lab.updates.engine.rollout.state == "paused")
    assert "damaged" in lab.updates.engine.rollout.why
    with pytest.raises(UpdateError, match="add the release again"):
        await lab.updates.resume("op-a")
    file.write_bytes(whole)
    await lab.updates.resume("op-a")
    assert lab.updates.engine.rollout.state == "running"


async def test_a_journal_that_was_put_back_asks_nobody(open_lab: OpenLab, takers: list[Taker]) -> None:
    lab = await open_lab()
    lab.daemon.silence._heard.clear()
    await begin(lab, takers)
    lab.daemon.journal.note("restored_ms", NOW_MS)
    await lab.close()
    again = await open_lab()
    await again.until(lambda: again.updates.engine.rollout.state == "paused")
    assert again.updates.engine.rollout.why == RESTORED
    await again.updates.resume("op-a")
    await again.close()
    last = await open_lab()
    await asyncio.sleep(0.2)
    assert last.updates.engine.rollout.state == "running", "once for each restore"


async def test_a_forgotten_home_leaves_no_row(open_lab: OpenLab, takers: list[Taker], data: Path) -> None:
    lab = await open_lab()
    await begin(lab, takers[:2])
    await lab.until(lambda: "done" in lab.states().values())
    gone = takers[0].hub_id
    lab.updates.forget(gone)
    assert gone not in lab.states()
    assert lab.updates.running.version(gone) is None
    takers[0].outbox.clear()
    beat(takers[1])
    await lab.until(lambda: set(lab.states().values()) == {"done"})


async def test_rows_are_read_back_as_they_were_and_go_with_retention(
    open_lab: OpenLab, takers: list[Taker], data: Path
) -> None:
    lab = await open_lab()
    await begin(lab, takers[:1], pause_percent=12.5)
    await lab.until(lambda: lab.states()[takers[0].hub_id] == "done")
    await asyncio.sleep(0.4)
    beat(takers[0])
    await lab.until(lambda: lab.updates.engine.rollout.state == "ended")
    engine = lab.updates.engine
    await lab.until(lambda: book.read(data / "journal.db")[0] == [engine.rollout])
    assert book.read(data / "journal.db")[1] == list(engine.units.values())
    await retire(lab.daemon.journal, 0)
    assert book.read(data / "journal.db") == ([], [])


async def test_nobody_to_update(open_lab: OpenLab, takers: list[Taker]) -> None:
    lab = await open_lab()
    with pytest.raises(UpdateError, match=r"no release '0\.9\.0' is kept here"):
        await lab.updates.start("0.9.0", [takers[0].hub_id], QUICK, "1", "op-a")
    with closing(lab.daemon.registry):
        lab.daemon.registry.revoke_hub(takers[0].hub_id)
        with pytest.raises(UpdateError, match="nobody to update"):
            await begin(lab, takers[:1])


async def test_nobody_is_asked_while_no_hub_could_prove_itself(
    open_lab: OpenLab, takers: list[Taker]
) -> None:
    lab = await open_lab()
    lab.provable = False
    await begin(lab, takers[:1])
    await lab.until(lambda: "not connected" in lab.updates.engine.rollout.why)
    await asyncio.sleep(0.2)
    assert takers[0].updates() == []
    lab.provable = True
    await lab.until(lambda: lab.states()[takers[0].hub_id] == "done")
    assert lab.updates.engine.rollout.why == ""


async def test_what_is_not_written_was_not_asked(
    open_lab: OpenLab, takers: list[Taker], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = await open_lab()
    journal = lab.daemon.journal
    monkeypatch.setattr(journal, "no_room", lambda rows: None)
    await begin(lab, takers[:1])
    monkeypatch.setattr(journal, "no_room", lambda rows: "the disk is full")
    await asyncio.sleep(0.3)
    assert takers[0].updates() == []
    assert lab.states() == {takers[0].hub_id: "waiting"}
    monkeypatch.setattr(journal, "no_room", lambda rows: None)
    await lab.until(lambda: lab.states()[takers[0].hub_id] == "done")
    assert len(takers[0].updates()) == 1


async def test_who_fetches_what_is_over_is_told_so_once(open_lab: OpenLab, takers: list[Taker]) -> None:
    lab = await open_lab()
    await begin(lab, takers[:1])
    late = takers[1]  # of no rollout: its order came by a journal that is gone
    for _ in range(3):
        late.say(k.UPDATE_PROGRESS, {k.FIRMWARE: "0.2.0", k.OFFSET: 900, k.SIZE: 5168})
    await lab.until(late.updates)
    await asyncio.sleep(0.2)
    assert [one[k.RELEASE_SIZE] for one in late.updates()] == [0]
    assert not [one for one in late.heard if one[k.TYPE] == k.CHUNK]
    other = takers[2]
    other.say(k.UPDATE_PROGRESS, {k.FIRMWARE: "x" * 60, k.OFFSET: 900, k.SIZE: 5168})  # no release's name
    await lab.until(lambda: not other.outbox)
    assert other.updates() == []
    await lab.until(lambda: lab.states()[takers[0].hub_id] == "done")
