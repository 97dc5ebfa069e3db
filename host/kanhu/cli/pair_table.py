"""What a hub hears, as a table that lives while a person types the number of one."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kanhu.errors import KanhuError

SILENT_S = 10  # a hub that is connected has answered by then
ROWS_BESIDE = 8  # lines around the table's
WIDE = 72  # columns for everything
HOW = "Press the sensor's button or wake the monitor, then type its number and Enter. Ctrl-C ends."
WHOSE = {"here": "this hub's", "home": "another hub's here", "elsewhere": "another home's", "": ""}

Row = dict[str, Any]


def choose(windows: Iterable[Row], every_s: float, moves: bool) -> tuple[Row | None, bool]:
    """The sensor of the number that is typed; None when the windows end; and whether any was heard.

    moves: one that the hub has already may be chosen, too."""
    numbers: dict[str, int] = {}  # a number stays a sensor's, whatever comes after it
    typed = said = ""
    began = time.monotonic()
    console = Console()
    with _keyboard() as keys, Live(console=console, auto_refresh=False) as live:
        for window in windows:
            for one in window["heard"]:
                numbers.setdefault(one["address"], len(numbers) + 1)
            heard = {numbers[one["address"]]: one for one in window["heard"]}
            until = time.monotonic() + every_s
            while True:
                silent = time.monotonic() - began > SILENT_S
                live.update(_shown(window, heard, typed, said, silent, console), refresh=True)
                key = _key(keys, until - time.monotonic())
                if key is None:
                    break
                if key.isdecimal() and len(typed) < 3:
                    typed, said = typed + key, ""
                elif key in ("\x7f", "\b"):
                    typed = typed[:-1]
                elif key in ("\r", "\n") and typed:
                    found = heard.get(int(typed))
                    said = _refusal(typed, found, moves)
                    typed = ""
                    if found is not None and not said:
                        return found, True
    return None, bool(numbers)


def _refusal(typed: str, found: Row | None, moves: bool) -> str:
    """Why it cannot be taken; empty: it can."""
    if found is None:
        return f"there is no number {typed}"
    if found["whose"] == "elsewhere":
        return f"number {typed} belongs to another home: unpair it there first"
    if found["whose"] == "here" and not moves:
        return f"number {typed} is paired with this hub already: kanhu pair list shows it"
    return ""


# Keys


@contextmanager
def _keyboard() -> Iterator[int]:
    """The terminal, which gives each key at once and shows none: what is typed stands below the table."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield terminal
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _key(terminal: int, wait_s: float) -> str | None:
    """The next key; None: none was pressed."""
    if not select.select([terminal], [], [], max(wait_s, 0))[0]:
        return None
    given = os.read(terminal, 1)
    if given in (b"", b"\x04"):  # the terminal is gone, or Ctrl-D
        raise KanhuError("nobody to ask: give --address, and --bind-key where it encrypts")
    return given.decode("ascii", "replace")


# Looks


def _shown(
    window: Row, heard: dict[int, Row], typed: str, said: str, silent: bool, console: Console
) -> Group:
    left = max(0, round(window["ends_ms"] / 1000 - time.time()))
    title = f"listening, {left} s left"
    if window["state"] == "asked":
        title = f"waiting for the hub, {left} s left" + (": is it connected?" if silent else "")
    kept = dict(list(heard.items())[: max(console.height - ROWS_BESIDE, 3)])  # the strongest come first
    lines: list[Any] = [Text(title, style="bold")]
    if kept:
        lines.append(_table([(number, kept[number]) for number in sorted(kept)], console.width >= WIDE))
    if len(heard) > len(kept):
        lines.append(Text(f"and {len(heard) - len(kept)} weaker ones: take the sensor nearer to the hub"))
    lines.append(Text(HOW))
    if said:
        lines.append(Text(said, style="bold"))
    lines.append(Text(f"number: {typed}"))
    return Group(*lines)


def _table(rows: list[tuple[int, Row]], wide: bool) -> Table:
    """Columns in which nothing stands are left out: a terminal has 80."""
    now_ms = time.time() * 1000
    columns: dict[str, list[str]] = {
        "": [str(number) for number, _ in rows],
        "seems to be": [one["role"] or "?" for _, one in rows],
        "name": [one["name"] for _, one in rows],
        "address": [one["address"] for _, one in rows],
        "dBm": [_number(one["rssi_dbm"]) for _, one in rows if wide],
        "bat.": [_number(one["battery_percent"], " %") for _, one in rows if wide],
        "s ago": [f"{max(0, (now_ms - one['heard_ms']) / 1000):.0f}" for _, one in rows],
        "note": [_note(one) for _, one in rows],
    }
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    used = {name: texts for name, texts in columns.items() if any(texts)}
    for name in used:
        table.add_column(name, overflow="fold", no_wrap=name not in ("name", "note"))
    for at in range(len(rows)):
        table.add_row(*(Text(texts[at]) for texts in used.values()))  # a name is no markup
    return table


def _number(value: int | None, unit: str = "") -> str:
    return "" if value is None else f"{value}{unit}"


def _note(one: Row) -> str:
    return ", ".join(note for note in ("encrypts" if one["encrypted"] else "", WHOSE[one["whose"]]) if note)
