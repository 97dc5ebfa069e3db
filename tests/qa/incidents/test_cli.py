"""kanhu qa incident at the command line: what it refuses, and what to do then."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from helpers_cli import Kanhu, runner
from kanhu.journal.schema import MIGRATIONS, migrate
from kanhu.qa.incidents.form import Incident, dumps
from kanhu.registry import Registry
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

HUB = "7m3k0xq2fz"


@pytest.fixture
def kanhu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kanhu:
    return runner(monkeypatch, capsys)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A registry with one hub, and a journal without events."""
    folder = tmp_path / "data"
    registry = Registry.open(folder)
    registry.add_hub(registry.add_home("cn/42/01/06/03"), hub_id=HUB)
    registry.close()
    with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as db:
        migrate(db)
    return folder


def store(data_dir: Path, *fields: dict[int, object]) -> None:
    """Events of boot 1, received now."""
    now_ms = time.time_ns() // 1_000_000
    with closing(sqlite3.connect(data_dir / "journal.db", isolation_level=None)) as db:
        for seq, one in enumerate(fields):
            row = (
                HUB,
                1,
                seq,
                k.class_of(one[k.KIND]),
                one[k.KIND],
                b"x",
                cbor.dumps(one),
                now_ms,
                "mqtt",
            )
            db.execute(
                "INSERT INTO events (hub, boot, seq, class, kind, sealed, plain, received_ms, link) "
                "VALUES (?,?,?,?,?,?,?,?,?)",
                row,
            )


def test_what_cannot_be_taken(kanhu: Kanhu, data_dir: Path, tmp_path: Path) -> None:
    def said(*words: object) -> str:
        done = kanhu(
            "qa", "incident", "extract", *words, "--data-dir", data_dir, "--out", tmp_path / "i.json"
        )
        assert done.returncode == 2, done.stdout
        assert not (tmp_path / "i.json").exists()
        assert done.stderr.count("\n") == 1
        return done.stderr

    assert "not known; `kanhu registry hub list` shows all" in said("0000000000", "--since", "1h")
    assert "nothing of it was ever stored" in said(HUB, "--since", "1h")
    assert "write 2026-05-04T10:30" in said(HUB, "--since", "yesterday")
    assert "at most 7 days" in said(HUB, "--since", "30d")
    assert "must end after it begins" in said(HUB, "--since", "1h", "--until", "2h")
    assert "with a device of 1 to 255" in said(HUB, "--since", "1h", "--pressed", "30m/0")
    assert "No such file" in said(HUB, "--since", "1h", "--log", tmp_path / "no.log")
    store(data_dir, {k.KIND: k.CALL, k.UP_MS: 5000, k.DEVICE: 1})
    assert "the journal holds what it received from" in said(
        HUB, "--since", "2020-05-04T10:30", "--until", "2020-05-04T11:30"
    )
    assert "never said which firmware it runs" in said(HUB, "--since", "1h")
    with closing(sqlite3.connect(data_dir / "journal.db")) as db:
        db.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    assert "too new for this kanhu: install a newer one" in said(HUB, "--since", "1h")


def test_a_small_incident(kanhu: Kanhu, data_dir: Path, tmp_path: Path) -> None:
    boot = {k.KIND: k.BOOT, k.UP_MS: 20, k.RESET: 1, k.FIRMWARE: "0.0.1", k.VERSIONS: [1, 0]}
    call = {k.KIND: k.CALL, k.UP_MS: 9000, k.DEVICE: 1, k.NAME: "Wang", 4000: "Wang"}
    store(data_dir, boot, call)
    before = (data_dir / "journal.db").read_bytes(), (data_dir / "registry.db").read_bytes()
    path = tmp_path / "incident.json"
    words = ("qa", "incident", "extract", HUB, "--since", "1h", "--data-dir", data_dir, "--out", path)
    done = kanhu(*words, "--pressed", "10m/1", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["events"], told["boots"], told["hub"]) == (2, 1, HUB)
    assert told["firmware"]["version"] == "0.0.1"
    assert told["firmware"]["tree"] is None
    assert told["left_out"] == {"event key 4000": 1, "event key name": 1}
    assert "Wang" not in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o600
    assert before == ((data_dir / "journal.db").read_bytes(), (data_dir / "registry.db").read_bytes())
    again = kanhu(*words)
    assert again.returncode == 2
    assert "there already; name a new file" in again.stderr
    refused = kanhu("qa", "incident", "replay", path)
    assert refused.returncode == 2
    assert "ran 0.0.1 (tree not known)" in refused.stderr
    assert "--present" in refused.stderr


@pytest.mark.timeout(300)
def test_replay_and_adopt(kanhu: Kanhu, quick: Incident, tmp_path: Path) -> None:
    path = tmp_path / "incident.json"
    path.write_text(dumps(quick), encoding="utf-8")
    done = kanhu("qa", "incident", "replay", path, "--full", "--trace", tmp_path / "trace.txt")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("reproduced")
    assert "press device=2" in done.stdout
    assert "daemon" in (tmp_path / "trace.txt").read_text(encoding="utf-8")
    kept = kanhu("qa", "incident", "adopt", path, "--name", "a-call", "--tests", tmp_path)
    assert kept.returncode == 0, kept.stderr
    assert (tmp_path / "a-call.json").exists()
    wrong = kanhu("qa", "incident", "adopt", path, "--name", "b", "--expect", "fixed", "--tests", tmp_path)
    assert wrong.returncode == 2
    assert "nothing bad that could be fixed" in wrong.stderr
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    broken = kanhu("qa", "incident", "replay", tmp_path / "broken.json")
    assert broken.returncode == 2
    assert "is no JSON" in broken.stderr
