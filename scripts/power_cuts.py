"""Writes docs/power-cuts.md: what a cut of the power leaves, at every write of the hub's firmware.

`python scripts/power_cuts.py` runs tests/firmware/bodies/power_cuts.py under MicroPython (about 15 s)."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE_TESTS = ROOT / "tests" / "firmware"
PAGE = ROOT / "docs" / "power-cuts.md"
STEPS = "step|programs|erases|NVS commits|cuts|old|new|between|unreadable|heard presses lost|others forgotten"
FILES = "file|programs|erases|NVS commits|cuts"

HEAD = """# Power cuts

What the hub's firmware leaves in flash and NVS when its power goes, found by cutting it everywhere.
Written by `python scripts/power_cuts.py`; `tests/firmware/test_power_cuts.py` runs the same and checks it.

The firmware's own classes run under MicroPython on littlefs (VfsLfs2) over a NOR flash in RAM. A
life of a hub is taken step by step. For each program, erase and NVS commit of a step the step is
done again from the same flash, and the power is cut there in four ways:

- before it,
- inside it: half of a program or erase is done,
- inside it: all over its length a program left some bits unwritten, an erase some bits unerased,
- after it.

NVS is a model: a commit that is cut leaves the old value or the new one, as ESP-IDF promises of it,
never a mixture. After the cut nothing runs on. The hub then starts, is looked over, hears one more
press and one movement, starts once more and is looked over again. After one cut in {every} that
start is cut too, at about 8 places.

"Old": all files and NVS are as before the step; "new": as after it; "between": some of the step's
writes are done, each of them whole. Unreadable is a file of which the next start cannot read every
byte. Lost is a press that was called heard (receipt 1) and is in no event, no count and at no host,
or one that came from nowhere. Others forgotten: events of P2 to P4 that flash was said to have; a
P5 event that is there with other bytes; the device table, the alarms' states, the replay counters,
the settings, the clock's floor, the mains state and a supervisor's reset cause once they were said
to be kept; what has come into the device table in force, and was not said.
"""

TAIL = """
## What this does not show

The wear of flash, a supply that sags instead of ending, and the ESP-IDF's own NVS code are not in
it. P5 events that are given up because storage is short are no loss here: the host sees the gap and
asks (contracts, section 5). A cut between the boot event that says a supervisor's reset cause and the
commit that clears it makes the next boot event say it once more.
"""


def measure() -> str:
    """What the map's body prints."""
    sys.path.insert(0, str(ROOT / "tests"))
    from helpers_micropython import run_micropython

    script = "import power_cuts\npower_cuts.test_every_cut()\n"
    return run_micropython(
        script, heap="6m", paths=(FIRMWARE_TESTS / "bodies", FIRMWARE_TESTS / "fakes"), timeout_s=300
    )


def page(out: str) -> str:
    """The page out of what the body printed."""
    rows = [line.split("|") for line in out.splitlines() if "|" in line]
    (total,) = [[int(cell) for cell in row[1:]] for row in rows if row[0] == "total"]
    cuts, again, seals, reused, unreadable, lost, forgotten = total
    return "\n".join(
        [
            HEAD.format(every=16),
            f"**{cuts} cuts, and {again} cuts of the start after one: {unreadable} unreadable files,",
            f"{lost} heard presses lost, {forgotten} others forgotten; {seals} seals made, {reused} of them",
            "under a boot and sequence number, and so a nonce, that another had.**",
            "",
            "## By step",
            "",
            *_table(STEPS, [row[1:] for row in rows if row[0] == "row"]),
            "",
            "## By file",
            "",
            *_table(FILES, [row[1:] for row in rows if row[0] == "file"]),
            TAIL,
        ]
    )


def _table(head: str, rows: list[list[str]]) -> list[str]:
    names = head.split("|")
    lines = ["| " + " | ".join(names) + " |", "|---" + "|---:" * (len(names) - 1) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


if __name__ == "__main__":
    text = page(measure())
    PAGE.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
