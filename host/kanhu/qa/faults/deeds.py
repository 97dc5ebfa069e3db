"""What a plan's steps do on a bench: each action of kanhu.sim.faults.plan that a bench in real time has."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from kanhu.qa import capabilities as c
from kanhu.qa.board import Board
from kanhu.qa.capabilities import NeedsCapability
from kanhu.sim.faults import disk
from kanhu.sim.faults.plan import ACTIONS, Plan, Step

from .fault import Fault
from .faults import Faults

LINES = ("button", "button2")
HELD_S = 0.5  # a press that a simulated hub on a busy computer notices
TORN_PRESS_S = 0.2  # into a torn cut: what the hub writes then is what the power goes in
# What an action needs of a bench, if it needs anything.
NEEDS = {
    "press": c.PRESS,
    "wifi_down": c.WIFI,
    "hub_power_cut": c.POWER,
    "hub_brown_out": c.POWER,
    "hub_clock_jump": c.HUB_CLOCK,
    "hub_torn": c.POWER_POINT,
    "hub_flash_full": c.FLASH_FULL,
    "hub_serial_noise": c.LOG,
    "names_down": c.DNS,
    "air_storm": c.AIR_STORM,
    "link_flap": c.PROXY,
    **dict.fromkeys(("link_cut", "link_stall", "link_reset", "link_slow", "link_lossy"), c.PROXY),
    **dict.fromkeys(("link_half_open", "broker_mute"), c.PROXY),
}
NOT_HERE = ("registry_restored", "motion")


class Press(NamedTuple):
    """One press as it was made; at: monotonic s."""

    at: float
    hub: str
    line: str


def possible(faults: Faults) -> dict[str, float]:
    """The weights of all faults that this bench can do, each alike."""
    has = faults.rig.capabilities
    return {
        name: 1.0
        for name, kind in ACTIONS.items()
        if kind.fault
        and name not in NOT_HERE
        and NEEDS.get(name, "") in {"", *has}
        and (name != "host_disk_full" or disk.may_mount())
    }


class Deeds:
    """One method per action, all of them blocking; presses holds what was pressed."""

    def __init__(self, faults: Faults, boards: Sequence[Board]) -> None:
        self.presses: list[Press] = []
        self._faults, self._boards = faults, boards
        self._begun: dict[tuple[str, int], Fault] = {}

    def prepare(self, plan: Plan) -> None:
        """Do before it begins what would itself disturb it; NeedsCapability for a step that cannot be."""
        actions = {step.action for step in plan.steps}
        if strange := sorted(name for name in actions if name in NOT_HERE or not hasattr(self, name)):
            raise NeedsCapability(why=f"no bench in real time has {', '.join(strange)}: choose other faults")
        wanted = {NEEDS[name] for name in actions if name in NEEDS}
        if missing := wanted - self._faults.rig.capabilities:
            raise NeedsCapability(*missing)
        self._faults.prepare(disk="host_disk_full" in actions, clock="host_clock_jump" in actions)

    def do(self, step: Step) -> None:
        """The step, from its begin to its end."""
        getattr(self, step.action)(**step.args)

    def _for(self, for_s: float, *faults: Fault) -> None:
        for fault in faults:
            fault.begin()
        try:
            time.sleep(for_s)
        finally:
            for fault in reversed(faults):
                fault.end()

    def _begin(self, name: str, fault: Fault, hub: int = -1) -> None:
        fault.begin()
        self._begun[name, hub] = fault

    def _end(self, name: str, hub: int = -1) -> None:
        if fault := self._begun.pop((name, hub), None):
            fault.end()

    # People

    def press(self, hub: int, button: int) -> None:
        board, line = self._boards[hub], LINES[button % len(LINES)]
        made = board.press(line, HELD_S)
        self.presses.append(Press(made.at, board.hub_id, line))
        time.sleep(HELD_S / 2)  # let go for as long as a hub needs to see it

    # The hub

    def hub_power_cut(self, hub: int, for_s: float) -> None:
        self._for(for_s, self._faults.power_cut(hub=self._boards[hub]))

    def hub_torn(self, hub: int, for_s: float) -> None:
        self._for(for_s, self._faults.power_cut(at="flash", hub=self._boards[hub]))

    def hub_brown_out(self, hub: int, for_s: float, times: int) -> None:
        self._for(for_s, self._faults.brown_out(times, self._boards[hub]))

    def hub_serial_noise(self, hub: int, for_s: float, bytes_s: float) -> None:
        board = self._boards[hub]
        self._for(for_s, self._faults.serial_noise(bytes_s, board), self._faults.half_frames(hub=board))

    def hub_flash_full(self, hub: int) -> None:
        self._begin("flash", self._faults.flash_full(self._boards[hub]), hub)

    def hub_flash_free(self, hub: int) -> None:
        self._end("flash", hub)

    def hub_clock_jump(self, hub: int, off_s: float) -> None:
        self._end("hub clock", hub)
        if off_s:
            self._begin("hub clock", self._faults.hub_clock(off_s), hub)
            self.hub_power_cut(hub, 0)  # it asks for the time when it starts

    # The home

    def wifi_down(self, hub: int) -> None:
        self._begin("wifi", self._faults.wifi_off(self._boards[hub]), hub)

    def wifi_up(self, hub: int) -> None:
        self._end("wifi", hub)

    def names_down(self, hub: int, for_s: float) -> None:
        self._for(for_s, self._faults.dead_dns(self._boards[hub]))

    def air_storm(self, for_s: float, per_s: float) -> None:
        self._for(for_s, self._faults.air_storm(per_s))

    # The line

    def link_cut(self, for_s: float) -> None:
        self._for(for_s, self._faults.cut())

    def link_stall(self, for_s: float) -> None:
        self._for(for_s, self._faults.stall())

    def link_reset(self, for_s: float) -> None:
        self._for(for_s, self._faults.reset())

    def link_slow(self, for_s: float, bytes_s: float) -> None:
        self._for(for_s, self._faults.slow(bytes_s))

    def link_lossy(self, for_s: float, percent: float) -> None:
        self._for(for_s, self._faults.lossy(percent / 100))

    def link_half_open(self, for_s: float) -> None:
        self._for(for_s, self._faults.half_open())

    def link_flap(self, hub: int, for_s: float, times: int) -> None:
        kinds = (self._faults.cut, self._faults.refuse, self._faults.stall)
        for number in range(times):
            self._for(for_s / times / 2, kinds[number % len(kinds)]())
            time.sleep(for_s / times / 2)

    def broker_mute(self, for_s: float) -> None:
        self._for(for_s, self._faults.mute_broker())

    # The host

    def broker_restart(self, for_s: float) -> None:
        self._for(for_s, self._faults.broker_restart())

    def daemon_kill(self, for_s: float) -> None:
        self._for(for_s, self._faults.daemon_kill())

    def daemon_stop(self, for_s: float) -> None:
        self._for(for_s, self._faults.daemon_stop())

    def daemon_cut_off(self, for_s: float) -> None:
        self._for(for_s, self._faults.cut("daemon"))

    def host_disk_full(self) -> None:
        self._begin("disk", self._faults.disk_full())

    def host_disk_free(self) -> None:
        self._end("disk")

    def host_clock_jump(self, off_s: float) -> None:
        self._end("host clock")
        if off_s:
            self._begin("host clock", self._faults.host_clock(off_s))

    def platform_down(self) -> None:
        self._begin("platform down", self._faults.platform_down())

    def platform_up(self) -> None:
        self._end("platform down")

    def platform_mute(self) -> None:
        self._begin("platform mute", self._faults.platform_mute())

    def platform_unmute(self) -> None:
        self._end("platform mute")
