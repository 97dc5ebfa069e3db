"""`kanhu registry export`: users and rights for a broker. Passwords are never printed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kanhu.cli.show import DATA_DIR, AsJson, DataDir, open_registry, said
from kanhu.registry.broker_users import export as write


class Kind(StrEnum):
    """Brokers we know the files of."""

    nats = "nats"
    mosquitto = "mosquitto"


def export(
    broker: Annotated[Kind, typer.Option(help="Whose files.")],
    out: Annotated[Path, typer.Option(help="Folder; its files are mode 0600 and written anew each time.")],
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Write every hub's, the daemon's and the platform's name, password hash and rights (docs/tls.md)."""
    with open_registry(data_dir, "change") as registry:
        files = write(registry, broker.value, out)
        hubs = sum(hub.revoked_ms is None for hub in registry.hubs())
    said(
        {"files": [str(out / name) for name in files], "hubs": hubs},
        as_json,
        f"{hubs} hubs in {out}: {', '.join(files)}; have the broker load them",
    )
