"""A board has one user at a time, and whoever comes second is told who."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kanhu.errors import KanhuError
from kanhu.qa import locks

HOLD = """
import sys, time
from kanhu.qa import locks
with locks.held("hub", sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_another_process_has_it_and_is_named_until_it_is_killed() -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, "rfc2217://127.0.0.1:4477"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        said = rf"^hub \(rfc2217://127.0.0.1:4477\) is in use by pid {holder.pid} \(-c .* since \d\d:\d\d\)$"
        with pytest.raises(locks.Busy, match=said), locks.held("hub", "rfc2217://127.0.0.1:4477"):
            pass
        with locks.held("hub", "rfc2217://127.0.0.1:4478"):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)  # no goodbye: the system lets go
        holder.communicate()
    with locks.held("hub", "rfc2217://127.0.0.1:4477"):
        pass


def test_it_is_free_again_and_two_names_of_one_port_are_one(tmp_path: Path) -> None:
    port, link = tmp_path / "ttyUSB0", tmp_path / "by-id"
    port.touch()
    link.symlink_to(port)
    for _ in range(2):
        with locks.held("hub", str(port)), pytest.raises(locks.Busy), locks.held("hub", str(link)):
            pass


def test_a_damaged_note_is_no_trouble(tmp_path: Path) -> None:
    with locks.held("hub", "x"):
        (file,) = locks.folder().iterdir()
        file.write_bytes(b"\xff{")
        with pytest.raises(locks.Busy, match=r"is in use by another process$"), locks.held("hub", "x"):
            pass


def test_a_folder_that_cannot_be_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file"))
    with pytest.raises(KanhuError, match="set XDG_RUNTIME_DIR"):
        locks.folder()


def test_nobody_elses_locks_are_read(tmp_path: Path) -> None:
    assert os.stat(locks.folder()).st_mode & 0o077 == 0
