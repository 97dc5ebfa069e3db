"""One plan on real processes: nats-server, daemon, hubs, the platform's SDK; then judgement."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import tempfile
import time
import traceback
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from kanhu import ledger
from kanhu.errors import KanhuError
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town
from kanhu_protocol import kinds as k

from . import oracle, shifted
from .disk import SmallDisk
from .heard import Made, Spell, told
from .oracle import Arrival, Pressed, Record, Violation
from .plan import Plan, Step
from .wire import Wire

SPEED = 5  # simulated seconds per second of a hub
BUTTONS = {"bed": 4, "bath": 5}
PIR = "hall"
TIME_SERVER = "time.lan"
FLASH = 384 * 1024  # bytes; the less, the sooner it is full
PRESS_S = 0.1  # of real time, at least
READY_LIMIT_S = 30.0
SETTLE_LIMIT_S = 40.0
CALM_S = 0.3  # settled means settled for so long
DESK_AGAIN_S = 1.5  # the desk looks at what is open so often
RESTART_S = 0.2  # a service manager starts a daemon that ended again after this


@dataclass
class Outcome:
    """What became of a plan."""

    plan: Plan
    violations: list[Violation]
    seconds: float
    settled_s: float
    counts: dict[str, int] = field(default_factory=dict)
    log: str = ""  # of hubs and daemon, when something was violated


class World:
    """The processes and everything that can be done to them. `with World(folder, hubs) as world`."""

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
        self.motions: Counter[oracle.Device] = Counter()
        self.noticed: list[list[float | None]] = [[] for _ in range(hubs)]  # by hub, in order of pressing
        self.ended: list[str] = []  # the daemon went by itself
        self.disk_was_full = False
        self._hubs = hubs
        self._daemon_wanted = False

    def __enter__(self) -> World:
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

    # Afterwards

    def settle(self, limit_s: float) -> list[Violation]:
        """Wait until everything has arrived, every alarm is closed and every hub shows so."""
        begun = calm = time.monotonic()
        asked = 0.0
        while True:
            now = time.monotonic()
            open_, waits = self._waits()
            if not waits:
                if now - calm >= CALM_S:
                    return []
            else:
                calm = now
            if now - begun > limit_s:
                return [Violation("not settled", f"{limit_s:g} s after the last fault: {waits}")]
            if open_ and now - asked > DESK_AGAIN_S:
                asked = now
                city = self.cities[-1]
                with city.lock:
                    city.waiting = dict.fromkeys(open_, now)
                city.accept_all()
            time.sleep(0.1)

    def _waits(self) -> tuple[list[str], str]:
        """The alarms not closed; and in words what is still to come, "" when nothing is."""
        path = self.town.daemon.data_dir / "journal.db"
        try:
            rows = oracle.read_rows(path)
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
                alarms = db.execute(
                    "SELECT hub, boot, seq FROM alarms WHERE state <> ?", (k.CLOSED,)
                ).fetchall()
        except sqlite3.Error as error:
            return [], str(error)
        open_ = [f"{hub}/{boot}-{seq}" for hub, boot, seq in alarms]
        waits = [
            f"{hub}: {row['awaited']} awaited, {row['queued']} queued"
            for hub, row in oracle.sums(rows).items()
            if row["awaited"] or row["queued"]
        ]
        if open_:
            waits.append(f"alarms not closed: {', '.join(open_)}")
        handed = {event.identity for event in self.handed()}
        waits += [f"on its way: {name}" for name in sorted(self._must_come() - handed)]
        lost = [v.text for v in oracle.presses(self.record(rows, {})) if v.rule == "heard press lost"]
        waits += lost
        for home in self.homes:
            if home.hub.running and (shown := self.shown(home)) not in ("well", "fault"):
                waits.append(f"{home.hub_id} shows {shown}")
        return open_, "; ".join(waits)

    def _must_come(self) -> set[oracle.Identity]:
        forgetful = self.forgetful()
        return {one for one in self.wire.sent_p1 if one[0] not in forgetful}

    def shown(self, home: Home) -> str:
        """The pattern that the hub's lamp shows."""
        lines = (text for _, text in reversed(home.hub.lines()) if text.startswith("kanhu: lamp "))
        return next(lines, "nothing").split()[-1]

    def pressed(self) -> list[Pressed]:
        """The bench's own list."""
        result: list[Pressed] = []
        bench = self.town.bench
        for home, noticed in zip(self.homes, self.noticed, strict=True):
            own = [p for p in (*bench.presses, *bench.missed_presses) if p.hub_id == home.hub_id]
            made = [
                Made(press.time, home.devices[press.sensor.split("/")[1]], seen)
                for press, seen in zip(sorted(own), noticed, strict=False)  # one may be under way
            ]
            result += told(
                made, home.hub.lines(), self.dark[home.hub_id], self.full[home.hub_id], home.hub_id
            )
        return result

    def handed(self) -> list[Arrival]:
        """What the platform's SDK gave to its consumer, in order; an event that the consumer had not finished
        when it ended comes again, marked so, and counts once."""
        found: dict[oracle.Identity, None] = {}
        result = []
        for city in self.cities:
            with city.lock:
                log = list(city.log)
            for when, event in log:
                arrival = Arrival.of(when, event.cloudevent)
                if not (event.redelivered and arrival.identity in found):
                    result.append(arrival)
                found[arrival.identity] = None
        return result

    def forgetful(self) -> frozenset[str]:
        """Hubs that lost power while or after their flash was full."""
        return frozenset(
            hub
            for hub, spells in self.full.items()
            if spells and any(dark.end >= spells[0].begin for dark in self.dark[hub])
        )

    def record(self, rows: oracle.Rows, printed: dict[str, ledger.Sums]) -> Record:
        return Record(
            self.pressed(),
            list(self.wire.received),
            self.handed(),
            rows,
            {hub: dict(row) for hub, row in printed.items()},  # type: ignore[arg-type]
            dict(self.motions),
            frozenset(self.wire.sent_p1),
            frozenset(hub for hub, spells in self.full.items() if spells) | self._own_lossy(rows),
            self.forgetful(),
        )

    def _own_lossy(self, rows: oracle.Rows) -> frozenset[str]:
        """The daemon, when its disk was full: an event of its own that found no room is known as lost."""
        hubs = {home.hub_id for home in self.homes}
        return frozenset(row[0] for row in rows.events if row[0] not in hubs and self.disk_was_full)

    def violations(self) -> list[Violation]:
        """The oracle's judgement, and what only this world can see."""
        path = self.town.daemon.data_dir / "journal.db"
        rows, printed = oracle.read_rows(path), ledger.recompute(path)
        found = oracle.judge(self.record(rows, printed))
        found += [Violation("daemon ended by itself", text) for text in self.ended]
        found += [Violation("unreadable on the broker", text) for text in self.wire.unreadable]
        found += [Violation("the platform's side failed", c.error) for c in self.cities if c.error]
        found += [Violation("delivered twice", "within one session") for c in self.cities if c.tally.repeats]
        if not self.town.daemon.running:
            return [*found, Violation("daemon ended by itself", self.town.daemon.log()[-600:])]
        running = self._running_sums()
        own = Counter[str]()
        for row in oracle.sums(rows).values():
            own.update(row)
        if any(running.get(name) != own[name] for name in oracle.SUMS):
            found.append(Violation("ledger differs", f"the daemon says {running}, its tables {dict(own)}"))
        return found

    def _running_sums(self) -> dict[str, int]:
        lines = [
            line for line in self.town.daemon.log().splitlines() if '"url"' in line and '"metrics"' in line
        ]
        url = lines[-1].partition('"url": "')[2].partition('"')[0]
        text = _read_url(url)
        return {
            sample.labels["sum"]: int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "kanhu_ledger_events"
        }


def _read_url(url: str) -> str:
    for _ in range(5):  # a computer with much to do may not answer in the time a scrape has
        with (
            contextlib.suppress(urllib.error.HTTPError),
            urllib.request.urlopen(url, timeout=10) as answer,  # noqa: S310  # the daemon said http:
        ):
            return str(answer.read().decode())
    raise TimeoutError(f"no metrics from {url}")


def lane(step: Step) -> str:
    """Steps of one lane happen one after the other."""
    for prefix, name in (("platform", "platform"), ("host_", step.action), ("broker", "broker")):
        if step.action.startswith(prefix):
            return name
    if step.action in ("daemon_kill", "registry_restored"):
        return "daemon"
    if step.action in ("hub_power_cut", "hub_clock_jump"):
        return f"power {step.target}"
    return f"{step.action.partition('_')[0]} {step.target}"


@contextlib.contextmanager
def lanes() -> Iterator[Callable[[str, Callable[[], None]], Future[None]]]:
    """submit(lane, work): one thread per lane; all have ended when the block has."""
    pools: dict[str, ThreadPoolExecutor] = {}

    def submit(name: str, work: Callable[[], None]) -> Future[None]:
        return pools.setdefault(name, ThreadPoolExecutor(1, thread_name_prefix=name)).submit(work)

    try:
        yield submit
    finally:
        for pool in pools.values():
            pool.shutdown(wait=True)


def play(world: World, plan: Plan) -> None:
    """Carry out the plan in real time; returns when every step is over."""
    begin = time.monotonic()
    with lanes() as submit:
        done = []
        for step in plan.steps:
            time.sleep(max(0.0, begin + step.at_s - time.monotonic()))
            done.append(submit(lane(step), partial(getattr(world, step.action), **step.args)))
    for one in done:
        one.result()


def run(
    plan: Plan,
    folder: Path,
    small_disk: bool,
    make: Callable[[Path, int, bool], World] = World,
    limit_s: float = SETTLE_LIMIT_S,
) -> Outcome:
    """Carry out one plan in an empty folder, settle, judge. KANHU_KEEP=1 leaves the folder."""
    begun = time.monotonic()
    with make(folder, plan.hubs, small_disk) as world:
        play(world, plan)
        over = time.monotonic()
        found = world.settle(limit_s)
        settled_s = time.monotonic() - over
        for home in world.homes:
            world.town.bench.cut_power(home.hub)
        if not found:
            found = world.settle(limit_s)
        found += [one for one in world.violations() if one.rule != "not settled" or not found]
        pressed = world.pressed()
        outcome = Outcome(
            plan,
            found,
            time.monotonic() - begun,
            settled_s,
            {
                "pressed": len(pressed),
                "heard": sum(one.heard_s is not None for one in pressed),
                "events": len(world.handed()),
                "repeats": len(world.wire.received) - len({one.identity for one in world.wire.received}),
                "daemon_starts": world.town.daemon.starts,
                "hub_starts": sum(home.hub.boots for home in world.homes),
            },
        )
        if found:
            logs = [f"-- hub {home.hub_id}\n{_timed(home, begun)}" for home in world.homes]
            logs += ["-- presses\n" + "\n".join(map(str, pressed))]
            calls = [event for event in world.handed() if event.event_class == oracle.P1]
            logs += ["-- P1 at the platform\n" + "\n".join(map(str, calls))]
            logs += [f"-- daemon\n{world.town.daemon.log()[-20_000:]}"]
            outcome.log = "\n".join(logs)
    if not os.environ.get("KANHU_KEEP"):
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def attempt(plan: Plan, small_disk: bool) -> Outcome:
    """run() in a new folder; a bench that fails is a violation too."""
    logging.getLogger("kanhu").setLevel(logging.ERROR)  # the SDK tells of each broker that went, as it should
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="kanhu-faults-"))
    try:
        return run(plan, folder, small_disk)
    except Exception:
        found = [Violation("the bench failed", traceback.format_exc())]
        return Outcome(plan, found, time.monotonic() - begun, 0.0)


def _timed(home: Home, begun: float) -> str:
    return "\n".join(f"{when:.3f} {text}" for when, text in home.hub.lines())


def _wait(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)
