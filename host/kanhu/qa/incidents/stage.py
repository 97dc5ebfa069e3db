"""The world in which an incident is played again: the record's home, at the record's time of day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kanhu.qa.incidents.cast import Operators, Voice
from kanhu.qa.incidents.form import Incident
from kanhu.qa.incidents.programs import Program
from kanhu.qa.incidents.script import HELD_MS, MOVED_MS, Stimulus, wired
from kanhu.registry import Registry
from kanhu.sim.world.house import House
from kanhu.sim.world.hub import Hub
from kanhu.sim.world.schedule import Session
from kanhu.sim.world.time import EPOCH_S
from kanhu.sim.world.world import CITY_BROKER, FLASH_BLOCKS, HUBS_BROKER, Home, World
from kanhu_protocol import cbor

LEAD_S = 90.0  # the hub runs this long before the record begins: it is connected and holds its table
CUT_S = 0.1  # a reset travels, then the way is gone
MOTION_S = 30.0  # a battery PIR says "motion" for so long
POWER_ON, WATCHDOG = 1, 3  # names.RESETS
CHIPS_OWN = 5  # resets up to this the chip reports; higher ones the program has left in NVS
VERBS = {"accepted": "accept", "dispatched": "dispatch", "on_scene": "on_scene", "closed": "close"}


class Stage(World):
    """A world with the record's home in it."""

    platform: Operators
    platform_type = Operators

    def __init__(self, folder: Path, seed: int, incident: Incident, program: Program) -> None:
        super().__init__(folder, seed, [House()])
        self._incident, self._program = incident, program
        self.heartbeat_s = int(incident.settings.get("heartbeat", self.heartbeat_s))
        self.clock.wrong_s = incident.begin_utc_ms / 1000 - LEAD_S - EPOCH_S
        self.voices: dict[int, Voice] = {}
        self.lines: list[tuple[float, str]] = []  # console, by time of this world
        self.forced: list[int] = []  # boots that were begun because the record's firmware had crashed

    def add_home(self, registry: Registry, number: int, house: House) -> None:
        """The record's home in place of the usual one; its hub has no power yet."""
        incident = self._incident
        home_id = registry.add_home(time_zone="UTC")
        hub_id, key = registry.add_hub(home_id)
        settings = _settings(incident.settings)
        registry.set_settings(hub_id, settings)
        for sensor in incident.table:
            registry.add_sensor(
                hub_id,
                sensor.role,
                sensor.address,
                index=sensor.device,
                supervision_s=sensor.supervision_s,
            )
        sntp = any(event.data.get("clock") == 1 for event in incident.events)
        config = {
            "wifi": ["home", "a password"],
            "broker": [*HUBS_BROKER, "", ""],
            "ntp": ["ntp", 123] if sntp else None,
            "version": incident.config_version,
            **settings,
        }
        first = incident.boots[0] if incident.boots else None
        boot = 1 if first is None else first.boot - 1 if first.in_span else first.boot
        minute = incident.begin_utc_ms // 60_000
        nvs = {"hub_id": hub_id.encode(), "key": key, "generation": 1, "config": cbor.dumps(config)}
        driven = dict.fromkeys(wired(settings)[1].values(), 0)
        if settings.get("mains") is not None:
            driven[settings["mains"]] = 1
        hub = Hub(
            self.net,
            self.folder,
            hub_id,
            # The path was proven just now: the daily test call is not this incident's.
            {**nvs, "boot": max(0, boot - 1), "proof": minute & 0x7FFFFFFF},
            blocks=FLASH_BLOCKS,
            seed=self.chance.getrandbits(30),
            tick_start=0,
            driven=driven,
            say=lambda what, data: self.hub_did(home, what, data),
            radio=bool(incident.table),
            program=self._program.folder,
        )
        home = Home(home_id, hub, house, None)
        hub.set_sntp(incident.begin_utc_ms - int(LEAD_S * 1000) if sntp else None)
        if not boot:
            home.off.add("cut")  # its very first start is in the record
        for sensor in incident.table:
            self.voices[sensor.device] = Voice(self.loop, hub, sensor)
        self.homes.append(home)

    def hub_did(self, home: Home, what: str, data: bytes) -> None:
        """As ever, and keeps the console whole."""
        if what == "log":
            self.lines.append((home.hub.now_ms / 1000, data.decode("utf-8", "replace")))
        super().hub_did(home, what, data)


def _settings(recorded: dict[str, Any]) -> dict[str, Any]:
    settings = {**recorded, "links": ["mqtt"], "network": "wifi"}
    if "buttons" in settings:
        settings["buttons"] = [[row[0], row[1], None] for row in settings["buttons"]]
    return settings


class Performance(Session):
    """A stage for the length of a block; do() one stimulus now."""

    world: Stage
    begin_s = 0.0

    def __init__(self, seed: int, incident: Incident, program: Program) -> None:
        super().__init__(seed)
        self._incident, self._program = incident, program

    def make_world(self, folder: Path) -> Stage:
        """The stage."""
        return Stage(folder, self._seed, self._incident, self._program)

    def until(self, at_ms: int) -> None:
        """Let time pass up to a moment of the incident."""
        self.wait(LEAD_S + at_ms / 1000 - self.world.loop.time())

    def act(self, stimulus: Stimulus) -> None:
        """Do it now."""

        async def now() -> None:
            self.world.say(f"* {stimulus.do} {stimulus.args}")
            getattr(self, "_" + stimulus.do)(**stimulus.args)

        self._run(now())

    def calm(self) -> None:
        """Everything is well again: power, ways, flash, host."""

        async def now() -> None:
            self._home.hub.set_flash("well")
            self._link(True)
            self._reach(True)
            self._platform(True)
            self._host(True)
            self._home.off.discard("cut")
            self.world.give_power(self._home, "")

        self._run(now())

    def unsettled(self) -> bool:
        """Whether flash holds something that the host has not."""
        daemon = self.world.host.daemon
        return daemon is None or any(
            one.saved and not daemon.journal.holds(one.identity) and not daemon.journal.lost(one.identity)
            for one in self._home.recorded
        )

    def end_host(self) -> None:
        """Stop the daemon: what its disk holds is what is read."""

        async def now() -> None:
            self.world.host.kill()

        self._run(now())

    @property
    def _home(self) -> Home:
        return self.world.homes[0]

    def _press(self, device: int) -> None:
        pins = wired(self._incident.settings)[0]
        if device in self.world.voices:
            self.world.voices[device].press()
        elif device in pins:
            self._home.hub.pin(pins[device], 0)
            self.world.loop.call_later(HELD_MS / 1000, self._home.hub.pin, pins[device], 1)

    def _hold(self, device: int, on: bool) -> None:
        self._home.hub.drive(wired(self._incident.settings)[0][device], 0 if on else None)

    def _motion(self, device: int) -> None:
        pins = wired(self._incident.settings)[1]
        if device in self.world.voices:
            self.world.voices[device].state("motion", 1)
            self.world.loop.call_later(MOTION_S, self.world.voices[device].state, "motion", 0)
        elif device in pins:
            self._home.hub.pin(pins[device], 1)
            self.world.loop.call_later(MOVED_MS / 1000, self._home.hub.pin, pins[device], 0)

    def _advertise(self, device: int, object: str, value: int) -> None:  # noqa: A002  # as BTHome says it
        self.world.voices[device].state(object, value)

    def _range(self, device: int, on: bool) -> None:
        voice = self.world.voices[device]
        voice.heard = on
        if on:
            voice.say([])

    def _mains(self, on: bool) -> None:
        pin = self._incident.settings.get("mains")
        if pin is not None:
            self._home.hub.drive(pin, int(on))

    def _flash(self, state: str) -> None:
        self._home.hub.set_flash(state)

    def _power_off(self) -> None:
        self.world.lose_power(self._home, "cut")

    def _power_on(self, boot: int, reset: int) -> None:
        hub = self._home.hub
        self.world.lose_power(self._home, "cut")
        hub.nvs["boot"] = max(int(hub.nvs.get("boot", 0)), boot - 1)
        if reset > CHIPS_OWN:
            hub.nvs["reset"] = reset
        self._home.off.clear()
        self.world.give_power(self._home, "cut", reset if reset <= CHIPS_OWN else WATCHDOG)

    def _crash(self, boot: int, reset: int) -> None:
        if self._home.off & {"crash", "reset"} or int(self._home.hub.nvs.get("boot", 0)) >= boot:
            return
        self.world.forced.append(boot)
        self._power_on(boot, reset)

    def _link(self, on: bool) -> None:
        way = self._home.hub.home
        if on:
            way.turn(self._home.hub.wifi)
        else:
            way.cut()
            self.world.loop.call_later(CUT_S, way.turn, False)

    def _line(self, on: bool) -> None:
        self._home.hub.home.turn(on and self._home.hub.wifi)

    def _host(self, on: bool) -> None:
        if on:
            self.world.host.start()
        else:
            self.world.host.kill()

    def _reach(self, on: bool) -> None:
        self._way(HUBS_BROKER, on)

    def _platform(self, on: bool) -> None:
        self._way(CITY_BROKER, on)

    def _way(self, address: tuple[str, int], on: bool) -> None:
        way = self.world.net.way(*address)
        if on:
            way.turn(True)
        else:
            way.cut()
            self.world.loop.call_later(CUT_S, way.turn, False)

    def _answer(self, alarm: int, step: str, by: str) -> None:
        self.world.platform.answer(alarm, VERBS[step], by)
