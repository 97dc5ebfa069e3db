"""Boards on the bench: bare, until somebody flashes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cbor2

from kanhu.install.firmware import source_dir
from kanhu.sim.hub import Hub
from kanhu.sim.lamp import Lamp, load_table
from kanhu.sim.wires import Wire, wire

from .stand import BenchError, Stand

if TYPE_CHECKING:
    from kanhu.sim.board import Board
    from kanhu.sim.board.image import Layout
    from kanhu.sim.board.nvs import ChipNvs

LAMP_PIN, BUZZER_PIN = 2, 15  # where config does not say


class Boards(Stand):
    """Their hubs come and go with what is flashed."""

    def add_board(
        self,
        name: str,
        chip: str = "esp32s3",
        mac: str = "240ac4000001",
        flash_mb: int = 8,
        *,
        wiring: Mapping[str, int | Wire] | None = None,
        speed: int = 1,
        heap: str = "1m",
        cut_after: int | None = None,
        bad_above_baud: int | None = None,
        usb_serial: str = "",
        port: int = 0,
        power: bool = True,
        hub: bool = True,
    ) -> Board:
        """A board at a serial port of its own (board.url), with the flash image it had in this folder or an
        erased one; what is flashed onto it decides what it becomes; hub: which then is one of bench.hubs."""
        from kanhu.sim.board import Board, BoardError
        from kanhu.sim.board.loader import Loaders

        if name in self.boards:
            raise BenchError(f"board {name} is on the bench already")
        if speed < 1 or speed != int(speed):
            raise BenchError("speed is a whole number of simulated seconds per second")

        def seat(board: Board, layout: Layout, nvs: ChipNvs) -> Hub:
            return self._seated(board, layout, nvs, int(speed), heap, hub)

        async def make() -> Board:
            if self._loaders is None:
                self._loaders = Loaders()
            board = Board(
                self._loop,
                self._loaders,
                seat,
                self.folder,
                name,
                chip,
                mac,
                flash_mb,
                cut_after=cut_after,
                bad_above_baud=bad_above_baud,
                usb_serial=usb_serial,
            )
            board.wiring.update(wiring or {})
            await board._start(port, power)
            return board

        try:
            board = self.boards[name] = self._wait(make())
        except BoardError as error:
            raise BenchError(str(error)) from None
        return board

    def _seated(
        self,
        board: Board,
        layout: Layout,
        nvs: ChipNvs,
        speed: int,
        heap: str,
        listed: bool,
    ) -> Hub:
        """What this flash makes of the board: the one of before, if it is the same."""
        stored = nvs.stored.get("kanhu", {})
        config, hub_id = _config(stored.get("config")), stored.get("hub_id")
        known = hub_id.decode(errors="replace") if isinstance(hub_id, bytes) else board.name
        seat = board.seat(layout, nvs)
        before = board.hubs[-1] if board.hubs else None
        wires = fit(known, board.wiring, config)
        if before and before.hub_id == known and before.wires == wires:
            before._sit(seat)
            return before
        if before and self.hubs.get(before.hub_id) is before:
            del self.hubs[before.hub_id]
        table = source_dir() / "kanhu_hub" / "indicator.py"
        pins = (config.get("lamp", LAMP_PIN), config.get("buzzer", BUZZER_PIN))
        lamp = Lamp(load_table(table) if table.exists() else {})
        hub = Hub(self._loop, self.folder, known, self._routes, self._air, lamp, pins, heap, speed, 0, seat)
        hub.wires.update(wires)
        if listed:
            self.hubs[known] = hub
        board.hubs.append(hub)
        return hub


def fit(hub_id: str, wiring: Mapping[str, int | Wire], config: Mapping[str, Any]) -> dict[str, Wire]:
    """What is wired to a hub's pins: what is given, and what its config has beside that."""
    wires = {name: wire(name, where, config) for name, where in wiring.items()}
    if config.get("mains") is not None and not any(w.kind == "mains" for w in wires.values()):
        wires[f"{hub_id}-mains"] = Wire(config["mains"], "mains", pressed=True)
    if config.get("cancel") is not None:
        wires[f"{hub_id}-cancel"] = Wire(config["cancel"], "cancel")
    return wires


def _config(data: object) -> dict[str, Any]:
    try:
        config = cbor2.loads(data) if isinstance(data, bytes) else {}
    except (cbor2.CBORDecodeError, ValueError):
        config = {}
    return config if isinstance(config, dict) else {}
