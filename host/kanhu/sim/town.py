"""A town on a desk: homes with simulated hubs, a real broker, a real daemon, one registry.

The demo, the end-to-end tests and the benchmarks build on it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zoneinfo import ZoneInfo

from kanhu.broker import EmbeddedBroker
from kanhu.registry import Registry
from kanhu.sim.bench import Bench
from kanhu.sim.daemon import DaemonProcess
from kanhu.sim.hub import Hub
from kanhu.sim.monitors import KINDS
from kanhu_protocol import cbor, down
from kanhu_protocol import kinds as k

BROKER_NAME = "broker.lan"  # how hubs know the broker; the bench resolves it
LAMP_PIN, BUZZER_PIN, MAINS_PIN = 2, 15, 16
# What a BTHome sensor is for, where its kind on the air does not say it.
ROLES = {"button": "call", "tamper": "door", "battery": "door", "battery_low": "door"}


@dataclass
class Home:
    """One home: its hub and the device index of each of its sensors by name."""

    name: str
    hub: Hub
    hub_id: str
    devices: dict[str, int] = field(default_factory=dict)
    home: str = ""  # its pseudonym in the registry
    time_zone: str = "Asia/Shanghai"


class Town:
    """`with Town(folder) as town: home = town.add_home("north", ...); town.start()`."""

    def __init__(
        self,
        folder: Path,
        *,
        heartbeat_s: int = 5,
        serial_homes: Sequence[str] = (),
        daemon: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.heartbeat_s = heartbeat_s
        self.broker = EmbeddedBroker(folder / "broker")
        self.bench = Bench(folder / "bench")
        self.homes: dict[str, Home] = {}
        self._serial_homes = tuple(serial_homes)
        address = {"host": self.broker.host, "port": self.broker.port}
        extra = dict(daemon or {})
        settings: dict[str, Any] = {
            "hubs": {
                "heartbeat_s": heartbeat_s,
                "serial": [str(folder / f"{name}.tty") for name in serial_homes],
                "mqtt": dict(address),
                **extra.pop("hubs", {}),
            },
            "platform": {"retry_s": 2.0, "mqtt": dict(address), **extra.pop("platform", {})},
            "metrics": {"enabled": False, **extra.pop("metrics", {})},
            "log": {"level": "debug", "format": "json"},
            **extra,
        }
        self.daemon = DaemonProcess(folder / "daemon", settings)
        self.registry = Registry.open(self.daemon.data_dir)

    @property
    def platform_url(self) -> str:
        """Where the city listens."""
        return f"mqtt://{self.broker.host}:{self.broker.port}"

    def __enter__(self) -> Self:
        self.bench.__enter__()
        self.bench.route(BROKER_NAME, 1883, self.broker.host, self.broker.port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.daemon.stop()
        self.bench.__exit__(kind, error, trace)
        self.broker.stop()
        self.registry.close()

    def start(self) -> None:
        """Broker, then daemon; hubs connect by themselves."""
        self.broker.start()
        self.daemon.start()

    def add_home(
        self,
        name: str,
        *,
        links: Sequence[str] = ("mqtt",),
        buttons: Mapping[str, int] | None = None,
        pirs: Mapping[str, int] | None = None,
        sensors: Mapping[str, str] | None = None,
        mains: bool = True,
        config: Mapping[str, Any] | None = None,
        region: str = "",
        time_zone: str = "Asia/Shanghai",
        rooms: Mapping[str, str] | None = None,
        **hub_options: Any,
    ) -> Home:
        """A registered, provisioned, running home. buttons and pirs: name -> pin; sensors: name -> kind on
        the air, health monitors among them; rooms: name of a wired input -> where it is; hub_options go to
        Bench.add_hub."""
        home = self.registry.add_home(region or f"cn/42/01/06/{len(self.homes) + 1:02d}", time_zone)
        hub_id, key = self.registry.add_hub(home)
        wired = {**(buttons or {}), **(pirs or {})}
        devices = {label: index for index, label in enumerate(wired, 1)}
        settings: dict[str, Any] = {
            "links": list(links),
            "lamp": LAMP_PIN,
            "buzzer": BUZZER_PIN,
            "mains": MAINS_PIN if mains else None,
            "heartbeat": self.heartbeat_s,
            "buttons": [[devices[label], pin, None] for label, pin in (buttons or {}).items()],
            "pirs": [[devices[label], pin] for label, pin in (pirs or {}).items()],
            "pir_warm_up": 0,  # a simulated sensor has no false outputs to wait out
            **(config or {}),
        }
        if rooms:
            settings["places"] = {str(devices[label]): [room, ""] for label, room in rooms.items()}
        self.registry.set_settings(hub_id, settings)
        provisioned = self.registry.hub_config(
            hub_id, wifi=("kanhu-lab", "a password"), broker=(BROKER_NAME, 1883, "", "")
        )
        hub = self.bench.add_hub(
            hub_id,
            config=cbor.loads(provisioned),
            key=key,
            wiring={f"{name}/{label}": pin for label, pin in wired.items()},
            **hub_options,
        )
        self.homes[name] = made = Home(name, hub, hub_id, devices, home, time_zone)
        for label, kind in (sensors or {}).items():
            (self.add_monitor if kind in KINDS else self.add_sensor)(made, label, kind)
        if name in self._serial_homes:
            link = self.folder / f"{name}.tty"
            link.unlink(missing_ok=True)
            link.symlink_to(hub.tty)
        return made

    def wait_ready(self, timeout: float = 20.0) -> None:
        """Return once every hub has been answered and holds its device table; TimeoutError."""
        deadline = time.monotonic() + timeout
        for home in self.homes.values():
            self.bench.wait_indicator(home.hub, "well", max(0.1, deadline - time.monotonic()))
            while not self._has_table(home):
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"{home.name}: the hub did not confirm its device table in {timeout} s"
                    )
                time.sleep(0.05)

    def _has_table(self, home: Home) -> bool:
        wanted, entries = self.registry.device_table(home.hub_id)
        db = sqlite3.connect(f"{(self.daemon.data_dir / 'journal.db').as_uri()}?mode=ro", uri=True)
        try:
            done = [
                down.decode(payload)[k.VERSION_OF]
                for (payload,) in db.execute(
                    "SELECT payload FROM commands WHERE hub=? AND type=? AND state='done'",
                    (home.hub_id, k.DEVICES),
                )
            ]
        finally:
            db.close()
        return not entries or wanted in done

    def add_sensor(
        self,
        home: Home,
        label: str,
        kind: str,
        bind_key: bytes | None = None,
        *,
        room: str = "",
        supervision_s: int = 0,
    ) -> int:
        """A BLE sensor of a home, on the air and in the registry; the device index."""
        number = sum(len(one.devices) for one in self.homes.values()) + 1
        address = f"A4:C1:38:00:{number >> 8:02X}:{number & 255:02X}"
        role = ROLES.get(kind, kind)
        index = self.registry.add_sensor(
            home.hub_id, role, address, label, room, supervision_s, bind_key=bind_key
        )
        self.bench.add_sensor(f"{home.name}/{label}", kind, address, hub=home.hub, bind_key=bind_key)
        home.devices[label] = index
        return index

    def add_monitor(
        self,
        home: Home,
        label: str,
        kind: str,
        *,
        wearer: str = "",
        paired: bool = True,
        **manners: Any,
    ) -> int:
        """A health monitor of a home, asleep, "home/label" on the bench; its device index, 0 if not paired.

        Its clock shows the home's local time unless its manners say otherwise."""
        number = len(self.bench.monitors) + 1
        address = f"F0:4B:48:00:{number >> 8:02X}:{number & 255:02X}"
        local = datetime.now(ZoneInfo(home.time_zone)).utcoffset()
        manners.setdefault("clock_offset_s", local.total_seconds() if local else 0.0)
        self.bench.monitor(kind, address, name=f"{home.name}/{label}", **manners)
        if not paired:
            return 0
        index = self.registry.add_sensor(home.hub_id, kind, address, label, wearer=wearer)
        home.devices[label] = index
        return index
