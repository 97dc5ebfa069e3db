"""`kanhu sim`: a simulated hub on the desk, with a keyboard for a home."""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from kanhu.errors import KanhuError
from kanhu.journal.identity import new_id
from kanhu.registry import Registry
from kanhu.sim.bench import Bench
from kanhu.sim.board.bench_cli import bench as two_boards
from kanhu.sim.board.cli import board
from kanhu.sim.hub import Hub
from kanhu.sim.keyboard import keyboard
from kanhu.sim.monitors import KINDS
from kanhu_protocol.checks import ID_ALPHABET, ID_LENGTH, is_id

app = typer.Typer(no_args_is_help=True, help="Simulated hubs: the real firmware on this computer.")
app.command()(board)
app.command("bench")(two_boards)

KEY_LENGTH = 16  # bytes
BUTTON_PIN, PIR_PIN = 4, 13  # the firmware's default wiring
BROKER_NAME, TIME_NAME = "broker.home", "time.home"
CALLER = "A4:C1:38:00:00:01"
MONITORS = "F0:4B:48:00:00:"  # begin of their addresses
TOLD = ("connected", "bonded", "refused", "confirmed", "notified", "dropped", "asleep")  # of their lives


@app.callback()
def main() -> None:
    """Simulated hubs: the real firmware on this computer."""


@app.command()
def run(
    broker: Annotated[str, typer.Option(help="MQTT broker of the daemon, host:port")] = "127.0.0.1:1883",
    user: Annotated[str, typer.Option(help="broker user")] = "",
    password: Annotated[str, typer.Option(help="broker password", envvar="KANHU_SIM_PASSWORD")] = "",
    folder: Annotated[Path, typer.Option("--dir", help="where the hub keeps flash and NVS")] = Path(
        "kanhu-sim"
    ),
    hub_id: Annotated[str, typer.Option("--hub", help="hub id; default: the one in --dir, else new")] = "",
    data_dir: Annotated[
        Path | None,
        typer.Option(help="a daemon's data_dir: take the hub --hub and its key from its registry"),
    ] = None,
    key_file: Annotated[Path | None, typer.Option(help="file with the hub's key, 32 hex digits")] = None,
    generation: Annotated[int, typer.Option(min=1, max=65535, help="number of the key")] = 1,
    speed: Annotated[int, typer.Option(min=1, help="simulated seconds per second")] = 1,
    seconds: Annotated[float, typer.Option(help="stop after that long; 0: when q is pressed")] = 0,
    monitor: Annotated[
        list[str] | None, typer.Option(help=f"a health monitor, again for more: {', '.join(KINDS)}")
    ] = None,
) -> None:
    """Start one hub and press its buttons from the keyboard."""
    if not 0 <= seconds < math.inf:
        raise KanhuError(f"--seconds {seconds:g}: must be 0 or more, such as --seconds 30")
    try:
        real_host, real_port = _endpoint(broker)
        folder.mkdir(parents=True, exist_ok=True)
        if data_dir is not None:
            hub_id, generation, key = _registered(data_dir, hub_id)
            source = data_dir / "registry.db"
        else:
            hub_id = _identity(folder, hub_id)
            key, source = _key(folder, hub_id, key_file)
        config = {
            "wifi": ["home", "simulated"],
            "broker": [BROKER_NAME, real_port, user or None, password or None],
            "ntp": [TIME_NAME, 123],
        }
        with Bench(folder) as bench:
            bench.route(BROKER_NAME, real_port, real_host, real_port)
            bench.serve_time(TIME_NAME)
            hub = bench.add_hub(
                hub_id,
                config=config,
                key=key,
                generation=generation,
                speed=speed,
                wiring={"button": BUTTON_PIN, "pir": PIR_PIN},
            )
            bench.add_sensor("caller", "button", CALLER)
            for number, kind in enumerate(monitor or (), 1):
                where = f"{MONITORS}{number:02X}"
                bench.monitor(kind, where, name=f"{kind} {number}", clock_offset_s=_zone_s())
                typer.echo(f"monitor {kind} {where}")
            typer.echo(f"hub {hub_id}, key from {source} (generation {generation}), console {hub.tty}")
            _desk(bench, hub, seconds)
    except (OSError, ValueError) as error:
        raise KanhuError(str(error)) from None


def _zone_s() -> float:
    local = datetime.now().astimezone().utcoffset()
    return local.total_seconds() if local else 0.0


def _endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"--broker {text!r}: write host:port, such as 127.0.0.1:1883")
    return host, int(port)


def _registered(data_dir: Path, hub_id: str) -> tuple[str, int, bytes]:
    registry = Registry.open(data_dir, "read")
    try:
        known = [hub.id for hub in registry.hubs() if hub.revoked_ms is None]
        if not hub_id and len(known) != 1:
            raise ValueError(
                f"--hub: the registry in {data_dir} has {len(known)} hubs; name one, or add one first"
            )
        hub_id = hub_id or known[0]
        registry.hub(hub_id)
        newest = registry.key(hub_id)
    finally:
        registry.close()
    if newest is None:
        raise ValueError(f"--hub {hub_id}: is revoked")
    return hub_id, *newest


def _identity(folder: Path, hub_id: str) -> str:
    if not hub_id:
        known = sorted(folder.glob("*.nvs"))
        hub_id = known[0].stem if known else new_id()
    if not is_id(hub_id):
        raise ValueError(f"--hub {hub_id!r}: a hub id is {ID_LENGTH} of {ID_ALPHABET}")
    return hub_id


def _key(folder: Path, hub_id: str, given: Path | None) -> tuple[bytes, Path]:
    """The hub's key and its file, which is made if it was not given and is not there yet."""
    path = given or folder / f"{hub_id}.key"
    if given is None and not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(KEY_LENGTH) + "\n")
    try:
        key = bytes.fromhex(path.read_text())
    except ValueError:
        key = b""
    if len(key) != KEY_LENGTH:
        raise ValueError(f"{path}: a key is {2 * KEY_LENGTH} hex digits")
    return key, path


class _Home:
    """The keys a person can press, and what each does."""

    def __init__(self, bench: Bench, hub: Hub) -> None:
        self.bench, self.hub = bench, hub
        self.on = {"wifi": True, "mains": True, "stuck": False}
        self.keys: dict[str, tuple[str, Callable[[], Any]]] = {
            "p": ("press the wired button", lambda: bench.press("button")),
            "b": ("press the BLE caller " + CALLER, lambda: bench.press("caller")),
            "m": ("move before the PIR for 3 s", lambda: bench.motion("pir")),
            "s": ("button stuck / released", lambda: bench.stick("button", self._flip("stuck"))),
            "w": ("Wi-Fi off / on", lambda: bench.wifi(self._flip("wifi"))),
            "c": ("cut power / restore it", self._power),
            "q": ("quit", lambda: None),
        }
        for number, name in enumerate(list(bench.monitors)[:9], 1):
            self.keys[str(number)] = (f"measure with {name}", partial(bench.measure, name))
        if bench.monitors:
            self.keys["k"] = ("hold the pairing keys of all monitors", self._pair)

    def _flip(self, name: str) -> bool:
        self.on[name] = not self.on[name]
        return self.on[name]

    def _pair(self) -> None:
        for name in self.bench.monitors:
            self.bench.wake(name, pairing=True)

    def _power(self) -> None:
        (self.bench.cut_power if self.hub.running else self.bench.power)(self.hub)


def _desk(bench: Bench, hub: Hub, seconds: float) -> None:
    home = _Home(bench, hub)
    typer.echo("\n".join(f"  {key}  {what}" for key, (what, _) in home.keys.items()))
    end = time.monotonic() + seconds if seconds else float("inf")
    position = 0
    told = dict.fromkeys(bench.monitors, 0)
    shown: str | None = None
    with keyboard() as keys:
        while time.monotonic() < end:
            key = keys(0.1)
            said = hub.log(position)
            position = hub.log_position() if said else position
            if said:
                typer.echo(said.rstrip("\r\n"))
            for name, seen in told.items():
                news = bench.monitors[name].log[seen:]
                told[name] += len(news)
                for one in news:
                    if one.what in TOLD:
                        typer.echo(f"{name}: {one.what} {one.detail}".rstrip())
            look = bench.indicator()
            if look.pattern not in (shown, None):
                typer.echo(f"lamp: {look.pattern}: {look.english} {look.chinese}")
            shown = look.pattern or shown
            if key in home.keys:
                typer.echo(f"[{home.keys[key][0]}]")
                home.keys[key][1]()
            if key == "q":
                return
