"""`kanhu operator`: who may log in at the call desk. Passwords are never shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kanhu.cli.show import DATA_DIR, AsJson, DataDir, open_registry, said, show, when
from kanhu.registry import RegistryError
from kanhu.registry.operators import MIN_PASSWORD, ROLES, Operator, Operators

app = typer.Typer(no_args_is_help=True)

Password = Annotated[
    str | None,
    typer.Option(
        "--password",
        metavar="-|@FILE",
        help=f"{MIN_PASSWORD} characters or more: - asks for it (or reads standard input), @FILE is a file.",
    ),
]
FOLLOWS = "a running daemon follows within seconds"


def _read(given: str) -> str:
    """The password that --password says; RegistryError, which does not repeat it."""
    if given == "-":
        if sys.stdin.isatty():
            return str(typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True))
        return sys.stdin.readline().rstrip("\n")
    if not given.startswith("@"):
        raise RegistryError("password: write - or @FILE; written out it stays in the shell's history")
    try:
        return Path(given[1:]).read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise RegistryError(f"password: {given[1:]}: {error.strerror}") from None
    except ValueError:
        raise RegistryError(f"password: {given[1:]}: not a text file") from None


def _plain(operator: Operator) -> dict[str, Any]:
    ways = [way for way, has in (("password", operator.local), ("openid", operator.subject)) if has]
    return {
        "operator": operator.id, "name": operator.name, "role": operator.role,
        "region": operator.region or "(all)", "language": operator.language, "logs in by": ways,
        "added": when(operator.created_ms), "disabled": operator.disabled,
    }  # fmt: skip


@app.command("add")
def add(
    operator: Annotated[str, typer.Argument(help="What events call the person: a pseudonym such as op17.")],
    name: Annotated[str, typer.Option(help="Shown at the desk; stays in the registry.")] = "",
    role: Annotated[str, typer.Option(help=", ".join(ROLES))] = "operator",
    region: Annotated[str, typer.Option(help="What it may see, and below: cn/42/01/06; empty: all.")] = "",
    language: Annotated[str, typer.Option(help="zh or en.")] = "zh",
    password: Password = None,
    subject: Annotated[
        str | None, typer.Option(help="`sub` of the OpenID provider, for who logs in there.")
    ] = None,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Let a person log in at the desk."""
    if password is None and subject is None:
        raise RegistryError("neither --password nor --subject: the operator could not log in; give one")
    secret = None if password is None else _read(password)
    with open_registry(data_dir, "change") as registry:
        Operators(registry).add(operator, name, role, region, language, secret, subject)
    said({"operator": operator}, as_json, f"operator {operator} added; {FOLLOWS}")


@app.command("list")
def list_(data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """All operators, disabled ones too."""
    with open_registry(data_dir, "read") as registry:
        rows = [_plain(one) for one in Operators(registry).list()]
    show(rows, as_json, "no operators yet: kanhu operator add")


@app.command("change")
def change(
    operator: str,
    name: Annotated[str | None, typer.Option(help="Shown at the desk.")] = None,
    role: Annotated[str | None, typer.Option(help=", ".join(ROLES))] = None,
    region: Annotated[str | None, typer.Option(help='What it may see, and below; "": all.')] = None,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Another name, role or region; those logged in have it at once."""
    with open_registry(data_dir, "change") as registry:
        Operators(registry).change(operator, name, role, region)
    said({"operator": operator}, as_json, f"operator {operator} changed; {FOLLOWS}")


@app.command("password")
def password(
    operator: str,
    password: Password = None,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Another password; ends all log-ins of the operator."""
    secret = _read(password or "-")
    with open_registry(data_dir, "change") as registry:
        Operators(registry).set_password(operator, secret)
    said({"operator": operator}, as_json, f"operator {operator} has a new password; {FOLLOWS}")


@app.command("disable")
def disable(operator: str, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """End all log-ins of an operator, and allow no further one."""
    with open_registry(data_dir, "change") as registry:
        Operators(registry).disable(operator)
    said({"operator": operator, "disabled": True}, as_json, f"operator {operator} disabled; {FOLLOWS}")


@app.command("enable")
def enable(operator: str, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """Let a disabled operator log in again."""
    with open_registry(data_dir, "change") as registry:
        Operators(registry).enable(operator)
    said({"operator": operator, "disabled": False}, as_json, f"operator {operator} enabled; {FOLLOWS}")


@app.command("logout")
def logout(operator: str, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """End all log-ins of an operator, on every machine."""
    with open_registry(data_dir, "change") as registry:
        Operators(registry).log_out(operator)
    said({"operator": operator}, as_json, f"all log-ins of operator {operator} are over; {FOLLOWS}")
