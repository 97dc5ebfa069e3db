"""A bench that dies takes its hubs with it, whatever they are reading."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

BENCH = """
import sys, time
from pathlib import Path
from kanhu.sim.town import Town

with Town(Path(sys.argv[1]), serial_homes=("south",)) as town:
    home = town.add_home("south", links=("serial",), buttons={"bedroom": 4})
    town.start()
    town.wait_ready()
    print("ready", flush=True)
    time.sleep(600)
"""


def descendants(pid: int) -> set[int]:
    """Processes that a process has started, and theirs."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found |= {child, *descendants(child)}
    return found


def hubs_of(pids: set[int]) -> list[int]:
    """Those that run MicroPython."""
    return [pid for pid in pids if b"heapsize=" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


def test_hubs_end_with_a_bench_that_is_killed(tmp_path: Path) -> None:
    bench = subprocess.Popen([sys.executable, "-c", BENCH, str(tmp_path)], stdout=subprocess.PIPE)
    started: set[int] = set()
    try:
        assert bench.stdout is not None
        assert bench.stdout.readline() == b"ready\n"
        started = descendants(bench.pid)
        (hub,) = hubs_of(started)
        bench.kill()
        bench.wait()
        end = time.monotonic() + 20
        while alive(hub):
            assert time.monotonic() < end, "the hub goes on without its bench"
            time.sleep(0.05)
    finally:
        bench.kill()
        bench.wait()
        if bench.stdout:
            bench.stdout.close()
        for pid in started:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
