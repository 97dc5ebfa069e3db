"""`kanhu registry hub settings` and `export`: what a board needs to become a hub."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kanhu.cli.show import DATA_DIR, AsJson, DataDir, open_registry, said, show_settings
from kanhu.registry import RegistryError, checks
from kanhu.registry.board import write_program


def settings(
    hub: str,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE...", help="VALUE in JSON; left empty: the default again."),
    ] = None,
    file: Annotated[str, typer.Option("--file", help="JSON object of all settings; -: standard input.")] = "",
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Show a hub's wired inputs and other settings, or change some, or replace them all by a file's."""
    if not changes and not file:
        with open_registry(data_dir, "read") as registry:
            show_settings(registry.settings(hub), as_json)
        return
    with open_registry(data_dir, "change") as registry:
        found = _from_file(file) if file else registry.settings(hub)
        found |= dict(checks.setting(change) for change in changes or ())
        found = {key: value for key, value in found.items() if value is not checks.DEFAULT}
        version = registry.set_settings(hub, found)
    said(
        {"hub": hub, "config": version},
        as_json,
        f"settings of hub {hub} are version {version}; a board gets them with registry hub export {hub}",
    )


def _from_file(name: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return checks.settings(json.loads(text))
    except OSError as error:
        raise RegistryError(f"{name}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"{name}: not JSON: {error}") from None


def export(
    hub: str,
    output: Annotated[Path, typer.Option("--output", "-o", help="A new file, for mpremote run.")],
    wifi: Annotated[
        str, typer.Option(help="Name of the home's network; its password: KANHU_WIFI_PASSWORD, or asked for.")
    ] = "",
    broker: Annotated[str, typer.Option(help="HOST:PORT of the broker as the hub reaches it.")] = "",
    ca: Annotated[
        Path | None, typer.Option(help="CA bundle in PEM (kanhu pki): the hub speaks TLS and trusts it.")
    ] = None,
    user: Annotated[
        str,
        typer.Option(
            help="Another name there than its hub_id with the registry's password (registry export); then "
            "its password: KANHU_BROKER_PASSWORD, or asked for."
        ),
    ] = "",
    keep_key: Annotated[
        bool, typer.Option("--keep-key", help="For a board that is this hub already and was not erased.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Write the program that makes a board this hub, with a new key (docs/wiring.md)."""
    if bool(wifi) != bool(broker):
        raise RegistryError("give --wifi and --broker together, or neither for a hub on a serial line")
    network = checks.wifi(wifi, _secret("KANHU_WIFI_PASSWORD", f"Password of {wifi}")) if wifi else None
    way = None
    if broker:
        endpoint = checks.endpoint(broker)
        password = _secret("KANHU_BROKER_PASSWORD", f"Broker password of {user}") if user else ""
        way = (*endpoint, user, password)
    elif ca:
        raise RegistryError("--ca is for a hub with --wifi and --broker")
    from kanhu.pki.files import for_hubs  # other commands start without certificates

    trusted = for_hubs(ca) if ca else b""
    with open_registry(data_dir, "change") as registry:
        if way and not user:
            way = (*way[:2], hub, registry.mqtt_password(hub))
        if trusted and registry.settings(hub).get("ntp") is None:
            raise RegistryError(
                f"hub {hub} needs the time before it can judge a certificate: "
                f"kanhu registry hub settings {hub} 'ntp=[\"pool.ntp.org\",123]'"
            )
        if way is None and "serial" not in registry.settings(hub).get("links", checks.DEFAULT_LINKS):
            raise RegistryError(
                f"hub {hub} has no way to the daemon: give --wifi and --broker, or first "
                f"kanhu registry hub settings {hub} 'links=[\"serial\"]'"
            )
        generation = write_program(registry, hub, output, network, way, keep_key, trusted)
    print(
        f"hub {hub}, key generation {generation}: mpremote run {output}, mpremote reset, and delete the file"
    )


def _secret(variable: str, question: str) -> str:
    found = os.environ.get(variable)
    if found is not None:
        return found
    if not sys.stdin.isatty():
        raise RegistryError(f"nobody to ask for a password here: set {variable}")
    return str(typer.prompt(question, hide_input=True, default="", show_default=False))
