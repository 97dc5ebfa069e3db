"""`kanhu pki`: a CA of one's own for brokers, daemons and hubs. Keys are never printed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from kanhu.cli.show import AsJson, said, show
from kanhu.pki import Authority
from kanhu.pki.certificates import CA_DAYS, LEAF_DAYS, sans_of

app = typer.Typer(no_args_is_help=True)
rotate_app = typer.Typer(no_args_is_help=True)
app.add_typer(rotate_app, name="rotate", help="Replace the CA without an outage: begin, switch, finish.")

WARN_DAYS = 30
Folder = Annotated[
    Path, typer.Option("--dir", envvar="KANHU_PKI_DIR", help="The CA's folder; its keys stay there.")
]
FOLDER = Path("pki")
Days = Annotated[float, typer.Option(min=0.01, max=36_500, help="How long it is valid.")]
Force = Annotated[bool, typer.Option("--force", help="In place of what is there.")]


@app.command("init")
def init(
    name: Annotated[str, typer.Option(help="The CA's name, for people.")] = "Kanhu CA",
    days: Days = CA_DAYS,
    folder: Folder = FOLDER,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make a CA (EC P-256, 10 years)."""
    authority = Authority(folder)
    authority.init(name, days, force)
    said(
        {"ca": str(authority.bundle)},
        as_json,
        f"{authority.bundle} is what daemons and hubs trust; next: kanhu pki issue broker --san NAME",
    )


@app.command("issue")
def issue(
    name: Annotated[str, typer.Argument(help="Of the files: NAME.crt and NAME.key.")],
    san: Annotated[
        list[str] | None, typer.Option(help="Host name or IP address it is reached by; may be given again.")
    ] = None,
    client: Annotated[bool, typer.Option("--client", help="For a client, not a server.")] = False,
    days: Days = LEAF_DAYS,
    folder: Folder = FOLDER,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make a server's certificate and key (EC P-256, 397 days)."""
    made = Authority(folder).issue(name, san or (), client, days, force)
    _issued(folder, made.name, made.until, as_json)


@app.command("renew")
def renew(name: str, days: Days = LEAF_DAYS, folder: Folder = FOLDER, as_json: AsJson = False) -> None:
    """Make a certificate and key anew, for the same names; hubs and daemons need nothing."""
    made = Authority(folder).renew(name, days)
    _issued(folder, made.name, made.until, as_json)


@app.command("show")
def show_all(
    warn_days: Annotated[float, typer.Option(min=0, help="Warn this long before the end.")] = WARN_DAYS,
    folder: Folder = FOLDER,
    as_json: AsJson = False,
) -> None:
    """All certificates and when they end; exit 1 when one has ended or ends soon."""
    authority = Authority(folder)
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    late = []
    for entry in authority.entries():
        left = (entry.until - now).total_seconds() / 86_400
        rows.append(
            {
                "name": entry.name, "kind": entry.kind, "names": sans_of(entry.certificate),
                "signed_by": entry.issuer, "until": entry.until.strftime("%Y-%m-%d %H:%M UTC"),
                "days_left": round(left, 1),
            }
        )  # fmt: skip
        if left < warn_days and entry.name != "ca-old":
            how = "kanhu pki rotate begin" if entry.kind == "CA" else f"kanhu pki renew {entry.name}"
            state = "has expired" if left <= 0 else f"expires in {left:.1f} days"
            late.append(f"{entry.name} {state}: {how}")
    show(rows, as_json, "")
    if not as_json:
        for line in late:
            print(line)
        if step := authority.rotation():
            print(f"CA rotation: {step}")
    if late:
        raise typer.Exit(1)


@rotate_app.command("begin")
def begin(
    name: Annotated[str, typer.Option(help="The new CA's name.")] = "Kanhu CA",
    days: Days = CA_DAYS,
    folder: Folder = FOLDER,
    as_json: AsJson = False,
) -> None:
    """Make the next CA and put it into the bundle; the present one signs on."""
    authority = Authority(folder)
    authority.begin(name, days)
    said({"next": authority.rotation()}, as_json, authority.rotation())


@rotate_app.command("switch")
def switch(folder: Folder = FOLDER, as_json: AsJson = False) -> None:
    """The next CA signs from now on, and everything issued is renewed."""
    authority = Authority(folder)
    renewed = authority.switch()
    said(
        {"renewed": renewed, "next": authority.rotation()},
        as_json,
        f"renewed: {', '.join(renewed) or 'nothing was issued'}; {authority.rotation()}",
    )


@rotate_app.command("finish")
def finish(folder: Folder = FOLDER, as_json: AsJson = False) -> None:
    """Take the CA before out of the bundle."""
    authority = Authority(folder)
    authority.finish()
    said({"ca": str(authority.bundle)}, as_json, f"{authority.bundle} holds the new CA alone")


def _issued(folder: Path, name: str, until: datetime, as_json: bool) -> None:
    said(
        {"certificate": str(folder / f"{name}.crt"), "key": str(folder / f"{name}.key")},
        as_json,
        f"{folder / name}.crt and .key, until {until:%Y-%m-%d}; have the server load them",
    )
