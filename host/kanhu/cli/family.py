"""`kanhu family`: labels that open the families' page, and who has claimed a home."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kanhu import config as configuration
from kanhu import label as labels
from kanhu.cli.operate import DEFAULT_CONFIG, ConfigFile, DataDir
from kanhu.cli.show import AsJson, open_registry, said, show, when
from kanhu.config import Config
from kanhu.registry import checks
from kanhu.registry.families import Families

app = typer.Typer(no_args_is_help=True)

Lab = Annotated[bool, typer.Option("--lab", help="For a desk of your own: plain http and localhost will do.")]
FOLLOWS = "a running daemon follows within seconds"


def settings_of(data_dir: Path | None, config: Path) -> Config:
    """The daemon's settings; with --data-dir alone, the defaults."""
    if data_dir is None:
        return configuration.load(config)
    if config.exists():
        return configuration.load(config).model_copy(update={"data_dir": data_dir})
    return Config(data_dir=data_dir)


def page_settings(data_dir: Path | None, config: Path, lab: bool) -> Config:
    """settings_of() with an address that a label may carry; LabelError, before a token is made."""
    settings = settings_of(data_dir, config)
    labels.link(settings.web, "", lab)
    if not settings.family.enabled:
        print("kanhu: the families' page is off: set [family] enabled = true", file=sys.stderr)
    return settings


@app.command("label")
def label(
    hub: str,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A label to print (.svg) or the code alone (.png), not here."),
    ] = None,
    lab: Lab = False,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The link and code for a hub's label. The link alone shows nothing: who opens it first presses the hub's
    button and sets a PIN."""
    kind = "" if out is None else out.suffix.lower()
    if kind not in ("", ".svg", ".png") or (out is not None and not kind):
        raise labels.LabelError(f"{out}: write a name that ends in .svg or .png")
    settings = page_settings(data_dir, config, lab)
    with open_registry(settings.data_dir, "change") as registry:
        address = labels.link(settings.web, Families(registry).label(hub), lab)
    if out is None:
        said({"hub": hub, "link": address}, as_json, f"{address}\n{labels.terminal(address)}")
        return
    try:
        if kind == ".svg":
            out.write_text(labels.svg(address, hub), encoding="utf-8")
        else:
            out.write_bytes(labels.png(address))
    except OSError as error:
        raise labels.LabelError(f"{out}: {error.strerror}; name a place where you may write") from None
    said({"hub": hub, "link": address, "file": str(out)}, as_json, f"{address}\nis in {out}")


@app.command("list")
def list_(config: ConfigFile = DEFAULT_CONFIG, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Hubs: when their label was made, when their home was claimed, and whether its PIN is locked."""
    with open_registry(settings_of(data_dir, config).data_dir, "read") as registry:
        families = Families(registry)
        made = families.labels_made()
        rows: list[dict[str, Any]] = []
        for hub in registry.hubs():
            if hub.revoked_ms is not None:
                continue
            family = families.of(hub.home)
            locked_ms = family.locked_until_ms if family is not None else 0
            rows.append(
                {
                    "hub": hub.id, "home": hub.home, "label": when(made.get(hub.id)),
                    "claimed": when(family.claimed_ms if family is not None else None),
                    "locked_until": when(locked_ms if locked_ms > checks.now_ms() else None),
                }
            )  # fmt: skip
    show(rows, as_json, "no hubs yet: kanhu registry hub add")


@app.command("renew")
def renew(
    hub: str, config: ConfigFile = DEFAULT_CONFIG, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Another link for a hub's label: the old one is dead, and all visits made by it are over."""
    with open_registry(settings_of(data_dir, config).data_dir, "change") as registry:
        Families(registry).renew(hub)
    text = f"the old label of hub {hub} opens nothing any more; print the new one: kanhu family label {hub}"
    said({"hub": hub, "renewed": True}, as_json, f"{text} ({FOLLOWS})")


@app.command("reset")
def reset(
    home: str, config: ConfigFile = DEFAULT_CONFIG, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """The PIN is forgotten: all visits are over, and the next claim is by a press of the hub's button."""
    with open_registry(settings_of(data_dir, config).data_dir, "change") as registry:
        was = Families(registry).reset(home)
    text = f"home {home} can be claimed anew ({FOLLOWS})" if was else f"no family has claimed home {home}"
    said({"home": home, "reset": was}, as_json, text)
