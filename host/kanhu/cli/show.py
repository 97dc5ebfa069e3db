"""How the registry's commands open it and show what they found."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kanhu.registry import Access, Registry

DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="KANHU_DATA_DIR", help="The daemon's data_dir.", show_default=True),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON value instead of a table.")]
DATA_DIR = Path("/var/lib/kanhu")
MAX_WIDTH = 200  # columns of a table that goes into a file or pipe


@contextmanager
def open_registry(data_dir: Path, access: Access) -> Iterator[Registry]:
    """The registry for the length of a with block; DataError when it cannot be opened so."""
    registry = Registry.open(data_dir, access)
    try:
        yield registry
    finally:
        registry.close()


def when(utc_ms: int | None) -> str:
    """A moment for people; empty for none."""
    return "" if utc_ms is None else datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def show(rows: list[dict[str, Any]], as_json: bool, nothing: str) -> None:
    """Rows as a table, or `nothing` where there is none."""
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
    elif not rows:
        print(nothing)
    else:
        table = Table()
        for key in rows[0]:
            table.add_column(key.replace("_", " "), overflow="fold")  # an id cut short is of no use
        for row in rows:
            values = (", ".join(value) if isinstance(value, list) else value for value in row.values())
            # What people called it is no markup.
            table.add_row(*(Text("" if value is None else str(value)) for value in values))
        Console(width=None if sys.stdout.isatty() else MAX_WIDTH).print(table)


def show_whole(found: dict[str, Any], parts: dict[str, Any], as_json: bool, **nothing: str) -> None:
    """An entry and what belongs to it: tables of rows, and settings."""
    if as_json:
        print(json.dumps({**found, **parts}, ensure_ascii=False))
        return
    show([found], False, "")
    for name, rows in parts.items():
        if isinstance(rows, dict):
            show_settings(rows, False)
        else:
            show(rows, False, nothing[name])


def show_settings(settings: dict[str, Any], as_json: bool) -> None:
    """One setting a line, as `hub settings` takes them."""
    if as_json:
        print(json.dumps(settings, ensure_ascii=False))
        return
    for key, value in settings.items():
        print(f"{key}={json.dumps(value, ensure_ascii=False)}")
    if not settings:
        print("no settings beside the defaults (docs/wiring.md)")


def said(result: dict[str, Any], as_json: bool, sentence: str) -> None:
    """What was done, as a sentence or as JSON."""
    print(json.dumps(result, ensure_ascii=False) if as_json else sentence)
