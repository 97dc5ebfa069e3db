"""The `kanhu` command. Every error a person can put right is one line and a non-zero exit."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from kanhu.cli.later import Later
from kanhu.errors import KanhuError

COMMANDS = (
    Later("run", "kanhu.cli.operate:run", "Run the daemon until Ctrl-C or SIGTERM."),
    Later("status", "kanhu.cli.operate:status", "Hubs, alarms and queues, read from disk."),
    Later("ledger", "kanhu.cli.operate:ledger", "Recompute the ledger from the raw tables."),
    Later("backup", "kanhu.cli.keep:backup", "Copy journal and registry into a new folder."),
    Later("restore", "kanhu.cli.keep:restore", "Put a backup's journal and registry in place."),
    Later(
        "demo", "kanhu.demo.cli:demo", "Two simulated homes, broker, daemon and city in one terminal.",
        needs_sim=True,
    ),
    Later("registry", "kanhu.cli.registry:app", "Homes, hubs and sensors."),
    Later("pair", "kanhu.cli.pair:app", "Pair a sensor: let a hub listen, take one, prove it."),
    Later("provision", "kanhu.cli.provision:provision", "Give a hub its network and its home."),
    Later("home", "kanhu.cli.home:app", "How a home is, and whether anybody is in it."),
    Later("family", "kanhu.cli.family:app", "Who may open the families' page: labels and claims."),
    Later("pki", "kanhu.cli.pki:app", "A CA of your own: certificates for brokers."),
    Later("platform", "kanhu.cli.platform:app", "The city platform's side: follow, accept, close."),
    Later("operator", "kanhu.cli.operators:app", "Who may log in at the call desk."),
    Later("rules", "kanhu.cli.rules:app", "Rules that watch homes, and what they would have said."),
    Later("visits", "kanhu.cli.visits:app", "Who was at a home, and the code of the day."),
    Later("faults", "kanhu.cli.faults:app", "Technical faults as work: who mends them, and by when."),
    Later("duty", "kanhu.cli.duty:app", "Duty lists: who is asked when an alarm waits."),
    Later("firmware", "kanhu.cli.firmware:app", "Keys, signed bundles, and the page that installs one."),
    Later("label", "kanhu.cli.label:app", "Sheets of labels for hubs, to print."),
    Later("check", "kanhu.cli.check:app", "The acceptance of a home: what works, and who signs for it."),
    Later("update", "kanhu.cli.update:app", "Releases brought to hubs over the air."),
    Later("flash", "kanhu.cli.flash:flash", "Make every board that is plugged in a hub."),
    Later("bench", "kanhu.cli.bench:app", "The suite's bench of two boards: what is wired wrongly."),
    Later("qa", "kanhu.cli.qa:app", "Runs of the hardware-in-the-loop suite: report, compare, history."),
    Later("sim", "kanhu.sim.cli:app", "A simulated hub on this desk.", needs_sim=True),
)  # fmt: skip


class Commands(TyperGroup):
    """All of them, each loaded when it is used."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for command in COMMANDS:
            self.add_command(command)


app = typer.Typer(
    name="kanhu",
    cls=Commands,
    help="Kanhu (看护): an open home-safety gateway for elders who live alone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"kanhu {version('kanhu')}")
        raise typer.Exit


@app.callback()
def _kanhu(
    asked: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Say which it is."),
) -> None:
    pass


def main() -> None:
    """Entry point: exit 0, 1 (the answer is no), 2 (something to put right) or 130 (Ctrl-C)."""
    try:
        code = app(standalone_mode=False)
    except KanhuError as error:
        print(f"kanhu: {error}", file=sys.stderr)
        code = 2
    except TyperException as error:
        if text := str(error).rstrip("."):  # empty when typer has shown the help itself
            print(f"kanhu: {text}; see kanhu --help", file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 141
    sys.exit(code or 0)
