"""`kanhu visits`: who was at homes, whether the table still holds together, and the code of the day."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from kanhu.care import visits as care
from kanhu.cli.show import DATA_DIR, AsJson, DataDir, open_registry, said, show, when
from kanhu.errors import DataError
from kanhu.journal import chain

app = typer.Typer(no_args_is_help=True)

_NEWEST = """
SELECT hub, at_ms, what, who, via, span_ms FROM visits WHERE hub=coalesce(?, hub) ORDER BY id DESC LIMIT ?
"""


def _journal(data_dir: Path) -> sqlite3.Connection:
    path = data_dir / "journal.db"
    if not path.exists():
        raise DataError(f"no journal in {data_dir}: give the daemon's data_dir")
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)


@app.command("list")
def list_visits(
    hub: Annotated[str | None, typer.Argument(help="Of one hub; of all when left out.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest.")] = 100,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Who came and left, newest first."""
    try:
        with closing(_journal(data_dir)) as db:
            rows = db.execute(_NEWEST, (hub, limit)).fetchall()
    except sqlite3.Error as error:
        raise DataError(f"{data_dir / 'journal.db'}: {error}") from None
    show([_row(row, as_json) for row in rows], as_json, "no visits yet")


def _row(row: tuple[Any, ...], as_json: bool) -> dict[str, Any]:
    hub, at_ms, what, who, via, span_ms = row
    if as_json:
        return {"hub": hub, "at_ms": at_ms, "what": what, "who": who, "via": via, "span_ms": span_ms}
    stayed = "" if span_ms is None else f"{span_ms // 60_000} min"
    return {"when": when(at_ms), "hub": hub, "what": what, "who": who, "via": via, "stayed": stayed}


@app.command("verify")
def verify(
    head: Annotated[str, typer.Option(help="A head noted before: must still be in the chain.")] = "",
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Whether any row was changed, put in or taken out; prints the head, to be noted somewhere else."""
    try:
        with closing(_journal(data_dir)) as db:
            found = chain.verify(db, chain.VISITS)
            newest = chain.newest(db, chain.VISITS)
            links = {row[0][-32:].hex() for row in db.execute("SELECT digest FROM visits")} if head else set()
            before = chain.before_first(db, chain.VISITS)
    except sqlite3.Error as error:
        raise DataError(f"{data_dir / 'journal.db'}: {error}") from None
    if before is not None:
        links.add(before[-32:].hex())
    lost = bool(head) and head.strip().lower() not in links
    well = not found.broken and not lost
    link = "" if newest is None else newest[-32:].hex()
    words = f"{found.rows} rows hold together" if not found.broken else (
        f"{len(found.broken)} of {found.rows} rows do not fit, the first is row {found.broken[0]}"
    )  # fmt: skip
    if found.forgotten:
        words += f", {found.forgotten} of them of forgotten homes"
    if lost:
        words += "; the head that was noted is not among them: rows were cut off, or all were written anew"
    said(
        {"rows": found.rows, "forgotten": found.forgotten, "broken": list(found.broken), "head": link,
         "head_found": not lost if head else None},
        as_json,
        f"{words}. Head: {link or 'none yet'}",
    )  # fmt: skip
    if not well:
        raise typer.Exit(1)


@app.command("code")
def code(home: str, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """The home's code of the day, for the carer who is due."""
    with open_registry(data_dir, "read") as registry:
        found = registry.home(home)
    day = care.today(found)
    made = care.code(data_dir, found.id, day)
    said({"home": home, "day": day.isoformat(), "code": made}, as_json, f"{made} for home {home} on {day}")
