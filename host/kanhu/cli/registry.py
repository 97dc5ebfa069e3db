"""`kanhu registry`: homes, hubs and sensors. Keys are never printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kanhu import ledger
from kanhu.cli import bind_key, board, brokers, privacy
from kanhu.cli.show import DATA_DIR, AsJson, DataDir, open_registry, said, show, show_whole, when
from kanhu.journal.past import past
from kanhu.registry import Home, Hub, RegistryError, Sensor
from kanhu.registry.registry import NEVER
from kanhu_protocol import names

app = typer.Typer(no_args_is_help=True)
home_app = typer.Typer(no_args_is_help=True)
hub_app = typer.Typer(no_args_is_help=True)
sensor_app = typer.Typer(no_args_is_help=True)
app.add_typer(home_app, name="home", help="Homes: where hubs are.")
app.add_typer(hub_app, name="hub", help="Hubs and their right to speak.")
app.command("export-home")(privacy.export_home)
app.command("forget")(privacy.forget)
app.command("export")(brokers.export)
app.add_typer(sensor_app, name="sensor", help="BLE sensors that a hub listens to.")

NO_SENSORS = "no sensors yet: kanhu registry sensor add {} ROLE ADDRESS"


def _home(home: Home) -> dict[str, Any]:
    return {
        "home": home.id, "region": home.region, "time_zone": home.time_zone, "name": home.name,
        "address": home.address, "phones": list(home.phones),
    }  # fmt: skip


def _hub(hub: Hub) -> dict[str, Any]:
    return {
        "hub": hub.id, "home": hub.home, "key_generation": hub.generation, "device_table": hub.table_version,
        "config": hub.config_version, "added": when(hub.created_ms), "revoked": when(hub.revoked_ms),
    }  # fmt: skip


def _sensor(sensor: Sensor) -> dict[str, Any]:
    return {
        "hub": sensor.hub, "index": sensor.index,
        "role": names.ROLES.get(sensor.role, str(sensor.role)), "address": sensor.mac, "name": sensor.name,
        "room": sensor.room, "supervision_s": sensor.supervision_s, "encrypted": sensor.encrypted,
    }  # fmt: skip


@home_app.command("add")
def home_add(
    region: Annotated[str, typer.Option(help="Path from country down, such as cn/42/01/06/03.")] = "",
    time_zone: Annotated[str, typer.Option(help="IANA name.")] = "Asia/Shanghai",
    name: Annotated[str, typer.Option(help="Who lives there; stays in the registry.")] = "",
    address: Annotated[str, typer.Option(help="Postal address; stays in the registry.")] = "",
    phone: Annotated[list[str] | None, typer.Option(help="Telephone; may be given again.")] = None,
    home_id: Annotated[str, typer.Option("--id", help="Pseudonym; made at random when left out.")] = "",
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Add a home and print its pseudonym."""
    with open_registry(data_dir, "make") as registry:
        made = registry.add_home(region or None, time_zone, name, address, phone or (), home_id or None)
    said({"home": made}, as_json, f"home {made} added; next: kanhu registry hub add {made}")


@home_app.command("list")
def home_list(data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """All homes."""
    with open_registry(data_dir, "read") as registry:
        show([_home(home) for home in registry.homes()], as_json, "no homes yet: kanhu registry home add")


@home_app.command("show")
def home_show(home: str, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """One home with its hubs and sensors."""
    with open_registry(data_dir, "read") as registry:
        found = _home(registry.home(home))
        hubs = [_hub(hub) for hub in registry.hubs(home)]
        sensors = [_sensor(sensor) for hub in hubs for sensor in registry.sensors(hub["hub"])]
    parts = {"hubs": hubs, "sensors": sensors}
    show_whole(
        found, parts, as_json, hubs=f"no hubs yet: kanhu registry hub add {home}", sensors="no sensors"
    )


@hub_app.command("add")
def hub_add(
    home: str,
    hub_id: Annotated[str, typer.Option("--id", help="hub_id; made at random when left out.")] = "",
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Add a hub with a key of its own to a home and print its hub_id."""
    with open_registry(data_dir, "change") as registry:
        made, _ = registry.add_hub(home, hub_id or None, past(data_dir, hub_id) if hub_id else NEVER)
    said({"hub": made, "home": home}, as_json, f"hub {made} added to home {home}")


hub_app.command("settings")(board.settings)
hub_app.command("export")(board.export)


@hub_app.command("list")
def hub_list(data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """All hubs, revoked ones too."""
    with open_registry(data_dir, "read") as registry:
        show([_hub(hub) for hub in registry.hubs()], as_json, "no hubs yet: kanhu registry hub add HOME")


@hub_app.command("show")
def hub_show(hub: str, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """One hub with its settings and sensors."""
    with open_registry(data_dir, "read") as registry:
        found = _hub(registry.hub(hub))
        settings = registry.settings(hub)
        sensors = [_sensor(sensor) for sensor in registry.sensors(hub)]
    parts = {"settings": settings, "sensors": sensors}
    show_whole(found, parts, as_json, sensors=NO_SENSORS.format(hub))


@hub_app.command("revoke")
def hub_revoke(hub: str, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """Delete a hub's keys (lost, stolen, replaced): nothing it says is believed any more."""
    with open_registry(data_dir, "change") as registry:
        registry.revoke_hub(hub)
    said(
        {"hub": hub, "revoked": True}, as_json, f"hub {hub} revoked; a running daemon follows within seconds"
    )


@hub_app.command("retire-keys")
def hub_retire_keys(
    hub: str,
    force: Annotated[bool, typer.Option("--force", help="Even if events are lost by it.")] = False,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Delete a hub's older keys, once its board speaks with the newest and nothing is awaited any more."""
    with open_registry(data_dir, "change") as registry:
        if not force:
            _check_drained(data_dir, registry.hub(hub))
        retired = registry.retire_keys(hub)
    said(
        {"hub": hub, "retired": retired},
        as_json,
        f"hub {hub}: retired key generations {', '.join(map(str, retired))}" if retired
        else f"hub {hub} has one key only",
    )  # fmt: skip


def _check_drained(data_dir: Path, hub: Hub) -> None:
    if past(data_dir, hub.id).generation < hub.generation:
        raise RegistryError(
            f"hub {hub.id}: its board was not heard with key generation {hub.generation} yet, and would be "
            "refused with an older one; --force does it all the same"
        )
    journal = data_dir / "journal.db"
    awaited = ledger.recompute(journal)[hub.id]["awaited"]
    if awaited:
        raise RegistryError(
            f"hub {hub.id}: {awaited} events are awaited, and an older key may have sealed them: wait until "
            "kanhu ledger shows none; --force gives them up"
        )


@sensor_app.command("add")
def sensor_add(
    hub: str,
    role: Annotated[str, typer.Argument(help=", ".join(names.ROLES.values()))],
    address: Annotated[str, typer.Argument(help="BLE address as printed, such as A4:C1:38:0B:5E:9D.")],
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    room: Annotated[str, typer.Option(help="Where it is.")] = "",
    supervision_s: Annotated[
        int, typer.Option(help="Longest silence in seconds when well; 0: not known.")
    ] = 0,
    index: Annotated[int | None, typer.Option(help="1 to 255; the next free one when left out.")] = None,
    key: bind_key.Option = None,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Let a hub listen to a BLE sensor."""
    secret = None if key is None else bind_key.read(key)
    with open_registry(data_dir, "change") as registry:
        made = registry.add_sensor(hub, role, address, name, room, supervision_s, index, secret)
    said(
        {"hub": hub, "index": made},
        as_json,
        f"sensor {made} added to hub {hub}{', encrypted' if secret else ''}; it is told when next heard",
    )


sensor_app.command("key")(bind_key.change)


@sensor_app.command("list")
def sensor_list(hub: str, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """A hub's sensors."""
    with open_registry(data_dir, "read") as registry:
        rows = [_sensor(sensor) for sensor in registry.sensors(hub)]
    show(rows, as_json, NO_SENSORS.format(hub))


@sensor_app.command("remove")
def sensor_remove(hub: str, index: int, data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """Let a hub no longer listen to a sensor."""
    with open_registry(data_dir, "change") as registry:
        registry.remove_sensor(hub, index)
    said({"hub": hub, "removed": index}, as_json, f"sensor {index} removed from hub {hub}")
