"""The de-duplication file: exact, small, and clear about what is wrong with it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanhu.platform.done import DoneSet
from kanhu.platform.errors import StateError
from kanhu.platform.state import State, StateWriter
from kanhu.uplink.identity import Identity

HUBS = ["7q8k2m3x9a", "0000000000"]
identities = st.builds(
    Identity, st.sampled_from(HUBS), st.integers(1, 2), st.integers(0, 12) | st.just(2**32 - 1), st.booleans()
)


def seqs(*numbers: int, boot: int = 1) -> list[Identity]:
    return [Identity(HUBS[0], boot, number) for number in numbers]


@given(st.lists(identities, max_size=60))
def test_done_set_is_a_set(added: list[Identity]) -> None:
    done, model = DoneSet(1000), set[Identity]()
    rows: dict[tuple[str, int, int], int] = {}
    for identity in added:
        change = done.add(identity)
        assert (change is None) == (identity in model)
        model.add(identity)
        if change is not None:
            for first in change.removed:
                del rows[*change.key, first]
            rows[*change.key, change.first] = change.last
    everything = [
        Identity(hub, boot, seq, daemon)
        for hub in HUBS for boot in (1, 2) for seq in [*range(14), 2**32 - 1] for daemon in (False, True)
    ]  # fmt: skip
    assert {identity for identity in everything if identity in done} == model
    assert {(*key, first): last for key, first, last in done} == rows
    assert done.ranges == len(rows)


@given(st.lists(identities, max_size=40), st.integers(1, 8))
def test_done_set_is_bounded_and_forgets_the_oldest(added: list[Identity], limit: int) -> None:
    done = DoneSet(limit)
    for identity in added:
        done.add(identity)
        done.evict()
        assert done.ranges <= limit
        assert identity in done or any(key == (identity.source, identity.boot) for key, _, _ in done)


@given(st.lists(st.lists(identities, max_size=8), max_size=8))
def test_file_keeps_what_memory_has(batches: list[list[Identity]]) -> None:
    state = State(None)
    model = set[Identity]()
    for batch in batches:
        state.write(batch, batch)
        model.update(batch)
        state._load()
        assert all(identity in state for identity in model)
    rows = state._db.execute("SELECT sum(last - first + 1) FROM done").fetchone()[0]
    assert (rows or 0) == len(model)
    state.close()


def test_reopened(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    state = State(path)
    client_id = state.client_id
    state.write(seqs(1, 2, 3, 4), [])
    state.write([], seqs(1, 3))
    state.close()
    state = State(path)
    assert state.client_id == client_id
    assert state.handed == set(seqs(2, 4))
    assert [identity in state for identity in seqs(0, 1, 2, 3, 4)] == [False, True, False, True, False]
    state.close()


def test_100_000_events_are_a_few_rows(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    state = State(path)
    for start in range(0, 100_000, 1000):
        state.write([], seqs(*range(start, start + 1000)))
    assert state._db.execute("SELECT first, last FROM done").fetchall() == [(0, 99_999)]
    state.close()
    assert path.stat().st_size < 50_000


def test_bounded_in_the_file_too(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    state = State(path, max_ranges=10)
    for boot in range(1, 8):
        state.write([], seqs(*range(0, 40, 2), boot=boot))
    assert state._db.execute("SELECT count(*), min(boot) FROM done").fetchone() == (10, 7)
    state.close()
    state = State(path, max_ranges=10)
    assert [identity in state for identity in seqs(18, 20, 38, boot=7)] == [False, True, True]
    state.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    state = State(path)
    code = f"from pathlib import Path; from kanhu.platform.state import State; State(Path({str(path)!r}))"
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert "another process has it open" in second.stderr.splitlines()[-1]
    state.close()
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0


def test_files_that_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("hello " * 1000)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE x (y)")
    other.close()
    State(tmp_path / "future.db").close()
    with sqlite3.connect(tmp_path / "future.db") as future:
        future.execute("PRAGMA user_version = 99")
    future.close()
    (tmp_path / "folder.db").mkdir()
    cases = {
        "text.db": "not a database",
        "other.db": "another program",
        "future.db": "format 99",
        "folder.db": "folder",
        "missing/platform.db": "check the folder",
    }
    before = {path: path.read_bytes() for path in tmp_path.glob("*.db") if path.is_file()}
    for name, about in cases.items():
        with pytest.raises(StateError, match=about) as caught:
            State(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in before} == before


def test_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "platform.db"
    state = State(path)
    state.write([], seqs(*range(0, 4000, 2)))
    state.close()
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = b"\xa5" * (len(damaged) - 4096)
    path.write_bytes(damaged)
    with pytest.raises(StateError, match=r"platform\.db"):
        State(path)


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    state = State(tmp_path / "platform.db")
    state.write([], seqs(1))
    pages = state._db.execute("PRAGMA page_count").fetchone()[0]
    state._db.execute(f"PRAGMA max_page_count = {pages}")
    many = seqs(*range(10, 4000, 2))
    with pytest.raises(StateError, match="free some space"):
        state.write([], many)
    assert not any(identity in state for identity in many)
    assert seqs(1)[0] in state
    state._db.execute("PRAGMA max_page_count = 100000")
    state.write([], many)
    assert all(identity in state for identity in many)
    state.close()


async def test_a_failed_commit_reaches_its_caller_and_no_other(tmp_path: Path) -> None:
    committed: list[Identity] = []
    state = State(tmp_path / "platform.db")

    def note(finished: Sequence[Identity]) -> None:
        committed.extend(finished)

    writer = StateWriter(state, note)
    await writer.write(finished=seqs(1))
    pages = state._db.execute("PRAGMA page_count").fetchone()[0]
    state._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateError):
        await writer.write(finished=seqs(*range(10, 4000, 2)))
    state._db.execute("PRAGMA max_page_count = 100000")
    await writer.write(finished=seqs(2))
    await writer.close()
    assert committed == seqs(1, 2)
