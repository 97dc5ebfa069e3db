"""`kanhu provision`: a hub gets its network and its home."""

from __future__ import annotations

import asyncio
import json
import locale
import os
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kanhu.cli.board import _secret
from kanhu.cli.show import DATA_DIR, AsJson, DataDir, open_registry, show
from kanhu.install.code import ProvisionError
from kanhu.install.code import key as key_of
from kanhu.install.provision import run, site, words
from kanhu.install.provision.session import Settings, Step
from kanhu.install.provision.wires import SerialWire, Wire
from kanhu.registry import Registry, checks

Secrets = tuple[tuple[str, str] | None, tuple[str, int, str | None, str | None] | None]  # Wi-Fi, broker


class Network(StrEnum):
    """A hub's way out."""

    wifi = "wifi"
    ppp = "ppp"


class Language(StrEnum):
    """Of what is said of each step."""

    en = "en"
    zh = "zh"


def provision(
    hub: Annotated[str, typer.Argument(help="Its id; left out with --code.")] = "",
    code: Annotated[
        str,
        typer.Option(
            help="The code on its label, where there is no registry; -: asked for, not shown by ps."
        ),
    ] = "",
    hub_id: Annotated[str, typer.Option(help="With --code: only this hub will do.")] = "",
    port: Annotated[str, typer.Option(help="Port or pyserial URL of its cable.")] = "",
    ble: Annotated[bool, typer.Option("--ble", help="Over Bluetooth, standing beside it.")] = False,
    ble_name: Annotated[
        str, typer.Option(help="With --ble: address, or beginning of the id, where several are heard.")
    ] = "",
    scan: Annotated[bool, typer.Option("--scan", help="Only show the networks that the hub hears.")] = False,
    wifi: Annotated[
        str, typer.Option(help="Name of the home's network; its password: KANHU_WIFI_PASSWORD, or asked for.")
    ] = "",
    network: Annotated[
        Network | None, typer.Option(help="Its way out, where that is to change; ppp: a cellular modem.")
    ] = None,
    apn: Annotated[str, typer.Option(help="Access point name of the SIM card's network.")] = "",
    broker: Annotated[
        str, typer.Option(help="HOST:PORT of the broker as the hub reaches it; left out: as it has it.")
    ] = "",
    ca: Annotated[
        Path | None, typer.Option(help="CA bundle in PEM: the hub speaks TLS and trusts it.")
    ] = None,
    user: Annotated[
        str,
        typer.Option(
            help="Another name at the broker than the hub_id with the registry's password; its password: "
            "KANHU_BROKER_PASSWORD, or asked for."
        ),
    ] = "",
    home: Annotated[str, typer.Option(help="Pseudonym of a home that is there: the hub moves in.")] = "",
    region: Annotated[
        str | None, typer.Option(help="Path from country down, such as cn/42/01/06/03.")
    ] = None,
    time_zone: Annotated[str | None, typer.Option(help="IANA name, such as Asia/Shanghai.")] = None,
    name: Annotated[str | None, typer.Option(help="Who lives there; stays in the registry.")] = None,
    address: Annotated[str | None, typer.Option(help="Postal address; stays in the registry.")] = None,
    phone: Annotated[list[str] | None, typer.Option(help="Telephone; may be given again.")] = None,
    language: Annotated[
        Language | None, typer.Option(help="Of what is said; this computer's when left out.")
    ] = None,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Give a hub its network and its home: it tries, tells each step, and keeps what works."""
    place = site.Place(home or None, region, name, address, time_zone, phone)
    if bool(port) == ble:
        raise ProvisionError("say how the hub is reached: --port with its cable's port, or --ble")
    if not (hub or code):
        raise ProvisionError("say which hub: its id, or --code with the code on its label")
    if not hub and (place.home or place.described):
        raise ProvisionError("where a home is stands in the registry: name the hub by its id")
    if not scan:
        _whole(wifi, network, broker, ca, user, code if not hub else "")
    if hub and not _has_registry(data_dir):
        raise ProvisionError(
            f"no registry in {data_dir}: name its folder (--data-dir), or leave the id out and give --code - "
            "with the code on the label"
        )
    chinese = (language or _own_language()) is Language.zh
    with ExitStack() as stack:
        registry = stack.enter_context(open_registry(data_dir, "change")) if hub else None
        if registry is not None and hub_id not in ("", hub):
            raise ProvisionError(f"hub {hub} or hub {hub_id}? Name one of them")
        key = _key(code) if code else _registered(registry, hub).commission(hub)
        wanted = hub or hub_id or None
        wire = _wire(port, ble_name, wanted)
        if scan:
            heard = asyncio.run(run.scan(wire, key, wanted))
            show(heard.as_json()["networks"], as_json, f"hub {heard.hub} hears no network")
            return
        secrets = _secrets(wifi, broker, user)
        place.check()

        def settings_for(found: str) -> Settings:
            return _settings(registry, found, place, secrets, network, apn, ca)

        def tell(step: Step, said: words.Words) -> None:
            if not as_json:
                print(_line(step, said, chinese), flush=True)

        def begun(found: str, firmware: str) -> None:
            if not as_json:
                print(f"hub {found}, firmware {firmware or '?'}, {wire.name}", flush=True)

        outcome = asyncio.run(run.provision(wire, key, wanted, settings_for, tell, begun))
    if as_json:
        print(json.dumps(outcome.as_json(), ensure_ascii=False))
    elif not outcome.ok:
        print(words.STAYS.zh if chinese else words.STAYS.en)
    if not outcome.ok:
        raise typer.Exit(1)


def _whole(wifi: str, network: Network | None, broker: str, ca: Path | None, user: str, code: str) -> None:
    if not wifi and network is not Network.ppp:
        raise ProvisionError("give --wifi with the name of the home's network, or --network ppp for a modem")
    if (ca or user) and not broker:
        raise ProvisionError("--ca and --user go with --broker")
    if code and broker and not user:
        raise ProvisionError(
            "without the registry nobody here knows the hub's password: give --user with the hub's id, and "
            "KANHU_BROKER_PASSWORD, or leave --broker out for the broker that it has"
        )


def _has_registry(data_dir: Path) -> bool:
    try:
        (data_dir / "registry.db").stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass  # opening it says why
    return True


def _own_language() -> Language:
    said = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG")
    said = said or locale.getlocale()[0] or ""
    return Language.zh if said.lower().startswith(("zh", "chinese")) else Language.en


def _key(code: str) -> bytes:
    return key_of(str(typer.prompt("code on the label")) if code == "-" else code)


def _registered(registry: Registry | None, hub: str) -> Registry:
    if registry is None:
        raise ProvisionError("name the hub by its id")
    registry.hub(hub)
    return registry


def _wire(port: str, ble_name: str, hub_id: str | None) -> Wire:
    if port:
        return SerialWire(port)
    from kanhu.install.provision.bluetooth import BleWire

    return BleWire(ble_name, hub_id)


def _secrets(wifi: str, broker: str, user: str) -> Secrets:
    network = checks.wifi(wifi, _secret("KANHU_WIFI_PASSWORD", f"Password of {wifi}")) if wifi else None
    if not broker:
        return network, None
    password = _secret("KANHU_BROKER_PASSWORD", f"Broker password of {user}") if user else None
    return network, (*checks.endpoint(broker), user or None, password)


def _settings(
    registry: Registry | None,
    hub: str,
    place: site.Place,
    secrets: Secrets,
    network: Network | None,
    apn: str,
    ca: Path | None,
) -> Settings:
    from kanhu.pki.files import for_hubs  # other commands start without certificates

    wifi, broker = secrets
    trusted = for_hubs(ca) if ca else None
    more: dict[str, Any] = {"apn": apn} if apn else {}
    if registry is not None:
        more = site.more(registry, hub, network.value if network else None, apn or None)
        if trusted:
            site.needs_time(registry, hub)
        if broker and broker[2] is None:
            broker = (*broker[:2], hub, registry.mqtt_password(hub))
        site.settle(registry, hub, place)
    return Settings(wifi, broker, trusted, network.value if network else None, more)


def _line(step: Step, said: words.Words, chinese: bool) -> str:
    def say(one: words.Words) -> str:
        return one.zh if chinese else one.en

    name = words.STEPS.get(step.step, words.Words(step.step, step.step))
    facts = [f"{step.rssi} dBm"] if step.rssi is not None and step.ok else []
    facts += [step.more] if step.more and step.ok else []
    line = f"{say(name)}: {say(words.OK if step.ok else words.FAILED)}"
    line += f" ({', '.join(facts)})" if facts else ""
    return f"{line}\n  {say(said)}" if said.en else line
