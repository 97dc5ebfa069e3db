"""Files of older versions, with data in them: opened, brought up to date, and never half."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from helpers_cli import Kanhu
from helpers_intake import Clock, Host, HubVoice
from kanhu import ledger
from kanhu.errors import DataError
from kanhu.journal import Journal, JournalError, schema
from kanhu.registry import Registry
from kanhu.registry.store import MIGRATIONS as REGISTRY_STEPS
from kanhu.status import read_status
from kanhu_protocol import kinds as k

JOURNAL_1 = Path(__file__).with_name("journal_schema_1.sql").read_text(encoding="utf-8")
HUB, OTHER = "7m3k0xq2fz", "2b8dr5w9tn"
# As they stood when the file was recorded.
SUMS = {
    HUB: {"announced": 44, "stored": 37, "lost": 1, "awaited": 6, "delivered": 24, "queued": 13},
    OTHER: {"announced": 38, "stored": 35, "lost": 0, "awaited": 3, "delivered": 23, "queued": 12},
    "d5j837hx2q": {"announced": 7, "stored": 7, "lost": 0, "awaited": 0, "delivered": 3, "queued": 4},
}
NOW_MS = 1_790_000_600_000  # ten minutes after its last event

REGISTRY_1 = (
    REGISTRY_STEPS[0]
    + """
    INSERT INTO homes VALUES ('4tzwq8m1rd', 'cn/42', 'Asia/Shanghai', '张秀英', '武昌', '["+86 27 8888"]');
    INSERT INTO hubs VALUES ('7m3k0xq2fz', '4tzwq8m1rd', 3, 2, '{"lamp": 4}', 1790000000000, NULL);
    INSERT INTO hubs VALUES ('2b8dr5w9tn', '4tzwq8m1rd', 0, 1, '{}', 1790000000000, 1790000001000);
    INSERT INTO keys VALUES ('7m3k0xq2fz', 1, x'000102030405060708090a0b0c0d0e0f', 1790000000000);
    INSERT INTO keys VALUES ('7m3k0xq2fz', 2, x'100102030405060708090a0b0c0d0e0f', 1790000000000);
    INSERT INTO sensors VALUES ('7m3k0xq2fz', 3, 1, x'a4c1380b5e9d', '按钮', '浴室', 0, 1790000000000, NULL);
    INSERT INTO sensors VALUES ('7m3k0xq2fz', 4, 1, x'a4c1380b5e9e', 'old', '', 0, 179, 180);
    PRAGMA user_version=1;
    """
)


def write(path: Path, sql: str) -> None:
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(sql)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data_dir with a journal of schema 1."""
    write(tmp_path / "journal.db", JOURNAL_1)
    return tmp_path


def version(data: Path) -> int:
    with closing(sqlite3.connect(data / "journal.db")) as db:
        (found,) = db.execute("PRAGMA user_version").fetchone()
    return int(found)


async def test_all_of_an_old_journal_is_there_and_goes_on(data: Path) -> None:
    hub = HubVoice(HUB)
    host = Host(data, hub, clock=Clock(NOW_MS))
    assert version(data) == len(schema.MIGRATIONS)
    journal = host.journal
    assert journal.daemon_id == "d5j837hx2q"
    assert journal.daemon_boot > 1_790_000_000
    for name, sums in SUMS.items():
        assert {key: getattr(journal.ledger(name), key) for key in sums} == sums
    (alarm,) = host.alarms.live()
    assert alarm.name == (OTHER, 1, 37)
    closed = host.alarms.get((HUB, 1, 1))
    assert closed is not None
    assert (closed.state, closed.reason) == (k.CLOSED, "张秀英摔倒了，已送医院!")
    assert len(host.alarms.history(closed.name)) == 4
    assert [one.type for one in host.commands.waiting(HUB)].count(k.DEVICES) == 1
    assert len(journal.undelivered(limit=10_000)) == 29
    event = journal.find(HUB, 1, 1)
    assert event is not None
    assert event.kind == k.CALL
    hub.boot, hub.seq = 5, 0
    receipts = await host.intake.receive(HUB, hub.start(5), "mqtt")
    assert (5, 0) in receipts.upto
    await journal.close()
    assert all(map(ledger.balanced, ledger.recompute(data / "journal.db").values()))


async def test_a_step_reaches_all_rows_and_the_older_version_keeps_out(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = "ALTER TABLE events ADD COLUMN later INTEGER; UPDATE events SET later = n * 2"
    older = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", (*older, step))
    await Journal.open(data, Clock(NOW_MS)).close()
    with closing(sqlite3.connect(data / "journal.db")) as db:
        assert db.execute("SELECT count(*), sum(later = n * 2) FROM events").fetchone() == (79, 79)
    assert {hub: ledger.recompute(data / "journal.db")[hub] for hub in (HUB, OTHER)} == {
        hub: SUMS[hub] for hub in (HUB, OTHER)
    }
    monkeypatch.setattr(schema, "MIGRATIONS", older)
    with pytest.raises(JournalError, match="too new for this kanhu: install a newer one"):
        Journal.open(data)


async def test_a_step_that_fails_leaves_what_was(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = schema.MIGRATIONS
    monkeypatch.setattr(
        schema, "MIGRATIONS", (*older, "CREATE TABLE half (a); INSERT INTO nowhere VALUES (1)")
    )
    with pytest.raises(JournalError, match="no such table: nowhere"):
        Journal.open(data)
    monkeypatch.setattr(schema, "MIGRATIONS", older)
    await as_it_was(data, len(older))


async def test_a_power_cut_in_a_step_leaves_what_was(data: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from kanhu.journal import Journal, schema
step = "CREATE TABLE half (a BLOB); UPDATE events SET plain = x'00'; INSERT INTO half "
step += "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<9e6) "
step += "SELECT randomblob(999) FROM c"
schema.MIGRATIONS += (step,)
async def main():
    Journal.open(Path(sys.argv[1]))
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", program, str(data)])
    log = data / "journal.db-wal"
    end = time.monotonic() + 60
    while not (log.exists() and log.stat().st_size > 1 << 20):  # more than the cache holds: it is on the disk
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    await as_it_was(data, len(schema.MIGRATIONS))


async def as_it_was(data: Path, steps: int) -> None:
    journal = Journal.open(data, Clock(NOW_MS))
    assert version(data) == steps
    event = journal.find(HUB, 1, 1)
    assert event is not None
    assert event.kind == k.CALL
    assert not journal.reader.rows("SELECT 1 FROM sqlite_master WHERE name='half'")
    for hub in (HUB, OTHER):
        assert {key: getattr(journal.ledger(hub), key) for key in SUMS[hub]} == SUMS[hub]
    await journal.close()


def test_all_of_an_old_registry_is_there_and_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "registry.db", REGISTRY_1)
    with pytest.raises(DataError, match="of an older kanhu: start `kanhu run` once"):
        Registry.open(tmp_path, "read")
    with closing(Registry.open(tmp_path)) as registry:
        home = registry.home("4tzwq8m1rd")
        assert (home.name, home.address, home.phones) == ("张秀英", "武昌", ("+86 27 8888",))
        assert set(registry.keys(HUB)) == {1, 2}
        assert not registry.knows(OTHER)
        assert registry.settings(HUB) == {"lamp": 4}
        (sensor,) = registry.sensors(HUB)
        assert (sensor.index, sensor.mac, sensor.name, sensor.room) == (
            3,
            "A4:C1:38:0B:5E:9D",
            "按钮",
            "浴室",
        )
        version, table = registry.device_table(HUB)
        assert (version, table[0][:3]) == (3, [3, 1, bytes.fromhex("a4c1380b5e9d")])
        registry.add_hub("4tzwq8m1rd")
        assert registry.erasures() == {}
    with closing(Registry.open(tmp_path, "read")) as registry:
        assert len(registry.hubs()) == 3
    with closing(sqlite3.connect(tmp_path / "registry.db")) as db:
        db.execute(f"PRAGMA user_version={len(REGISTRY_STEPS) + 1}")
    with pytest.raises(DataError, match="too new for this kanhu: install a newer one"):
        Registry.open(tmp_path)


async def test_old_files_are_backed_up_restored_and_forgotten(data: Path, kanhu: Kanhu) -> None:
    """What an administrator does on the day of an upgrade, with the new commands on the old journal."""
    write(data / "registry.db", REGISTRY_1)
    Registry.open(data).close()
    assert kanhu("backup", "copy", "-d", data).returncode == 0
    done = kanhu("restore", "copy", "-d", data, "--force")
    assert done.returncode == 0, done.stderr
    names = {hub.hub_id for hub in read_status(data).hubs}
    assert {HUB, OTHER} <= names
