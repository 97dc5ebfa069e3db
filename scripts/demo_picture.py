"""Make docs/images/demo.svg: the demo as it looks while one call is answered and another waits."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from kanhu.demo.scenario import Scenario
from kanhu.demo.view import draw

COLUMNS, ROWS = 132, 34


def main(target: Path) -> None:
    """Run the two homes for a while and save what the terminal shows."""
    with tempfile.TemporaryDirectory() as folder, Scenario(Path(folder), 1) as scenario:
        bench = scenario.town.bench
        scenario.city.auto_accept = False
        bench.motion("south/hall", 2)
        bench.set_sensor("south/sink", True)
        time.sleep(1)
        scenario.call("north/bedroom")
        time.sleep(0.6)
        scenario.city.accept_all()
        time.sleep(0.6)
        scenario.break_broker()
        time.sleep(0.4)
        scenario.call("north/pendant")
        time.sleep(3.5)
        scenario.call("south/bathroom")
        time.sleep(1.2)
        console = Console(record=True, width=COLUMNS, height=ROWS, force_terminal=True, file=sys.stderr)
        console.print(draw(scenario, ROWS))
        picture = console.export_svg(title="kanhu demo")
        # Readers' own monospace font serves; nothing is fetched from elsewhere.
        target.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/demo.svg"))
