"""A world: homes with hubs, brokers, the daemon and the city, and all that happens to them."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kanhu.registry import Registry
from kanhu.sim.faults.oracle import Identity, Pressed
from kanhu.sim.world.air import Beacon
from kanhu.sim.world.broker import Broker
from kanhu.sim.world.host import Host
from kanhu.sim.world.house import HEARTBEAT_S, House
from kanhu.sim.world.hub import POWER_ON, SOFT, Hub, HubFailed
from kanhu.sim.world.loop import FINE, Slack, VirtualLoop
from kanhu.sim.world.net import MIN_DELAY_S, Net
from kanhu.sim.world.platform import Platform
from kanhu.sim.world.time import EPOCH_S, Clock
from kanhu_protocol import cbor

HUBS_BROKER, CITY_BROKER = ("hubs.broker", 1883), ("city.broker", 1883)
HELD_S = 0.15  # a press
MOVED_S = 2.0  # a movement's pulse
FLASH_BLOCKS = 160  # 640 kB: the outbox's 256 kB, its reserve and room for littlefs
TICK_PERIOD = 1 << 30  # ms: ESP32's
TRACE_KEPT = 4000
CUT_WITHIN_S = 3.0  # a cut inside a flash operation that does not come by then is a plain one
FLAP_S = 0.5
WATCHDOG_S = 60.0  # kanhu_hub.supervisor.WATCHDOG_MS
WATCHDOG, TASK_FAILED = 3, 6  # names.RESETS


class Recorded(NamedTuple):
    """An event that a hub gave an identity to."""

    at_s: float
    kind: int
    identity: Identity
    saved: bool  # flash had it before anything was told
    alarm: Identity | None


class Home:
    """What the bench knows of one home."""

    def __init__(self, home_id: str, hub: Hub, house: House, time_server_off_s: float | None) -> None:
        self.home_id = home_id
        self.hub = hub
        self.house = house
        self.radio: dict[str, Beacon] = {}  # by room
        self.time_server_off_s = time_server_off_s  # None: there is none
        self.contacts: list[tuple[float, int]] = []  # when which device was pressed, with power
        self.taken: list[Pressed] = []
        self.recorded: list[Recorded] = []
        self.lamps: list[tuple[float, str]] = []
        self.motions = 0
        self.losses_of_power: list[float] = []
        self.starts: list[float] = []
        self.flash_faults: list[float] = []
        self.crashes: list[str] = []
        self.off: set[str] = set()  # why it has no power


class World:
    """Everything of one schedule, in a folder of its own; use it inside kanhu.sim.world.time.installed()."""

    platform_type = Platform
    heartbeat_s = HEARTBEAT_S

    def __init__(
        self, folder: Path, seed: int, homes: int | Sequence[House] = 1, slack: Slack = FINE
    ) -> None:
        self.seed = seed
        self.folder = folder
        self.chance = random.Random(seed)
        self.net = Net(random.Random(seed + 1))
        self.loop = VirtualLoop(self, self.net, slack)
        self._slack_ms = slack.hub_ms
        self.net.loop = self.loop
        self.clock = Clock(self.loop.time)
        self.trace: deque[str] = deque(maxlen=TRACE_KEPT)
        self.homes: list[Home] = []
        self.exercised: Counter[str] = Counter()
        self._houses = [House()] * homes if isinstance(homes, int) else homes
        self._by_id: dict[str, Home] = {}

    def build(self) -> None:
        """Make and start everything; inside installed()."""
        self.hubs_broker = Broker(self.net, *HUBS_BROKER, random.Random(self.seed + 2))
        self.city_broker = Broker(self.net, *CITY_BROKER, random.Random(self.seed + 3))
        settings: dict[str, object] = {
            "hubs": {"heartbeat_s": self.heartbeat_s, "mqtt": {"host": HUBS_BROKER[0]}},
            "platform": {"mqtt": {"host": CITY_BROKER[0]}},
            "metrics": {"enabled": False},
        }
        self.host = Host(self.loop, self.net, self.folder, random.Random(self.seed + 4), settings)
        self.platform = self.platform_type(self.loop, self.net, CITY_BROKER, random.Random(self.seed + 5))
        registry = self.host.open_registry()
        for number, house in enumerate(self._houses):
            self.add_home(registry, number, house)
        registry.close()
        self.old_registry = self.folder / "week-old.db"
        shutil.copy2(self.host.registry_db, self.old_registry)
        self.hubs_broker.start()
        self.city_broker.start()
        self.platform.start()
        self.host.start()
        for home in self.homes:
            self.give_power(home, "")

    def end(self) -> None:
        """Stop everything at once."""
        for home in self.homes:
            home.hub.power_off()
        self.host.kill()
        self.platform.stop()
        self.loop.bury()
        self.loop.close()

    def add_home(self, registry: Registry, number: int, house: House) -> None:
        """Register, provision and fit a home; it gets its power when all is built."""
        home_id = registry.add_home(region=f"cn/42/01/06/{number + 1:02d}", time_zone=house.time_zone)
        hub_id, key = registry.add_hub(home_id)
        settings = house.settings()
        registry.set_settings(hub_id, settings)
        for rule, given in house.rules.items():
            registry.set_rule(home_id, rule, dict(given), "world")
        config = {
            "wifi": ["home", "a password"],
            "broker": [*HUBS_BROKER, "", ""],
            "ntp": ["ntp", 123],
            "version": 1,
            **settings,
        }
        del config["places"]  # they stay at the host
        # Half of the hubs come to the end of their ticks within the schedule.
        start = TICK_PERIOD - self.chance.randrange(1, 900_000) if self.chance.random() < 0.5 else 0
        hub = Hub(
            self.net,
            self.folder,
            hub_id,
            {"hub_id": hub_id.encode(), "key": key, "generation": 1, "config": cbor.dumps(config)},
            blocks=FLASH_BLOCKS,
            seed=self.chance.getrandbits(30),
            tick_start=start,
            driven=dict.fromkeys(house.pirs.values(), 0),
            say=lambda what, data: self.hub_did(home, what, data),
            radio=bool(house.radio),
            slack_ms=self._slack_ms,
        )
        # A time server, none, or one that is wrong by an hour.
        off_s = 0.0 if house.knows_time else self.chance.choice([0.0, 0.0, -3600.0, None])
        home = Home(home_id, hub, house, off_s)
        self.set_time_server(home, 0.0)
        for room, kind in house.radio.items():
            address = bytes((0xA4, 0xC1, 0x38, 0, number, len(home.radio)))
            mac, supervision_s = address.hex(":"), house.supervision_s
            registry.add_sensor(hub_id, kind, mac, room=room, supervision_s=supervision_s)
            home.radio[room] = Beacon(self.loop, hub, kind, address, self.chance)
        self.homes.append(home)
        self._by_id[hub_id] = home

    def say(self, text: str) -> None:
        """One line of what happened, for who looks into a failure."""
        self.trace.append(f"{self.loop.time():12.3f} {text}")

    # kanhu.sim.world.loop.Surroundings

    def advance(self, horizon: float) -> float:
        """Let hubs run, the one with the earliest business first, until one of them has done something."""
        while True:
            due = sorted((home.hub for home in self.homes if home.hub.powered), key=lambda hub: hub.wake_ms)
            if not due or due[0].wake_ms > horizon * 1000:
                if math.isinf(horizon):
                    raise HubFailed("nothing will ever happen again in this world")
                return horizon
            limit = horizon
            if len(due) > 1:  # what another hub does reaches this one no sooner
                limit = min(limit, due[1].wake_ms / 1000 + MIN_DELAY_S)
            if due[0].run(limit):
                return due[0].now_ms / 1000

    # What hubs say

    def hub_did(self, home: Home, what: str, data: bytes) -> None:
        """kanhu.sim.world.hub.Hub's say."""
        # The loop's time is not there yet: a hub's own is what counts.
        now, hub = home.hub.now_ms / 1000, home.hub
        if what == "taken":
            device, count, saved = map(int, data.split())
            home.taken += [Pressed(now, hub.hub_id, device, now if saved else None)] * count
            self.say(f"{hub.hub_id} press of device {device} {'saved' if saved else 'NOT saved'}")
        elif what == "recorded":
            kind, boot, seq, saved, alarm, _ = json.loads(data)
            identity = (hub.hub_id, boot, seq)
            name = (hub.hub_id, *alarm) if alarm else None
            home.recorded.append(Recorded(now, kind, identity, bool(saved), name))
            self.say(f"{hub.hub_id} kind {kind} is {boot}-{seq}{'' if saved else ' NOT saved'}")
        elif what == "log":
            text = data.decode("utf-8", "replace")
            if " lamp " in text:
                home.lamps.append((now, text.rpartition(" ")[2]))
            if " failed: " in text or "stalled" in text or "giving up" in text:
                home.crashes.append(f"{now:.3f} {text}")
            self.say(f"{hub.hub_id} | {text}")
        elif what == "cut":
            self.exercised["cut inside a flash operation"] += 1
            self.lose_power(home, "torn")
        elif what == "reset":
            self.say(f"{hub.hub_id} resets itself")
            self.lose_power(home, "reset")
            self.loop.call_later(0.5, self.give_power, home, "reset", SOFT)
        elif what == "crash":
            # main.py leaves it to the watchdog, and the cause in NVS.
            text = data.decode("utf-8", "replace").strip()
            self.say(f"{hub.hub_id} ends: {text}")
            if hub.flash_state == "well":
                home.crashes.append(f"{now:.3f} {text}")
            if hub.flash_state != "failing":
                hub.nvs["reset"] = TASK_FAILED
            self.lose_power(home, "crash")
            self.loop.call_later(WATCHDOG_S, self.give_power, home, "crash", WATCHDOG)
        else:
            raise HubFailed(f"hub {hub.hub_id}: {what}: {data.decode('utf-8', 'replace')}")

    # What befalls a home

    def set_time_server(self, home: Home, off_s: float) -> None:
        """What it hears of the time from now on is off by this, 0: as ever in this home."""
        usual = home.time_server_off_s
        wrong = off_s or usual
        home.hub.set_sntp(None if wrong is None else int((EPOCH_S + wrong) * 1000))

    def lose_power(self, home: Home, why: str) -> None:
        """Its power goes, until every reason is gone."""
        home.off.add(why)
        if home.hub.powered:
            home.hub.power_off()
            home.losses_of_power.append(self.loop.time())
            self.say(f"{home.hub.hub_id} has no power: {why}")

    def give_power(self, home: Home, why: str, cause: int = POWER_ON) -> None:
        """One reason is gone."""
        home.off.discard(why)
        if not home.off and not home.hub.powered:
            self.say(f"{home.hub.hub_id} has power")
            home.starts.append(self.loop.time())
            home.hub.power_on(cause)
