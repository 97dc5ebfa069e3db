"""Backup beside a writing daemon; restore, and what must not come twice after it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from helpers_cli import Kanhu
from helpers_intake import NOW_MS, Clock, Host, HubVoice
from kanhu import backup, ledger, restore
from kanhu.errors import DataError
from kanhu.journal import Journal, JournalError
from kanhu.registry import Registry
from kanhu_protocol import kinds as k

LATER_MS = NOW_MS + 86_400_000


def quiet(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def a_registry(data_dir: Path) -> tuple[str, HubVoice]:
    """One home with one hub: (home, the hub's voice)."""
    with closing(Registry.open(data_dir)) as registry:
        home = registry.add_home(name="张秀英", phones=["+86 27 8888 1234"])
        hub, key = registry.add_hub(home)
    return home, HubVoice(hub, key)


async def some(data_dir: Path, hub: HubVoice, count: int, clock: Clock | None = None) -> Host:
    """A host that has stored that many motions of the hub's current boot."""
    host = Host(data_dir, hub, clock=clock)
    if not hub.seq:
        await host.intake.receive(hub.hub_id, hub.start(hub.boot), "mqtt")
    said = [hub.say(k.MOTION, {k.DEVICE: 2}) for _ in range(count)]
    for start in range(0, count, 10):
        await host.intake.receive(hub.hub_id, b"".join(said[start : start + 10]), "mqtt")
    return host


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


async def test_a_backup_is_one_moment_of_a_journal_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "STEP_PAGES", 4)
    data = tmp_path / "data"
    _, hub = a_registry(data)
    host = await some(data, hub, 1000)
    stop = asyncio.Event()
    written = 0

    async def write() -> None:
        nonlocal written
        while not stop.is_set():
            await host.intake.receive(hub.hub_id, hub.say(k.MOTION, {k.DEVICE: 2}), "mqtt")
            written += 1

    def slowly(what: str, done: int, total: int) -> None:
        """Each step of the copy waits for one more write."""
        seen, end = written, time.monotonic() + 5
        while written == seen and time.monotonic() < end:
            time.sleep(0.001)

    writing = asyncio.create_task(write())
    made = await asyncio.to_thread(backup.make, data, tmp_path / "copy", NOW_MS, slowly)
    during = written
    stop.set()
    await writing
    await host.journal.close()
    assert during >= 20, "the daemon went on meanwhile"
    copy = tmp_path / "copy"
    assert 1001 <= made.events <= 1001 + during
    seqs = [seq for (seq,) in rows(copy / "journal.db", "SELECT seq FROM events ORDER BY n")]
    assert seqs == list(range(made.events)), "a prefix of what was written, without a hole"
    assert all(map(ledger.balanced, ledger.recompute(copy / "journal.db").values()))
    assert {one.name: one.stat().st_mode & 0o777 for one in copy.iterdir()} == dict.fromkeys(
        ("journal.db", "registry.db", "manifest.json"), 0o600
    )
    assert copy.stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.glob("*.part"))


async def test_there_and_back(tmp_path: Path, kanhu: Kanhu) -> None:
    data = tmp_path / "data"
    home, hub = a_registry(data)
    host = await some(data, hub, 5)
    await host.journal.close()
    done = kanhu("backup", "copy", "-d", data, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["events"] == 6
    assert json.loads(done.stdout)["homes"] == 1

    again = kanhu("backup", "copy", "-d", data)
    assert (again.returncode, again.stdout) == (2, "")
    assert "copy: there already; name a new folder" in again.stderr

    refused = kanhu("restore", "copy", "-d", data)
    assert refused.returncode == 2
    assert "--force keeps it aside" in refused.stderr

    done = kanhu("restore", "copy", "-d", data, "--force")
    assert done.returncode == 0, done.stderr
    (kept,) = data.glob("before-restore-*")
    assert str(kept) in done.stdout
    assert len(rows(kept / "journal.db", "SELECT 1 FROM events")) == 6
    with closing(Registry.open(data, "read")) as registry:
        assert registry.home(home).phones == ("+86 27 8888 1234",)
        assert registry.knows(hub.hub_id)

    done = kanhu("restore", "copy", "-d", tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert {one.name for one in (tmp_path / "elsewhere").iterdir()} == {
        "journal.db", "registry.db", "journal.lock",
    }  # fmt: skip
    assert (tmp_path / "elsewhere" / "registry.db").stat().st_mode & 0o777 == 0o600


async def test_no_identity_comes_twice_after_an_older_backup(tmp_path: Path) -> None:
    """Boots and numbers used between backup and loss are known to nobody any more."""
    data, clock = tmp_path / "data", Clock()
    _, hub = a_registry(data)
    host = await some(data, hub, 3, clock)
    backup.make(data, tmp_path / "copy", clock(), quiet)
    used: set[tuple[str, int, int]] = set()
    numbers: set[int] = set()
    events: set[int] = set()
    epochs: set[int] = set()

    async def live(host: Host) -> None:
        own = await host.journal.host_event(k.HUB_SILENT, {k.SUBJECT: hub.hub_id})
        number = (await host.commands.create(hub.hub_id, k.PING, {})).number
        assert own.identity not in used
        assert number not in numbers
        assert own.n not in events
        assert host.journal.epoch not in epochs
        used.add(own.identity)
        numbers.add(number)
        events.add(own.n)
        epochs.update((host.journal.epoch, host.journal.next_epoch()))
        await host.journal.close()

    await live(host)
    for _ in range(3):
        clock.now_ms += 10_000
        await live(Host(data, hub, clock=clock))
    for _ in range(2):  # the same old backup, twice
        clock.now_ms += 3_600_000
        (data / "journal.db").unlink()  # the disk is gone: nothing to learn from
        restore.restore(tmp_path / "copy", data, clock(), True, quiet)
        for _ in range(2):
            host = Host(data, hub, clock=clock)
            assert all(map(ledger.balanced, ledger.recompute(host.journal.path).values()))
            await live(host)
    assert len(used) == 8


async def test_the_journal_that_is_replaced_tells_what_was_used_when_clocks_do_not(tmp_path: Path) -> None:
    data, clock = tmp_path / "data", Clock()
    _, hub = a_registry(data)
    host = await some(data, hub, 1, clock)
    backup.make(data, tmp_path / "copy", clock(), quiet)
    epoch = host.journal.next_epoch(3_000_000_000)  # a hub had heard one that high
    await host.journal.close()
    with closing(sqlite3.connect(data / "journal.db")) as db, db:
        db.execute("UPDATE meta SET value=2000000000 WHERE key='daemon_boot'")
    restore.restore(tmp_path / "copy", data, 1_000_000, True, quiet)  # 1970: a host without a clock
    journal = Journal.open(data, clock)
    assert (journal.epoch, journal.daemon_boot) == (epoch + 1, 2_000_000_001)
    assert rows(journal.path, "SELECT value FROM meta WHERE key='restored_ms'") == [(1_000_000,)]
    await journal.close()


async def test_a_running_daemon_keeps_restore_out(tmp_path: Path, kanhu: Kanhu) -> None:
    data = tmp_path / "data"
    _, hub = a_registry(data)
    host = await some(data, hub, 1)
    assert kanhu("backup", "copy", "-d", data).returncode == 0
    done = kanhu("restore", "copy", "-d", data, "--force")
    assert done.returncode == 2
    assert "another kanhu daemon" in done.stderr
    assert "stop it first" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    await host.journal.close()
    assert not list(data.glob("before-*"))


@pytest.fixture
async def copy(tmp_path: Path) -> Path:
    """A backup."""
    _, hub = a_registry(tmp_path / "data")
    host = await some(tmp_path / "data", hub, 20)
    await host.journal.close()
    backup.make(tmp_path / "data", tmp_path / "copy", NOW_MS, quiet)
    return tmp_path / "copy"


@pytest.mark.parametrize("name", ["journal.db", "registry.db"])
async def test_a_changed_byte_is_noticed(copy: Path, tmp_path: Path, name: str) -> None:
    whole = bytearray((copy / name).read_bytes())
    whole[len(whole) // 2] ^= 1
    (copy / name).write_bytes(whole)
    with pytest.raises(DataError, match=f"{name}: not what was backed up"):
        restore.restore(copy, tmp_path / "new", NOW_MS, False, quiet)
    assert not (tmp_path / "new").exists()


async def test_what_is_no_backup(copy: Path, tmp_path: Path, kanhu: Kanhu) -> None:
    manifest = copy / "manifest.json"
    whole = json.loads(manifest.read_text())

    def refused(words: str) -> None:
        done = kanhu("restore", copy, "-d", tmp_path / "new")
        assert done.returncode == 2, done.stdout
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1

    manifest.write_text("{}")
    refused("cannot be read; use another backup")
    manifest.write_text("[]")
    refused("cannot be read; use another backup")
    manifest.write_text(json.dumps({**whole, "format": 2}))
    refused("of a newer kanhu")
    whole["files"]["journal.db"]["schema"] = 99
    manifest.write_text(json.dumps(whole))
    refused("too new for this one")
    manifest.unlink()
    refused("no backup there")


async def test_a_restore_cut_short_does_not_begin_a_new_journal(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed anywhere: the old journal, or the new one, or a word on what to do; never an empty one."""
    data = tmp_path / "data"
    steps = 0
    stop_at = 0
    real = Path.rename

    class Killed(BaseException):
        pass

    def rename(path: Path, to: Path) -> Path:
        nonlocal steps
        steps += 1
        if steps == stop_at:
            raise Killed
        return real(path, to)

    monkeypatch.setattr(Path, "rename", rename)
    outcomes = []
    for stop_at in range(1, 10):
        steps = 0
        try:
            restore.restore(copy, data, LATER_MS + 1000 * stop_at, True, quiet)
        except Killed:
            if (data / "journal.db").exists():
                outcomes.append("opened")
                await Journal.open(data, Clock(LATER_MS)).close()
                assert rows(data / "journal.db", "SELECT 1 FROM events")
            else:
                outcomes.append("refused")
                with pytest.raises(JournalError, match="a restore was cut short"):
                    Journal.open(data, Clock(LATER_MS))
        else:
            outcomes.append("done")
            break
    assert outcomes[-1] == "done"
    assert "refused" in outcomes
    assert len(rows(data / "journal.db", "SELECT 1 FROM events")) == 21
    assert not list(data.glob("*.restoring"))


async def test_a_full_disk_leaves_nothing_behind(copy: Path, tmp_path: Path, kanhu: Kanhu) -> None:
    (tmp_path / "blocked").write_text("no folder")
    done = kanhu("backup", tmp_path / "blocked" / "b", "-d", tmp_path / "data")
    assert done.returncode == 2
    assert "Not a directory" in done.stderr
    leftover = tmp_path / "next.part"
    leftover.mkdir()
    (leftover / "journal.db").write_text("half")
    assert kanhu("backup", tmp_path / "next", "-d", tmp_path / "data").returncode == 0
    assert not leftover.exists()
    other = tmp_path / "mine.part"
    other.mkdir()
    (other / "photo.jpg").write_text("mine")
    done = kanhu("backup", tmp_path / "mine", "-d", tmp_path / "data")
    assert "is in the way" in done.stderr
    assert (other / "photo.jpg").exists()
