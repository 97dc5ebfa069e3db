"""`kanhu qa`: what runs of the hardware-in-the-loop suite left behind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from kanhu.cli.later import Later
from kanhu.cli.show import MAX_WIDTH, AsJson, show
from kanhu.errors import DataError
from kanhu.qa import compare as comparing
from kanhu.qa import history as past
from kanhu.qa.report import files, words, write

COMMANDS = (
    Later("promises", "kanhu.cli.promises:promises", "Which promise is proven by which test."),
    Later("incident", "kanhu.cli.incident:app", "A field incident: taken, replayed, kept as a test."),
)


class Commands(TyperGroup):
    """Those of this file, and others that are loaded when they are used."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for command in COMMANDS:
            self.add_command(command)


app = typer.Typer(no_args_is_help=True, cls=Commands)

HISTORY = Path("build/qa/history.jsonl")
STYLES = {"worse": "bold red", "better": "green", "changed": "yellow", "noise": "dim"}
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="run.json, or the folder of a report.")]


@app.command("compare")
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="run.json or a report's folder: before.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="run.json or a report's folder: after.")],
    everything: Annotated[bool, typer.Option("--all", help="Also what may be chance.")] = False,
    as_json: AsJson = False,
) -> None:
    """What changed from run A to run B. Exit 1: B is worse."""
    before, after = files.load(a), files.load(b)
    changes = comparing.compare(before, after)
    is_worse = comparing.worse(changes)
    noise = sum(one.effect == "noise" for one in changes)
    shown = changes if everything else [one for one in changes if one.effect != "noise"]
    if as_json:
        value = {"worse": is_worse, "a": before.id, "b": after.id, "noise": noise}
        print(json.dumps({**value, "changes": [one.model_dump() for one in shown]}, ensure_ascii=False))
    else:
        _table(shown)
        verdict = "B is worse" if is_worse else "B is no worse"
        hidden = 0 if everything else noise
        more = f"; {hidden} measures moved no further than chance may move them (--all)" if hidden else ""
        print(f"A {before.id}: {before.verdict}. B {after.id}: {after.verdict}. {verdict}{more}.")
    raise typer.Exit(1 if is_worse else 0)


def _table(changes: list[comparing.Change]) -> None:
    if not changes:
        return
    table = Table()
    for name in ("", "what", "A", "B", "B / A", "where, why"):
        table.add_column(name, overflow="fold")
    for one in changes:
        style = STYLES[one.effect]
        ratio = "" if one.ratio is None else f"× {one.ratio:.2f}"
        cells = (one.effect, f"{one.kind} {one.name}", one.before, one.after, ratio, one.said)
        table.add_row(*(Text(cell, style if not index else "") for index, cell in enumerate(cells)))
    Console(width=None if sys.stdout.isatty() else MAX_WIDTH).print(table)


@app.command("report")
def report(
    run: RunPath,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder; by default the run's.")] = None,
    history: Annotated[
        Path | None, typer.Option("--history", metavar="FILE", help="Runs before it; nothing is added.")
    ] = None,
) -> None:
    """Make report.html and junit.xml again out of a run's record."""
    if history is not None and not history.exists():
        raise DataError(f"{history}: no such file")
    found = files.load(run)
    folder = out or (run if run.is_dir() else run.parent)
    if run.is_dir() and not (run / files.RUN).exists():
        files.save(found, folder)  # out of the lines of a run that was cut off
    page = write.pages(found, folder, history)
    print(f"{words.sentence(found).en}\n{page}")


@app.command("history")
def history(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As given to pytest --history.")] = HISTORY,
    test: Annotated[str, typer.Option("--test", help="Only tests in whose name this stands.")] = "",
    as_json: AsJson = False,
) -> None:
    """Which tests did not pass, and which change their mind on the same commit, firmware and target."""
    if not file.exists():
        raise DataError(f"{file}: no such file: pytest hil_tests --history {file} begins one")
    found = past.read(file)
    rows = [
        {
            "test": one.test,
            "flake_rate": None if one.flake_rate is None else f"{one.flake_rate:.0%}",
            "flips": f"{one.flips} of {one.repeats} repeats",
            "not_passed": f"{one.bad} of {len(one.outcomes)} runs",
            "last": one.outcomes[-1],
        }
        for one in past.records(found.entries).values()
        if test in one.test and (test or one.flips or one.bad)
    ]
    show(rows, as_json, f"{len(found.entries)} runs, and no test that ever failed")
    for number in found.unreadable:
        print(f"kanhu: {file}: line {number} says nothing and is left out", file=sys.stderr)
