"""The script that asks a board, under MicroPython: what it counts is what the hub's own code has written."""

from __future__ import annotations

import json
from pathlib import Path

from helpers_micropython import run_micropython
from kanhu.install.flash import judge

OUTBOX = """
import sys, json
sys.path.insert(0, sys.argv[1])
import selftest
from kanhu_hub.outbox import Outbox

folder = sys.argv[2]
print(json.dumps(selftest.held(folder)))
box = Outbox(folder)
for seq in range(40):
    box.add(1 if seq in (3, 4, 20) else 3 + seq % 3, 7, seq, bytes(60))
box.add(4, 9, 0, bytes(100))
print(json.dumps(selftest.held(folder)))
"""
TREES = """
import sys, json
sys.path.insert(0, sys.argv[1])
import selftest
print(json.dumps([selftest.tree(path) for path in sys.argv[2:]]))
"""


def test_what_a_hub_holds(tmp_path: Path) -> None:
    firmware = Path(__file__).parents[2] / "firmware"
    before, after = map(json.loads, run_micropython(OUTBOX, firmware, tmp_path / "data").splitlines())
    assert before == {"urgent": 0, "events": []}
    assert after == {"urgent": 3, "events": [[7, 0, 39], [9, 0, 0]]}
    segments = sorted((tmp_path / "data" / "bulk").iterdir())
    assert segments
    torn = segments[0]
    torn.write_bytes(torn.read_bytes()[:10] + b"\xff" + torn.read_bytes()[11:])  # one event cannot be read
    again = run_micropython(OUTBOX.split("box = ")[0], firmware, tmp_path / "data")
    first = json.loads(again)["events"][0]
    assert first[1:] != [0, 39]


def test_board_and_host_make_the_same_digest_of_files(tmp_path: Path) -> None:
    files = {"/a/one.mpy": b"1" * 3000, "/a/sub/two.mpy": b"", "/a/sub/deep/three": b"3", "/main.py": b"x"}
    for path, data in files.items():
        target = tmp_path / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    paths = [str(tmp_path / name) for name in ("a", "main.py", "none")]
    found = json.loads(run_micropython(TREES, Path(__file__).parents[2] / "firmware", *paths))
    assert found == [judge.tree(files, "/a"), judge.tree(files, "/main.py"), ""]
    assert judge.tree(files, "/none") == ""
    assert judge.tree({**files, "/a/more": b""}, "/a") != found[0]
