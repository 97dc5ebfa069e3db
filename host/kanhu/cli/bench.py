"""`kanhu bench`: a bench for the hardware-in-the-loop suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
BenchPath = Annotated[Path, typer.Option("--bench", help="The bench's file (docs/bench.md).")]
BENCH = Path("bench.toml")


@app.callback()
def _bench() -> None:
    pass


@app.command()
def doctor(
    bench: BenchPath = BENCH,
    as_json: Annotated[bool, typer.Option("--json", help="Findings as JSON.")] = False,
) -> None:
    """Try every wire of a bench, its supply, reset and radio; exit 1 and names if anything is wrong."""
    from kanhu.qa import bench_file
    from kanhu.qa.doctor_run import examine

    file = bench_file.load(bench)
    console = Console(stderr=True)
    if as_json or not console.is_terminal:
        findings = examine(file)
    else:
        with console.status("the bench is being looked at") as status:
            findings = examine(file, note=lambda text: status.update(f"trying {text}"))
    bad = [one for one in findings if not one.ok]
    if as_json:
        rows = [{"name": one.name, "ok": one.ok, "says": one.says} for one in findings]
        print(json.dumps({"ok": not bad, "findings": rows}, ensure_ascii=False, indent=2))
    else:
        table = Table(box=None, pad_edge=False)
        for column in ("", "line", "what was seen"):
            table.add_column(column, overflow="fold")
        for one in findings:
            mark = "[green]ok[/]" if one.ok else "[bold red]wrong[/]"
            table.add_row(mark, one.name, one.says)
        Console().print(table)
    if bad:
        raise typer.Exit(1)


@app.command()
def flash(
    bench: BenchPath = BENCH,
    micropython: Annotated[
        Path | None, typer.Option(help="MicroPython image; downloaded once when left out.")
    ] = None,
) -> None:
    """Write the stimulus' firmware; `kanhu flash` or the suite writes the hub's."""
    from kanhu.qa import bench_file
    from kanhu.qa.doctor_run import flash_stimulus

    written = flash_stimulus(bench_file.load(bench), micropython)
    print(f"the stimulus at {written.port.url} ({written.chip}, MAC {written.mac}) runs {written.tree[:12]}")
