"""20,000 hubs lose mains within one second, and elders press: how long until a call is stored, in the city
and on the desk. Beside it the same calls on an idle host, and through a mosquitto bridge, which only carries.

python benchmarks/storm.py [--hubs N] [--calls N] [--bridge] [--json]; see docs/technical-faults.md"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import select
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any

from spine_relays import Relay, bridge, broker, cpu_s, free_port
from spine_wire import Wire, pack

from kanhu.aead import AesCcm
from kanhu.journal.identity import new_id
from kanhu.ledger import balanced, recompute
from kanhu.registry import Registry
from kanhu.registry.operators import Operators
from kanhu.sim.daemon import DaemonProcess
from kanhu_protocol import cbor, events, mqtt, seal
from kanhu_protocol import kinds as k

HERE = Path(__file__).parent
STORM_S = 1.0  # in which all of them lose mains
STREETS = 200
BOOT = 7
SETTLED_S = 60.0
CITY_WINDOW = 1000  # platform.window of a city; the default is for one street
OPERATOR, PASSWORD = "op-storm", "a long enough password"  # of a registry that is thrown away
UP_MS = 777_600_000  # nine days


class Hub:
    """A hub of the storm: its id, its key, what it has said."""

    def __init__(self) -> None:
        self.id = new_id()
        self.key = os.urandom(16)
        self.aead = AesCcm(self.key)
        self.seq = 0

    def say(self, kind: int, fields: dict[int, Any]) -> bytes:
        """Its next event, sealed."""
        now = {k.UTC_MS: int(time.time() * 1000), k.CLOCK: 1}
        plain = events.encode(kind, UP_MS, fields | now)
        self.seq += 1
        return seal.seal(self.aead, 1, self.id, seal.UP, BOOT, self.seq - 1, 0, plain)


def register(folder: Path, hubs: list[Hub]) -> None:
    """registry.db with a home for each hub in STREETS streets, and an operator who sees all."""
    registry = Registry.open(folder)
    Operators(registry).add(OPERATOR, role="supervisor", password=PASSWORD)
    registry.close()
    with sqlite3.connect(folder / "registry.db") as db:  # in one commit: the registry's own way takes 20,000
        now = int(time.time() * 1000)
        streets = [f"cn/42/01/{n // 10:02}/{n:03}" for n in range(STREETS)]
        homes = [
            (f"h{hub.id[1:]}", streets[n % STREETS], "Asia/Shanghai", "", "", "[]")
            for n, hub in enumerate(hubs)
        ]
        db.executemany("INSERT INTO homes VALUES (?,?,?,?,?,?)", homes)
        rows = [(hub.id, home[0], now) for hub, home in zip(hubs, homes, strict=True)]
        db.executemany("INSERT INTO hubs (id, home, created_ms) VALUES (?,?,?)", rows)
        db.executemany("INSERT INTO keys VALUES (?,1,?,?)", [(hub.id, hub.key, now) for hub in hubs])


class Child:
    """One of the load's processes."""

    def __init__(self, script: str, *args: object) -> None:
        command = [sys.executable, str(HERE / script), *map(str, args)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._line("ready")

    def _line(self, wanted: str = "") -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"{self.process.args} has ended"
        assert line.startswith(wanted), f"{self.process.args}: {line!r}"
        return line

    def go(self) -> None:
        """It begins, or ends."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def report(self) -> dict[str, Any]:
        """What it has seen."""
        found: dict[str, Any] = json.loads(self._line())
        return found

    def end(self) -> None:
        """It is done with."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Desk(threading.Thread):
    """An operator's browser: logged in, reading the live state."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.alarms: dict[str, float] = {}  # hub: when it was on the desk, monotonic s
        self.incidents: list[tuple[float, Any]] = []
        form = urllib.parse.urlencode({"operator": OPERATOR, "password": PASSWORD})
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        head = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{port}"}
        asking.request("POST", "/desk/login", form, head)
        answer = asking.getresponse()
        cookie = answer.getheader("set-cookie")
        assert answer.status == 303, answer.read()
        assert cookie
        asking.close()
        self._reading = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._reading.request("GET", "/desk/api/events", headers={"Cookie": cookie.split(";")[0]})
        self._stream = self._reading.getresponse()
        assert self._stream.status == 200, self._stream.read()

    def run(self) -> None:
        try:
            while line := self._stream.readline():
                if not line.startswith(b"data: {") or b'"alarms"' not in line:
                    continue
                now, state = time.monotonic(), json.loads(line[6:])
                for alarm in state["alarms"]:
                    self.alarms.setdefault(alarm["name"][:10], now)
                if state["incidents"]:
                    self.incidents.append((now, state["incidents"]))
        except (OSError, ValueError, http.client.HTTPException):
            return  # the daemon has stopped

    def members(self) -> int:
        """Of the incidents, as the newest state says."""
        return sum(one["members"] for one in self.incidents[-1][1]) if self.incidents else 0


class Caller:
    """The hubs that call: publishes each call, notes when its STORED comes back."""

    def __init__(self, port: int, hubs: list[Hub], receipts: bool) -> None:
        self.hubs = {hub.id: hub for hub in hubs}
        self.waiting = list(hubs)
        self.called: dict[str, float] = {}
        self.stored: dict[str, float] = {}
        self.wires = {
            hub.id: Wire(port, f"{hub.id}-1", [f"kanhu/1/hubs/{hub.id}/down"] if receipts else [])
            for hub in hubs
        }
        self.by_socket = {wire.socket: hub for hub, wire in self.wires.items()}

    def call(self) -> str:
        """One elder presses."""
        hub = self.waiting.pop(0)
        data = hub.say(k.CALL, {k.DEVICE: 1})
        packet = mqtt.publish(f"kanhu/1/hubs/{hub.id}/up/p1", data, 1, 1)
        self.called[hub.id] = time.monotonic()
        self.wires[hub.id].send(packet)
        return hub.id

    def listen(self, seconds: float) -> None:
        """Take receipts for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            readable, _, _ = select.select(list(self.by_socket), [], [], left)
            now = time.monotonic()
            for socket in readable:
                self._take(self.hubs[self.by_socket[socket]], now)

    def _take(self, hub: Hub, now: float) -> None:
        for kind, number, _, _, payload in self.wires[hub.id].recv(0.0):
            if kind == mqtt.PUBLISH:
                self.wires[hub.id].send(mqtt.puback(number))
                message = cbor.loads(seal.parse(payload).open(hub.aead, hub.id, seal.DOWN))
                if message[k.TYPE] == k.STORED and message.get(k.SINGLE):
                    self.stored.setdefault(hub.id, now)


def spread(begun: dict[str, float], ended: dict[str, float], which: list[str]) -> dict[str, Any]:
    """Median and slowest of these calls, in ms; how many never came."""
    took = sorted((ended[hub] - begun[hub]) * 1e3 for hub in which if hub in ended)
    if not took:
        return {"missing": len(which)}
    return {
        "p50_ms": round(took[len(took) // 2], 1), "max_ms": round(took[-1], 1),
        "missing": len(which) - len(took),
    }  # fmt: skip


def through(
    mode: str, folder: Path, hubs: list[Hub], calls: int, storm_s: float, until: str
) -> dict[str, Any]:
    """One storm through the daemon with its own broker, or through a mosquitto bridge between two brokers."""
    kanhu = mode == "kanhu"
    callers, others = hubs[: 2 * calls], hubs[2 * calls :]
    lost = {k.POWER: [False, None]}
    pack(folder / "events", [hub.id.encode() + hub.say(k.MAINS_LOST, lost) for hub in others])
    children: list[Child] = []
    running: list[Any] = []
    relay: Relay
    if kanhu:
        port, desk_port = free_port(), free_port()
        settings = {
            "broker": {"enabled": True, "port": port},
            "web": {"port": desk_port},
            "desk": {"enabled": True},
            "platform": {"window": CITY_WINDOW},
            "metrics": {"enabled": False},
            "log": {"level": "warning"},
        }
        daemon = DaemonProcess(folder, settings)
        shutil.copyfile(folder.parent / "registry.db", daemon.data_dir / "registry.db")
        (daemon.data_dir / "registry.db").chmod(0o600)
        relay, city_port = daemon, port
    else:
        near, far = broker(folder / "hubs"), broker(folder / "city")
        for one in (near, far):
            one.start()
            running.append(one)
        port, city_port = near.port, far.port
        relay = bridge(folder / "relay", port, city_port, saving=False)
    try:
        began = time.monotonic()
        relay.start()
        running.append(relay)
        started = time.monotonic() - began
        source = Child("storm_source.py", port, folder / "events", storm_s)
        children.append(source)
        city = Child("storm_city.py", city_port, mode)
        children.append(city)
        caller = Caller(port, callers, receipts=kanhu)
        desk = Desk(desk_port) if kanhu else None
        if desk:
            desk.start()
        caller.listen(1.0)
        idle = []
        for _ in range(calls):
            idle.append(caller.call())
            caller.listen(0.3)
        caller.listen(0.7)
        cpu = cpu_s(relay.pid)
        source.go()
        began = time.monotonic()
        stormy = []
        for _ in range(calls):  # over the storm, and over the time in which it is dealt with
            caller.listen(2.5 * storm_s / calls)
            stormy.append(caller.call())
        caller.listen(1.0)
        published = source.report()
        deadline = time.monotonic() + SETTLED_S
        while time.monotonic() < deadline and not _settled(kanhu, folder, len(hubs), until):
            caller.listen(0.3)
        settled = time.monotonic() - began
        cpu = cpu_s(relay.pid) - cpu
        city.go()
        arrived = city.report()
        result: dict[str, Any] = {
            "start_s": round(started, 2),
            "published_s": round(published["published"] - published["began"], 2),
            "pubacks": published["pubacks"],
            "relay_cpu_s": round(cpu, 2),
            "idle": {"city": spread(caller.called, arrived["calls"], idle)},
            "storm": {"city": spread(caller.called, arrived["calls"], stormy)},
            "city_kinds": arrived["kinds"],
            "city_last_s": round(arrived["last"] - began, 2),
        }
        if desk:
            for name, which in (("idle", idle), ("storm", stormy)):
                result[name]["stored"] = spread(caller.called, caller.stored, which)
                result[name]["desk"] = spread(caller.called, desk.alarms, which)
            result["settled_s"] = round(settled, 2)
            while time.monotonic() < deadline and desk.members() < len(hubs) - len(callers):
                time.sleep(0.1)  # the desk hears of members a few times a second
            result["incidents"] = desk.incidents[-1][1] if desk.incidents else []
            result["incident_on_desk_s"] = round(desk.incidents[0][0] - began, 2) if desk.incidents else None
            result["incident_in_city_s"] = [round(at - began, 2) for at in arrived["incidents"]]
    finally:
        for child in children:
            child.end()
        for one in reversed(running):
            one.stop()
    if kanhu:
        result["books"] = books(folder / "data" / "journal.db", hubs)
    return result


def _settled(kanhu: bool, folder: Path, hubs: int, until: str) -> bool:
    """Whether the daemon has stored all of it, and delivered it where that is waited for."""
    if not kanhu:
        return True
    with sqlite3.connect(f"file:{folder}/data/journal.db?mode=ro", uri=True, timeout=5) as db:
        (stored, queued) = db.execute("SELECT count(*), sum(delivered_ms IS NULL) FROM events").fetchone()
    return stored >= hubs and (until == "stored" or not queued)


def books(path: Path, hubs: list[Hub]) -> dict[str, Any]:
    """What the journal says afterwards: the ledger recomputed, faults, incidents."""
    sums = recompute(path)
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        incidents = db.execute("SELECT region, members, closed_ms FROM incidents").fetchall()
        members = db.execute("SELECT count(*) FROM faults WHERE incident IS NOT NULL").fetchone()[0]
        faults = db.execute("SELECT count(*) FROM faults").fetchone()[0]
    return {
        "balanced": all(map(balanced, sums.values())),
        "stored": sum(sums[hub.id]["stored"] for hub in hubs if hub.id in sums),
        "delivered": sum(sums[hub.id]["delivered"] for hub in hubs if hub.id in sums),
        "faults": faults, "members": members, "incidents": incidents,
    }  # fmt: skip


def run(
    count: int, calls: int, storm_s: float, with_bridge: bool, until: str = "delivered"
) -> dict[str, Any]:
    """The storm through the daemon and, if asked for, through a bridge."""
    with tempfile.TemporaryDirectory(prefix="kanhu-storm") as name:
        room = Path(name)
        room.chmod(0o700)
        hubs = [Hub() for _ in range(count)]
        register(room, hubs)
        result: dict[str, Any] = {"hubs": count, "calls": calls, "storm_s": storm_s}
        for mode in ("kanhu", *(["bridge"] if with_bridge else [])):
            for hub in hubs:
                hub.seq = 0
            (room / mode).mkdir()
            result[mode] = through(mode, room / mode, hubs, calls, storm_s, until)
        if with_bridge:  # a call's way to the city in the storm: ours, with two fsyncs, of the bridge's
            ours, peer = result["kanhu"]["storm"]["city"], result["bridge"]["storm"]["city"]
            result["of_bridge"] = {key: round(ours[key] / peer[key], 2) for key in ("p50_ms", "max_ms")}
        return result


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hubs", type=int, default=20_000)
    parser.add_argument("--calls", type=int, default=20, help="on an idle host, and as many in the storm")
    parser.add_argument("--seconds", type=float, default=STORM_S, help="in which mains are lost")
    parser.add_argument("--bridge", action="store_true", help="beside a mosquitto bridge")
    parser.add_argument("--until", choices=("stored", "delivered"), default="delivered")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = run(args.hubs, args.calls, args.seconds, args.bridge, args.until)
    print(json.dumps(result) if args.json else json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
