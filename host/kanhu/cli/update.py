"""`kanhu update`: releases brought to hubs over the air, a few first, and stopped when it goes wrong."""

from __future__ import annotations

import getpass
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from kanhu import requests
from kanhu.cli import update_shown as shown
from kanhu.cli.operate import DEFAULT_CONFIG, ConfigFile, DataDir, journal_dir
from kanhu.cli.show import AsJson, open_registry, said, show
from kanhu.errors import DataError
from kanhu.registry import Registry
from kanhu.updates import book
from kanhu.updates.releases import Releases
from kanhu.updates.values import UpdateError

app = typer.Typer(no_args_is_help=True)

AT_ONCE_MAX = 200  # four pieces each are at most on their way to so many hubs
By = Annotated[str, typer.Option("--by", help="Whoever does this; the user who is logged in.")]


@app.command("add")
def add(
    source: Annotated[Path, typer.Argument(help="application.kfw, or the folder of a bundle.")],
    trust: Annotated[list[Path], typer.Option("--trust", help="A public key (PEM) that may have signed it.")],
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check a release and keep it for updates; nothing is sent yet."""
    from kanhu.install.signing import load_public

    folder = journal_dir(data_dir, config)
    kept = Releases(folder).add(source, [load_public(path) for path in trust], _now_ms())
    said(
        shown.release_row(kept, as_json), as_json,
        f"release {kept.version} ({kept.digest[:12]}, {kept.size} bytes) is kept: "
        f"kanhu update start {kept.version}",
    )  # fmt: skip


@app.command("list")
def list_releases(
    config: ConfigFile = DEFAULT_CONFIG, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Releases that are kept, the newest first."""
    kept = Releases(journal_dir(data_dir, config)).list()
    show([shown.release_row(one, as_json) for one in kept], as_json, "no release is kept: kanhu update add")


@app.command("start")
def start(
    release: Annotated[str, typer.Argument(help="Version or digest, as `kanhu update list` shows them.")],
    everybody: Annotated[bool, typer.Option("--all", help="All hubs.")] = False,
    hub: Annotated[list[str] | None, typer.Option("--hub", help="This hub; may be given again.")] = None,
    region: Annotated[
        str | None, typer.Option("--region", help="Hubs of homes of this region, such as cn/42/01.")
    ] = None,
    home: Annotated[list[str] | None, typer.Option("--home", help="Hubs of this home; may repeat.")] = None,
    canary: Annotated[
        str, typer.Option("--canary", help="Hubs that take it before all others: 5% or a number.")
    ] = "5%",
    soak: Annotated[
        str, typer.Option("--soak", help="How long each of them must then run well: 90s, 30m, 2h, 1d.")
    ] = "1h",
    at_once: Annotated[int, typer.Option("--at-once", help="Hubs on their way at a time.")] = 20,
    pause_at: Annotated[str, typer.Option("--pause-at", help="Share of failures that pauses it.")] = "5%",
    pause_min: Annotated[
        int, typer.Option("--pause-min", help="But no fewer failures, once the first hubs run well.")
    ] = 2,
    by: By = "",
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring a release to hubs: a few first, the rest when those have run well."""
    if not 1 <= at_once <= AT_ONCE_MAX:
        raise DataError(f"--at-once {at_once}: 1 to {AT_ONCE_MAX}")
    if pause_min < 1:
        raise DataError(f"--pause-min {pause_min}: 1 or more")
    folder = journal_dir(data_dir, config)
    with open_registry(folder, "read") as registry:
        hubs = _chosen(registry, everybody, hub or [], region, home or [])
    request = {
        "do": "update.start", "release": release, "hubs": hubs, "canary": canary, "soak_ms": _span_ms(soak),
        "at_once": at_once, "pause_percent": _percent(pause_at), "pause_min": pause_min, "by": _who(by),
    }  # fmt: skip
    done = requests.ask(folder, request)
    skipped = f" ({done['skipped']} run it or a newer one already)" if done["skipped"] else ""
    said(
        done, as_json,
        f"rollout {done['rollout']}: {done['version']} to {_hubs(done['waiting'])}{skipped}, "
        f"{done['canary']} of them first. See it: kanhu update watch",
    )  # fmt: skip


def _chosen(
    registry: Registry, everybody: bool, hubs: list[str], region: str | None, homes: list[str]
) -> list[str]:
    """Ids of hubs that are trusted; DataError when that is none, or nothing was said."""
    if not (everybody or hubs or region or homes):
        raise DataError("say which hubs: --all, --region PREFIX, --home HOME or --hub HUB")
    if everybody and (hubs or region or homes):
        raise DataError("--all is all hubs: give it alone")
    found: dict[str, None] = {}
    for one in hubs:
        registry.hub(one)
        found[one] = None
    for one in homes:
        registry.home(one)
        found.update(dict.fromkeys(hub.id for hub in registry.hubs(one)))
    if everybody or region:
        prefix = (region or "").strip("/")
        for known in registry.hubs():
            place = registry.home(known.home).region or ""
            if everybody or place == prefix or place.startswith(prefix + "/"):
                found[known.id] = None
    trusted = [one for one in found if registry.knows(one)]
    if not trusted:
        where = f"in region {region}" if region else "there"
        raise DataError(f"nobody to update: no hub that is trusted {where}")
    return trusted


@app.command("status")
def status(
    rollout: Annotated[int | None, typer.Argument(help="Its number; default: the newest.")] = None,
    every: Annotated[bool, typer.Option("--hubs", help="Each hub, not only those that are on.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """How a rollout stands, read from disk."""
    found, units = book.read(journal_dir(data_dir, config) / "journal.db", rollout)
    chosen = [one for one in found if rollout in (None, one.id)][:1]
    if not chosen:
        what = "there is no rollout" if rollout is None else f"there is no rollout {rollout}"
        raise UpdateError(f"{what}: start one (kanhu update start RELEASE)")
    shown.status(chosen[0], units, every, as_json)


@app.command("watch")
def watch(config: ConfigFile = DEFAULT_CONFIG, data_dir: DataDir = None) -> None:
    """Follow the newest rollout until it is over or paused (exit 1)."""
    journal = journal_dir(data_dir, config) / "journal.db"

    def look() -> Any:
        found, units = book.read(journal)
        if not found:
            raise UpdateError("there is no rollout: start one (kanhu update start RELEASE)")
        return found[0], units

    raise typer.Exit(shown.watch(look))


@app.command("pause")
def pause(
    by: By = "", config: ConfigFile = DEFAULT_CONFIG, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Ask nobody, and let nobody fetch; a hub that tries the release already goes on."""
    _order("pause", "is paused: kanhu update resume", by, journal_dir(data_dir, config), as_json)


@app.command("resume")
def resume(
    by: By = "", config: ConfigFile = DEFAULT_CONFIG, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Let a paused rollout go on: the failures so far no longer count against it."""
    _order("resume", "goes on", by, journal_dir(data_dir, config), as_json)


@app.command("cancel")
def cancel(
    by: By = "", config: ConfigFile = DEFAULT_CONFIG, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """End a rollout: who has the release keeps it, who fetches gives it up, all others hear nothing of it."""
    _order("cancel", "is cancelled", by, journal_dir(data_dir, config), as_json)


def _order(what: str, then: str, by: str, folder: Path, as_json: bool) -> None:
    done = requests.ask(folder, {"do": f"update.{what}", "by": _who(by)})
    said(done, as_json, f"rollout {done['rollout']} of {done['version']} {then}")


def _hubs(count: int) -> str:
    return "1 hub" if count == 1 else f"{count} hubs"


def _who(by: str) -> str:
    return by or getpass.getuser()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _percent(text: str) -> float:
    try:
        found = float(text.removesuffix("%"))
        if not 0 < found <= 100:
            raise ValueError
    except ValueError:
        raise DataError(f"--pause-at {text}: write a share such as 5%") from None
    return found


def _span_ms(text: str) -> int:
    units = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
    try:
        found = int(float(text[:-1]) * units[text[-1:]])
        if not 0 <= found <= 30 * units["d"]:
            raise ValueError
    except (ValueError, KeyError, OverflowError):
        raise DataError(f"--soak {text}: write a time such as 90s, 30m, 2h or 1d, at most 30d") from None
    return found
