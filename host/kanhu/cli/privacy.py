"""`kanhu registry export-home` and `kanhu registry forget`: what a person may ask for."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from kanhu.cli.show import DATA_DIR, AsJson, DataDir, open_registry, said
from kanhu.errors import ConfigError, DataError
from kanhu.journal import JournalLocked
from kanhu.registry import Registry
from kanhu_protocol import kinds as k

DAEMON_LIMIT_S = 60.0
LOOK_EVERY_S = 0.2


def export_home(
    home: str,
    out: Annotated[Path, typer.Option("--out", help="A new file (mode 0600), in JSON.")],
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Write everything that is held of a home into a file, for the person who asks for it."""
    from kanhu import export  # other commands start without it

    with open_registry(data_dir, "read") as registry:
        events = export.write(data_dir, registry, home, out)
    said(
        {"home": home, "events": events, "out": str(out)},
        as_json,
        f"home {home} with {events} events is in {out}; it names people: hand it over safely, then delete it",
    )


def forget(
    home: str,
    data_dir: DataDir = DATA_DIR,
    discard: Annotated[
        bool,
        typer.Option(
            "--discard-undelivered", help="What the platform has not had goes too, open calls among it."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a home for ever: names, keys, events, alarms. Only counts stay, under a name of nobody's."""
    with open_registry(data_dir, "change") as registry:
        if registry.erasures() and home not in {one.id for one in registry.homes()}:
            hubs = list(registry.erasures())  # begun before, and killed
        else:
            hubs = [hub.id for hub in registry.hubs(registry.home(home).id)]
            if not discard:
                _refuse_unfinished(data_dir, home, hubs)
            if not yes:
                _ask(f"Forget home {home} and its {len(hubs)} hub(s) for ever?")
                if not discard:  # somebody may have called while the question stood
                    _refuse_unfinished(data_dir, home, hubs)
            registry.forget_home(home, discard)
        _finish(data_dir, registry)
    older = sorted(str(path) for path in data_dir.glob("before-restore-*"))
    said(
        {"home": home, "hubs": len(hubs), "older_copies": older},
        as_json,
        f"home {home} is forgotten. Not reached from here: backups made before, the platform's own records, "
        f"and logs, which hold hubs' ids only{''.join(f'; delete {path}' for path in older)}",
    )


def _refuse_unfinished(data_dir: Path, home: str, hubs: list[str]) -> None:
    from kanhu.journal.erasing import undelivered  # other commands start without it

    path = data_dir / "journal.db"
    if not path.exists():
        return
    marks = ",".join("?" * len(hubs))
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            (me,) = db.execute("SELECT value FROM meta WHERE key='daemon_id'").fetchone()
            waiting = sum(len(undelivered(db, me, hub)) for hub in hubs)
            (alarms,) = db.execute(
                f"SELECT count(*) FROM alarms WHERE state <> ? AND hub IN ({marks})",  # noqa: S608  # question marks only
                (k.CLOSED, *hubs),
            ).fetchone()
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}") from None
    if alarms:
        raise DataError(
            f"home {home}: {alarms} alarm(s) not closed: look after the person, then close them "
            "(or give --discard-undelivered)"
        )
    if waiting:
        raise DataError(
            f"home {home}: the platform has not had {waiting} of its events: let it have them first "
            "(or give --discard-undelivered)"
        )


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} Nobody is there to answer: give --yes")
    typer.confirm(question, abort=True, err=True)


def _finish(data_dir: Path, registry: Registry) -> None:
    if not (data_dir / "journal.db").exists():
        for hub in registry.erasures():
            registry.erased(hub)
        return
    from kanhu.erasure import erase_all  # other commands start without it

    try:
        asyncio.run(erase_all(data_dir, registry))
    except JournalLocked:
        with Console(stderr=True).status("the daemon is erasing"):
            end = time.monotonic() + DAEMON_LIMIT_S
            while registry.erasures() and time.monotonic() < end:
                time.sleep(LOOK_EVERY_S)
                registry.refresh()
    if left := len(registry.erasures()):
        raise DataError(
            f"{left} hub(s) are forgotten in the registry and not yet in the journal: the daemon goes on "
            "with it; run this again to see"
        )
