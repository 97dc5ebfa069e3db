"""`kanhu backup` and `kanhu restore`: journal and registry, copied and put back."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from kanhu import backup as copying
from kanhu import config as configuration
from kanhu import restore as putting
from kanhu.cli.operate import DEFAULT_CONFIG, AsJson, ConfigFile, DataDir, journal_dir
from kanhu.cli.show import said

PAGE = 4096  # bytes; SQLite reports a copy in pages of its default size


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def _bar() -> Iterator[copying.Progress]:
    """A bar for each thing done, on a terminal; nothing where nobody looks."""
    columns = TextColumn("{task.description:26}"), BarColumn(), DownloadColumn(binary_units=True)
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            unit = PAGE if what.startswith("copying") else 1
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total * unit)
            bar.update(tasks[what], completed=done * unit, total=total * unit)

        yield show


def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder, such as /var/backups/kanhu-2026-09-21.")],
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy journal and registry into a new folder, while the daemon runs; checked before it counts."""
    found = journal_dir(data_dir, config)
    with _bar() as progress:
        manifest = copying.make(found, folder, _now_ms(), progress)
    size = sum(file.bytes for file in manifest.files.values())
    said(
        {"backup": str(folder), "events": manifest.events, "homes": manifest.homes, "bytes": size},
        as_json,
        f"{manifest.events} events and {manifest.homes} homes are in {folder}, {size / 1e6:.1f} MB, "
        "checked. It holds hubs' keys and people's names: guard it as you guard data_dir.",
    )


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `kanhu backup` made.")],
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    force: Annotated[bool, typer.Option("--force", help="Keep what is there aside, and replace it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup's journal and registry in place; the daemon must be stopped."""
    place = data_dir if data_dir is not None else configuration.load(config).data_dir
    with _bar() as progress:
        done = putting.restore(folder, place, _now_ms(), force, progress)
    kept = f" What was there is in {done.kept}; delete it when all is well." if done.kept else ""
    said(
        {"restored": str(folder), "made": done.manifest.made, "kept": str(done.kept) if done.kept else None},
        as_json,
        f"{place} is as it was at {done.manifest.made}: {done.manifest.events} events, "
        f"{done.manifest.homes} homes.{kept} Start the daemon; docs/operate.md says what the platform sees.",
    )
