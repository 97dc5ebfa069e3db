"""Silence of hubs: who has not been heard for too long, and who is back. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Iterator

SLACK = 1.2  # heartbeats are jittered by 10 % and travel a while
GRACE_S = 90.0  # for hubs to come back after a start of the host: they try their broker at least every 60 s


def limit_s(heartbeat_s: float, missed: int) -> float:
    """Seconds without an event after which a hub is silent."""
    return heartbeat_s * missed * SLACK


class Silence:
    """Watches hubs against a limit in seconds. Times in seconds of one monotonic clock."""

    def __init__(self, limit_s: float, now: float) -> None:
        self.limit_s = limit_s
        self._start = now
        self._heard: dict[str, float] = {}
        self._silent: set[str] = set()

    def restore(self, hub_id: str, silent: bool, since_s: float) -> None:
        """At start: a known hub, said to be silent or not before, and last heard since_s ago."""
        self._heard.setdefault(hub_id, self._start - max(0.0, since_s))
        if silent:
            self._silent.add(hub_id)

    def heard(self, hub_id: str, now: float) -> bool:
        """An authentic event came; True when the hub had been reported silent."""
        self._heard[hub_id] = now
        if hub_id in self._silent:
            self._silent.discard(hub_id)
            return True
        return False

    def fallen_silent(self, now: float) -> Iterator[tuple[str, float]]:
        """Hubs newly silent, each once, with the seconds since they were last heard."""
        grace_is_over = now - self._start > min(GRACE_S, self.limit_s)
        for hub_id, heard in self._heard.items():
            known = heard >= self._start or grace_is_over
            if known and hub_id not in self._silent and now - heard > self.limit_s:
                self._silent.add(hub_id)
                yield hub_id, now - heard

    def state(self, hub_id: str, now: float) -> str:
        """heard (within the limit), silent (said so), or cannot_tell."""
        if hub_id in self._silent:
            return "silent"
        heard = self._heard.get(hub_id)
        return "heard" if heard is not None and now - heard <= self.limit_s else "cannot_tell"

    def forget(self, hub_id: str) -> None:
        """Nobody waits for this hub any more."""
        self._heard.pop(hub_id, None)
        self._silent.discard(hub_id)

    def not_said(self, hub_id: str, silent: bool) -> None:
        """What was last told of a hub, silent or back, could not be kept: it is told again."""
        if silent:
            self._silent.discard(hub_id)
        else:
            self._silent.add(hub_id)

    @property
    def silent(self) -> frozenset[str]:
        return frozenset(self._silent)
