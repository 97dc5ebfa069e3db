"""`kanhu home`: how a home is, and whether anybody is in it."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from kanhu.care.condition import STATE_WORDS, Condition
from kanhu.care.modes import ModeError, Modes, checked
from kanhu.care.shown import read
from kanhu.cli.operate import DEFAULT_CONFIG, STATE_COLOURS, AsJson, ConfigFile, DataDir, journal_dir
from kanhu.cli.show import said
from kanhu.errors import KanhuError
from kanhu.journal import Journal, JournalLocked
from kanhu.registry import Registry
from kanhu.status import is_running
from kanhu_protocol import names

app = typer.Typer(no_args_is_help=True)

CARRIED_OUT_S = 10.0  # a daemon that runs looks every half second
MODES = {name: number for number, name in names.MODES.items()}


def show(console: Console, home: str, found: Condition) -> None:
    """One home's condition for people."""
    words = STATE_WORDS[found.state]
    console.print(f"[{STATE_COLOURS[found.state]}]{home}: {words.en}[/] {words.zh}")
    for reason in found.reasons:
        since = "" if reason.since_ms is None else f", since {_moment(reason.since_ms)}"
        console.print(f"  {reason.words.en}{since} · {reason.words.zh}", highlight=False, markup=False)


def _moment(utc_ms: int) -> str:
    return datetime.fromtimestamp(utc_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")


@app.command("status")
def status(
    home: Annotated[str, typer.Argument(help="Its pseudonym; left out: all homes.")] = "",
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """How a home is, or all: well, needs attention or cannot tell, and why. As the daemon says it."""
    folder = journal_dir(data_dir, config)
    registry = Registry.open(folder, "read")
    try:
        homes = [registry.home(home).id] if home else [one.id for one in registry.homes()]
    finally:
        registry.close()
    found = read(folder, homes, is_running(folder))
    if as_json:
        rows = [{"home": one, **condition.as_dict()} for one, condition in found.items()]
        print(json.dumps(rows[0] if home else rows, ensure_ascii=False))
        return
    console = Console()
    for one, condition in found.items():
        show(console, one, condition)
    if not found:
        print("no homes yet: kanhu registry home add")


@app.command("mode")
def mode(
    home: str,
    mode: Annotated[str, typer.Argument(help=", ".join(MODES))],
    until: Annotated[
        str, typer.Option(help="When it ends by itself, in the home's time: 2026-09-27T18:00, or 18:00.")
    ] = "",
    by: Annotated[str, typer.Option(help="Who sets it; stands in the event.")] = "administrator",
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say that a home is away, in hospital, visited or asleep, or home again."""
    number = MODES.get(mode)
    if number is None:
        raise ModeError(f"mode {mode!r}: must be one of {', '.join(MODES)}")
    folder = journal_dir(data_dir, config)
    registry = Registry.open(folder, "change")
    try:
        zone = ZoneInfo(registry.home(home).time_zone)
        now_ms = time.time_ns() // 1_000_000
        until_ms = moment(until, zone, now_ms) if until else None
        ends_ms = checked(number, until_ms, now_ms)
        request = registry.ask_mode(home, number, until_ms, by)
        _carry_out(folder, registry, request)
    finally:
        registry.close()
    local = datetime.fromtimestamp(ends_ms / 1000, zone).strftime("%Y-%m-%d %H:%M")
    said(
        {"home": home, "mode": mode, "until_ms": ends_ms},
        as_json,
        f"home {home} is {mode}" + ("" if mode == "home" else f" until {local}"),
    )


def moment(text: str, zone: ZoneInfo, now_ms: int) -> int:
    """UTC ms of a day and time, or of a time of day that comes next, on the home's clock; ModeError."""
    now = datetime.fromtimestamp(now_ms / 1000, zone)
    try:
        if "T" in text or "-" in text or " " in text:
            found = datetime.fromisoformat(text)
            found = found if found.tzinfo else found.replace(tzinfo=zone)
        else:
            clock = datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007  # on the home's clock
            found = datetime.combine(now.date(), clock, zone)
            if found <= now:
                found = datetime.combine(datetime.fromordinal(now.toordinal() + 1).date(), clock, zone)
    except ValueError:
        raise ModeError(
            f"--until {text!r}: write a day and time such as 2026-09-27T18:00, or 18:00"
        ) from None
    return int(found.timestamp() * 1000)


def _carry_out(folder: Path, registry: Registry, request: int) -> None:
    """Wait until the daemon has done it, or do it where none runs."""
    deadline = time.monotonic() + CARRIED_OUT_S
    while True:
        try:
            _alone(folder, registry)
            return
        except JournalLocked:
            pass
        registry.refresh()
        if all(one.id != request for one in registry.mode_requests()):
            return
        if time.monotonic() > deadline:
            raise KanhuError(
                "the daemon has not carried it out yet; it does as soon as its journal can be written"
            )
        time.sleep(0.1)


def _alone(folder: Path, registry: Registry) -> None:
    async def work() -> None:
        journal = Journal.open(folder)
        try:
            await Modes(journal).carry_out(registry)
        finally:
            await journal.close()

    asyncio.run(work())
