"""The windows of all hubs: how long they are open and what is heard in them. They live in memory only."""

from __future__ import annotations

import time
from collections.abc import Callable

from kanhu.journal import Event
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from .values import FRESH_MS, HEARD_MAX, KEPT_S, Heard, PairingError, Why, Window
from .voice import Voice


class Windows:
    """At most one a hub; one that is over can be looked at for KEPT_S."""

    def __init__(self, voice: Voice, clock: Callable[[], int]) -> None:
        self._voice = voice
        self._clock = clock
        self._windows: dict[str, Window] = {}

    def __contains__(self, hub: str) -> bool:
        return hub in self._windows

    async def open(self, hub: str, seconds: int) -> Window:
        """Another window; what was heard in one that is still open stays heard."""
        await self._voice.say(hub, seconds * 1000)
        window = Window(hub, self._clock() + seconds * 1000, time.monotonic() + seconds)
        before = self._windows.get(hub)
        if before is not None and before.state != "closed":
            window.heard = before.heard
        self._windows[hub] = window
        return window

    def of(self, hub: str) -> Window:
        """A hub's window; PairingError when none was opened lately."""
        found = self._windows.get(hub)
        if found is None:
            raise PairingError(
                f"hub {hub}: no pairing window is open; open one: kanhu pair {hub}", "no_window"
            )
        return found

    def close(self, hub: str, why: str) -> None:
        """End a hub's window, if it has one."""
        window = self._windows.get(hub)
        if window is not None and window.state != "closed":
            window.state, window.why, window.gone = "closed", why, time.monotonic() + KEPT_S
            self._voice.silence(hub)

    def answered(self, event: Event, refusal: str) -> None:
        """The hub has answered PAIR."""
        window = self._windows.get(event.hub)
        if window is not None and window.state == "asked":
            if refusal:
                self.close(event.hub, refusal)
            else:
                window.state, window.answer = "open", (event.boot, event.seq)

    def ended(self, event: Event, why: str) -> bool:
        """The hub listens no more; whether it did."""
        window = self._windows.get(event.hub)
        if window is None or window.state != "open" or (event.boot, event.seq) < window.answer:
            return False
        self.close(event.hub, why)
        return True

    def heard(self, event: Event) -> None:
        """sensor.heard; what comes after the window's end is not in it."""
        window = self._windows.get(event.hub)
        fields = event.fields
        address = fields.get(k.ADDRESS)
        if window is None or window.state == "closed" or not isinstance(address, bytes) or len(address) != 6:
            return
        found = window.heard.get(address)
        if found is None:
            found = Heard(address, rssi=fields.get(k.RSSI))
            if not _room_for(window.heard, found, event.received_ms):
                return
            window.heard[address] = found
        role = fields.get(k.ROLE)
        found.role = role if role in names.ROLES else found.role
        name = "".join(c for c in fields.get(k.NAME, "") if c.isprintable()).strip()
        found.name = name or found.name
        found.rssi = fields.get(k.RSSI, found.rssi)
        found.battery = fields.get(k.BATTERY, found.battery)
        found.advertised = fields.get(k.ADVERTISED)
        found.heard_ms = event.received_ms

    def look(self) -> None:
        """End what is over, and forget what has been for long."""
        for hub, window in list(self._windows.items()):
            over = self._clock() >= window.ends_ms or time.monotonic() >= window.until
            if window.state != "closed" and over:
                late = Why("the hub did not answer in time: is it connected?", "no_answer")
                self.close(hub, "expired" if window.state == "open" else late)
            elif window.state == "closed" and time.monotonic() >= window.gone:
                del self._windows[hub]

    def forget(self, hub: str) -> None:
        """A hub is being erased: what was heard around it goes too."""
        self._windows.pop(hub, None)


def _room_for(heard: dict[bytes, Heard], new: Heard, now_ms: int) -> bool:
    """Whether it is kept; of too many, one that is heard no more, or the weakest, goes."""
    if len(heard) < HEARD_MAX:
        return True
    least = min(heard.values(), key=lambda one: (now_ms - one.heard_ms <= FRESH_MS, one.strength))
    if now_ms - least.heard_ms <= FRESH_MS and least.strength >= new.strength:
        return False
    del heard[least.address]
    return True
