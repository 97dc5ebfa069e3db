"""The log file: rotated under the daemon, full, or impossible."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from helpers_cli import Kanhu
from kanhu import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_a_file_that_is_moved_away_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "kanhu.log"
    logs.configure("info", "json", file)
    log = structlog.get_logger("test")
    log.info("first", hub="7m3k0xq2fz")
    file.rename(tmp_path / "kanhu.log.1")  # what logrotate does
    log.info("second")
    log.debug("not said")
    assert [json.loads(line)["event"] for line in (tmp_path / "kanhu.log.1").read_text().splitlines()] == [
        "first"
    ]
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == ["second"]


def test_nothing_is_lost_or_torn_while_it_rotates(tmp_path: Path) -> None:
    file = tmp_path / "kanhu.log"
    logs.configure("info", "json", file)
    log = structlog.get_logger("test")

    def write(who: int) -> None:
        for number in range(300):
            log.info("said", who=who, number=number)

    writers = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    for writer in writers:
        writer.start()
    for number in range(20):
        if file.exists():
            file.rename(tmp_path / f"kanhu.log.{number}")
    for writer in writers:
        writer.join()
    said = [
        json.loads(line) for part in tmp_path.glob("kanhu.log*") for line in part.read_text().splitlines()
    ]
    assert sorted((one["who"], one["number"]) for one in said) == [
        (w, n) for w in range(3) for n in range(300)
    ]


def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("not on this platform: no /dev/full")
    file = tmp_path / "kanhu.log"
    os.symlink("/dev/full", file)
    logs.configure("info", "console", file)
    structlog.get_logger("test").error("nobody can read this")


def test_a_place_that_cannot_be_written(tmp_path: Path, kanhu: Kanhu) -> None:
    (tmp_path / "kanhu.toml").write_text(
        'data_dir = "data"\n[broker]\nenabled = true\n[log]\nfile = "nowhere/kanhu.log"\n'
    )
    done = kanhu("run")
    assert done.returncode == 2
    assert "log.file" in done.stderr
    assert "nowhere/kanhu.log: No such file" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()
