"""The processes of one plan, what people do there, and every fault that can befall them."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from kanhu.errors import KanhuError
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town

from . import shifted
from .disk import SmallDisk
from .heard import Spell
from .oracle import Device
from .wire import Wire

SPEED = 5  # simulated seconds per second of a hub
BUTTONS = {"bed": 4, "bath": 5}
PIR = "hall"
TIME_SERVER = "time.lan"
FLASH = 640 * 1024  # bytes: the firmware, the 64 kB that the outbox leaves free, and little more to fill
PRESS_S = 0.1  # of real time, at least
READY_LIMIT_S = 30.0
RESTART_S = 0.2  # a service manager starts a daemon that ended again after this


class Processes:
    """nats-server, daemon, hubs, the platform's SDK. `with Processes(folder, hubs, small_disk) as them`."""

    def __init__(self, folder: Path, hubs: int, small_disk: bool) -> None:
        self.disk = SmallDisk(folder / "daemon" / "data") if small_disk else None
        self.town = Town(
            folder,
            daemon={
                "platform": {"retry_s": 0.5},
                "metrics": {"enabled": True, "port": 0},
            },
        )
        self._clock = folder / "clock"
        shifted.set_offset(self._clock, 0.0)
        self.town.daemon.program = ["-m", "kanhu.sim.faults.shifted", str(self._clock)]
        self._old_registry = folder / "registry.old"
        self._city_state = folder / "city.db"
        self.wire = Wire(self.town.broker.host, self.town.broker.port)
        self.cities: list[City] = []
        self.homes: list[Home] = []
        self.dark: dict[str, list[Spell]] = {}
        self.full: dict[str, list[Spell]] = {}
        self.motions: Counter[Device] = Counter()
        self.noticed: list[list[float | None]] = [[] for _ in range(hubs)]  # by hub, in order of pressing
        self.ended: list[str] = []  # the daemon went by itself
        self.disk_was_full = False
        self._hubs = hubs
        self._daemon_wanted = False

    def __enter__(self) -> Self:
        self.town.__enter__()
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _build(self) -> None:
        self.town.bench.serve_time(TIME_SERVER)
        self.town.broker.start()
        self.wire.start()
        self.platform_up()
        if not self.wire.up.wait(READY_LIMIT_S):
            raise TimeoutError("the bench's own MQTT client found no broker")
        self.town.daemon.start()
        self._daemon_wanted = True
        for number in range(self._hubs):  # now that there is somebody to hear their first event
            self.homes.append(
                self.town.add_home(
                    f"home{number}",
                    buttons=BUTTONS,
                    pirs={PIR: 6},
                    config={"ntp": [TIME_SERVER, 123]},
                    speed=SPEED,
                    flash_size=FLASH,
                )
            )
        shutil.copyfile(self.town.daemon.data_dir / "registry.db", self._old_registry)
        for home in self.homes:
            self.dark[home.hub_id], self.full[home.hub_id] = [], []
            self.town.add_sensor(home, "door", "door")  # the copy does not know of it
        for home in self.homes:
            home.hub.wait_log("lamp well", READY_LIMIT_S)
        _wait(self._have_tables, READY_LIMIT_S, "the hubs did not confirm their device tables")

    def _have_tables(self) -> bool:
        with contextlib.suppress(sqlite3.Error):
            return all(self.town._has_table(home) for home in self.homes)
        return False

    def __exit__(self, *_: object) -> None:
        for city in self.cities:
            city.stop()
        self.wire.stop()
        self.town.__exit__(None, None, None)
        if self.disk:
            self.disk.close()

    # What people do

    def press(self, hub: int, button: int) -> None:
        name = f"home{hub}/{list(BUTTONS)[button % len(BUTTONS)]}"
        noticed = self.town.bench.press_watched(name, int(PRESS_S * 1000 * SPEED))
        self.noticed[hub].append(time.monotonic() if noticed else None)

    def motion(self, hub: int) -> None:
        home = self.homes[hub]
        self.motions[home.hub_id, home.devices[PIR]] += 1
        self.town.bench.motion(f"home{hub}/{PIR}", PRESS_S * SPEED)

    # Faults. Those of one thing run one after the other, in that thing's own thread

    def hub_power_cut(self, hub: int, for_s: float) -> None:
        home = self.homes[hub]
        begin = time.monotonic()
        self.town.bench.cut_power(home.hub)
        self.dark[home.hub_id].append(Spell(begin, time.monotonic()))
        time.sleep(for_s)
        self.town.bench.power(home.hub)

    def hub_clock_jump(self, hub: int, off_s: float) -> None:
        """The time server is wrong, and the hub asks it: it does so when it starts."""
        self.town.bench.serve_time(TIME_SERVER, offset=off_s)
        self.hub_power_cut(hub, 0)

    def hub_flash_full(self, hub: int) -> None:
        home = self.homes[hub]
        self.full[home.hub_id].append(Spell(time.monotonic(), float("inf")))
        self.town.bench.fill_flash(True, home.hub)

    def hub_flash_free(self, hub: int) -> None:
        home = self.homes[hub]
        self.town.bench.fill_flash(False, home.hub)
        spells = self.full[home.hub_id]
        self.town.bench.run(home.hub._round())
        spells[-1] = Spell(spells[-1].begin, time.monotonic())

    def wifi_down(self, hub: int) -> None:
        self.town.bench.wifi(False, self.homes[hub].hub)

    def wifi_up(self, hub: int) -> None:
        self.town.bench.wifi(True, self.homes[hub].hub)

    def link_flap(self, hub: int, for_s: float, times: int) -> None:
        for number in range(times):
            fault: Any = ("cut", "refuse", "stall")[number % 3]
            self.town.bench.link_fault(self.homes[hub].hub, fault)
            time.sleep(for_s / times / 2)
            self.town.bench.link_fault(self.homes[hub].hub, None)
            time.sleep(for_s / times / 2)

    def daemon_kill(self, for_s: float) -> None:
        self._stop_daemon()
        time.sleep(for_s)
        self._start_daemon()

    def registry_restored(self, for_s: float) -> None:
        self._stop_daemon()
        time.sleep(for_s)
        there = self.town.daemon.data_dir / "registry.db"
        there.with_name("registry.db-journal").unlink(missing_ok=True)
        with there.open("r+b") as file:  # in place: it takes no room on a disk that may be full
            file.write(self._old_registry.read_bytes())
            file.truncate()
        self._start_daemon()

    def _stop_daemon(self) -> None:
        if self._daemon_wanted and not self.town.daemon.running:
            self.ended.append(f"before it was killed: {self.town.daemon.log()[-600:]}")
        self._daemon_wanted = False
        self.town.daemon.kill()

    def _start_daemon(self) -> None:
        end = time.monotonic() + READY_LIMIT_S
        while True:
            try:
                self.town.daemon.start()
            except KanhuError:  # a full disk: it says so and ends
                if time.monotonic() > end:
                    raise
                time.sleep(RESTART_S)
            else:
                self._daemon_wanted = True
                return

    def broker_restart(self, for_s: float) -> None:
        self.town.broker.kill()
        time.sleep(for_s)
        self.town.broker.start()

    def platform_down(self) -> None:
        self.cities[-1].stop()

    def platform_up(self) -> None:
        city = City(self.town.platform_url, self._city_state)
        city.close_after_s = 0.2
        city.start()
        self.cities.append(city)
        if not city.up.wait(READY_LIMIT_S):
            raise TimeoutError("the city's side did not start")

    def platform_mute(self) -> None:
        self.cities[-1].mute()

    def platform_unmute(self) -> None:
        self.cities[-1].mute(False)

    def host_disk_full(self) -> None:
        if self.disk:
            self.disk.fill()
            self.disk_was_full = True

    def host_disk_free(self) -> None:
        if self.disk:
            self.disk.free()

    def host_clock_jump(self, off_s: float) -> None:
        shifted.set_offset(self._clock, off_s)


def _wait(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)
