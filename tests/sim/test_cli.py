"""`kanhu sim run` as a person meets it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = [sys.executable, "-c", "from kanhu.cli import main; main()", "sim", "run"]


def test_a_person_presses_and_sees_the_lamp(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*RUN, "--dir", str(tmp_path / "d"), "--broker", "127.0.0.1:9", "--monitor", "thermometer"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
    ) as desk:
        os.close(slave)
        said = ""

        def until(text: str) -> None:
            nonlocal said
            end = time.monotonic() + 20
            while text not in said:
                assert time.monotonic() < end, said
                said += os.read(master, 4096).decode(errors="replace")

        until("q  quit")
        until("cannot_tell")
        os.write(master, b"p")
        until("heard")
        assert "monitor thermometer F0:4B:48:00:00:01" in said
        assert "hold the pairing keys" in said
        os.write(master, b"1")
        until("[measure with thermometer 1]")
        os.write(master, b"q")
        assert desk.wait(20) == 0
    os.close(master)
    (key,) = (tmp_path / "d").glob("*.key")
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().strip() not in said
    assert not list((tmp_path / "d").glob("*.tty"))


def test_it_runs_unattended_for_its_seconds(tmp_path: Path) -> None:
    start = time.monotonic()
    done = subprocess.run(
        [*RUN, "--dir", str(tmp_path), "--hub", "k3v9m2x7qa", "--seconds", "2"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "hub k3v9m2x7qa" in done.stdout
    assert "boot 1" in done.stdout
    assert 2 <= time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--broker", "nowhere"], "write host:port"),
        (["--hub", "UPPER"], "a hub id is 10 of"),
        (["--seconds", "nan"], "--seconds nan: must be 0 or more"),
        (["--data-dir", "{none}"], "no registry in"),
        (["--key-file", "{bad}"], "a key is 32 hex digits"),
        (["--key-file", "{none}"], "No such file"),
    ],
)
def test_bad_options_get_one_line(tmp_path: Path, options: list[str], says: str) -> None:
    (tmp_path / "bad").write_text("no key")
    options = [o.format(bad=tmp_path / "bad", none=tmp_path / "none") for o in options]
    done = subprocess.run(
        [*RUN, "--dir", str(tmp_path / "d"), *options], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_monitor_there_is_not(tmp_path: Path) -> None:
    done = subprocess.run(
        [*RUN, "--dir", str(tmp_path), "--monitor", "sphygmograph"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "no monitor 'sphygmograph': there is blood_pressure," in done.stderr


def test_a_bare_board_on_the_desk(tmp_path: Path) -> None:
    command = [*RUN[:-1], "board", "--folder", str(tmp_path / "b"), "--flash-mb", "4", "--seconds", "1.5"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "port rfc2217://127.0.0.1:" in done.stdout
    assert "[no image]" in done.stdout
    assert "invalid header: 0xffffffff" in done.stdout
    assert (tmp_path / "b" / "board.chip").stat().st_size == 4 << 20
    other = subprocess.run(
        [*command, "--flash-mb", "8"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert other.returncode == 2
    assert "is not the image of a flash of 8 MB" in other.stderr
    assert len(other.stderr.strip().splitlines()) == 1
