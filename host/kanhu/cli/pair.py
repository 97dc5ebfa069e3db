"""`kanhu pair`: let a hub listen, take a sensor that it hears, and prove that it works."""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from typer.core import TyperGroup

from kanhu import requests
from kanhu.cli import bind_key as keys
from kanhu.cli.operate import DEFAULT_CONFIG, ConfigFile, DataDir, journal_dir
from kanhu.cli.show import AsJson, open_registry, said, show, when
from kanhu.errors import KanhuError
from kanhu.pairing import MAX_WINDOW_S, PROOF_S, WINDOW_S
from kanhu.pairing.requests import sensor_row
from kanhu.registry import checks
from kanhu.registry.sensors import MONITORS
from kanhu_protocol import names

LOOK_EVERY_S = 0.5
KEY_TRIES = 3
WHOSE = {"here": "this hub's", "home": "another hub's here", "elsewhere": "another home's", "": ""}
STAGES = {
    "waiting": "the hub is being told of the sensor",
    "asked": "the hub is being told to wait for the sensor",
    "stored": "kept at this host; waiting for the platform's receipt",
    "delivered": "the platform has it: proven",
}
NOTHING = (
    "nothing was heard in {} s: press the sensor's button or wake the monitor, near the hub; change its "
    "battery if its lamp stays dark; then open a new window"
)


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


@app.command("new", help="Open a window on a hub, take a sensor and prove it; `kanhu pair HUB` is the same.")
def new(
    hub: str,
    address: Address = "",
    role: Annotated[str, typer.Option(help="Instead of what it seems to be.")] = "",
    name: Name = None,
    room: Room = None,
    wearer: Wearer = None,
    supervision_s: Annotated[int, typer.Option(help="Longest silence in seconds when well; 0: unknown.")] = 0,
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
        print(json.dumps(_listen(folder, hub, seconds), ensure_ascii=False))
        return
    with _window(folder, hub, seconds):
        found = _pick(folder, hub, address, seconds)
        asks = not address
        if asks:
            role = role or typer.prompt("role", default=found["role"] or None)
            name = typer.prompt("name", default=found["name"], show_default=True) if name is None else name
            if room is None:
                room = typer.prompt("room", default="")
            if wearer is None and checks.role(role) in MONITORS:
                wearer = typer.prompt("wearer", default="")
        request = {
            "do": "pair.pair", "hub": hub, "address": found["address"], "role": role, "name": name or "",
            "room": room or "", "wearer": wearer or "", "supervision_s": supervision_s,
        }  # fmt: skip
        made = _with_key(folder, request, found, key, asks)
        _finish(folder, made, no_proof, as_json, "paired as")


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
    with _window(folder, hub, seconds):
        found = _pick(folder, hub, address, seconds)
        request = {"do": "pair.replace", "hub": hub, "index": index, "address": found["address"]}
        made = _with_key(folder, request, found, key, not address)
        _finish(folder, made, no_proof, as_json, "is now")


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
    _finish(folder, made, False, as_json, "")


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
            row["proven"] = when(row.pop("proven_ms"))
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


# The window


@contextmanager
def _window(folder: Path, hub: str, seconds: int) -> Iterator[None]:
    requests.ask(folder, {"do": "pair.open", "hub": hub, "seconds": seconds})
    try:
        yield
    finally:
        # Whoever goes away leaves neither the lamp blinking nor a hub that takes a press for a test.
        requests.ask(folder, {"do": "pair.close", "hub": hub})


def _looks(folder: Path, hub: str) -> Iterator[dict[str, Any]]:
    """The window as it is, again and again; KanhuError when it closes for another reason than time."""
    while True:
        window = requests.ask(folder, {"do": "pair.heard", "hub": hub})
        if window["state"] == "closed" and window["why"] != "expired":
            raise KanhuError(f"hub {hub}: the window is closed: {_why(window['why'])}")
        yield window
        if window["state"] == "closed":
            return
        time.sleep(LOOK_EVERY_S)


def _why(reason: str) -> str:
    return {
        "alarm": "an alarm was raised there",
        "restarted": "the hub has restarted",
        "by_command": "somebody closed it",
        "proving": "somebody proves a sensor of it",
    }.get(reason, reason)


def _listen(folder: Path, hub: str, seconds: int) -> dict[str, Any]:
    window: dict[str, Any] = {}
    with _window(folder, hub, seconds):
        for window in _looks(folder, hub):  # noqa: B007  # the last one
            pass
    return window


def _pick(folder: Path, hub: str, address: str, seconds: int) -> dict[str, Any]:
    if address:
        wanted = checks.mac(address).hex(":").upper()
        heard: list[dict[str, Any]] = []
        for window in _looks(folder, hub):
            heard = window["heard"]
            for one in heard:
                if one["address"] == wanted:
                    return one
        if not heard:
            raise KanhuError(NOTHING.format(seconds))
        raise KanhuError(f"sensor {wanted} was not heard in {seconds} s; others were: {_macs(heard)}")
    if not sys.stdin.isatty():
        raise KanhuError("nobody to ask: give --address, and --bind-key where it encrypts")
    return _choose(folder, hub, seconds)


def _macs(heard: list[dict[str, Any]]) -> str:
    return ", ".join(one["address"] for one in heard)


def _choose(folder: Path, hub: str, seconds: int) -> dict[str, Any]:
    order: list[str] = []  # a number stays a sensor's, whatever comes after it
    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        for window in _looks(folder, hub):
            by_address = {one["address"]: one for one in window["heard"]}
            order += [address for address in by_address if address not in order]
            live.update(_shown(window, [by_address[address] for address in order]), refresh=True)
            if select.select([sys.stdin], [], [], 0)[0]:
                given = sys.stdin.readline().strip()
                if given.isdecimal() and 0 < int(given) <= len(order):
                    return dict(by_address[order[int(given) - 1]])
    raise KanhuError(NOTHING.format(seconds) if not order else f"the window has closed: kanhu pair {hub}")


def _shown(window: dict[str, Any], heard: list[dict[str, Any]]) -> Table:
    left = max(0, round(window["ends_ms"] / 1000 - time.time()))
    title = "waiting for the hub" if window["state"] == "asked" else f"listening, {left} s left"
    table = Table(
        title=title,
        caption="press the sensor's button or wake the monitor; then type its number and Enter (Ctrl-C ends)",
    )
    for column in ("", "seems to be", "name", "address", "signal", "battery", "encrypted", "paired"):
        table.add_column(column, overflow="fold")
    for number, one in enumerate(heard, 1):
        table.add_row(
            str(number), one["role"] or "?", one["name"], one["address"], _unit(one["rssi_dbm"], " dBm"),
            _unit(one["battery_percent"], " %"), "yes" if one["encrypted"] else "", WHOSE[one["whose"]],
        )  # fmt: skip
    return table


def _unit(value: int | None, unit: str) -> str:
    return "" if value is None else f"{value}{unit}"


# The sensor


def _with_key(
    folder: Path, request: dict[str, Any], found: dict[str, Any], key: str | None, asks: bool
) -> dict[str, Any]:
    for left in range(KEY_TRIES, 0, -1):
        given = "-" if key is None and asks and found["encrypted"] else key
        try:
            secret = {} if given is None else {"bind_key": keys.read(given).hex()}
            return requests.ask(folder, {**request, **secret})
        except KanhuError as error:
            if not asks or not found["encrypted"] or left == 1:
                raise
            print(error, file=sys.stderr)
            key = None
    raise AssertionError("the last try has ended this")


def _finish(folder: Path, made: dict[str, Any], no_proof: bool, as_json: bool, how: str) -> None:
    hub, index = made["hub"], made["index"]
    if how and not as_json:
        print(f"{made['address']} {how} sensor {index} ({made['role']}) of hub {hub}")
    if no_proof:
        said(made, as_json, "not proven yet: kanhu pair prove " + f"{hub} {index}")
        return
    proof = requests.ask(folder, {"do": "pair.prove", "hub": hub, "index": index, "seconds": PROOF_S})
    try:
        proof = _proven(folder, made, proof, as_json)
    except BaseException:
        requests.ask(folder, {"do": "pair.close", "hub": hub})
        raise
    if as_json:
        print(json.dumps({**made, "proof": proof}, ensure_ascii=False))
        if proof["state"] == "failed":
            raise typer.Exit(1)
    elif proof["state"] == "failed":
        raise KanhuError(
            f"sensor {index} is not proven: {proof['why']}; again: kanhu pair prove {hub} {index}"
        )


def _proven(folder: Path, made: dict[str, Any], proof: dict[str, Any], as_json: bool) -> dict[str, Any]:
    told = ""
    while True:
        state = proof["state"]
        if state != told and not as_json and state != "failed":
            told = state
            print(_ready(made) if state == "ready" else STAGES[state], flush=True)
        if state in ("delivered", "failed"):
            return proof
        time.sleep(LOOK_EVERY_S)
        proof = requests.ask(folder, {"do": "pair.proof", "hub": made["hub"]})


def _ready(made: dict[str, Any]) -> str:
    role = made["role"]
    if role == names.ROLES[1]:
        return "the hub's lamp blinks twice: press the button once now; a second press would be a call"
    if role in ("motion", "door", "window", "visit"):
        return "use it now: walk past it, open the door or window, or press it"
    if checks.role(role) in MONITORS:
        return "measure now"
    return "wake it now (its own test would be a real alarm)"
