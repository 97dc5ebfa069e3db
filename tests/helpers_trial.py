"""Hubs whose network is on trial: access points and brokers of all kinds around them, for tests."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import cbor2

from helpers_commissioning import CODE
from kanhu.sim.hub import Hub
from kanhu.sim.net import AccessPoint
from kanhu.sim.town import BROKER_NAME, Town
from kanhu_protocol.events import decode

WORD = "geheim geheim"
HOME = ["home", WORD]
BROKER = [BROKER_NAME, 1883, None, None]
POINTS = [
    AccessPoint("home", WORD, -58),
    AccessPoint("cafe", rssi=-71),
    AccessPoint("cellar", WORD, -89),
    AccessPoint("porch", WORD, -84),
    AccessPoint("guests", WORD, dhcp=False),
    AccessPoint("full", WORD, fails=203),
    AccessPoint("old router", WORD, fails=15),
    AccessPoint("slow", WORD, fails=204),
    AccessPoint("enterprise", WORD, fails=210),
]
FAST = 8  # simulated seconds per second, where a time-out is waited for


class Peer(threading.Thread):
    """A TCP server on a free port of this computer: answer(socket) is called with each connection."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        super().__init__(daemon=True)
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.start()

    def run(self) -> None:
        while True:
            try:
                one, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        try:
            with one:
                self._answer(one)
        except OSError:
            pass

    def close(self) -> None:
        self._server.close()


def refuses(one: socket.socket) -> None:
    one.recv(1024)
    one.sendall(b"\x20\x02\x00\x05")
    one.recv(1024)


def welcomes(one: socket.socket) -> None:
    """A broker that behaves, and behind which no host is."""
    one.recv(1024)
    one.sendall(b"\x20\x02\x00\x00")
    while data := one.recv(4096):
        if data[0] >> 4 == 8:
            one.sendall(b"\x90\x03" + data[2:4] + b"\x01")


def hangs_up(one: socket.socket) -> None:
    one.recv(1024)


def bare_hub(town: Town, points: list[AccessPoint] | None = None, **options: Any) -> Hub:
    """A hub of the town's registry, as it is after flashing: with its keys, without a network."""
    home = town.registry.add_home("cn/42/01/06/01", "Asia/Shanghai")
    hub_id, key = town.registry.add_hub(home)
    config = {"buttons": [[1, 4, None]], "pirs": [], "proof": 0, **options.pop("config", {})}
    wiring = {f"{hub_id}/bed": 4}
    hub = town.bench.add_hub(hub_id, config=config, key=key, commission=CODE, wiring=wiring, **options)
    town.bench.access_points(POINTS if points is None else points, hub)
    return hub


def fresh(town: Town, **options: Any) -> Hub:
    hub = bare_hub(town, **options)
    hub.wait_log("commissioning is open", 30)
    return hub


def config_of(hub: Hub) -> dict[str, Any]:
    config: dict[str, Any] = cbor2.loads(bytes(hub.nvs()["config"]))
    return config


def events(town: Town, hub: Hub, kind: int) -> list[dict[int, Any]]:
    """Of that kind, as the journal has them."""
    path = (town.daemon.data_dir / "journal.db").as_uri()
    with closing(sqlite3.connect(f"{path}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT plain FROM events WHERE hub=? AND kind=? ORDER BY n", (hub.hub_id, kind))
        return [decode(plain) for (plain,) in rows.fetchall()]


def failed(steps: list[dict[str, Any]], step: str, why: str) -> dict[str, Any]:
    """The last step, which is that one, failed for that reason."""
    last = steps[-1]
    assert (last["step"], last["ok"], last["why"]) == (step, False, why), steps
    assert all(one["ok"] for one in steps[:-1])
    return last
