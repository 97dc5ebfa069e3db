"""A whole board at a serial port over TCP (RFC 2217): opening it does not reset it, the talk is the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from helpers_board import chip_image, provisioning
from helpers_firmware import loaded
from helpers_provision import WIFI, Told
from kanhu.install.provision import run
from kanhu.install.provision.session import Settings
from kanhu.install.provision.wires import SerialWire
from kanhu.links.serial import SerialLink
from kanhu.sim import Bench
from kanhu.sim.net import AccessPoint

HUB = "7m3k0xq2fz"
CODE = bytes(range(16, 32))


class Inlet:
    """The daemon's side, as far as a hello goes."""

    def submit(self, hub_id: str, payload: bytes, link: str) -> Any: ...

    def refuse(self, link: str, reason: str) -> None: ...

    def present(self, hub_id: str, link: str) -> None: ...


@pytest.mark.filterwarnings("ignore:set:DeprecationWarning")  # of pyserial's own RFC 2217 client
def test_on_the_flash_that_was_written(tmp_path: Path) -> None:
    values = {**provisioning(HUB, {"buttons": [[1, 4, None]], "pirs": []}), "commission": CODE}
    (tmp_path / "shelf.chip").write_bytes(chip_image(loaded("esp32s3"), values))
    with Bench(tmp_path) as bench:
        board = bench.add_board("shelf")
        hub = board.wait_hub(60)
        hub.wait_log("commissioning is open", 30)
        bench.access_points([AccessPoint(*WIFI, rssi=-58)], hub)
        told = Told()
        outcome = asyncio.run(
            run.provision(SerialWire(board.url), CODE, None, lambda hub_id: Settings(WIFI), told)
        )
        assert outcome.ok
        assert (outcome.hub, told.names[:2]) == (HUB, ["join", "address"])
        assert hub.log().count("boot 1, ") == 1
        assert "boot 2, " not in hub.log()

        async def daemons_link() -> str | None:
            link = SerialLink(board.url, Inlet())
            running = asyncio.create_task(link.run())
            async with asyncio.timeout(20):
                while link.hub_id is None:
                    await asyncio.sleep(0.05)
                    assert not running.done(), running
            running.cancel()
            return link.hub_id

        assert asyncio.run(daemons_link()) == HUB
