"""The `kanhu` command. Every error a person can put right is one line and a non-zero exit."""

from __future__ import annotations

import math
import sys

import typer
from typer.exceptions import TyperException

from kanhu.cli import duty, faults, home, keep, operate, operators, pki, platform, registry, rules, visits
from kanhu.errors import KanhuError

app = typer.Typer(
    name="kanhu",
    help="Kanhu (看护): an open home-safety gateway for elders who live alone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(operate.run)
app.command("status")(operate.status)
app.command("ledger")(operate.ledger)
app.command("backup")(keep.backup)
app.command("restore")(keep.restore)
app.add_typer(registry.app, name="registry", help="Homes, hubs and sensors.")
app.add_typer(home.app, name="home", help="How a home is, and whether anybody is in it.")
app.add_typer(pki.app, name="pki", help="A CA of your own: certificates for brokers.")
app.add_typer(platform.app, name="platform", help="The city platform's side: follow, accept, close.")
app.add_typer(operators.app, name="operator", help="Who may log in at the call desk.")
app.add_typer(rules.app, name="rules", help="Rules that watch homes, and what they would have said.")
app.add_typer(visits.app, name="visits", help="Who was at a home, and the code of the day.")
app.add_typer(faults.app, name="faults", help="Technical faults as work: who mends them, and by when.")
app.add_typer(duty.app, name="duty", help="Duty lists: who is asked when an alarm waits.")

SIM_HELP = "needs the simulator: pip install 'kanhu[sim]' (Linux x86-64 or macOS arm64)"


def _needs_sim(error: ImportError) -> None:
    raise KanhuError(f"{SIM_HELP}; missing: {error.name}")


@app.command("demo", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def demo(
    context: typer.Context,
    seconds: float = typer.Option(0, help="Stop by itself after this long; 0: until q is pressed."),
    as_json: bool = typer.Option(False, "--json", help="No picture; end with one line of JSON."),
    seed: int = typer.Option(1, help="Seed of the scripted morning."),
) -> None:
    """Two simulated homes, broker, daemon and city in one terminal, with faults to inject."""
    if context.args:
        raise KanhuError(f"no such option: {' '.join(context.args)}; see kanhu demo --help")
    if not 0 <= seconds < math.inf:
        raise KanhuError(f"--seconds {seconds:g}: must be 0 or more, such as --seconds 30")
    try:
        from kanhu.demo import main as run_demo
    except ImportError as error:
        _needs_sim(error)
    raise typer.Exit(run_demo(seconds=seconds, as_json=as_json, seed=seed))


try:
    from kanhu.sim.cli import app as sim_app
except ImportError as _error:
    _missing = _error

    @app.command("sim", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def sim() -> None:
        """A simulated hub on this desk (needs the extra kanhu[sim])."""
        _needs_sim(_missing)
else:
    app.add_typer(sim_app, name="sim", help="A simulated hub on this desk.")


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
