"""The bind key of a sensor that encrypts: how it is given, and changed. It is never shown again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kanhu.cli.show import DATA_DIR, AsJson, DataDir, open_registry, said
from kanhu.registry import RegistryError, checks

Option = Annotated[
    str | None,
    typer.Option(
        "--bind-key",
        metavar="-|@FILE|HEX",
        help="BTHome bind key, 32 hexadecimal digits: - asks for it (or reads standard input), @FILE reads a "
        "file; written out it stays in the shell's history.",
    ),
]


def read(given: str) -> bytes:
    """The key that --bind-key says; RegistryError, which does not repeat it."""
    if given == "-":
        asked = sys.stdin.isatty()
        given = typer.prompt("bind key", hide_input=True, err=True) if asked else sys.stdin.readline()
    elif given.startswith("@"):
        try:
            given = Path(given[1:]).read_text(encoding="ascii")
        except OSError as error:
            raise RegistryError(f"bind key: {given[1:]}: {error.strerror}") from None
        except ValueError:
            raise RegistryError(f"bind key: {given[1:]}: not a text file") from None
    return checks.bind_key(given)


def change(
    hub: str,
    index: int,
    key: Option = None,
    none: Annotated[bool, typer.Option("--none", help="It no longer encrypts.")] = False,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Change a sensor's bind key (asked for when none is given), or forget it."""
    if none and key is not None:
        raise RegistryError("give --bind-key or --none, not both")
    secret = None if none else read(key or "-")
    with open_registry(data_dir, "change") as registry:
        registry.set_bind_key(hub, index, secret)
    said(
        {"hub": hub, "index": index, "encrypted": secret is not None},
        as_json,
        f"sensor {index} of hub {hub} {'has a new key' if secret else 'no longer encrypts'}; "
        "the hub is told when next heard",
    )
