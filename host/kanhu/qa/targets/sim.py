"""`--target sim`: a simulated board in this process, flashed and provisioned over its port as a real one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kanhu.install.flash.ports import Port
from kanhu.qa import capabilities as c
from kanhu.qa.board import Board
from kanhu.qa.hands import StimulusHands
from kanhu.qa.host import Host, Platform
from kanhu.qa.hub import Hub
from kanhu.qa.installing import Installer, Network
from kanhu.qa.lines import HUB_SETTINGS
from kanhu.qa.power import StimulusSupply
from kanhu.qa.rig import WELL_S, Options, Parts, RigTrouble, info, prove
from kanhu.qa.targets.haste import hurried
from kanhu.qa.targets.sim_homes import Homes
from kanhu.qa.targets.stimuli import standing
from kanhu.sim import pairs
from kanhu.sim.town import BROKER_NAME

KIND, CHIP, FLASH_MB = "esp32", "esp32", 4
MAC, STIMULUS_MAC = "240ac40000a1", "240ac40000b1"
WIFI = ("kanhu-lab", "a password")  # a home without a list of networks takes any
HEARTBEAT_S = 5
SETTINGS = {**HUB_SETTINGS, "heartbeat": HEARTBEAT_S, "pir_warm_up": 0}


@contextlib.contextmanager
def bench(options: Options) -> Iterator[Parts]:
    """One hub in a home of its own, well, and a stimulus wired to it."""
    if not options.flash:
        raise RigTrouble("simulated boards begin empty: leave --no-flash out")
    with contextlib.ExitStack() as stack:
        stack.enter_context(hurried())
        host = stack.enter_context(Host(options.folder / "host", heartbeat_s=HEARTBEAT_S))
        sim = host.town.bench
        installer = Installer(
            options.folder / "bundles",
            host.town.daemon.data_dir,
            SETTINGS,
            Network(WIFI, (BROKER_NAME, 1883)),
            options.micropython,
        )
        board = sim.add_board("hub", CHIP, MAC, FLASH_MB)
        second = sim.add_board("stimulus", CHIP, STIMULUS_MAC, FLASH_MB, hub=False)
        pairs.wire(sim, second, board)
        hub = Hub("hub", KIND, Port(board.url), installer, None, None, CHIP, MAC)
        hub.console.start()
        stack.callback(hub.console.stop)
        platform = Platform(host)
        with ThreadPoolExecutor(1) as beside:
            flashing = beside.submit(hub.flash)
            stimulus, about = stack.enter_context(standing(second.url, KIND, options, simulated=True))
            hub.give(StimulusHands(stimulus), StimulusSupply(stimulus).switch)
            flashing.result()
        hub.wait_indicator("well", WELL_S)
        version = prove(hub, platform)
        homes = Homes(host)

        def more(count: int, **wanted: Any) -> list[Board]:
            return [homes.add(**wanted) for _ in range(count)]

        yield Parts(
            hubs=[hub],
            host=host,
            installer=installer,
            stimulus=stimulus,
            sim=sim,
            capabilities=c.SIMULATION | {c.PROXY, c.SERIAL_LINK},
            boards=[info(hub, version, simulated=True), about],
            more=more,
            away=lambda board: board.power(False),
        )
