"""How long a box of bare boards takes to be hubs: from the command to the last passed self-test, one board
and eight. Beside it the same content with what there is without Kanhu, `esptool write-flash` and then
`mpremote cp`, on boards of one bench, all at once: no keys, no comparison of what was written, no test.

Boards are simulated ones: their flash takes no time to erase, so real ones are slower, for both ways alike.

python benchmarks/flash.py [--boards N ...] [--tiny] [--json]; see docs/flashing.md"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from helpers_firmware import loaded, test_key
from kanhu.install import filesystem, signing
from kanhu.install.bundle import Bundle
from kanhu.sim import Bench
from kanhu.sim.board import Board, hasty

BAUD = "921600"
LIMIT_S = 600
TRIES = 3  # of mpremote, which gives up on a board that is not at its REPL yet


def flash(boards: Sequence[Board], bundle: Bundle, folder: Path) -> float:
    """Seconds of `kanhu flash` on all of them."""
    key = folder / "key.pub.pem"
    key.write_bytes(signing.public_pem(test_key().public_key()))
    ports = [word for board in boards for word in ("--port", board.url)]
    words = [str(bundle.folder), "--trust", str(key), "--data-dir", str(folder / "data"), *ports]
    return timed([sys.executable, "-m", "kanhu", "flash", *words])


def by_hand(boards: Sequence[Board], bundle: Bundle, folder: Path, tiny: bool) -> float:
    """Seconds of esptool and mpremote on all of them, each board on its own; tiny: a tenth of the files."""
    files = filesystem.read(bundle.region("vfs").data(), bundle.partition("vfs").size)
    if tiny:
        files = {path: data for path, data in files.items() if path.startswith("/a/kanhu_protocol/")}
    for path, data in files.items():
        (folder / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (folder / path.lstrip("/")).write_bytes(data)
    regions = [one for one in bundle.regions if one.name != "vfs"]
    written = [word for one in regions for word in (hex(one.offset), str(one.path))]
    copied = [f"{one}" for one in sorted(folder.iterdir())]

    def one(board: Board) -> None:
        timed([sys.executable, "-m", "esptool", "--port", board.url, "--baud", BAUD, "write-flash", *written])
        for last in (False,) * (TRIES - 1) + (True,):
            try:
                timed([sys.executable, "-m", "mpremote", "connect", board.url, "cp", "-r", *copied, ":"])
                return
            except subprocess.CalledProcessError:
                if last:
                    raise

    begun = time.monotonic()
    with ThreadPoolExecutor(len(boards)) as pool:
        list(pool.map(one, boards))
    return time.monotonic() - begun


def timed(command: Sequence[str]) -> float:
    """Seconds that a program takes; CalledProcessError, with what it said on stderr."""
    begun = time.monotonic()
    done = subprocess.run(
        command, env=hasty(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S,
        check=False,
    )  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stdout[-2000:])
        raise subprocess.CalledProcessError(done.returncode, command)
    return time.monotonic() - begun


def measure(count: int, bundle: Bundle, tiny: bool) -> dict[str, Any]:
    """Both ways with so many boards, and Kanhu's a second time, when there is nothing to do."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("kanhu", "hand"):
            (folder / name).mkdir()
        with Bench(folder / "bench1") as bench:
            boards = [bench.add_board(f"k{n}", "esp32", f"240ac40001{n:02x}", 4) for n in range(count)]
            first = flash(boards, bundle, folder / "kanhu")
            second = flash(boards, bundle, folder / "kanhu")
        with Bench(folder / "bench2") as bench:
            boards = [bench.add_board(f"h{n}", "esp32", f"240ac40002{n:02x}", 4) for n in range(count)]
            hand = by_hand(boards, bundle, folder / "hand", tiny)
    return {
        "boards": count,
        "kanhu_s": round(first, 2),
        "again_s": round(second, 2),
        "by_hand_s": round(hand, 2),
        "of_by_hand": round(first / hand, 3),
        "again_of_first": round(second / first, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boards", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--tiny", action="store_true", help="mpremote copies a few files only: to try it out")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if min(given.boards) < 1:
        parser.error("--boards: at least 1")
    bundle = loaded("esp32")
    size = sum(region.size for region in bundle.regions)
    rows = [measure(count, bundle, given.tiny) for count in given.boards]
    if given.json:
        print(json.dumps({"bytes": size, "runs": rows}))
        return
    print(f"{size / 1e6:.2f} MB a board; simulated ESP32s, {BAUD} baud")
    for row in rows:
        print(
            f"{row['boards']} board(s): kanhu flash {row['kanhu_s']:.1f} s to the last passed self-test; "
            f"esptool write-flash + mpremote cp {row['by_hand_s']:.1f} s (ratio {row['of_by_hand']:.2f}); "
            f"kanhu flash again {row['again_s']:.1f} s ({row['again_of_first']:.2f} of the first)"
        )


if __name__ == "__main__":
    main()
