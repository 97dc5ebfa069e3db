"""A test's own view of the city's platform."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol

from kanhu.platform import Event
from kanhu.qa.observer import Observer
from kanhu.qa.waiting import wait_for
from kanhu.sim.city import City

Identity = tuple[str, str]  # CloudEvents source and id


class Behind(Protocol):
    """What is needed of a host (kanhu.qa.host)."""

    city: City
    observer: Observer


class Platform:
    """The city from one moment on: a test's own view of it. Its operator accepts only when told."""

    def __init__(self, host: Behind) -> None:
        self.city = host.city
        self._observer = host.observer
        self.begin = time.monotonic()

    def events(self, name: str = "", hub: str = "") -> list[Event]:
        """What arrived since then, each event once, of one name and of one hub if they are given."""
        return [event for _, event in self.timed(name, hub)]

    def timed(self, name: str = "", hub: str = "") -> list[tuple[float, Event]]:
        """The same with the monotonic s of each arrival."""
        with self.city.lock:
            log = list(self.city.log)
        return [
            (at, event)
            for at, event in log
            if at >= self.begin and name in ("", event.name) and hub in ("", event.hub)
        ]

    def wait(self, wanted: Callable[[Event], Any], timeout: float = 30.0) -> Event:
        """The first event since then that is wanted; TimeoutError tells what came."""

        def found() -> Event | None:
            return next((event for event in self.events() if wanted(event)), None)

        def said() -> str:
            came = ", ".join(f"{event.hub} {event.id} {event.name}" for event in self.events()[-30:])
            return f"no such event at the platform in {timeout} s; the last ones: {came or 'none'}"

        return wait_for(found, timeout, said)

    def wait_event(self, name: str, hub: str = "", timeout: float = 30.0) -> Event:
        """The first event of this name since then; TimeoutError."""
        return self.wait(lambda event: event.name == name and hub in ("", event.hub), timeout)

    def calls(self, hub: str) -> int:
        """How many presses of this hub the platform has since then."""
        return sum(int(event.data.get("count", 1)) for event in self.events("call", hub))

    def arrivals(self) -> dict[Identity, list[float]]:
        """Identity -> monotonic s of each message about it since then, also of those the SDK hides."""
        found: dict[Identity, list[float]] = defaultdict(list)
        for raw in list(self._observer.heard):
            if raw.at >= self.begin and (identity := _identity(raw.payload)):
                found[identity].append(raw.at)
        return dict(found)

    def repeated(self) -> dict[Identity, int]:
        """Events of which more than one message came, and how many; none while the daemon is well."""
        return {identity: len(times) for identity, times in self.arrivals().items() if len(times) > 1}

    def waiting(self) -> list[str]:
        """Names of the alarms that nobody has accepted."""
        with self.city.lock:
            return list(self.city.waiting)

    def accept_all(self) -> None:
        """A person takes every waiting call, and closes it a moment later."""
        self.city.accept_all()

    def mute(self, on: bool = True) -> None:
        """A platform that hangs: it acknowledges nothing until mute(False)."""
        self.city.mute(on)


def _identity(payload: bytes) -> Identity | None:
    try:
        found = json.loads(payload)
        return str(found["source"]), str(found["id"])
    except (ValueError, KeyError, TypeError):
        return None
