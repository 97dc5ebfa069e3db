"""`kanhu qa incident`: a field incident is taken, replayed on the simulated hub, and kept as a test."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.text import Text

from kanhu.cli.later import NEEDS_SIM
from kanhu.cli.show import DATA_DIR, AsJson, DataDir, open_registry, said
from kanhu.errors import KanhuError
from kanhu.install import signing
from kanhu.qa.incidents import form, programs
from kanhu.qa.incidents.form import IncidentError

app = typer.Typer(no_args_is_help=True)

TESTS = Path("hil_tests/incidents")
LOG_MAX = 64 << 20  # bytes
WIDTH = 140  # columns of what goes into a file or pipe
_AGO = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

When = Annotated[
    str, typer.Option(help="2026-05-04T10:30 (the home's time, or with Z or +08:00), or 90m, 2h, 3d ago.")
]
File = Annotated[Path, typer.Argument(metavar="INCIDENT.JSON", help="From kanhu qa incident extract.")]
FirmwareFile = Annotated[
    Path | None,
    typer.Option(
        "--firmware", metavar="PATH", help="application.kfw, a bundle, or a folder of firmware sources."
    ),
]
Trust = Annotated[
    list[Path] | None, typer.Option("--trust", metavar="PEM", help="The public key that signed the firmware.")
]


@app.command("extract")
def extract(
    hub: Annotated[str, typer.Argument(metavar="HUB", help="Its id; kanhu registry hub list shows all.")],
    since: When,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="A new file.")],
    until: When = "0s",
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The hub's console, or the daemon's JSON log with it.")
    ] = None,
    pressed: Annotated[
        list[str] | None,
        typer.Option(metavar="TIME[/DEVICE]", help="A press that people tell of; may be repeated."),
    ] = None,
    firmware: FirmwareFile = None,
    trust: Trust = None,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Take an incident out of journal and registry, without secrets; a daemon may run meanwhile."""
    from kanhu.qa.incidents.extract import extract as take

    given = _program(firmware, trust)
    with open_registry(data_dir, "read") as registry:
        registry.hub(hub)
        home = registry.home_of(hub)
        zone = ZoneInfo(home.time_zone) if home is not None else ZoneInfo("UTC")
    made = take(
        data_dir, hub, _moment(since, zone), _moment(until, zone), log=_text(log),
        pressed=[_press(one, zone) for one in pressed or ()], given=given, installed=programs.sources(),
    )  # fmt: skip
    _write(out, form.dumps(made))
    facts = {
        "file": str(out), "hub": hub, "called": made.hub, "events": len(made.events),
        "boots": len(made.boots), "alarms": len(made.alarms), "log_lines": len(made.log),
        "firmware": made.firmware.model_dump(), "notes": made.notes, "left_out": made.left_out,
    }  # fmt: skip
    said(
        facts,
        as_json,
        f"{out}: {len(made.events)} events, {len(made.boots)} boots, {len(made.alarms)} alarms, "
        f"{len(made.log)} lines "
        f"of log; hub {hub} is called {made.hub} in it. Next: kanhu qa incident replay {out}",
    )


@app.command("replay")
def replay(
    incident: File,
    firmware: FirmwareFile = None,
    trust: Trust = None,
    present: Annotated[
        bool,
        typer.Option(
            "--present", help="Run the firmware given, or the sources', although it is another one."
        ),
    ] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of all chance; by default out of the record.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Also show what is done to the hub, and why.")] = False,
    trace: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all that happened there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Play it on the simulated hub; exit code 0: reproduced, 1: it differs."""
    _needs_sim()
    from kanhu.qa.incidents import show as shown
    from kanhu.qa.incidents.compare import compare
    from kanhu.qa.incidents.outcomes import bad
    from kanhu.qa.incidents.replay import play

    record = form.load(incident)
    program, notes = programs.choose(record.firmware, _program(firmware, trust), present)
    played = play(record, program, seed)
    found = compare(record, played.record)
    told = shown.as_json(record, program, played, found, bad(record, played.script.away), notes)
    if trace is not None:
        _write(trace, "".join(f"{line}\n" for line in played.trace))
    _tell(told, as_json, full)
    raise typer.Exit(0 if found.first is None else 1)


@app.command("adopt")
def adopt(
    incident: File,
    name: Annotated[str, typer.Option(help="Of the test, such as call-in-broker-restart.")],
    expect: Annotated[
        Literal["reproduced", "fixed"],
        typer.Option(help="reproduced: it goes as recorded; fixed: the bad in the record happens no more."),
    ] = "reproduced",
    tests: Annotated[Path, typer.Option(metavar="DIR", help="Where adopted incidents are.")] = TESTS,
    replace: Annotated[bool, typer.Option("--replace", help="In place of one of this name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make it a test of the release suite: pytest hil_tests/incidents runs it from now on."""
    from kanhu.qa.incidents.adopt import adopt as keep

    path = keep(form.load(incident), name, expect, tests, replace)
    said(
        {"file": str(path), "name": name, "expect": expect},
        as_json,
        f"{path}: expects {expect}; next: pytest {tests}/test_incidents.py -k {name}",
    )


def _tell(told: dict[str, Any], as_json: bool, full: bool) -> None:
    if as_json:
        print(json.dumps(told, ensure_ascii=False, sort_keys=True))
        return
    from kanhu.qa.incidents.show import show

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(Text(f"hub {told['hub']}, firmware {told['firmware']['version']}"))
    show(console, told, full)


def _needs_sim() -> None:
    try:
        import kanhu.sim.process  # noqa: F401  # what a replay runs on
    except ImportError as error:
        raise KanhuError(f"{NEEDS_SIM}; missing: {error.name}") from None


def _program(path: Path | None, trust: list[Path] | None) -> programs.Program | None:
    if path is None:
        return None
    return programs.of_path(path, [signing.load_public(one) for one in trust or ()])


def _moment(text: str, zone: ZoneInfo) -> int:
    """UTC ms of a time that a person wrote; IncidentError."""
    if found := _AGO.fullmatch(text.strip()):
        ago = timedelta(seconds=int(found[1]) * _UNITS[found[2]])
        return time.time_ns() // 1_000_000 - int(ago.total_seconds() * 1000)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise IncidentError(
            f"time {text!r}: write 2026-05-04T10:30, with Z or +08:00, or 90m, 2h, 3d"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC).timestamp() * 1000)


def _press(text: str, zone: ZoneInfo) -> tuple[int, int]:
    moment, slash, device = text.partition("/")
    if slash and not (device.isdecimal() and 0 < int(device) < 256):
        raise IncidentError(f"press {text!r}: write TIME/DEVICE with a device of 1 to 255")
    return _moment(moment, zone), int(device) if slash else 1


def _text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        if path.stat().st_size > LOG_MAX:
            raise IncidentError(f"{path} is larger than {LOG_MAX >> 20} MB: cut it to the span")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise IncidentError(f"{path}: {error.strerror}") from None


def _write(path: Path, text: str) -> None:
    try:
        with open(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8"
        ) as f:
            f.write(text)
    except FileExistsError:
        raise IncidentError(f"{path}: there already; name a new file") from None
    except OSError as error:
        raise IncidentError(f"{path}: {error.strerror}") from None
