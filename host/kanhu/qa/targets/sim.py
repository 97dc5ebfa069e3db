"""`--target sim`: a simulated board in this process, flashed and provisioned over its port as a real one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from kanhu.install.flash.ports import Port
from kanhu.qa import capabilities as c
from kanhu.qa.board import Board
from kanhu.qa.hands import BenchHands
from kanhu.qa.host import Host, Platform
from kanhu.qa.hub import Hub
from kanhu.qa.installing import Installer, Network
from kanhu.qa.lines import HUB_SETTINGS, LINES
from kanhu.qa.model import BoardInfo
from kanhu.qa.rig import WELL_S, Options, Parts, RigTrouble, prove
from kanhu.qa.targets.haste import hurried
from kanhu.qa.targets.sim_homes import Homes
from kanhu.sim.board import Board as SimBoard
from kanhu.sim.town import BROKER_NAME

KIND, CHIP, FLASH_MB = "esp32", "esp32", 4
MAC = "240ac40000a1"
WIFI = ("kanhu-lab", "a password")  # a home without a list of networks takes any
HEARTBEAT_S = 5
SETTINGS = {**HUB_SETTINGS, "heartbeat": HEARTBEAT_S, "pir_warm_up": 0}
BUTTONS = ("buttons", "pirs")  # of a hub's settings; what else it is wired to, its config tells the bench


@contextlib.contextmanager
def bench(options: Options) -> Iterator[Parts]:
    """One hub in a home of its own, well."""
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
        wiring: dict[str, Any] = {
            line.name: line.hub_gpio for line in LINES.values() if line.setting in BUTTONS
        }
        board = sim.add_board("hub", CHIP, MAC, FLASH_MB, wiring=wiring)
        hands = BenchHands(sim, board.wait_hub)
        hub = Hub("hub", KIND, Port(board.url), installer, hands, _switch(board), CHIP, MAC)
        platform = Platform(host)
        hub.console.start()
        stack.callback(hub.console.stop)
        flashed = hub.flash()
        hub.wait_indicator("well", WELL_S)
        prove(host, hub, platform)
        homes = Homes(host)
        info = BoardInfo(
            name=hub.name,
            chip=flashed.chip,
            mac=flashed.mac,
            port=hub.port,
            firmware_version=flashed.version,
            firmware_sha256=flashed.bundle_sha256,
            micropython=flashed.micropython,
            simulated=True,
        )

        def more(count: int, **wanted: Any) -> list[Board]:
            return [homes.add(**wanted) for _ in range(count)]

        yield Parts(
            hubs=[hub],
            host=host,
            installer=installer,
            sim=sim,
            capabilities=c.SIMULATION | {c.PROXY, c.SERIAL_LINK},
            boards=[info],
            more=more,
            away=lambda board: board.power(False),
        )


def _switch(board: SimBoard) -> Any:
    def switch(on: bool) -> None:
        if on:
            board.power_on()
        else:
            board.cut_power()

    return switch
