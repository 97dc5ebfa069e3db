"""What stands on the bench, by name, and the loop in a thread of its own in which it lives."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from kanhu.errors import KanhuError
from kanhu.sim import net
from kanhu.sim.air import Air
from kanhu.sim.hub import Hub
from kanhu.sim.sensors import Sensor
from kanhu.sim.wires import Wire

if TYPE_CHECKING:
    from kanhu.sim.board import Board
    from kanhu.sim.board.loader import Loaders
    from kanhu.sim.modem import Modem
    from kanhu.sim.monitors.base import Monitor

T = TypeVar("T")


class Press(NamedTuple):
    """One press as it happened, whatever anybody made of it."""

    time: float  # monotonic s, at first contact
    hub_id: str
    sensor: str
    device_kind: str


class BenchError(KanhuError):
    """The bench was asked for what it does not have; says what to do."""


class Stand:
    """All state that outlives a power cut is in the folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.presses: list[Press] = []
        self.missed_presses: list[Press] = []  # pressed while no hub had power to notice
        self.hubs: dict[str, Hub] = {}
        self.boards: dict[str, Board] = {}
        self.sensors: dict[str, tuple[Sensor, str]] = {}  # name -> sensor, hub it belongs to ("" if any)
        self.monitors: dict[str, Monitor] = {}
        self.modems: list[Modem] = []
        self._routes = net.Routes()
        self._air = Air()
        self._servers: list[asyncio.DatagramTransport] = []
        self._chores: set[asyncio.Task[Any]] = set()
        self._loaders: Loaders | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bench", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        for sensor, _ in self.sensors.values():
            sensor.stop()
        for monitor in self.monitors.values():
            await monitor.close()
        for server in self._servers:
            server.close()
        for task in self._chores:
            task.cancel()
        for board in self.boards.values():
            await board._close()
        for hub in self.hubs.values():
            await hub._close()
        if self._loaders:
            self._loaders.close()
        for modem in self.modems:
            modem.close()

    def _record(self, noticed: bool, hub_id: str, name: str, kind: str) -> None:
        (self.presses if noticed else self.missed_presses).append(Press(time.monotonic(), hub_id, name, kind))

    def _check_name(self, name: str) -> None:
        known = {*self.sensors, *self.monitors}
        if name in known or any(name in hub.wires for hub in self.hubs.values()):
            raise BenchError(f"there is a sensor {name!r} on the bench already")

    def _hub(self, hub: Hub | str | None) -> Hub:
        if isinstance(hub, Hub):
            return hub
        if hub is None and len(self.hubs) == 1:
            return next(iter(self.hubs.values()))
        if hub is None or hub not in self.hubs:
            raise BenchError(f"say which hub: {', '.join(self.hubs) or 'none has been added'}")
        return self.hubs[hub]

    def _wire(self, name: str, hub: Hub | str | None) -> tuple[Hub, Wire]:
        hubs = self.hubs.values() if hub is None else (self._hub(hub),)
        for owner in hubs:
            if name in owner.wires:
                return owner, owner.wires[name]
        known = [n for owner in hubs for n in owner.wires] + list(self.sensors)
        raise BenchError(f"no sensor {name!r} on the bench: there is {', '.join(known) or 'none'}")

    def _sensor(self, name: str) -> Sensor:
        if name not in self.sensors:
            raise BenchError(
                f"no BLE sensor {name!r} on the bench: there is {', '.join(self.sensors) or 'none'}"
            )
        return self.sensors[name][0]

    def _monitor(self, name: str) -> Monitor:
        if name not in self.monitors:
            raise BenchError(
                f"no monitor {name!r} on the bench: there is {', '.join(self.monitors) or 'none'}"
            )
        return self.monitors[name]

    def _do(self, action: Callable[[], T]) -> T:
        async def work() -> T:
            return action()

        return self._wait(work())

    def _wait(self, work: Coroutine[Any, Any, T], timeout: float = 30.0) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)
