"""The radio of a stimulus board: sensors and health monitors played to the hub under test."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kanhu.errors import KanhuError
from kanhu.qa import scripts
from kanhu.qa.monitor_scripts import MonitorScript
from kanhu.qa.scripts import Script
from kanhu.sim.sensors import Sensor

POLL_S = 0.1
SPARE_S = 20.0  # longer than it lasts that a loaded computer may take
STORM_S = 3600.0  # one that nobody ends


class RadioTrouble(KanhuError):
    """What was to be on the air is not: one sentence."""


@dataclass(frozen=True)
class Happened:
    """What a monitor has seen; ms: the stimulus' own ticks."""

    ms: int
    what: (
        str  # advertising, connected, encrypted, written, confirmed, notified, hung up, disconnected, asleep
    )
    detail: str


@dataclass(frozen=True)
class Visit:
    """A monitor's account: how many of its sayings a hub has confirmed, or were notified."""

    said: int
    of: int
    log: tuple[Happened, ...]

    def count(self, what: str) -> int:
        """How often that has happened."""
        return sum(one.what == what for one in self.log)

    @property
    def written(self) -> Mapping[str, bytes]:
        """What the hub wrote last, by UUID: its clock."""
        rows = (one.detail.split() for one in self.log if one.what == "written")
        return {row[0]: bytes.fromhex(row[1]) if len(row) > 1 else b"" for row in rows}


class Radio:
    """ask(do, **fields) sends a request to the stimulus. One thing is on the air; the next one ends it.

    An ESP32 sends from its own address, or from a random one that it draws itself: none can be chosen, so
    scripts are made for `address` and the suite pairs that one."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask
        self._caller: Sensor | None = None

    @property
    def address(self) -> bytes:
        """From where the board sends now, 6 bytes as printed; after a restart its own again."""
        return bytes.fromhex(self._ask("address")["address"])

    def draw(self) -> bytes:
        """A new random static address from now on: another sensor. The one before never comes back."""
        return bytes.fromhex(self._ask("address", draw=True)["address"])

    def own(self) -> bytes:
        """The board's own address from now on."""
        return bytes.fromhex(self._ask("address", draw=False)["address"])

    def sensor(self, kind: str, bind_key: bytes | None = None, **options: Any) -> Sensor:
        """A sensor at the board's address, for kanhu.qa.scripts."""
        return scripts.sensor(kind, self.address, bind_key, **options)

    def press(self, how: str = "press", caller: Sensor | None = None, wait: bool = True) -> int:
        """A press of a caller (default: an unencrypted one at this address); ticks_us of its first copy."""
        if caller is None:
            caller, address = self._caller, self.address
            if caller is None or caller.address != address:
                caller = self._caller = self.sensor("button")
        return self.play(scripts.press(caller, how), wait)

    def play(self, script: Script, wait: bool = True) -> int:
        """Send all of it; ticks_us when it began. wait: until it is over, else at once."""
        began = int(self._ask("advertise", **script.to_json()))
        if wait:
            self.wait(script.lasts_s + SPARE_S)
        return began

    def stop(self) -> None:
        """Silence."""
        self._ask("quiet")

    def storm(self, per_s: int, seconds: float = STORM_S, addresses: bool = True) -> int:
        """Begin to send so many neighbours' advertisements a second, as far as the board can; ticks_us.

        Another thing on the air, stop() or the time ends it; sent() says how many there were."""
        return int(self._ask("storm", per_s=per_s, ms=round(seconds * 1000), addresses=addresses))

    def sent(self) -> int:
        """Advertisements begun of what is, or was last, on the air; copies are not counted."""
        return int(self._ask("radio")["sent"])

    @property
    def on_air(self) -> str | None:
        """script, storm, monitor; None: silence."""
        found = self._ask("radio")["on_air"]
        return None if found is None else str(found)

    def wait(self, timeout: float) -> None:
        """Return when there is silence; RadioTrouble after timeout s."""
        end = time.monotonic() + timeout
        while (what := self.on_air) is not None:
            if time.monotonic() > end:
                raise RadioTrouble(f"the {what} is still on the air after {timeout:.0f} s")
            time.sleep(POLL_S)

    def monitor(self, script: MonitorScript, wait: bool = False) -> int:
        """Be this monitor; ticks_us when it began to advertise. wait: until it sleeps."""
        began = int(self._ask("monitor", **script.to_json()))
        if wait:
            self.wait(script.manners.advertise_s + script.manners.linger_s + SPARE_S)
        return began

    def happened(self) -> Visit:
        """What the monitor has seen since it began."""
        found = self._ask("monitor_log")
        return Visit(found["said"], found["of"], tuple(Happened(*row) for row in found["log"]))

    def wait_said(self, timeout: float) -> Visit:
        """What happened, once all is said; RadioTrouble says how far it came."""
        end = time.monotonic() + timeout
        while True:
            found = self.happened()
            if found.said == found.of:
                return found
            if time.monotonic() > end or self.on_air != "monitor":
                steps = ", ".join(one.what for one in found.log) or "nothing"
                raise RadioTrouble(f"{found.said} of {found.of} measurements were collected; it saw: {steps}")
            time.sleep(POLL_S)

    def forget(self) -> None:
        """The monitor loses its bonds, as by a change of its battery."""
        self._ask("forget")
