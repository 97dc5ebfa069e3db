"""The map of power cuts holds, and the page that publishes it is of this firmware."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from helpers_micropython import run_micropython

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
spec = importlib.util.spec_from_file_location("power_cuts_page", ROOT / "scripts" / "power_cuts.py")
assert spec
assert spec.loader
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
PERSISTED = ("alarms", "boot", "bulk/*", "devices", "devices.heard", "devices.told", "urgent/*")
COMMITTED = ("boot", "config", "floor", "mains", "reset")


def table(page: str, first: str) -> dict[str, list[int]]:
    """Rows of one table of the page, by their first cell."""
    body = page[page.index(f"| {first} |") :].split("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in body.splitlines()[2:]]
    return {row[0]: [int(cell) for cell in row[1:]] for row in rows}


def test_no_cut_costs_anything_and_the_page_says_so() -> None:
    made = script.page(script.measure())
    print(made)
    published = script.PAGE.read_text(encoding="utf-8")
    steps, files = table(made, "step"), table(made, "file")
    assert set(files) >= {*PERSISTED, *(f"NVS {key}" for key in COMMITTED)}
    for step, (programs, erases, commits, cuts, old, new, between, *wrong) in steps.items():
        assert programs + erases + commits > 0, step
        assert cuts == 4 * (programs + erases + commits) == old + new + between
        assert old > 0, step
        assert new > 0, step
        assert wrong == [0, 0, 0], step
    assert re.search(r" [1-9]\d+ seals made, 0 of them\n", made)
    assert steps.keys() == table(published, "step").keys(), "run scripts/power_cuts.py"
    assert files.keys() == table(published, "file").keys(), "run scripts/power_cuts.py"
    cuts = sum(row[3] for row in steps.values())
    said = sum(row[3] for row in table(published, "step").values())
    assert abs(cuts - said) <= said // 10, "run scripts/power_cuts.py"
    assert cuts > 700


def test_the_map_can_fail() -> None:
    for case in ("test_a_careless_write_is_seen", "test_a_boot_counter_that_is_not_kept_is_seen"):
        text = f"import power_cuts\npower_cuts.{case}()\nprint('case done')\n"
        out = run_micropython(text, heap="6m", paths=(HERE / "bodies", HERE / "fakes"))
        assert out.endswith("case done\n"), out
