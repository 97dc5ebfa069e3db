"""A line to the broker that speaks TLS, with a CA of its own, and simulated hubs that use it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kanhu.pki.certificates import issue, make_ca
from kanhu.pki.files import write_private
from kanhu.qa.host import Host
from kanhu.qa.targets.sim_homes import BUTTONS, HomeBoard
from kanhu.sim.nvs import Nvs
from kanhu.sim.town import Home
from kanhu_protocol import cbor

from .link_faults import Cut
from .proxy import FaultProxy

NAME, PORT = "secure.lan", 8883
WIFI = ("kanhu-lab", "a password")
LONG_AGO = timedelta(days=3)
HANDSHAKE_S = 2.0  # one that is under way still has the certificate of before


class SecureLine:
    """`with SecureLine(host, folder) as line: board = line.add_hub("safe")`. Simulation only."""

    name = f"{NAME}:{PORT}"

    def __init__(self, host: Host, folder: Path) -> None:
        self._host, self._folder = host, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._ca = make_ca("bench")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._show(datetime.now(UTC))
        self.proxy = FaultProxy((host.town.broker.host, host.town.broker.port), tls=self._context)

    def __enter__(self) -> Self:
        self.proxy.start()
        self._host.town.bench.route(NAME, PORT, self.proxy.address, self.proxy.port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.proxy.stop()

    def add_hub(self, name: str, settings: Mapping[str, Any], **options: Any) -> HomeBoard:
        """A hub that knows the broker by this line only; settings beside its button, options of
        Bench.add_hub."""
        town = self._host.town
        registry = self._host.registry
        home = registry.add_home("cn/42/01/06/99", "Asia/Shanghai")
        hub_id, key = registry.add_hub(home)
        buttons = [[1, BUTTONS["button"], None]]
        registry.set_settings(hub_id, {"heartbeat": town.heartbeat_s, "buttons": buttons, **settings})
        config = registry.hub_config(hub_id, wifi=WIFI, broker=(NAME, PORT, "", ""), tls=True)
        nvs = Nvs(town.bench.folder / f"{hub_id}.nvs")
        nvs.set("kanhu", "ca", self._ca.der)
        nvs.commit("kanhu")
        wiring = {f"{name}/button": BUTTONS["button"]}
        hub = town.bench.add_hub(hub_id, config=cbor.loads(config), key=key, wiring=wiring, **options)
        return HomeBoard(self._host, Home(name, hub, hub_id, {"button": 1}, home))

    def expire(self) -> None:
        """From now on a certificate is shown that has expired; nobody is connected by the good one."""
        self._show(datetime.now(UTC) - LONG_AGO, days=1)
        cut = self.proxy.set(Cut())
        time.sleep(HANDSHAKE_S)
        self.proxy.clear(cut)

    def renew(self) -> None:
        """And a good one again."""
        self._show(datetime.now(UTC))

    def _show(self, now: datetime, days: float = 30) -> None:
        made = issue(self._ca, "broker", [NAME], days=days, now=now)
        cert, key = self._folder / "server.crt", self._folder / "server.key"
        cert.write_bytes(made.pem)
        write_private(key, made.key_pem)
        self._context.load_cert_chain(cert, key)
