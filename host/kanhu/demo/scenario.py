"""The demo's town and its morning: what happens when, and the faults a person (or the script) causes."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from kanhu import ledger
from kanhu.care import shown
from kanhu.care.condition import Condition
from kanhu.demo.pages import OPERATOR, DemoPages
from kanhu.install.firmware import source_dir
from kanhu.sim.bench import Press
from kanhu.sim.city import City
from kanhu.sim.lamp import load_table
from kanhu.sim.tally import arrivals, percentiles
from kanhu.sim.town import Home, Town
from kanhu.sim.watch import STAGES, Receipts, follow

HEARTBEAT_S = 5  # a hub's least; a home's is 300
BROKER_DOWN_S = 2.0
DAEMON_DOWN_S = 1.5
POWER_OFF_S = 1.0
BLE_SAID_S = 2.0  # a BLE caller advertises one press for 1.5 s
SETTLE_S = 40.0
PRESS_EVERY_S = 1.1  # of an unattended run
QUIET_S = 0.5  # a wired press is in flash long before
UNPAIRED = "oximeter"  # of home north, for its family to add
HUBS_BUTTON = "north/bedroom"  # the one on the hub's own wires


class _Story(logging.Handler):
    """What the platform's SDK warns of belongs to the story, not on top of the picture."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text != self._last:
            self._last = text
            self._tell(f"city: {text}")


Step = tuple[float, str, Callable[[], None]]


class Scenario:
    """Two homes, one on MQTT and one on a serial cable. Methods may be called from any thread."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.pages = DemoPages()
        self.town = Town(folder, heartbeat_s=HEARTBEAT_S, serial_homes=("south",), daemon=self.pages.settings)
        self.random = random.Random(seed)  # noqa: S311  # a script, not a secret
        self.city = City(self.town.platform_url, folder / "city.db", self.tell)
        self.faults: Counter[str] = Counter()
        self._patterns = load_table(source_dir() / "kanhu_hub" / "indicator.py")
        self.story: deque[tuple[float, str]] = deque(maxlen=200)
        self.started = time.monotonic()
        self._handler = _Story(self.tell)
        self._chores: list[threading.Thread] = []
        self._busy = threading.Lock()  # one fault at a time

    def tell(self, text: str) -> None:
        """A line for the live view."""
        self.story.append((time.monotonic() - self.started, text))

    def __enter__(self) -> Scenario:
        logger = logging.getLogger("kanhu")
        logger.addHandler(self._handler)
        logger.propagate = False
        self.town.__enter__()
        try:
            self._build()
        except BaseException:
            self.town.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("kanhu").removeHandler(self._handler)
        for chore in self._chores:
            chore.join(20)
        self.city.stop()
        self.town.__exit__(None, None, None)

    def _build(self) -> None:
        self.north: Home = self.town.add_home(
            "north",
            buttons={"bedroom": 4},
            pirs={"kitchen": 5},
            sensors={
                "pendant": "button",
                "front-door": "door",
                "smoke-alarm": "smoke",
                "cuff": "blood_pressure",
                "thermometer": "thermometer",
            },
        )
        self.south: Home = self.town.add_home(
            "south",
            links=("serial",),
            buttons={"bathroom": 4},
            pirs={"hall": 5},
            sensors={"bracelet": "button", "sink": "moisture", "cabinet": "tamper"},
        )
        self.town.add_monitor(self.north, UNPAIRED, "pulse_oximeter", paired=False)
        self.pages.open(self.town.registry, self.north.hub_id)
        self.town.start()
        self.city.start()
        if not self.city.up.wait(15) or self.city.error:
            raise RuntimeError(f"the city's side did not start: {self.city.error}")
        self.town.wait_ready()
        self.tell("broker, daemon, two hubs and the city are up")
        self.tell(f"the call desk: {self.pages.desk} (operator {OPERATOR}, password {self.pages.password})")
        self.tell(
            f"north's families' page: {self.pages.family} (claim it there, then press h for its button)"
        )

    # What people do

    def call(self, where: str) -> None:
        """Press a caller, named home/sensor."""
        self.town.bench.press(where)
        self.tell(f"{where}: pressed")

    def measure(self, where: str) -> None:
        """Take a measurement with a health monitor, named home/monitor."""
        self.town.bench.measure(where)
        known = where.partition("/")[2] != UNPAIRED
        self.tell(f"{where}: measured" + ("" if known else "; no hub listens unless the family has added it"))

    @property
    def monitors(self) -> list[str]:
        return list(self.town.bench.monitors)

    @property
    def callers(self) -> list[str]:
        return [HUBS_BUTTON, "south/bathroom", "north/pendant", "south/bracelet"]

    # Faults

    def _chore(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            with self._busy:
                work()

        thread = threading.Thread(target=guarded, name="fault", daemon=True)
        self._chores.append(thread)
        thread.start()

    def break_broker(self) -> None:
        """kill -9 the broker, start it again."""

        def work() -> None:
            self.tell("broker: kill -9; calls wait in the hub's flash")
            self.town.broker.kill()
            self.faults["broker_kill"] += 1
            time.sleep(BROKER_DOWN_S)
            self.town.broker.start()
            self.tell("broker: back; everything not yet stored is said again")

        self._chore(work)

    def kill_daemon(self) -> None:
        """kill -9 the daemon, start it again."""

        def work() -> None:
            self.tell("daemon: kill -9; its journal is on disk")
            self.town.daemon.kill()
            self.faults["daemon_kill"] += 1
            time.sleep(DAEMON_DOWN_S)
            self.town.daemon.start()
            self.tell("daemon: back; unacknowledged events are published again")

        self._chore(work)

    def cut_power(self) -> None:
        """Cut a hub's power, switch it on again."""

        def work() -> None:
            # What the lamp has not yet called heard nobody was told of: such a press is not cut.
            while (last := self._last_press(self.north)) and time.monotonic() - last.time < (
                BLE_SAID_S if last.sensor == "north/pendant" else QUIET_S
            ):
                time.sleep(0.05)
            self.tell("north hub: power cut; what its lamp called heard is in flash")
            self.town.bench.cut_power(self.north.hub)
            self.faults["hub_power_cut"] += 1
            time.sleep(POWER_OFF_S)
            self.town.bench.power(self.north.hub)
            self.tell("north hub: power back")

        self._chore(work)

    def _last_press(self, home: Home) -> Press | None:
        return next(
            (press for press in reversed(self.town.bench.presses) if press.hub_id == home.hub_id), None
        )

    # The morning

    def morning(self, seconds: float) -> Iterator[Step]:
        """(when, what, action) of an unattended run, in order of time."""
        bench = self.town.bench
        steps: list[Step] = []
        last = max(seconds * 0.95, 10.0)
        power_cut = 0.72 * last
        for number in range(int((last - 1.0) / PRESS_EVERY_S)):
            where = self.callers[number % len(self.callers)]
            when = 1.0 + number * PRESS_EVERY_S + self.random.uniform(0, 0.2)
            off = power_cut - BLE_SAID_S < when < power_cut + POWER_OFF_S + BLE_SAID_S
            if off and where.startswith("north"):
                where = "south/bathroom"
            steps.append((when, "", partial(self.call, where)))
        steps += [
            (0.8, "", lambda: bench.motion("north/kitchen", 2)),
            (1.5, "", lambda: bench.set_sensor("north/front-door", True)),
            (2.0, "", partial(self.measure, "north/cuff")),
            (2.5, "", lambda: bench.set_sensor("north/front-door", False)),
            (3.0, "south/sink: water under the sink", lambda: bench.set_sensor("south/sink", True)),
            (4.0, "south/cabinet: opened by force", lambda: bench.set_sensor("south/cabinet", True)),
            (5.0, "", lambda: bench.motion("south/hall", 2)),
            (6.0, "", partial(self.measure, "north/thermometer")),
            (5.5, "north: mains lost", lambda: bench.mains(False, self.north.hub)),
            (13.0, "north: mains back", lambda: bench.mains(True, self.north.hub)),
            (0.25 * last, "", self.break_broker),
            (0.50 * last, "", self.kill_daemon),
            (power_cut, "", self.cut_power),
        ]
        yield from sorted(steps, key=lambda step: step[0])

    def play(self, seconds: float, stop: threading.Event) -> None:
        """Run the morning in real time."""
        begin = time.monotonic()
        for when, what, action in self.morning(seconds):
            if stop.wait(max(0.0, begin + when - time.monotonic())):
                return
            action()
            if what:
                self.tell(what)
        stop.wait(max(0.0, begin + seconds - time.monotonic()))

    def lamp(self, home: Home) -> tuple[str, str, str]:
        """(pattern, English, Chinese) that the hub says its lamp shows; decoding it would take a period."""
        for _, text in reversed(home.hub.lines()):
            if text.startswith("kanhu: lamp "):
                name = text.split()[-1]
                _, _, english, chinese = self._patterns[name]
                return name, english, chinese
        return "", "starting", "启动中"

    def conditions(self) -> dict[str, Condition]:
        """How each home is, as the daemon last said it, by the home's name here."""
        daemon = self.town.daemon
        names = {home.home: name for name, home in self.town.homes.items()}
        said = shown.read(daemon.data_dir, names, daemon.running)
        return {names[home]: one for home, one in said.items()}

    # The account

    def device_of(self, press: Press) -> tuple[str, int]:
        """(hub_id, device index) of a press."""
        name, label = press.sensor.split("/")
        return press.hub_id, self.town.homes[name].devices[label]

    def receipts(self) -> dict[str, list[Receipts]]:
        """Each home's presses with the times its lamp showed."""
        result = {}
        for name, home in self.town.homes.items():
            lamp = [
                (when, text.split()[-1]) for when, text in home.hub.lines() if text.startswith("kanhu: lamp ")
            ]
            presses = [press.time for press in list(self.town.bench.presses) if press.hub_id == home.hub_id]
            result[name] = follow(presses, lamp)
        return result

    def sums(self) -> dict[str, ledger.Sums]:
        """The ledger, recomputed from the journal's raw tables."""
        return ledger.recompute(self.town.daemon.data_dir / "journal.db")

    def settled(self) -> bool:
        """Whether everything pressed has arrived and nothing is awaited, queued or unanswered."""
        with self.city.lock:
            lost, _ = self.city.tally.compare(self.device_of(press) for press in self.town.bench.presses)
            waiting = bool(self.city.waiting)
        sums = self.sums().values()
        return not (lost or waiting or any(one["awaited"] or one["queued"] for one in sums))

    def settle(self, limit_s: float = SETTLE_S) -> bool:
        """Wait until settled, at most limit_s."""
        for chore in self._chores:
            chore.join(20)
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            with contextlib.suppress(Exception):  # the journal may be starting
                if self.settled():
                    return True
            time.sleep(0.2)
        return False

    def account(self) -> dict[str, Any]:
        """The run's result: what the city received against the bench's own list of presses."""
        presses = list(self.town.bench.presses)
        with self.city.lock:
            lost, duplicates = self.city.tally.compare(self.device_of(press) for press in presses)
            log = list(self.city.log)
            by_class = {name: self.city.tally.by_class[name] for name in ("P1", "P2", "P3", "P4", "P5")}
        total: Counter[str] = Counter()
        sums = self.sums()
        for one in sums.values():
            total.update(one)
        balanced = all(
            one["announced"] == one["stored"] + one["lost"] + one["awaited"]
            and one["stored"] == one["delivered"] + one["queued"]
            for one in sums.values()
        )
        # Stored and accepted as the lamp showed them, on presses that opened an alarm; delivered for all.
        took: dict[str, list[float]] = {stage: [] for stage in STAGES}
        for receipts in self.receipts().values():
            for receipt in receipts:
                for stage in STAGES:
                    if (seconds := receipt.after(stage)) is not None:
                        took[stage].append(seconds)
        return {
            "events_by_class": by_class,
            "desk": self.pages.desk,
            "family": self.pages.family,
            "presses": len(presses),
            "lost": lost,
            "duplicates": duplicates,
            "missed_presses": len(self.town.bench.missed_presses),  # made while their hub had no power
            "faults": {name: self.faults[name] for name in ("hub_power_cut", "broker_kill", "daemon_kill")},
            "ledger": {"balanced": balanced, **total},
            "press_to_stored": percentiles(took["stored"]),
            "press_to_delivered": percentiles(
                arrivals([(press.time, self.device_of(press)) for press in presses], log)
            ),
            "press_to_accepted_lamp": percentiles(took["accepted"]),
        }
