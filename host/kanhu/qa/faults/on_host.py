"""Faults of what is behind the hubs: broker, daemon, its disk and its clock, and the city's platform."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from kanhu.errors import KanhuError
from kanhu.sim.faults import shifted
from kanhu.sim.faults.disk import SmallDisk

from . import small_disk
from .fault import Fault, FaultTrouble, Recorder
from .link_faults import Cut
from .stage import Stage

if TYPE_CHECKING:
    from kanhu.qa.rig import Rig

START_LIMIT_S = 60.0
RESTART_S = 0.2  # a service manager starts a daemon that ended again after this
HOUR_S = 3600.0


class HostFaults(Stage):
    """Several that keep the daemon or the broker away add up: it is back when the last is over."""

    def __init__(self, rig: Rig, recorder: Recorder, seed: int = 0) -> None:
        super().__init__(rig, recorder, seed)
        self.disk_was_full = False
        self.ended: list[str] = []
        self._away = {"daemon": 0, "broker": 0}
        self._fillings = 0
        self._offsets: list[float] = []
        self._daemon = threading.RLock()  # one thread at a time starts and ends it
        self._disk: SmallDisk | None = None
        self._prepared = ExitStack()  # what stays from the first fault that needs it to the test's end

    def broker_restart(self) -> Fault:
        """SIGKILL; it starts again at the end, with what its disk has."""

        @contextmanager
        def make() -> Iterator[None]:
            broker = self.rig.host.town.broker
            self._away["broker"] += 1
            broker.kill()
            try:
                yield
            finally:
                self._away["broker"] -= 1
                if not self._away["broker"]:
                    broker.start()

        return self._fault("broker restart", make)

    def daemon_kill(self) -> Fault:
        """SIGKILL; no daemon until the end."""
        return self._without_daemon("daemon kill", hard=True)

    def daemon_stop(self) -> Fault:
        """SIGTERM; no daemon until the end."""
        return self._without_daemon("daemon stop", hard=False)

    def _without_daemon(self, name: str, hard: bool) -> Fault:
        @contextmanager
        def make() -> Iterator[None]:
            daemon = self.rig.host.town.daemon
            with self._daemon:
                self._must_run()
                self._away["daemon"] += 1
                daemon.kill() if hard else daemon.stop()
            try:
                yield
            finally:
                with self._daemon:
                    self._away["daemon"] -= 1
                    if not self._away["daemon"]:
                        self._start_daemon()

        return self._fault(name, make)

    def _must_run(self) -> None:
        """A daemon that is not there and that no fault took away has ended by itself: it is remembered."""
        daemon = self.rig.host.town.daemon
        if not daemon.running and not self._away["daemon"]:
            self.ended.append(" ".join(daemon.log().strip().splitlines()[-2:]))

    def look(self) -> list[str]:
        """The daemon's last words, for each time that it has ended by itself."""
        with self._daemon:
            if not self.ended:
                self._must_run()
            return list(self.ended)

    def _start_daemon(self) -> None:
        daemon = self.rig.host.town.daemon
        end = time.monotonic() + START_LIMIT_S
        while not daemon.running:
            try:
                daemon.start()
            except KanhuError as error:  # a full disk: it says so and ends
                if time.monotonic() > end:
                    raise FaultTrouble(str(error)) from None
                time.sleep(RESTART_S)

    def disk_full(self) -> Fault:
        """Not one byte is left where the daemon keeps its data: a tmpfs, onto which it moves for the rest of
        the test. NeedsCapability where this user may mount nothing."""

        @contextmanager
        def make() -> Iterator[None]:
            disk = self._small_disk()
            self._fillings += 1
            self.disk_was_full = True
            disk.fill()
            try:
                yield
            finally:
                self._fillings -= 1
                if not self._fillings:
                    disk.free()

        return self._fault("disk full", make)

    def _small_disk(self) -> SmallDisk:
        if self._disk is None:
            self._disk = self._prepared.enter_context(small_disk.moved(self.rig.host.town.daemon))
        return self._disk

    def host_clock(self, off_s: float) -> Fault:
        """The daemon's computer shows a time off_s ahead, or behind; several add up."""

        @contextmanager
        def make() -> Iterator[None]:
            self._offsets.append(off_s)
            self._show_time()
            try:
                yield
            finally:
                self._offsets.remove(off_s)
                self._show_time()

        return self._fault("host clock", make, f"{off_s:+g} s")

    def _show_time(self) -> None:
        daemon = self.rig.host.town.daemon
        file = daemon.folder / "clock"
        shifted.set_offset(file, sum(self._offsets))
        program = ["-m", "kanhu.sim.faults.shifted", str(file)]
        if daemon.program != program:  # from its next start on it has such a clock
            daemon.program = program
            if daemon.running:
                daemon.stop()
                self._start_daemon()

    def platform_down(self, hours: float = 0) -> Fault:
        """The city has no connection to the broker. hours: just before its end so many pass, on the clock of
        the daemon's computer and until the test's end; in the bench's own time it is as long as the block."""

        @contextmanager
        def make() -> Iterator[None]:
            line = self.rig.host.city_line
            cut = line.set(Cut())
            try:
                yield
                if hours:
                    self._prepared.enter_context(self.host_clock(hours * HOUR_S))
            finally:
                line.clear(cut)

        return self._fault("platform down", make, f"{hours:g} h on the daemon's clock" if hours else "")

    def platform_mute(self) -> Fault:
        """The city is connected, receives, and neither acknowledges nor answers."""

        @contextmanager
        def make() -> Iterator[None]:
            city = self.rig.host.city
            city.mute()
            try:
                yield
            finally:
                city.mute(False)

        return self._fault("platform mute", make)

    def prepare(self, disk: bool = False, clock: bool = False) -> None:
        """Do now what the first full disk, the first wrong clock would restart the daemon for."""
        if disk:
            self._small_disk()
        if clock:
            self._show_time()

    def put_back(self) -> None:
        """Undo what was to stay until the test's end: the daemon's data is on its own disk again, its clock
        is right."""
        self._disk = None
        self._prepared.close()
