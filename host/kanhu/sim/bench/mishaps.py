"""What goes wrong: wires, power, network, flash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kanhu.sim import net
from kanhu.sim.hub import Hub

from .stand import BenchError, Stand

if TYPE_CHECKING:
    from kanhu.sim.board import Board


class Mishaps(Stand):
    """And is mended again."""

    def unplug(self, name: str, hub: Hub | str | None = None) -> None:
        """Cut the wire of an input: nothing drives its pin, and the hub's own pull decides."""
        self._plug(name, hub, plugged=False)

    def plug(self, name: str, hub: Hub | str | None = None) -> None:
        """Mend the wire again."""
        self._plug(name, hub, plugged=True)

    def cut_power(self, hub: Hub | str | None = None) -> None:
        """The hub is dead when this returns (SIGKILL in whatever it was doing)."""
        owner = self._hub(hub)
        board = self._board(owner)
        if board:
            board.cut_power()
        else:
            self._wait(owner._cut_power())

    def cut_power_inside(self, operations: int, hub: Hub | str | None = None) -> None:
        """The power goes half-way through the hub's operations-th erase or program of its flash from now on;
        0: not any more. Returns at once; cut_power() is due once the hub is no longer running."""
        owner = self._hub(hub)
        if operations < 0:
            raise BenchError("operations is 1 or more, or 0 for none")
        self._do(lambda: owner._cut_inside(operations))

    def power(self, hub: Hub | str | None = None) -> None:
        """Power is back; returns when boot.py begins."""
        owner = self._hub(hub)
        board = self._board(owner)
        if board:
            board.power_on()
            board.wait_hub()
        else:
            self._wait(owner._start())

    def wifi(self, on: bool, hub: Hub | str | None = None) -> None:
        """The home's access point. Off: connections stall, as on the air."""
        owner = self._hub(hub)
        self._do(lambda: owner._set_network(wifi=on))

    def name_server(self, on: bool, hub: Hub | str | None = None) -> None:
        """The home's name server. Off: no name is found, what is known by its address stays reachable."""
        owner = self._hub(hub)
        self._do(lambda: owner._set_network(names=on))

    def access_points(self, points: Sequence[net.AccessPoint] | None, hub: Hub | str | None = None) -> None:
        """The Wi-Fi networks there are at a hub's home; None: one that takes any name and password."""
        owner = self._hub(hub)
        self._do(lambda: owner._set_points(None if points is None else tuple(points)))

    def link_fault(self, hub: Hub | str | None = None, fault: net.Fault | None = None) -> None:
        """stall: bytes stop; cut: connections are reset, now and anew; refuse: only new ones are; None."""
        if fault not in (None, *net.FAULTS):
            raise BenchError(f"a link fault is one of {', '.join(net.FAULTS)} or None, not {fault!r}")
        owner = self._hub(hub)
        self._do(lambda: owner._set_network(fault=fault or "none"))

    def fill_flash(self, full: bool, hub: Hub | str | None = None) -> None:
        """A file takes all the room there is on the hub's flash, until full is False; power cuts or not."""
        owner = self._hub(hub)
        self._do(lambda: owner._fill_flash(full))

    def line_noise(self, data: bytes, hub: Hub | str | None = None) -> None:
        """Whoever has the hub's serial port open reads bytes that the hub never said."""
        owner = self._hub(hub)
        self._do(lambda: owner._port.write(data))

    def mains(self, on: bool, hub: Hub | str | None = None) -> None:
        owner = self._hub(hub)
        sense = next((w for w in owner.wires.values() if w.kind == "mains"), None)
        if sense is None:
            raise BenchError(
                f"hub {owner.hub_id} has no mains sense pin: put `mains` into its config or wiring"
            )
        sense.pressed = on
        self._do(lambda: owner._show(sense))

    def _board(self, hub: Hub) -> Board | None:
        return next((board for board in self.boards.values() if hub in board.hubs[-1:]), None)

    def _plug(self, name: str, hub: Hub | str | None, *, plugged: bool) -> None:
        owner, contact = self._wire(name, hub)
        contact.plugged = plugged
        self._do(lambda: owner._show(contact))
