"""`kanhu run`, `kanhu status`, `kanhu ledger`: the daemon and what its disk says."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kanhu import config as configuration
from kanhu import ledger as books
from kanhu.care.condition import STATE_WORDS, STATES
from kanhu.errors import ConfigError
from kanhu.journal.opening import check_pages
from kanhu.logs import configure
from kanhu.status import Status, read_status

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="TOML file; see docs/kanhu.example.toml.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", "-d", help="Folder of journal and registry, instead of --config.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]
DEFAULT_CONFIG = Path("kanhu.toml")
STATE_COLOURS = {"well": "green", "attention": "red", "cannot_tell": "yellow"}
HOMES_SHOWN = 50  # lines; the rest are counted
REASONS_SHOWN = 3

# An event under way makes a dozen objects and hardly a cycle: by default the collector would look at all
# that are alive every 50 events, which costs a sixth of the daemon's time (docs/benchmarks.md).
GC_THRESHOLDS = (20_000, 20, 20)


def _table(*names: str) -> Table:
    # Ids are never cut: they are what a person copies into the next command.
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, no_wrap=name in ("hub", "home"))
    return table


def journal_dir(data_dir: Path | None, config: Path) -> Path:
    """The folder of a journal that can be read; KanhuError with what to do."""
    found = data_dir if data_dir is not None else configuration.load(config).data_dir
    try:
        there = (found / "journal.db").exists()
    except OSError as error:
        raise ConfigError(f"{found}: {error.strerror}; run this as the daemon's user") from None
    if not there:
        raise ConfigError(f"no journal in {found}: start `kanhu run` first, or name another --data-dir")
    check_pages(found / "journal.db")
    return found


def run(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Run the daemon until Ctrl-C or SIGTERM."""
    settings = configuration.load(config)
    configure(settings.log.level, settings.log.format, settings.log.file)
    asyncio.run(_run(settings))


async def _run(settings: configuration.Config) -> None:
    from kanhu.daemon import Daemon  # heavy: status and ledger do without it

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stop.set)
    daemon = Daemon(settings)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    await daemon.run(stop)


def status(config: ConfigFile = DEFAULT_CONFIG, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Hubs, alarms and queues, read from disk: works whether the daemon runs or not."""
    found = read_status(journal_dir(data_dir, config))
    if as_json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
        return
    _show_status(found)


def _show_status(found: Status) -> None:
    console = Console()
    console.print(
        f"daemon [bold]{found.daemon_id}[/]: " + ("running" if found.running else "[yellow]not running[/]")
    )
    _show_homes(console, found)
    table = _table("hub", "home", "link", "last heard", "boot", "firmware", "stored", "lost", "queued")
    for hub in found.hubs:
        colour = {"heard": "default", "silent": "red"}.get(hub.state, "yellow")
        table.add_row(
            hub.hub_id,
            hub.home or "-",
            f"[{colour}]{hub.state}[/]",
            hub.last_heard,
            str(hub.boot),
            hub.firmware or "-",
            str(hub.stored),
            str(hub.lost),
            str(hub.queued),
        )
    console.print(table if found.hubs else "no hub has been heard yet")
    _show_alarms(console, found)
    for hub in found.hubs:
        if hub.identity != "ok":
            console.print(f"[red]identity of hub {hub.hub_id} in doubt[/]: {hub.identity}")
        if hub.older_keys and hub.key:
            console.print(
                f"hub {hub.hub_id} has older keys ({hub.older_keys}); kanhu registry hub retire-keys --help"
            )
    for one in found.refused:
        console.print(
            f"[yellow]refused {one.count} of hub {one.hub_id}[/] ({one.reason}, {one.link}, {one.last}): "
            + one.means
        )
    if found.registry_older:
        console.print(f"[red]the registry was replaced by an older copy[/], found {found.registry_older}")
    if found.refused or found.registry_older or any(hub.identity != "ok" for hub in found.hubs):
        console.print("what to do: docs/what-to-do-when.md")


def _show_homes(console: Console, found: Status) -> None:
    for home in found.homes[:HOMES_SHOWN]:
        words = STATE_WORDS[home.state]
        console.print(
            f"home {home.home} [{STATE_COLOURS[home.state]}]{words.en}[/]: "
            + escape("; ".join(en for en, _ in home.reasons[:REASONS_SHOWN])),
            highlight=False,
        )
    if len(found.homes) > HOMES_SHOWN:
        counts = Counter(home.state for home in found.homes)
        console.print(
            ", ".join(f"{counts[state]} {STATE_WORDS[state].en}" for state in STATES)
            + f" of {len(found.homes)} homes; of one: kanhu home status HOME"
        )


def _show_alarms(console: Console, found: Status) -> None:
    for alarm in found.alarms:
        colour = "red" if alarm.state == "open" else "yellow"
        console.print(
            f"[{colour}]alarm {alarm.name}[/] {alarm.kind} {alarm.state}"
            + (f" by {alarm.accepted_by}" if alarm.accepted_by else ": nobody has answered")
            + f", {alarm.age}"
        )
    if not found.alarms:
        console.print("no open alarm")


def ledger(config: ConfigFile = DEFAULT_CONFIG, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Recompute the ledger from the raw tables; exit 1 unless announced = stored + lost + awaited and
    stored = delivered + queued for every hub."""
    sums = books.recompute(journal_dir(data_dir, config) / "journal.db")
    balanced = all(books.balanced(one) for one in sums.values())
    if as_json:
        print(json.dumps({"balanced": balanced, "hubs": sums}))
    else:
        table = _table("hub", *books.Sums.__annotations__, "")
        for hub, one in sorted(sums.items()):
            verdict = "balanced" if books.balanced(one) else "[red]NOT BALANCED"
            table.add_row(hub, *(str(value) for value in one.values()), verdict)
        Console().print(table)
        print("balanced" if balanced else "NOT BALANCED: keep the journal and report this")
    if not balanced:
        raise typer.Exit(1)
