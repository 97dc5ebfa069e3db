"""`kanhu sim bench`: two boards of another process, reached by nothing but their two serial ports."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers_e2e import wait_for
from helpers_stimulus import STIMULUS_MAC, WAIT, image
from kanhu.qa import bench_file
from kanhu.qa.bench_file import BenchFile
from kanhu.qa.stimulus import Stimulus, flash
from kanhu.qa.targets.haste import hurried

RUN = [sys.executable, "-c", "from kanhu.cli import main; main()", "sim", "bench"]
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated")  # pyserial's


@contextlib.contextmanager
def bench(file: Path, *options: str) -> Iterator[tuple[BenchFile, subprocess.Popen[str]]]:
    """Running, and its bench.toml read."""
    file.unlink(missing_ok=True)
    with subprocess.Popen(
        [*RUN, "--write", str(file), *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_for(lambda: file.exists() or process.poll() is not None, WAIT)
            assert process.poll() is None
            yield bench_file.load(file), process
        finally:
            process.terminate()
            process.communicate(timeout=WAIT)


def test_two_boards_of_another_process(tmp_path: Path) -> None:
    with hurried():
        with bench(tmp_path / "bench.toml", "--folder", str(tmp_path / "boards")) as (file, process):
            assert file.stimulus is not None
            assert file.power.kind == "stimulus"
            assert file.host.address == "127.0.0.1"
            url = file.stimulus.where
            assert file.hub[0].where != url
            flash(url, image(), mac=STIMULUS_MAC)
            with Stimulus(url) as stimulus:
                stimulus.prove(image())
                stimulus.set("power", 0)
                # What this process cannot look into, its desk says.
                assert process.stdout is not None
                said = ""
                while "hub [off]" not in said:
                    said += process.stdout.readline()
                assert "hub [no image]" in said
                assert f'port = "{url}"' in said
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT) != 0
        with bench(tmp_path / "bench.toml", "--folder", str(tmp_path / "boards")) as (file, _):
            assert file.stimulus is not None
            with Stimulus(file.stimulus.where) as stimulus:  # what was flashed is there
                stimulus.prove(image())
        with bench(tmp_path / "bench.toml") as (file, _):
            assert file.stimulus is not None
            done = subprocess.run(
                [sys.executable, "-m", "mpremote", "connect", file.stimulus.where, "eval", "1"],
                capture_output=True,
                timeout=WAIT,
            )
            assert done.returncode != 0  # without a folder they begin bare


def test_it_ends_by_itself_and_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    done = subprocess.run(
        [*RUN, "--seconds", "1"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT
    )
    assert done.returncode == 0, done.stderr
    assert "stimulus [no image]" in done.stdout
    for options, says in (
        (["--seconds", "nan"], "must be 0 or more"),
        (["--seconds", "1", "--write", str(tmp_path / "none" / "bench.toml")], "No such file"),
    ):
        done = subprocess.run([*RUN, *options], capture_output=True, text=True, timeout=WAIT)
        assert done.returncode == 2
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
