"""`kanhu firmware`: signing keys, bundles, and the page that installs one from a browser."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from kanhu.cli.show import AsJson, said, show
from kanhu.install import boards, bundle, partitions, release, signing
from kanhu.install import build as building
from kanhu.install import page as pages
from kanhu.install.micropython import Progress as Told
from kanhu.install.page import serve

app = typer.Typer(no_args_is_help=True)

PORT = 8266  # a free choice; 0 takes any
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A bundle: what kanhu firmware build wrote.")]
Trust = Annotated[
    list[Path], typer.Option("--trust", metavar="PEM", help="Public key to believe; may be given again.")
]


@app.command("keygen")
def keygen(
    out: Annotated[Path, typer.Argument(help="The private key's file, such as release.pem.")],
    as_json: AsJson = False,
) -> None:
    """Make a signing key: OUT (mode 0600, keep it offline) and its public half beside it."""
    public = signing.generate(out)
    half = signing.public_path(out)
    said(
        {"private": str(out), "public": str(half), "key": signing.fingerprint(public)},
        as_json,
        f"{out} signs: who has it can put software on every hub; {half} is what others need"
        f" (key {signing.fingerprint(public)})",
    )


@app.command("boards")
def list_boards(as_json: AsJson = False) -> None:
    """The boards that come with Kanhu."""
    rows: list[dict[str, Any]] = []
    for name in boards.names():
        board = boards.load(name)
        known = board.micropython.version if board.micropython.sha256 else None
        rows.append(
            {
                "board": name, "chip": board.chip.name, "flash_mb": board.flash_size >> 20,
                "button": board.pins.button, "pir": board.pins.pir, "lamp": board.pins.lamp,
                "buzzer": board.pins.buzzer, "micropython": known or "give --micropython and --sha256",
            }
        )  # fmt: skip
    show(rows, as_json, "")


@app.command("build")
def build(
    board: Annotated[str, typer.Option(help="A name of kanhu firmware boards, or a .toml file of your own.")],
    key: Annotated[Path, typer.Option(metavar="PEM", help="The private key that signs.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the bundle.")],
    micropython: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its image, in place of fetching it.")
    ] = None,
    sha256: Annotated[str | None, typer.Option(metavar="HEX", help="What that image's hash must be.")] = None,
    version: Annotated[
        str | None, typer.Option(metavar="X.Y.Z", help="In place of the sources' own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compile the hub's software and write a signed bundle: same sources, same bytes."""
    signs = signing.load_private(key)
    with _bar(f"MicroPython for {board}") as told:
        made = building.build(board, out, signs, micropython, sha256, version, told)
    said(
        _facts(made),
        as_json,
        f"{out}: Kanhu {made.version} for {made.board}, MicroPython {made.micropython['version']},"
        f" bundle {made.digest}; next: kanhu flash, or kanhu firmware page {out} --trust KEY.pub.pem",
    )


@app.command("verify")
def verify(
    folder: Folder,
    trust: Trust,
    newer_than: Annotated[
        str | None, typer.Option(metavar="X.Y.Z", help="Also refuse a release that is not above this one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every byte of a bundle as before flashing; exit 2 and one sentence when it is refused."""
    found = bundle.load(folder, _keys(trust))
    if newer_than is not None:
        release.refuse_older(found.number, release.number(newer_than))
    said(
        _facts(found),
        as_json,
        f"{folder}: whole and signed by {signing.fingerprint(found.signer)}: Kanhu {found.version} for"
        f" {found.board}, bundle {found.digest}",
    )


@app.command("show")
def show_bundle(folder: Folder, as_json: AsJson = False) -> None:
    """What a bundle says of itself; nothing is checked but its form (kanhu firmware verify does)."""
    plain = bundle.look(folder)
    if as_json:
        said(plain, True, "")
        return
    print(
        f"Kanhu {plain['version']} for {plain['board']} ({plain['chip']}, {plain['flash_size'] >> 20} MB),"
        f" MicroPython {plain['micropython']['version']}; not verified here: kanhu firmware verify"
    )
    table = [{**one, **partitions.kind_words(one["type"], one["subtype"])} for one in plain["partitions"]]
    show([_row(one, "name", "type", "subtype", "offset", "size") for one in table], False, "")
    show([_row(one, "name", "offset", "size", "file", "sha256") for one in plain["regions"]], False, "")
    print(f"update: {plain['application']['file']}, {plain['application']['size']} bytes")


@app.command("page")
def page(
    folder: Folder,
    trust: Trust,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the page there, for a web server of your own.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On this machine; 0: any that is free.")] = PORT,
    tools: Annotated[
        Path | None,
        typer.Option(metavar="TGZ", help=f"{pages.PACKAGE} from npm pack, where there is no npm."),
    ] = None,
) -> None:
    """Serve a page that installs the bundle on one board from Chrome or Edge, until Ctrl-C."""
    found = bundle.load(folder, _keys(trust))
    if out is not None:
        pages.make(found, out, tools)
        print(f"{out}: serve this folder by https; browsers let no other page reach a board")
        return
    with tempfile.TemporaryDirectory(prefix="kanhu-page-") as scratch:
        pages.make(found, Path(scratch), tools)
        server = serve.server(Path(scratch), port)
        with server:
            print(f"http://localhost:{server.server_address[1]}/ (Ctrl-C ends it)", flush=True)
            server.serve_forever()


def _keys(trust: list[Path]) -> list[bytes]:
    return [signing.load_public(path) for path in trust]


def _facts(found: bundle.Bundle) -> dict[str, Any]:
    return {
        "bundle": str(found.folder), "digest": found.digest, "board": found.board, "chip": found.chip,
        "version": found.version, "number": found.number, "micropython": found.micropython["version"],
        "signer": signing.fingerprint(found.signer),
    }  # fmt: skip


def _row(one: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: hex(one[key]) if key in ("offset", "size") else one[key] for key in keys}


@contextmanager
def _bar(what: str) -> Iterator[Told]:
    """A bar while something is fetched, on a terminal; nothing where nobody looks."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(binary_units=True)
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
