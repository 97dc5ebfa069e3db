"""Guessing passwords is slow: failed log-ins make the next ones wait, by account and address."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

MAX_KEYS = 10_000  # remembered; the one that failed longest ago is let go
FORGET_S = 3600.0  # a failure counts this long
# One address for one account: after 5 failures 2 s, doubling.
PAIR_FREE, PAIR_MAX_S = 5, 900.0
# One address for any accounts (a whole desk may share one).
ADDRESS_FREE, ADDRESS_MAX_S = 50, 900.0
# One account from anywhere: never long, or a stranger could lock an operator out of the desk.
ACCOUNT_FREE, ACCOUNT_MAX_S = 20, 10.0
FIRST_S = 2.0


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = 0.0


class Throttle:
    """Bounded memory of failures; `clock` in seconds, rising."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: OrderedDict[Hashable, _Failures] = OrderedDict()

    def wait_s(self, account: str, address: str) -> float:
        """Seconds until this address may try this account again; 0: now."""
        now = self._clock()
        return max(
            self._left(("pair", account, address), PAIR_FREE, PAIR_MAX_S, now),
            self._left(("address", address), ADDRESS_FREE, ADDRESS_MAX_S, now),
            self._left(("account", account), ACCOUNT_FREE, ACCOUNT_MAX_S, now),
        )

    def failed(self, account: str, address: str) -> None:
        """A password was wrong."""
        now = self._clock()
        for key in (("pair", account, address), ("address", address), ("account", account)):
            found = self._failed.setdefault(key, _Failures())
            if now - found.last > FORGET_S:
                found.count = 0
            found.count += 1
            found.last = now
            self._failed.move_to_end(key)
        while len(self._failed) > MAX_KEYS:
            self._failed.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """The right password, from here: this address is trusted with this account again."""
        self._failed.pop(("pair", account, address), None)

    def _left(self, key: Hashable, free: int, most_s: float, now: float) -> float:
        found = self._failed.get(key)
        if found is None or found.count < free or now - found.last > FORGET_S:
            return 0.0
        pause = min(most_s, FIRST_S * 2.0 ** min(found.count - free, 20))
        return max(0.0, found.last + pause - now)
