from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from helpers_disk import small_disk
from helpers_intake import HUB, NOW_MS, Clock
from kanhu.journal import Event, Journal, JournalError, JournalLocked, JournalUnavailable, Outcome
from kanhu.journal.opening import Lock
from kanhu.journal.plain import believed
from kanhu.journal.retention import retire
from kanhu.ledger import recompute
from kanhu_protocol import events
from kanhu_protocol import kinds as k


def an_event(
    seq: int, boot: int = 1, kind: int = k.MOTION, sealed: bytes | None = None, up_ms: int = 5
) -> Event:
    plain = events.encode(kind, up_ms, {})
    sealed = sealed or b"sealed %d" % seq
    return Event(HUB, boot, seq, k.class_of(kind), kind, sealed, plain, believed(plain), NOW_MS, "test")


async def test_each_outcome(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    assert await journal.append([an_event(0), an_event(1)]) == [Outcome.STORED, Outcome.STORED]
    again = [an_event(1), an_event(0, sealed=b"other"), an_event(2), an_event(2), an_event(2, sealed=b"x")]
    assert await journal.append(again) == [
        Outcome.KNOWN,
        Outcome.CONFLICT,
        Outcome.STORED,
        Outcome.KNOWN,
        Outcome.CONFLICT,
    ]
    assert journal.ledger(HUB).stored == 3
    found = journal.find(HUB, 1, 0)
    assert found is not None
    assert found.sealed == b"sealed 0"
    await journal.close()


async def test_an_event_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    seen: list[int] = []
    journal.on_stored.append(lambda events: seen.extend(event.n for event in events))
    await asyncio.gather(*(journal.append([an_event(seq)]) for seq in range(50)))
    other = sqlite3.connect(journal.path)
    assert other.execute("SELECT n, seq FROM events ORDER BY n").fetchall() == [(n + 1, n) for n in range(50)]
    other.close()
    assert seen == list(range(1, 51))
    assert journal.commits < 50
    await journal.close()


async def test_the_same_event_twice_on_its_way_is_stored_once(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    outcomes = await asyncio.gather(*(journal.append([an_event(7)]) for _ in range(5)))
    assert [outcome for (outcome,) in outcomes] == [Outcome.STORED] + [Outcome.KNOWN] * 4
    assert journal.ledger(HUB).stored == 1
    await journal.close()


async def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    with pytest.raises(JournalLocked, match=rf"process {os.getpid()}\) uses the journal.*stop it first"):
        Journal.open(tmp_path)
    assert await journal.append([an_event(0)]) == [Outcome.STORED]
    await journal.close()
    again = Journal.open(tmp_path)
    assert again.daemon_boot > journal.daemon_boot
    await again.close()


async def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from kanhu.journal.opening import Lock\n"
    code += "lock = Lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(JournalLocked, match=str(holder.pid)):
        Lock(tmp_path)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    Lock(tmp_path).close()


async def test_restart_keeps_identity_raises_boot_and_epoch(tmp_path: Path) -> None:
    clock = Clock(NOW_MS)
    epochs = []
    ids = set()
    for start in range(3):
        journal = Journal.open(tmp_path, clock)
        epochs.append(journal.epoch)
        epochs.append(journal.next_epoch())
        ids.add(journal.daemon_id)
        assert journal.daemon_boot == NOW_MS // 1000 + start  # no older copy of this file has given it out
        await journal.close()
    assert epochs == sorted(set(epochs))
    assert epochs[0] >= NOW_MS // 1000
    clock.now_ms -= 10 * 365 * 86_400_000  # the host's clock is back in the past
    journal = Journal.open(tmp_path, clock)
    assert journal.epoch > epochs[-1]
    assert journal.next_epoch(journal.epoch + 1000) == epochs[-1] + 1001
    before = journal.epoch
    assert journal.next_epoch(2**32 - 1) == before + 1
    await journal.close()
    assert len(ids) == 1


KILLED = """
import asyncio, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_journal import an_event
from kanhu.journal import Journal

async def main():
    journal = Journal.open(Path(sys.argv[1]))
    async def one(seq):
        await journal.append([an_event(seq)])
        print(seq, flush=True)
    seq = 0
    while True:
        await asyncio.gather(*(one(seq + more) for more in range(20)))
        seq += 20

asyncio.run(main())
"""


async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    for _ in range(3):
        code = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        daemon = subprocess.Popen(code, stdout=subprocess.PIPE, text=True, env=env)
        assert daemon.stdout is not None
        acknowledged = [int(daemon.stdout.readline()) for _ in range(300)]
        daemon.send_signal(signal.SIGKILL)
        rest = daemon.stdout.read().split("\n")[:-1]
        acknowledged += [int(line) for line in rest]
        daemon.wait()
        daemon.stdout.close()
        journal = Journal.open(tmp_path)
        held = {event.seq for event in journal.held(HUB, 1, 0, 10**6)}
        assert set(acknowledged) <= held
        assert journal.ledger(HUB).stored == len(held)
        assert recompute(journal.path)[HUB]["stored"] == len(held)
        await journal.close()


async def stores(journal: Journal, seq: int) -> bool:
    try:
        return await journal.append([an_event(seq, sealed=bytes(400))]) == [Outcome.STORED]
    except JournalUnavailable:
        return False


async def fill(journal: Journal) -> int:
    """Let the next pages be refused, as a full disk does; returns how many events still fitted."""
    (pages,) = await asyncio.to_thread(lambda: journal._writer._db.execute("PRAGMA page_count").fetchone())
    journal._writer._db.execute(f"PRAGMA max_page_count={pages + 4}")
    seq = 0
    while await stores(journal, seq):
        seq += 1
    assert "disk of the journal is full" in (journal.error or "")
    return seq


async def test_full_disk_acknowledges_nothing_and_recovers(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    stored: list[int] = []
    journal.on_stored.append(lambda events: stored.extend(event.seq for event in events))
    fitted = await fill(journal)
    assert not journal.healthy
    assert "make room" in (journal.error or "")
    with pytest.raises(JournalUnavailable):
        await journal.append([an_event(fitted, sealed=bytes(400))])
    assert stored == list(range(fitted))
    assert journal.ledger(HUB).stored == fitted == journal.ledger(HUB).announced
    assert not journal.in_flight
    journal._writer._db.execute("PRAGMA max_page_count=1000000")
    assert await journal.append([an_event(fitted, sealed=bytes(400))]) == [Outcome.STORED]
    assert journal.healthy
    await journal.close()


async def test_a_full_disk_is_noticed_to_have_room_again_without_traffic(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    await fill(journal)
    journal._writer._db.execute("PRAGMA max_page_count=1000000")
    for _ in range(100):
        if journal.healthy:
            break
        await asyncio.sleep(0.1)
    assert journal.healthy
    await journal.close()


async def test_a_really_full_disk(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", "2m") as disk:
        journal = Journal.open(disk / "data")
        (disk / "ballast").write_bytes(bytes(1_200_000))
        fitted = 0
        while await stores(journal, fitted):
            fitted += 1
        assert not journal.healthy
        (disk / "ballast").unlink()
        assert await journal.append([an_event(fitted, sealed=bytes(400))]) == [Outcome.STORED]
        assert journal.healthy
        assert recompute(journal.path)[HUB]["stored"] == fitted + 1 == journal.ledger(HUB).stored
        await journal.close()


async def test_a_duplicate_of_what_could_not_be_written_is_not_acknowledged(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    await fill(journal)
    first, second = an_event(77_777, sealed=bytes(4000)), an_event(77_777, sealed=bytes(4000))
    results = await asyncio.gather(journal.append([first]), journal.append([second]), return_exceptions=True)
    assert all(isinstance(result, JournalUnavailable) for result in results)
    journal._writer._db.execute("PRAGMA max_page_count=1000000")
    assert await journal.append([second]) == [Outcome.STORED]
    await journal.close()


async def test_one_impossible_write_does_not_harm_its_neighbours(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    bad = journal.batch()
    bad.run("INSERT INTO meta (key, value) VALUES ('daemon_id', 'twice')")
    results = await asyncio.gather(
        journal.append([an_event(0)]), bad.submit(), journal.append([an_event(1)]), return_exceptions=True
    )
    assert results[0] == results[2] == [Outcome.STORED]
    assert isinstance(results[1], JournalUnavailable)
    assert recompute(journal.path)[HUB]["stored"] == 2
    await journal.close()


async def test_own_events_have_no_gap_even_when_some_cannot_be_written(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    own = journal.daemon_id
    await journal.host_event(k.HUB_SILENT, {k.SUBJECT: HUB})
    await fill(journal)
    blocked = journal.batch()
    blocked.add(an_event(55_555, sealed=bytes(8000)))  # what makes this commit fail
    results = await asyncio.gather(
        blocked.submit(),
        *(journal.host_event(k.HUB_BACK, {k.SUBJECT: HUB}) for _ in range(3)),
        return_exceptions=True,
    )
    assert all(isinstance(result, JournalUnavailable) for result in results)
    journal._writer._db.execute("PRAGMA max_page_count=1000000")
    await journal.host_event(k.HUB_BACK, {k.SUBJECT: HUB})
    ledger = journal.ledger(own)
    assert ledger.awaited == 0
    assert ledger.stored == 2
    assert recompute(journal.path)[own]["awaited"] == 0
    event = journal.find(own, journal.daemon_boot, 0)
    assert event is not None
    assert event.sealed is None
    assert event.fields[k.CLOCK] == 2
    await journal.close()


async def test_undelivered_by_class_and_number(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    kinds = [k.MOTION, k.CALL, k.BOOT, k.HEARTBEAT, k.SMOKE, k.MAINS_LOST]
    await journal.append([an_event(seq, kind=kind) for seq, kind in enumerate(kinds)])
    assert [event.n for event in journal.undelivered()] == [1, 2, 3, 4, 5, 6]
    assert [event.kind for event in journal.undelivered(classes=(1,))] == [k.CALL, k.SMOKE]
    assert [event.n for event in journal.undelivered(after_n=2, limit=2)] == [3, 4]
    heard: list[int] = []
    journal.on_delivered.append(lambda events: heard.extend(event.n for event in events))
    some = journal.undelivered()[:3]
    await journal.mark_delivered(some)
    await journal.mark_delivered(some)
    await journal.mark_delivered(journal.held(HUB, 1, 0, 2))
    assert heard == [1, 2, 3]
    assert [event.n for event in journal.undelivered()] == [4, 5, 6]
    assert [seq for seq in range(6) if journal.delivered((HUB, 1, seq))] == [0, 1, 2]
    await journal.close()
    journal = Journal.open(tmp_path)
    assert (journal.ledger(HUB).delivered, journal.ledger(HUB).queued) == (3, 3)
    assert [seq for seq in range(6) if journal.delivered((HUB, 1, seq))] == [0, 1, 2]
    await journal.close()


async def test_retention_forgets_only_what_was_delivered_long_ago(tmp_path: Path) -> None:
    clock = Clock()
    journal = Journal.open(tmp_path, clock)
    await journal.append([an_event(seq) for seq in range(10)])
    await journal.mark_delivered(journal.held(HUB, 1, 2, 7))
    clock.now_ms += 10 * 86_400_000
    assert await retire(journal, days=11) == 0
    before = journal.ledger(HUB)
    assert await retire(journal, days=9) == 6
    assert [event.seq for event in journal.held(HUB, 1, 0, 99)] == [0, 1, 8, 9]
    assert journal.ledger(HUB) == before
    assert await journal.append([an_event(3)]) == [Outcome.KNOWN]
    last_n = journal.undelivered()[-1].n
    await journal.close()
    journal = Journal.open(tmp_path, clock)
    assert journal.ledger(HUB) == before
    assert recompute(journal.path)[HUB] == {name: getattr(before, name) for name in before.__slots__}
    await journal.append([an_event(10)])
    assert journal.undelivered()[-1].n > last_n
    await journal.close()


async def test_a_journal_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"this is no database at all, but a text\n" * 100)
    with pytest.raises(JournalError, match=r"journal\.db: "):
        Journal.open(tmp_path)
    newer = tmp_path / "newer"
    journal = Journal.open(newer)
    await journal.close()
    db = sqlite3.connect(newer / "journal.db")
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(JournalError, match="install a newer"):
        Journal.open(newer)
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="data_dir"):
        Journal.open(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    ("utc_ms", "expected"),
    [
        (NOW_MS - 1000, "synced"),
        (NOW_MS + 299_000, "synced"),
        (NOW_MS + 301_000, "unknown"),
        (946_684_800_000, "unknown"),
    ],
)
async def test_a_wrong_clock_is_never_trusted(tmp_path: Path, utc_ms: int, expected: str) -> None:
    journal = Journal.open(tmp_path)
    event = an_event(0)
    event.fields = {**event.fields, k.UTC_MS: utc_ms, k.CLOCK: 1}
    assert journal.moment(event) == ((utc_ms, "synced") if expected == "synced" else (None, "unknown"))
    await journal.close()


async def test_work_after_close_is_refused_not_lost(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    await journal.close()
    with pytest.raises(JournalUnavailable, match="closed"):
        await journal.append([an_event(0)])
    await journal.close()
