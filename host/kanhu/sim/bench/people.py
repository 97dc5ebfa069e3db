"""What people and sensors do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from kanhu.sim.hub import Hub
from kanhu.sim.sensors import Advert
from kanhu.sim.wires import PRESS_MS, Line

from .stand import BenchError, Stand

SHORTEST = 0.03  # s of real time that a press of a fast hub lasts, lest this computer's scheduler swallow it


class People(Stand):
    """They press, move, measure; sensors see and say."""

    def press(
        self, name: str, duration_ms: int = PRESS_MS, hub: Hub | str | None = None, press: str = "press"
    ) -> None:
        """Press a wired button (returns when it is released) or a BLE caller (returns at once)."""
        if name in self.sensors:
            sensor, owner = self.sensors[name]
            powered = any(h.running for h in self.hubs.values() if owner in ("", h.hub_id))
            if sensor.kind == "button":
                self._record(powered, owner, name, "button")
            self._do(lambda: sensor.press(press))
            return
        owner_hub, contact = self._wire(name, hub)

        async def push() -> None:
            if contact.kind == "button":
                self._record(owner_hub.running and contact.heard, owner_hub.hub_id, name, contact.kind)
            await contact.contact(True, lambda: owner_hub._show(contact), owner_hub.speed)
            await asyncio.sleep(max(duration_ms / 1000 / owner_hub.speed, SHORTEST))
            await contact.contact(False, lambda: owner_hub._show(contact), owner_hub.speed)

        self._wait(push(), duration_ms / 1000 + 10)

    def press_watched(self, name: str, duration_ms: int = PRESS_MS, hub: Hub | str | None = None) -> bool:
        """Press a wired button, and let go of it, each for at least that long and until the hub, however slow
        this computer is, has had its time to notice and write it down; False when its run ended before."""
        owner, contact = self._wire(name, hub)

        async def rounds(count: int) -> bool:
            return all([await owner._round() for _ in range(count)])

        async def hold(closed: bool) -> bool:
            await contact.contact(closed, lambda: owner._show(contact), owner.speed)
            run = owner._process
            noticed = await rounds(2)
            await asyncio.sleep(max(duration_ms / 1000 / owner.speed, SHORTEST))
            # A hub that started anew meanwhile answers, too, and knows nothing of it.
            return noticed and await rounds(3) and owner._process is run

        async def push() -> bool:
            await rounds(2)
            self._record(owner.running and contact.heard, owner.hub_id, name, contact.kind)
            noticed = await hold(True)
            await hold(False)
            return noticed

        return self._wait(push(), duration_ms / 1000 + 60)

    def motion(self, name: str, seconds: float = 3.0, hub: Hub | str | None = None) -> None:
        """Somebody moves before a PIR for that long (of the hub's time); returns at once."""
        if name in self.sensors:
            sensor, _ = self.sensors[name]
            self._do(lambda: sensor.set(True))
            self._later(seconds, lambda: sensor.set(False))
            return
        owner, pir = self._wire(name, hub)

        def show(moving: bool) -> None:
            pir.pressed = moving
            owner._show(pir)

        self._do(lambda: show(True))
        self._later(seconds / owner.speed, lambda: show(False))

    def stick(self, name: str, stuck: bool = True, hub: Hub | str | None = None) -> None:
        """A contact that stays closed, or lets go."""
        owner, contact = self._wire(name, hub)
        self._wait(contact.contact(stuck, lambda: owner._show(contact), owner.speed))

    def cancel(self, hub: Hub | str | None = None, duration_ms: int = PRESS_MS) -> None:
        """Press the hub's cancel key (returns when it is released); the hub's config says its pin."""
        owner = self._hub(hub)
        if "cancel" not in {w.kind for w in owner.wires.values()}:
            raise BenchError(f"hub {owner.hub_id} has no cancel key: put `cancel` into its config")
        self.press(f"{owner.hub_id}-cancel", duration_ms, owner)

    def line(self, name: str, state: Line, hub: Hub | str | None = None) -> None:
        """A supervised line is "ok", "open" or "short"."""
        owner, contact = self._wire(name, hub)
        if state not in contact.line_mv:
            raise BenchError(f"a line is ok, open or short, not {state!r}")

        def change() -> None:
            contact.line = state
            owner._show(contact)

        self._do(change)

    def measure(self, name: str, **fields: Any) -> bytes:
        """Take a measurement with a monitor, of a plausible value if none is given; its bytes."""
        monitor = self._monitor(name)
        return self._wait(monitor.measure(**(fields or monitor.example())))

    def wake(self, name: str, pairing: bool = False) -> None:
        """Switch a monitor on, in pairing mode if its key is held."""
        self._wait(self._monitor(name).wake(pairing))

    def wait_monitor(self, name: str, what: str, count: int = 1, timeout: float = 20.0) -> str:
        """The detail of the count-th time that happened to a monitor; TimeoutError with what did."""
        monitor = self._monitor(name)
        end = time.monotonic() + timeout
        while True:
            found = [one for one in list(monitor.log) if one.what == what]
            if len(found) >= count:
                return found[count - 1].detail
            if time.monotonic() > end:
                seen = [f"{one.what} {one.detail}".strip() for one in monitor.log[-20:]]
                raise TimeoutError(f"{name}: no {what!r} in {timeout} s, but {seen}")
            time.sleep(0.02)

    def set_sensor(self, name: str, state: bool) -> None:
        """A BLE door opens, a smoke alarm sees smoke, ...; False: the opposite."""
        self._do(lambda: self._sensor(name).set(state))

    def set_battery(self, name: str, percent: int) -> None:
        self._do(lambda: self._sensor(name).set_battery(percent))

    def change_battery(self, name: str) -> None:
        """A new battery for a BLE sensor: its counters start again."""
        self._do(lambda: self._sensor(name).change_battery())

    def advertise(self, advert: Advert) -> None:
        """One advertisement of any content."""
        self._do(lambda: self._air.transmit(advert))

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        self._do(lambda: self._loop.call_later(delay, action))
