"""`kanhu flash`: boards in, hubs out."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from kanhu.cli.board import _secret
from kanhu.cli.show import DATA_DIR, DataDir, open_registry
from kanhu.errors import KanhuError
from kanhu.install import bundle as bundles
from kanhu.install import signing
from kanhu.install.flash import ports, report, session, table, troubles
from kanhu.install.flash.judge import Expected
from kanhu.install.flash.plan import Network, Plan, Result
from kanhu.registry import RegistryError, checks

RULES = "60-kanhu.rules"
JOBS = 16  # boards at a time: what one USB hub and a laptop take


def flash(
    bundle: Annotated[
        list[Path] | None, typer.Argument(help="Folders of kanhu firmware build, one for each kind of board.")
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            help="Port, pyserial URL, USB serial number or MAC; all boards plugged in when left out."
        ),
    ] = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option(
            envvar="KANHU_TRUST", help="Public key (PEM) whose bundles are written; may be repeated."
        ),
    ] = None,
    home: Annotated[str, typer.Option(help="Home of new hubs; each gets one of its own when left out.")] = "",
    wifi: Annotated[
        str, typer.Option(help="Name of the network; its password: KANHU_WIFI_PASSWORD, or asked for.")
    ] = "",
    broker: Annotated[str, typer.Option(help="HOST:PORT of the broker as hubs reach it.")] = "",
    ca: Annotated[Path | None, typer.Option(help="CA bundle in PEM: hubs speak TLS and trust it.")] = None,
    ntp: Annotated[str, typer.Option(help="HOST:PORT of a time server, for new hubs.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Boards at a time.")] = JOBS,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the last session: what passed in it stays alone.")
    ] = False,
    to: Annotated[
        Path | None, typer.Option("--report", help="Folder, or a file .json, .csv or .xml (JUnit).")
    ] = None,
    erase_data: Annotated[
        bool, typer.Option("--erase-data", help="Even if a hub's events are lost by it.")
    ] = False,
    allow_older: Annotated[bool, typer.Option("--allow-older", help="Even over a newer version.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at the boards, and write nothing.")
    ] = False,
    udev_rules: Annotated[
        bool, typer.Option("--udev-rules", help="Print the rule that lets Linux users open boards' ports.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Make every board that is plugged in a hub: identify, write, verify, start, test (docs/flashing.md)."""
    if udev_rules:
        print(_rules(), end="")
        return
    if to:
        report.kind_of(to)
    began = time.monotonic()
    journal = session.Journal.read(data_dir) if resume else session.Journal(data_dir / session.FILE)
    plan = _plan(bundle or [Path(folder) for folder in journal.bundles], trust or [], journal, data_dir, home,
                 _network(wifi, broker, ca), {"ntp": list(checks.endpoint(ntp))} if ntp else {},
                 erase_data, allow_older, dry_run)  # fmt: skip
    found = ports.discover(port or ())
    if not found:
        raise troubles.Trouble(troubles.none_found(driverless=ports.without_driver()))
    console = Console()
    with open_registry(data_dir, "make") as registry:
        if home:
            registry.home(home)
        watch = table.Watch(console)
        works: list[Any] = []

        def begun(all_of_them: Any) -> None:
            works.extend(all_of_them)
            watch.begun(works)

        interrupted = False
        with watch, suppress(KeyboardInterrupt):
            interrupted = True
            asyncio.run(
                _until_stopped(session.run(found, plan, registry, journal, jobs, begun, watch.changed))
            )
            interrupted = False
        results: list[Result] = [work.result for work in works]
    results += journal.missing(results) if resume else []
    seconds = time.monotonic() - began
    if not console.is_terminal:
        console.width = 200
    if not console.is_terminal or len(results) > len(works):
        console.print(table.table([(result, "", 0.0) for result in results], console.is_terminal))
    print(table.summary(results, seconds))
    if any(result.state == "passed" for result in results) and not plan.network:
        print(
            "next: labels (kanhu label sheet --all), and in the home kanhu provision HUB: what was written "
            "now has no network"
        )
    if to:
        for path in report.write(to, results, plan, seconds):
            print(f"report: {path}")
    if interrupted:
        raise typer.Exit(130)
    if not all(result.good for result in results):
        raise typer.Exit(1)


def _plan(
    folders: list[Path], trust: list[Path], journal: session.Journal, data_dir: Path, home: str,
    network: Network | None, settings: dict[str, Any], erase_data: bool, allow_older: bool, dry_run: bool,
) -> Plan:  # fmt: skip
    if not folders:
        raise KanhuError("name a bundle to write: kanhu firmware build makes one")
    if not trust:
        raise KanhuError(
            "name the public key whose bundles may be written: --trust KEY.pub.pem, or KANHU_TRUST"
        )
    keys = [signing.load_public(path) for path in trust]
    by_chip: dict[str, tuple[bundles.Bundle, Expected]] = {}
    for folder in folders:
        one = bundles.load(folder, keys)
        if one.chip in by_chip:
            raise KanhuError(
                f"{by_chip[one.chip][0].folder} and {folder} are both for {one.chip}: give one of them"
            )
        by_chip[one.chip] = (one, Expected.of(one))
    digests = {str(one.folder.resolve()): one.digest for one, _ in by_chip.values()}
    # What passed with another bundle has not passed with this one.
    passed = journal.passed() if journal.bundles == digests else frozenset[str]()
    journal.bundles = digests
    if network and network.ca and "ntp" not in settings:
        raise RegistryError(
            "hubs need the time before they can judge a certificate: give --ntp HOST:PORT with --ca"
        )
    return Plan(by_chip, data_dir, home or None, network, settings, erase_data, allow_older, dry_run, passed)


def _network(wifi: str, broker: str, ca: Path | None) -> Network | None:
    if bool(wifi) != bool(broker):
        raise RegistryError("give --wifi and --broker together, or neither: kanhu provision tells hubs later")
    if not wifi:
        if ca:
            raise RegistryError("--ca is for hubs with --wifi and --broker")
        return None
    from kanhu.pki.files import for_hubs  # other runs start without certificates

    endpoint = checks.endpoint(broker)
    ssid = checks.wifi(wifi, _secret("KANHU_WIFI_PASSWORD", f"Password of {wifi}"))
    return Network(ssid, endpoint, for_hubs(ca) if ca else b"")


async def _until_stopped(work: Any) -> Any:
    task = asyncio.current_task()
    with suppress(NotImplementedError, RuntimeError):  # Windows has no SIGTERM to listen to
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: task and task.cancel())
    try:
        return await work
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _rules() -> str:
    package = Path(sys.modules["kanhu"].__file__ or "").parent
    for folder in (package / "_deploy", package.parents[1] / "deploy"):
        path = folder / RULES
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise KanhuError(f"no {RULES} beside {package}: reinstall kanhu")
