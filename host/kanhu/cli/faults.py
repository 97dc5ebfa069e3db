"""`kanhu faults`: technical faults as work, and the incidents that many of them make."""

from __future__ import annotations

import asyncio
import getpass
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from kanhu import requests
from kanhu.care.fault_requests import handler
from kanhu.care.faults import Faults
from kanhu.cli.operate import DEFAULT_CONFIG, ConfigFile, DataDir, journal_dir
from kanhu.cli.show import AsJson, said, show, when
from kanhu.errors import DataError
from kanhu.journal import Journal, JournalLocked
from kanhu.registry import Registry
from kanhu_protocol import names

app = typer.Typer(no_args_is_help=True)

HOUR_MS = 3_600_000
By = Annotated[str, typer.Option("--by", help="Whoever does this; the user who is logged in.")]

_OPEN = """
SELECT f.id, f.hub, f.device, f.kind, f.opened_ms, f.due_ms, f.owner, f.incident FROM faults AS f
LEFT JOIN incidents AS i ON i.id = f.incident
WHERE f.closed_ms IS NULL AND (?1 IS NULL OR f.hub = ?1)
    AND (?2 OR f.incident IS NULL OR i.closed_ms IS NOT NULL) ORDER BY f.due_ms, f.id
"""
_INCIDENTS = """
SELECT i.id, i.kind, i.region, i.opened_ms, count(DISTINCT f.hub),
    count(DISTINCT CASE WHEN f.closed_ms IS NULL THEN f.hub END)
FROM incidents AS i LEFT JOIN faults AS f ON f.incident = i.id WHERE i.closed_ms IS NULL GROUP BY i.id
"""


@app.command("list")
def list_faults(
    hub: Annotated[str | None, typer.Option("--hub", help="Of this hub only.")] = None,
    members: Annotated[bool, typer.Option("--members", help="Those of open incidents too.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Faults that stand, the first due first. Those of an open incident are one line."""
    path = journal_dir(data_dir, config) / "journal.db"
    now = time.time_ns() // 1_000_000
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            found = db.execute(_OPEN, (hub, members or hub is not None)).fetchall()
            together = db.execute(_INCIDENTS).fetchall() if hub is None else []
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}") from None
    rows: list[dict[str, Any]] = [
        {
            "id": f"incident {number}", "hub": f"{standing} of {hubs} hubs", "device": region or "everywhere",
            "fault": names.KINDS.get(kind, str(kind)), "since": _moment(opened_ms, as_json), "due": None,
            "overdue": None, "owner": None,
        }
        for number, kind, region, opened_ms, hubs, standing in together
    ]  # fmt: skip
    rows += [
        {
            "id": number, "hub": of, "device": _device(device), "fault": names.KINDS.get(kind, str(kind)),
            "since": _moment(opened_ms, as_json), "due": _moment(due_ms, as_json),
            "overdue": (due_ms <= now) if as_json else ("yes" if due_ms <= now else ""), "owner": owner,
        }
        for number, of, device, kind, opened_ms, due_ms, owner, _ in found
    ]  # fmt: skip
    show(rows, as_json, "no fault stands")


@app.command("assign")
def assign(
    fault: Annotated[int, typer.Argument(help="Its id, as `kanhu faults list` shows it.")],
    owner: Annotated[str, typer.Argument(help="Whoever mends it.")],
    hours: Annotated[float | None, typer.Option("--hours", help="A new deadline, from now.")] = None,
    by: By = "",
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give a fault to somebody, and another deadline if need be."""
    if hours is not None and not 0 < hours <= 8784:
        raise DataError(f"--hours {hours:g}: above 0, at most 8784")
    due_ms = None if hours is None else time.time_ns() // 1_000_000 + int(hours * HOUR_MS)
    request = {"do": "faults.assign", "fault": fault, "owner": owner, "due_ms": due_ms, "by": _who(by)}
    done = _carry_out(journal_dir(data_dir, config), request)
    said(done, as_json, f"fault {fault} is {owner}'s until {when(done['due_ms'])}")


@app.command("close")
def close(
    fault: Annotated[int, typer.Argument(help="Its id, or an incident's.")],
    reason: Annotated[str, typer.Option("--reason", help="Why: it becomes part of the record.")],
    incident: Annotated[bool, typer.Option("--incident", help="It is an incident's id.")] = False,
    by: By = "",
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End a fault that does not end itself, or an incident: what still stands of it is single work then."""
    what = "incident" if incident else "fault"
    request = {"do": f"faults.close_{what}", "fault": fault, "by": _who(by), "reason": reason}
    done = _carry_out(journal_dir(data_dir, config), request)
    said(done, as_json, f"{what} {fault} is closed")


def _carry_out(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """By the daemon that runs, else here."""
    try:
        return asyncio.run(_here(folder, request))
    except JournalLocked:
        return requests.ask(folder, request)


async def _here(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    journal = Journal.open(folder)
    try:
        with closing(Registry.open(folder, "read")) as registry:

            def region_of(hub: str) -> str | None:
                home = registry.home_of(hub)
                return home.region if home is not None else None

            return await handler(Faults(journal, region_of))(request)
    finally:
        await journal.close()


def _who(by: str) -> str:
    return by or getpass.getuser()


def _device(device: int) -> str:
    if device < 0:
        return f"link {names.LINKS.get(-device, -device)}"
    return str(device) if device else "hub"


def _moment(utc_ms: int, as_json: bool) -> Any:
    return utc_ms if as_json else when(utc_ms)
