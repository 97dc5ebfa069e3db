"""Silence of hubs: who has not been heard for too long, and who is back. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Iterator

SLACK = 1.2  # heartbeats are jittered by 10 % and travel a while


class Silence:
    """Watches hubs against heartbeat_s x missed seconds. Times in seconds of one monotonic clock."""

    def __init__(self, heartbeat_s: float, missed: int, now: float) -> None:
        self.limit_s = heartbeat_s * missed * SLACK
        self._start = now
        self._heard: dict[str, float] = {}
        self._silent: set[str] = set()

    def restore(self, hub_id: str, silent: bool) -> None:
        """At start: a known hub, said to be silent or not before; it gets the full limit from now."""
        self._heard.setdefault(hub_id, self._start)
        if silent:
            self._silent.add(hub_id)

    def forget(self, hub_id: str) -> None:
        self._heard.pop(hub_id, None)
        self._silent.discard(hub_id)

    def heard(self, hub_id: str, now: float) -> bool:
        """An authentic event came; True when the hub had been reported silent."""
        self._heard[hub_id] = now
        if hub_id in self._silent:
            self._silent.discard(hub_id)
            return True
        return False

    def fallen_silent(self, now: float) -> Iterator[tuple[str, float]]:
        """Hubs newly silent, each once, with the seconds since they were last heard."""
        for hub_id, heard in self._heard.items():
            if hub_id not in self._silent and now - heard > self.limit_s:
                self._silent.add(hub_id)
                yield hub_id, now - heard

    @property
    def silent(self) -> frozenset[str]:
        return frozenset(self._silent)
