"""What a plan's steps do to a world, and how everything is put right again."""

from __future__ import annotations

from kanhu.sim.faults.plan import Step
from kanhu.sim.world.house import BUTTONS, PIR
from kanhu.sim.world.world import CUT_WITHIN_S, FLAP_S, HELD_S, MOVED_S, Home, World

TORN = 0.6  # share of power cuts that come inside a flash operation: one that a press then causes,
FLASH_OPERATIONS = 12  # of about this many


class Actions:
    """do(step) for each action of kanhu.sim.faults.plan; lift() ends every fault."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._restores = 0
        self._absences = 0  # reasons for which no daemon is to run now

    def do(self, step: Step) -> None:
        """Begin it; what ends by itself is scheduled."""
        world = self._world
        world.say(f"* {step.action} {step.args or ''}")
        getattr(self, "_" + step.action)(**step.args)

    def _later(self, seconds: float, action: object, *args: object) -> None:
        self._world.loop.call_later(seconds, action, *args)  # type: ignore[arg-type]

    def _home(self, hub: int) -> Home:
        return self._world.homes[hub % len(self._world.homes)]

    # People

    def _press(self, hub: int, button: int) -> None:
        home = self._home(hub)
        device = 1 + button % len(BUTTONS)
        pin = BUTTONS[device - 1]
        if home.hub.powered:
            home.contacts.append((self._world.loop.time(), device))
        home.hub.pin(pin, 0)
        self._later(HELD_S, home.hub.pin, pin, 1)

    def _motion(self, hub: int) -> None:
        home = self._home(hub)
        home.motions += 1
        home.hub.pin(PIR, 1)
        self._later(MOVED_S, home.hub.pin, PIR, 0)

    # Hubs

    def _hub_power_cut(self, hub: int, for_s: float) -> None:
        home = self._home(hub)
        if home.hub.powered and self._world.chance.random() < TORN:
            home.hub.cut_inside(self._world.chance.randrange(FLASH_OPERATIONS))
            self._press(hub, self._world.chance.randrange(len(BUTTONS)))
            self._later(min(for_s / 2, CUT_WITHIN_S), self._world.lose_power, home, "cut")
        else:
            self._world.lose_power(home, "cut")
        self._later(for_s, self._power_back, home)

    def _power_back(self, home: Home) -> None:
        home.hub.cut_after = -1
        home.off.discard("torn")
        self._world.give_power(home, "cut")

    def _wifi_down(self, hub: int) -> None:
        self._home(hub).hub.turn_wifi(False)

    def _wifi_up(self, hub: int) -> None:
        self._home(hub).hub.turn_wifi(True)

    def _link_flap(self, hub: int, for_s: float, times: int) -> None:
        home = self._home(hub)
        kind = self._world.chance.randrange(3)
        for number in range(times):
            at_s = number * for_s / times
            if kind == 0:
                self._later(at_s, home.hub.home.cut)
            elif kind == 1:
                self._later(at_s, home.hub.home.turn, False)  # the line is dead, the Wi-Fi is not
                self._later(at_s + min(FLAP_S, for_s / times / 2), self._line_back, home)
            else:
                for broker in (self._world.hubs_broker, self._world.city_broker):
                    self._later(at_s, self._world.net.way(*broker.address).cut)

    def _line_back(self, home: Home) -> None:
        home.hub.home.turn(home.hub.wifi)

    def _hub_flash_full(self, hub: int) -> None:
        home = self._home(hub)
        home.flash_faults.append(self._world.loop.time())
        home.hub.set_flash(self._world.chance.choice(("full", "failing")))

    def _hub_flash_free(self, hub: int) -> None:
        self._home(hub).hub.set_flash("well")

    def _hub_clock_jump(self, hub: int, off_s: float) -> None:
        self._world.set_time_server(self._home(hub), off_s)

    # The host

    def _daemon_kill(self, for_s: float) -> None:
        self._world.host.kill()
        self._absences += 1
        self._later(for_s, self._daemon_back)

    def _daemon_back(self) -> None:
        self._absences -= 1
        if not self._absences:
            self._world.host.start()

    def _registry_restored(self, for_s: float) -> None:
        world = self._world
        self._restores += 1
        registry = world.host.open_registry()  # a week of changes that the copy does not have
        hub_id = world.homes[0].hub.hub_id
        registry.add_sensor(hub_id, "call", f"02:00:00:00:01:{self._restores % 256:02x}")
        registry.close()
        world.loop.call_later(min(3.0, for_s / 2), self._put_back)
        self._absences += 1
        self._later(for_s, self._daemon_back)

    def _put_back(self) -> None:
        self._world.host.kill()
        self._world.host.put_back(self._world.old_registry)

    def _host_disk_full(self) -> None:
        self._world.host.disk.full = self._world.host.disk.was_full = True

    def _host_disk_free(self) -> None:
        disk = self._world.host.disk
        disk.full = False
        self._world.exercised["commits refused by a full disk"] = disk.refused

    def _host_clock_jump(self, off_s: float) -> None:
        self._world.clock.wrong_s = off_s

    # The city

    def _broker_restart(self, for_s: float) -> None:
        chosen = self._world.chance.randrange(3)
        for number, broker in enumerate((self._world.hubs_broker, self._world.city_broker)):
            if chosen in (number, 2):
                broker.stop()
                self._later(for_s, broker.start)

    def _platform_down(self) -> None:
        self._world.platform.stop()

    def _platform_up(self) -> None:
        self._world.platform.start()

    def _platform_mute(self) -> None:
        self._world.platform.mute = True

    def _platform_unmute(self) -> None:
        self._world.platform.mute = False
