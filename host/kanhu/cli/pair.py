"""`kanhu pair`: let a hub listen, take a sensor that it hears, and prove that it works."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kanhu.cli import bind_key as keys
from kanhu.cli.operate import DEFAULT_CONFIG, ConfigFile, DataDir, journal_dir
from kanhu.cli.pair_proof import finish, with_key
from kanhu.cli.pair_window import listen, opened, pick
from kanhu.cli.show import AsJson, open_registry, said, show, when
from kanhu.errors import KanhuError
from kanhu.pairing import MAX_WINDOW_S, WINDOW_S
from kanhu.pairing.requests import sensor_row
from kanhu.registry import checks
from kanhu.registry.sensors import MONITORS


class _Pair(TyperGroup):
    """`kanhu pair HUB` is `kanhu pair new HUB`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and not args[0].startswith("-"):
            args = ["new", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=_Pair, no_args_is_help=True, help="Pair a sensor: kanhu pair HUB. What else there is:")

Key = keys.Option
Seconds = Annotated[int, typer.Option("--seconds", min=1, max=MAX_WINDOW_S, help="How long the hub listens.")]
Address = Annotated[str, typer.Option("--address", help="Take this one once it is heard, and ask nothing.")]
NoProof = Annotated[bool, typer.Option("--no-proof", help="Do not wait for its test.")]
Name = Annotated[str | None, typer.Option("--name", help="What people call it.")]
Room = Annotated[str | None, typer.Option("--room", help="Where it is.")]
Wearer = Annotated[str | None, typer.Option("--wearer", help="Who uses it: of a health monitor.")]
Role = Annotated[str, typer.Option("--role", help="Instead of what it seems to be.")]
Supervision = Annotated[
    int, typer.Option("--supervision-s", help="Longest silence in seconds when well; 0: unknown.")
]


@app.command("new", help="Open a window on a hub, take a sensor and prove it; `kanhu pair HUB` is the same.")
def new(
    hub: str,
    address: Address = "",
    role: Role = "",
    name: Name = None,
    room: Room = None,
    wearer: Wearer = None,
    supervision_s: Supervision = 0,
    key: Key = None,
    seconds: Seconds = WINDOW_S,
    no_proof: NoProof = False,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """--json without --address listens to the end and prints what was heard."""
    folder = journal_dir(data_dir, config)
    if role:
        checks.role(role)
    if as_json and not address:
        print(json.dumps(listen(folder, hub, seconds), ensure_ascii=False))
        return
    with opened(folder, hub, seconds):
        found = pick(folder, hub, address, seconds)
        asks = not address
        if asks:
            role = role or _ask_role(found["role"])
            name = _ask("name", found["name"]) if name is None else name
            room = _ask("room") if room is None else room
            if wearer is None and checks.role(role) in MONITORS:
                wearer = _ask("wearer")
        request = {
            "do": "pair.pair", "hub": hub, "address": found["address"], "role": role, "name": name or "",
            "room": room or "", "wearer": wearer or "", "supervision_s": supervision_s,
        }  # fmt: skip
        made = with_key(folder, request, found, key, asks)
        finish(folder, made, no_proof, as_json, "paired as")


@app.command("replace")
def replace(
    hub: str,
    index: Annotated[int, typer.Argument(help="Of the sensor that goes.")],
    address: Address = "",
    key: Key = None,
    seconds: Seconds = WINDOW_S,
    no_proof: NoProof = False,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Another sensor of the same kind takes one's index, name, place and history."""
    folder = journal_dir(data_dir, config)
    with open_registry(folder, "read") as registry:
        registry.sensor(hub, index)
    with opened(folder, hub, seconds):
        found = pick(folder, hub, address, seconds, moves=True)
        request = {"do": "pair.replace", "hub": hub, "index": index, "address": found["address"]}
        made = with_key(folder, request, found, key, not address)
        finish(folder, made, no_proof, as_json, "is now")


@app.command("prove")
def prove(
    hub: str,
    index: int,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Wait for one test press of a button, or for what a sensor senses, and for the platform's receipt."""
    folder = journal_dir(data_dir, config)
    with open_registry(folder, "read") as registry:
        made = sensor_row(registry.input(hub, index))
    finish(folder, made, False, as_json, "")


@app.command("list")
def list_sensors(
    hub: str, config: ConfigFile = DEFAULT_CONFIG, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """A hub's sensors: asked (the hub is not told yet), paired, or proven and when."""
    with open_registry(journal_dir(data_dir, config), "read") as registry:
        rows = [sensor_row(sensor) for sensor in registry.sensors(hub)]
    if not as_json:
        for row in rows:
            del row["hub"], row["paired_ms"]
            row["encrypted"] = "yes" if row["encrypted"] else ""
            row["state"] = f"{row['state']} {when(row.pop('proven_ms'))}".strip()
    show(rows, as_json, f"no sensors yet: kanhu pair {hub}")


@app.command("rename")
def rename(
    hub: str,
    index: int,
    name: Name = None,
    room: Room = None,
    wearer: Wearer = None,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """What people call a sensor, where it is, who uses it."""
    if name is None and room is None and wearer is None:
        raise KanhuError("nothing to change: give --name, --room or --wearer")
    with open_registry(journal_dir(data_dir, config), "change") as registry:
        row = sensor_row(registry.rename_sensor(hub, index, name, room, wearer))
    said(row, as_json, f"sensor {index}: {row['name'] or 'no name'}, {row['room'] or 'no room'}"
         + (f", of {row['wearer']}" if row["wearer"] else ""))  # fmt: skip


@app.command("unpair")
def unpair(
    hub: str,
    index: int,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The hub listens to a sensor no more."""
    with open_registry(journal_dir(data_dir, config), "change") as registry:
        registry.remove_sensor(hub, index)
    said({"hub": hub, "unpaired": index}, as_json, f"sensor {index} unpaired; hub {hub} is told at once")


def _ask(what: str, default: str = "") -> str:
    answer: str = typer.prompt(what, default=default, show_default=bool(default))
    return answer


def _ask_role(seems: str | None) -> str:
    while True:
        role: str = typer.prompt("role", default=seems)
        try:
            checks.role(role)
        except KanhuError as error:
            print(error, file=sys.stderr)
        else:
            return role
