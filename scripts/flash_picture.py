"""Make docs/images/flash.svg: `kanhu flash` in the middle of its work on six simulated boards."""

from __future__ import annotations

import asyncio
import os
import re
import runpy
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from kanhu.install.flash import judge, session, table
from kanhu.install.flash.plan import Plan
from kanhu.install.flash.ports import Port
from kanhu.install.flash.work import Work
from kanhu.registry import Registry
from kanhu.sim import Bench
from kanhu.sim.board import HASTE, hasty

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from helpers_firmware import loaded

COLUMNS = 118
CHIPS = ("esp32", "esp32s3")


def main(target: Path) -> None:
    """Flash six boards, and save the table when two have passed."""
    runpy.run_path(str(HASTE / "sitecustomize.py"))
    bundles = {chip: (loaded(chip), judge.Expected.of(loaded(chip))) for chip in CHIPS}
    with tempfile.TemporaryDirectory() as scratch, Bench(Path(scratch) / "bench") as bench:
        boards = [
            bench.add_board(f"board{n}", CHIPS[n % 2], f"240ac4a1b2{n:02x}", 4 if n == 3 else 8)
            for n in range(5)
        ]
        boards.append(bench.add_board("other", "esp32c3", "240ac4a1b2c3", 4))
        folder = Path(scratch) / "data"
        registry = Registry.open(folder)
        works: list[Work] = []
        console = Console(record=True, width=COLUMNS, force_terminal=True, file=sys.stderr)
        watch = table.Watch(console)

        def begun(all_of_them: Sequence[Work]) -> None:
            works.extend(all_of_them)
            watch.begun(all_of_them)

        saved = False

        def changed(work: Work) -> None:
            nonlocal saved
            busy = [one for one in works if one.stage.startswith("writing")]
            if not saved and busy and sum(one.result.good for one in works) >= 2:
                saved = True
                console.print(watch.render())

        ports = [Port(board.url) for board in boards]
        plan, kept = Plan(bundles, folder), session.Journal(folder / session.FILE)
        begin = time.monotonic()
        results = asyncio.run(session.run(ports, plan, registry, kept, 3, begun, changed))
        registry.close()
        if not saved:
            console.print(watch.render())
        sys.stderr.write(table.summary(results, time.monotonic() - begin) + "\n")
    picture = console.export_svg(title="kanhu flash")
    # Readers' own monospace font serves; nothing is fetched from elsewhere.
    target.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    os.environ.update(hasty())
    main(Path(__file__).parent.parent / "docs" / "images" / "flash.svg")
