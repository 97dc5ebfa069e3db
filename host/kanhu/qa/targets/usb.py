"""`--target usb`: the boards of bench.toml, at serial ports."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from kanhu.install.boards import load as load_board
from kanhu.install.flash import ports
from kanhu.install.flash.ports import Port
from kanhu.qa import bench_file, locks, power
from kanhu.qa import capabilities as c
from kanhu.qa.bench_file import BenchFile, Place
from kanhu.qa.board import Board, BoardTrouble
from kanhu.qa.hands import StimulusHands
from kanhu.qa.host import Host, Platform
from kanhu.qa.hub import Hub
from kanhu.qa.installing import Installer, Network
from kanhu.qa.lines import HUB_SETTINGS
from kanhu.qa.rig import WELL_S, Options, Parts, RigTrouble, info, prove
from kanhu.qa.stimulus import Stimulus
from kanhu.qa.targets.haste import hurried
from kanhu.qa.targets.kept import Kept
from kanhu.qa.targets.stimuli import standing
from kanhu.registry import checks

HEARTBEAT_S = 5
DRAIN_S = 2.0  # without supply until a board's capacitors are empty
SETTINGS = {**HUB_SETTINGS, "heartbeat": HEARTBEAT_S, "pir_warm_up": 0}  # the stimulus needs no warming up


@contextlib.contextmanager
def bench(options: Options) -> Iterator[Parts]:
    """Its boards, flashed, in their Wi-Fi and well."""
    if options.bench_file is None:
        raise RigTrouble("--target usb needs --bench FILE")
    file = bench_file.load(options.bench_file)
    wifi = checks.wifi(file.wifi.name, file.wifi.secret())
    with ExitStack() as stack:
        found = [_locked(stack, place, file.hub_name(index)) for index, place in enumerate(file.hub)]
        places = [*file.hub, *([file.stimulus] if file.stimulus else [])]
        if any(place.is_simulated for place in places):
            stack.enter_context(hurried())
        kept = Kept(file.path)
        if not options.flash:
            kept.restore(options.folder / "host" / "town" / "daemon" / "data")
        host = stack.enter_context(
            Host(
                options.folder / "host",
                file.host.address,
                0 if options.flash else kept.proxy_port,
                heartbeat_s=HEARTBEAT_S,
            )
        )
        installer = Installer(
            options.folder / "bundles",
            host.town.daemon.data_dir,
            SETTINGS,
            Network(wifi, (file.host.address, host.proxy.port)),
            options.micropython,
        )
        stimulus, boards = None, []
        if file.stimulus is not None:
            where = _locked(stack, file.stimulus, "stimulus")
            stimulus, about = stack.enter_context(
                standing(
                    where.url,
                    file.stimulus.board,
                    options,
                    mac=file.stimulus.mac or "",
                    simulated=file.stimulus.is_simulated,
                )
            )
            boards.append(about)
        hubs = []
        for index, (place, port) in enumerate(zip(file.hub, found, strict=True)):
            own, wired = not place.is_simulated, index == 0  # the stimulus is wired to the first one
            hub = Hub(
                file.hub_name(index),
                place.board,
                port,
                installer,
                StimulusHands(stimulus) if stimulus and wired else None,
                _switch(file, stimulus) if wired else None,
                load_board(place.board).chip.name,
                place.mac or (kept.last_mac(file.hub_name(index)) if own else ""),
                c.SILICON if own else frozenset(),
                drain_s=DRAIN_S if own else 0.0,
                may_flash=options.flash,
            )
            hub.console.start()
            stack.callback(hub.console.stop)
            hubs.append(hub)
        for place, hub in zip(file.hub, hubs, strict=True):
            version = _begun(stack, hub, place, Platform(host), options, kept)
            boards.append(info(hub, version, place.is_simulated))
        # Now, and once more at the end: what hubs were told since counts on.
        kept.save(host.town.daemon.data_dir, host.proxy.port, hubs)
        stack.callback(kept.save, host.town.daemon.data_dir, host.proxy.port, hubs)

        def more(count: int, **wanted: Any) -> list[Board]:
            if wanted:
                raise c.NeedsCapability(why=f"further hubs with {', '.join(wanted)}: run --target sim")
            if count > len(hubs) - 1:
                raise c.NeedsCapability(
                    why=f"{file.path} has {len(hubs) - 1} further hubs, not {count}: add [[hub]]"
                )
            return list(hubs[1 : 1 + count])

        yield Parts(
            hubs=hubs,
            host=host,
            installer=installer,
            stimulus=stimulus,
            capabilities=frozenset({c.PROXY}),
            boards=boards,
            more=more,
        )


def _locked(stack: ExitStack, place: Place, name: str) -> Port:
    (port,) = ports.discover([place.where])
    if place.port is None and port.url == place.where:
        what = f"USB serial number {place.usb_serial}" if place.usb_serial else f"MAC {place.mac}"
        raise BoardTrouble(
            f"no port has a board with {what}, or more than one has: plug {name} in, or put its port into the"
            " file (a bridge such as CP210x or CH340 tells no MAC, and often no serial number of its own)"
        )
    for what in {port.url, place.mac or "", port.serial} - {""}:
        stack.enter_context(locks.held(name, what))
    return port


def _begun(stack: ExitStack, hub: Hub, place: Place, platform: Platform, options: Options, kept: Kept) -> str:
    """Flashed, or taken as it is; the version that it says it runs."""
    if options.flash:
        hub.flash()
        if not place.mac:
            stack.enter_context(locks.held(hub.name, hub.mac))
    else:
        hub.mac = hub.console.mac = kept.mac(hub.name)
        hub.adopt()
        hub.reset()  # so that it says what it runs
    version = prove(hub, platform)
    if c.INDICATOR in hub.capabilities:
        hub.wait_indicator("well", WELL_S)
    return version


def _switch(file: BenchFile, stimulus: Stimulus | None) -> Callable[[bool], None] | None:
    if file.power.kind == "none":
        return None
    return power.of(file.power, stimulus).switch
