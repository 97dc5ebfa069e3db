"""`kanhu label`: sheets of labels for hubs, each code read back before it counts."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from kanhu import label as links
from kanhu.cli.family import Lab, page_settings
from kanhu.cli.operate import DEFAULT_CONFIG, ConfigFile, DataDir
from kanhu.cli.show import AsJson, open_registry, said
from kanhu.install import code as codes
from kanhu.install import labels
from kanhu.install.paper import PaperError, pdf, svg
from kanhu.install.paper.picture import DPI
from kanhu.label import LabelError
from kanhu.registry import Registry
from kanhu.registry.families import Families

app = typer.Typer(no_args_is_help=True)

KINDS = (".pdf", ".svg", ".png")
LANGUAGES = ("zh", "en", "both")


@app.callback()
def _label() -> None:
    """Labels for hubs."""


@app.command("sheet")
def sheet(
    hubs: Annotated[list[str] | None, typer.Argument(metavar="HUB...", help="Which hubs.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are not revoked.")] = False,
    home: Annotated[str, typer.Option("--home", help="Those of one home.")] = "",
    out: Annotated[Path, typer.Option("--out", help="A .pdf, .svg or .png.")] = Path("labels.pdf"),
    paper: Annotated[str, typer.Option("--paper", help="a4 (24 labels) or letter (21).")] = "a4",
    lang: Annotated[str, typer.Option("--lang", help="zh, en or both.")] = "both",
    start: Annotated[int, typer.Option("--start", help="First free place of a sheet in use.")] = 1,
    lab: Lab = False,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Labels of 70 x 37 mm to print at 100 %: hub, link of the families' page, set-up code, wiring. The code
    is worth something only for ten minutes after a press on the hub."""
    kind = out.suffix.lower()
    if kind not in KINDS:
        raise LabelError(f"{out}: write a name that ends in {', '.join(KINDS)}")
    if lang not in LANGUAGES:
        raise LabelError(f"--lang {lang}: must be one of {', '.join(LANGUAGES)}")
    if paper not in labels.SHEETS:
        raise LabelError(f"--paper {paper}: must be one of {', '.join(labels.SHEETS)}")
    settings = page_settings(data_dir, config, lab)
    with open_registry(settings.data_dir, "change") as registry:
        families = Families(registry)
        made = [
            labels.Label(
                hub, links.link(settings.web, families.label(hub), lab), _code(registry, hub),
                labels.wires(registry.settings(hub)),
            )
            for hub in _chosen(registry, hubs or [], every, home)
        ]  # fmt: skip
    pages = labels.pages(made, paper, lang, start)  # type: ignore[arg-type]
    pictures = labels.proved(pages, made, paper, start)
    if kind == ".pdf":
        files = {out: pdf(pages, "Kanhu labels")}
    elif kind == ".svg":
        files = {_numbered(out, n): svg(page).encode() for n, page in enumerate(pages, 1)}
    else:
        files = {_numbered(out, n): _png(picture) for n, picture in enumerate(pictures, 1)}
    for path, data in files.items():
        _write(path, data)
    without = [one.hub for one in made if not one.code]
    result: dict[str, Any] = {
        "labels": [{"hub": one.hub, "link": one.link} for one in made], "without_code": without,
        "files": [str(path) for path in files],
    }  # fmt: skip
    said(result, as_json, _sentence(len(made), files, without))


def _chosen(registry: Registry, hubs: list[str], every: bool, home: str) -> list[str]:
    if (bool(hubs) + every + bool(home)) != 1:
        raise LabelError("name hubs, or give --all, or --home ID")
    if hubs:
        return list(dict.fromkeys(hubs))
    of = registry.home(home).id if home else None
    found = [hub.id for hub in registry.hubs(of) if hub.revoked_ms is None]
    if not found:
        raise LabelError("no hub is there to be labelled: kanhu flash, or kanhu registry hub add")
    return found


def _code(registry: Registry, hub: str) -> str:
    return codes.code(registry.commission(hub)) if registry.has_commission(hub) else ""


def _numbered(out: Path, number: int) -> Path:
    return out if number == 1 else out.with_stem(f"{out.stem}-{number}")


def _png(picture: Image.Image) -> bytes:
    found = io.BytesIO()
    picture.convert("L").save(found, "PNG", dpi=(DPI, DPI), optimize=True)
    return found.getvalue()


def _write(path: Path, data: bytes) -> None:
    try:
        # Links and codes are in it: for whoever prints it alone.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise PaperError(f"{path}: {error.strerror}; name a place where you may write") from None


def _sentence(count: int, files: dict[Path, bytes], without: list[str]) -> str:
    many = "1 label is" if count == 1 else f"{count} labels are"
    text = f"{many} in {', '.join(map(str, files))}; each code was read back. Print at 100 %."
    if without:
        text += f"\nwithout a set-up code, as their boards were not made by kanhu flash: {', '.join(without)}"
    return text
