"""The spare path: a hub whose Wi-Fi is gone delivers its call over BLE, to a daemon beside it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from helpers_e2e import wait_for
from helpers_provision import WIFI
from kanhu.config import parse
from kanhu.daemon import Daemon
from kanhu.links import ble
from kanhu.registry import Registry
from kanhu.sim import Bench
from kanhu.sim.bleak_bumble import Computer
from kanhu.sim.net import AccessPoint
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

SETTINGS = {"links": ["mqtt", "ble"], "buttons": [[1, 4, None]], "pirs": [], "heartbeat": 5}


def journal(folder: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{folder / 'journal.db'}?mode=ro", uri=True)) as db:
        return db.execute(question).fetchall()


def test_a_call_without_wifi(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(ble, "PAUSE_S", 0.2)
    data = tmp_path / "data"
    registry = Registry.open(data)
    hub_id, key = registry.add_hub(registry.add_home("cn/42"))
    registry.set_settings(hub_id, SETTINGS)
    config = cbor.loads(registry.hub_config(hub_id, WIFI, ("broker.lan", 1883, "", "")))
    stranger, _ = registry.add_hub(registry.add_home("cn/43"))
    registry.revoke_hub(stranger)
    with Bench(tmp_path / "bench") as bench:
        hub = bench.add_hub(hub_id, config=config, key=key, wiring={"bed": 4})
        bench.access_points([AccessPoint("another", "network")], hub)
        other = bench.add_hub(stranger, config=config, key=key)
        bench.access_points([AccessPoint("another", "network")], other)

        async def daemon() -> None:
            settings = {
                "hubs": {"ble": {"enabled": True}, "heartbeat_s": 5},
                "broker": {"enabled": False},
                "platform": {"mqtt": {"port": 9}},
                "metrics": {"enabled": False},
                "data_dir": str(data),
            }
            made = Daemon(parse(settings, "test"))
            (link,) = (one for one in made.links if isinstance(one, ble.BleLink))
            link._backends = Computer(bench._air.link())
            running = asyncio.ensure_future(made.run(stop))
            await running

        stop = asyncio.Event()
        work = asyncio.run_coroutine_threadsafe(daemon(), bench._loop)
        try:
            hub.wait_log("lamp well", 60)
            assert bench.press_watched("bed")
            hub.wait_log("lamp stored", 30)
            calls = wait_for(
                lambda: journal(data, f"SELECT hub, link FROM events WHERE kind={k.CALL}"), 10, "no call"
            )
            assert calls == [(hub_id, "ble")]
            assert journal(data, "SELECT DISTINCT hub FROM events WHERE link='ble'") == [(hub_id,)]
        finally:
            bench._loop.call_soon_threadsafe(stop.set)
            work.result(30)
    registry.close()
